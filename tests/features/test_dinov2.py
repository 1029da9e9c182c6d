"""DINOv2 from a file, against its equations and against torch-fidelity, which has its network from torch.hub alone."""

import math
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

from ganlab.errors import UserError
from ganlab.features import clip
from ganlab.features import dinov2 as dino
from ganlab.features.dinov2 import dinov2
from ganlab.pixels import to_float, to_uint8

SMALL = "DINOv2 of 64 features, 2 blocks"


class Equations(nn.Module):
    """The class token [n, d] of a vision transformer of one head, from a state dict of the published layout: patches and the
    positions of another grid, resized as the published code does it, then blocks with scaled residuals."""

    def __init__(self, state: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.state = state

    def linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.linear(x, self.state[f"{name}.weight"], self.state[f"{name}.bias"])

    def normed(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.layer_norm(x, x.shape[-1:], self.state[f"{name}.weight"], self.state[f"{name}.bias"], eps=1e-6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        s, old, new = self.state, math.isqrt(self.state["pos_embed"].shape[1] - 1), x.shape[-1] // 14
        d = s["cls_token"].shape[-1]
        x = functional.conv2d(x, s["patch_embed.proj.weight"], s["patch_embed.proj.bias"], stride=14).flatten(2).mT
        grid = s["pos_embed"][:, 1:].mT.unflatten(2, (old, old))
        grid = functional.interpolate(grid, scale_factor=((new + 0.1) / old,) * 2, mode="bicubic").flatten(2).mT
        x = torch.cat([s["cls_token"].expand(len(x), 1, d) + s["pos_embed"][:, :1], x + grid], dim=1)
        for block in (f"blocks.{i}" for i in range(2)):
            q, k, v = self.linear(self.normed(x, f"{block}.norm1"), f"{block}.attn.qkv").split(d, dim=2)
            seen = (q @ k.mT / d**0.5).softmax(-1) @ v
            x = x + s[f"{block}.ls1.gamma"] * self.linear(seen, f"{block}.attn.proj")
            wide = functional.gelu(self.linear(self.normed(x, f"{block}.norm2"), f"{block}.mlp.fc1"))
            x = x + s[f"{block}.ls2.gamma"] * self.linear(wide, f"{block}.mlp.fc2")
        return self.normed(x, "norm")[:, 0]


def test_dinov2_sees_what_its_equations_and_torch_fidelity_see(dinov2_weights, monkeypatch):
    from torch_fidelity.feature_extractor_dinov2 import FeatureExtractorDinoV2

    state = torch.load(dinov2_weights, weights_only=True)
    monkeypatch.setenv("XFORMERS_DISABLED", "1")  # as torch-fidelity leaves it
    monkeypatch.setattr(torch.hub, "load", lambda *_: Equations(state))
    x = to_float(to_uint8(torch.rand(3, 3, 20, 20, generator=torch.Generator().manual_seed(0)) * 2 - 1))
    (expected,) = FeatureExtractorDinoV2("dinov2-vit-s-14", ["dinov2"])(to_uint8(x))
    extractor = dinov2(str(dinov2_weights))
    seen = extractor(x + 0.006 * (torch.rand_like(x) - 0.5))  # rounded to the same bytes
    assert expected.std(0).mean() > 0.01  # images differ
    assert_close(seen.features, expected, rtol=1e-4, atol=1e-4)
    assert (seen.features.shape, seen.logits.shape) == ((3, extractor.dims), (3, extractor.classes))
    assert_close(extractor(x[:1, :1]), extractor(x[:1, :1].repeat(1, 3, 1, 1)))
    assert extractor.card()["name"] == SMALL
    assert dinov2(str(dinov2_weights)) is extractor


def test_a_file_that_is_no_dinov2_is_told(dinov2_weights, tmp_path, monkeypatch):
    state = torch.load(dinov2_weights, weights_only=True)
    for name, wrong, told in (
        ("registers", {**state, "register_tokens": torch.zeros(1, 4, 64)}, "is a DINOv2 with registers"),
        ("other", {"weight": torch.zeros(1)}, "is damaged or has no weights of DINOv2"),
        ("less", {key: value for key, value in state.items() if key != "norm.bias"}, "is damaged or has no weights of DINOv2"),
        ("patches", {**state, "patch_embed.proj.weight": torch.zeros(64, 3, 13, 13)}, "is damaged or has no weights of DINOv2"),
    ):
        torch.save(wrong, tmp_path / name)
        with pytest.raises(UserError, match=told):
            dinov2(str(tmp_path / name))
    with pytest.raises(UserError, match=r"not at nowhere.pth .*; download .*dinov2_vits14/dinov2_vits14_pretrain\.pth"):
        dinov2("nowhere.pth", "dinov2_vits14")
    with pytest.raises(UserError, match="there is no such DINOv2, use one of dinov2_vits14, "):
        dinov2(None, "vit")
    monkeypatch.setitem(sys.modules, "kornia", None)
    with pytest.raises(UserError, match=r"needs kornia, which is not installed: pip install 'ganlab\[dinov2\]'"):
        dinov2(str(dinov2_weights))


def test_a_wide_one_has_gates_and_the_heads_of_its_width(tmp_path):
    kornia = pytest.importorskip("kornia.feature.dedode.transformer.dinov2")
    torch.manual_seed(0)
    net = kornia.DinoVisionTransformer(
        img_size=28,
        patch_size=14,
        embed_dim=128,
        depth=1,
        num_heads=2,
        init_values=1.0,
        block_chunks=0,
        ffn_layer="swiglufused",
    ).eval()
    torch.save(net.state_dict(), tmp_path / "wide.pth")
    x = torch.rand(2, 3, 224, 224)
    with torch.no_grad():
        assert_close(dinov2(str(tmp_path / "wide.pth")).net.net(x), net(x))


@pytest.mark.parametrize("name", ["clip", "dinov2"])
def test_a_published_network_sees_the_same_in_a_run_in_float64(name, request):
    module, weights = {"clip": clip, "dinov2": dino}[name], str(request.getfixturevalue(f"{name}_weights"))
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    single = getattr(module, name)(weights)(x).features
    module._open.cache_clear()
    torch.set_default_dtype(torch.float64)
    try:
        double = getattr(module, name)(weights)(x.double()).features
    finally:
        torch.set_default_dtype(torch.float32)
        module._open.cache_clear()
    assert_close(double.float(), single)
