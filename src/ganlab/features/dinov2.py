"""DINOv2 (Oquab et al., 2023) in kornia's copy of its code, from a file: what Stein et al. (2023) recommend to look through, in
place of Inception."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from ganlab.errors import UserError
from ganlab.features.extractor import SHORT, Frozen
from ganlab.features.prepared import RESIZE, Prepared
from ganlab.features.weights import damage_told, weights_file

SIDE = 224  # images are brought to, as by torch-fidelity and by Stein et al.; the networks were trained on 518
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of its training, of 0 ... 1
HEAD = 64  # features of a head, in all sizes
SIZES = {"dinov2_vits14": (384, 12), "dinov2_vitb14": (768, 12), "dinov2_vitl14": (1024, 24), "dinov2_vitg14": (1536, 40)}
URL = "https://dl.fbaipublicfiles.com/dinov2/{0}/{0}_pretrain.pth"


class DinoV2(Frozen):
    """An Extractor whose features [n, d] are DINOv2's class token of images, rounded to 8 bits; its logits are 0."""

    def __init__(self, net: nn.Module, size: tuple[int, int], file_sha256: str) -> None:
        name = next((name for name, known in SIZES.items() if known == size), "DINOv2 of {} features, {} blocks".format(*size))
        card = {"name": name, "code": f"kornia {version('kornia')}", "file": file_sha256[:SHORT], "size": [3, SIDE, SIDE],
                "resize": RESIZE}  # fmt: skip
        prepared = Prepared(net, SIDE, MEAN, STD).eval()
        with torch.no_grad():
            prepared(torch.zeros(1, 3, 8, 8))  # what does not fit together shows here
        super().__init__(prepared, size[0], 1, 50, card)


def dinov2(weights: str | None, name: str = "dinov2_vitl14") -> DinoV2:
    """The network whose state dict is in a file, as Meta publishes it: of any width and depth, without registers. Where null it
    is NAME_pretrain.pth in torch hub's cache. Nothing is downloaded.

    Raises UserError where the file is missing, damaged or something else, for an unknown name, and without kornia or
    torch-fidelity (whose way to resize it has).
    """
    if missing := [package for package in ("kornia", "torch_fidelity") if find_spec(package) is None]:
        raise UserError(f"DINOv2 needs {' and '.join(missing)}, which is not installed: pip install 'ganlab[dinov2]'")
    if name not in SIZES:
        raise UserError(f"features.name = {name}: there is no such DINOv2, use one of {', '.join(SIZES)}")
    path, stat = weights_file(weights, f"{name}_pretrain.pth", "DINOv2", URL.format(name))
    return _open(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=2)
def _open(path: Path, mtime: int, size: int) -> DinoV2:
    with damage_told(path, "DINOv2") as found:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if "register_tokens" in state:
            raise UserError(f"{path} is a DINOv2 with registers: give the one without them, NAME_pretrain.pth")
        return DinoV2(*_network(state), found)


def _network(state: Mapping[str, Tensor]) -> tuple[nn.Module, tuple[int, int]]:
    """The network of a state dict, and its (width, depth)."""
    from kornia.feature.dedode.transformer.dinov2 import DinoVisionTransformer

    width, patch = state["cls_token"].shape[-1], state["patch_embed.proj.weight"].shape[-1]
    if SIDE % patch:
        raise ValueError(f"patches of {patch}")
    depth = 1 + max(int(key.split(".")[1]) for key in state if key.startswith("blocks."))
    with torch.device("meta"):  # weights of gigabytes are not drawn first
        net = DinoVisionTransformer(
            img_size=math.isqrt(state["pos_embed"].shape[1] - 1) * patch,
            patch_size=patch,
            embed_dim=width,
            depth=depth,
            num_heads=width // HEAD,
            init_values=1.0,
            ffn_layer="swiglufused" if "blocks.0.mlp.w12.weight" in state else "mlp",
            block_chunks=0,
            drop_path_uniform=True,
        )  # fmt: skip  (the last: the rates of another rule are read from a tensor)
    net.load_state_dict(state, strict=True, assign=True)
    return net, (width, depth)
