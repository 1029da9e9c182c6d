"""`ganlab export RUN`: G for those who do not have ganlab."""

from __future__ import annotations

import json
import logging
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations

from ganlab.commands.sample import asked_for, checkpoint_of, generator
from ganlab.errors import UserError
from ganlab.files.atomic import substitute, write_whole
from ganlab.files.checkpoint import iteration_of
from ganlab.files.run import RunDirectory
from ganlab.run.config import classes_told
from ganlab.run.identity import located

CLOSE = 1e-5  # how far a sample of what was written may lie from one of G
TRIED = 16  # samples that are compared, another batch than the one that was traced


class _Alone(nn.Module):
    """A G that is told no y."""

    def __init__(self, G: nn.Module) -> None:
        super().__init__()
        self.G = G

    def forward(self, z: Tensor) -> Tensor:
        x: Tensor = self.G(z, z.new_zeros(z.shape[0], dtype=torch.long))  # (len would fix the size of a batch)
        return x


def export(run: RunDirectory, checkpoint: Path | None = None, out: Path | None = None, trust: bool = False) -> Path:
    """Write G, the one that is sampled, as generator.safetensors, generator.pt2 (torch's graph of it, for its weights) and
    generator.onnx, with generator.json, what it is built from, and a model card, README.md, into a folder (RUN/export), which
    is returned. All are loaded again and give the samples of G to 1e-5, otherwise RuntimeError. Raises UserError."""
    for package in ("safetensors", "onnx", "onnxscript", "onnxruntime"):
        if find_spec(package) is None:
            raise UserError(f"ganlab export needs the package {package}: pip install 'ganlab[export]'")
    from safetensors.torch import load_file, save_file

    (config, _), path = located(run, ()), checkpoint or checkpoint_of(run, None)
    G, prior = generator(config, path, trust)
    _fixed(G)
    told = classes_told(config["model"]["G"])
    z, y = asked_for(config, prior, TRIED, 0, None)
    given = {"z": z, "y": y} if told else {"z": z}
    with torch.no_grad():
        wanted = G(z, y)
    out = out or run.path / "export"
    out.mkdir(parents=True, exist_ok=True)
    state = {name: value.contiguous() for name, value in G.state_dict().items()}
    with substitute(out / "generator.safetensors") as file:
        save_file(state, file, metadata={"format": "pt"})
    again = {name: value.clone() for name, value in load_file(out / "generator.safetensors").items()}
    G.load_state_dict(again)
    with torch.no_grad():
        _refuse_other(G(z, y), wanted, "generator.safetensors")
    with substitute(out / "generator.pt2") as file:
        _graph(G, z, y, file)
        with file.open("rb") as opened:  # by its name torch wants it to end in .pt2
            net = torch.export.load(opened).module()
        net.load_state_dict(again)
        with torch.no_grad():
            _refuse_other(net(z, y), wanted, "generator.pt2")
    with substitute(out / "generator.onnx") as file:
        _onnx(G if told else _Alone(G), given, file)
        _refuse_other(_of_onnx(file, given), wanted, "generator.onnx")
    about = {"model.G": config["model"]["G"], "prior": config["prior"], "shape": config["shape"], "classes": told}
    write_whole(out / "generator.json", json.dumps(about, indent=2) + "\n")
    write_whole(out / "README.md", card_of(run, config, iteration_of(path), told))
    return out


def _fixed(G: nn.Module) -> None:
    """What is computed of weights in each pass, as a spectral norm is, becomes weights."""
    for module in [*G.modules()]:
        if is_parametrized(module):
            for name in [*cast(nn.ModuleDict, module.parametrizations)]:
                remove_parametrizations(module, name, leave_parametrized=True)


def _graph(G: nn.Module, z: Tensor, y: Tensor, file: Path) -> None:
    """What G computes, in torch's own operations, for whoever has torch alone."""
    batch = torch.export.Dim("n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own parts
        program = torch.export.export(G, (z[:2], y[:2]), dynamic_shapes=({0: batch}, {0: batch}))
        with file.open("wb") as opened:
            torch.export.save(program, opened)


def _onnx(G: nn.Module, given: dict[str, Tensor], file: Path) -> None:
    few = tuple(value[:2] for value in given.values())
    batch = torch.export.Dim("n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own libraries
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program: Any = torch.onnx.export(G, few, input_names=[*given], output_names=["x"], dynamo=True, verbose=False,
                                         dynamic_shapes=tuple({0: batch} for _ in given))  # fmt: skip
    program.save(str(file))


def _of_onnx(file: Path, given: dict[str, Tensor]) -> Tensor:
    import onnxruntime

    session = onnxruntime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {name: value.numpy() for name, value in given.items()})[0])


def _refuse_other(x: Tensor, wanted: Tensor, name: str) -> None:
    gap = (x - wanted).abs().max().item()
    if not gap <= CLOSE:
        raise RuntimeError(f"{name} gives samples that are {gap:.2g} from those of G, and not within {CLOSE}")


def card_of(run: RunDirectory, config: dict[str, Any], iteration: int, told: int | None) -> str:
    """README.md: what it is, its scores and how they were obtained, how to load it."""
    result = run.result or {}
    cards = result.get("cards", {})
    lines = [f"| {name} | {'-' if last['value'] is None else format(last['value'], '.4g')} | {_how(cards.get(name, {}))} |"
             for name, last in result.get("final", {}).items() if "/" not in name]  # fmt: skip
    scores = "\n".join(["| score | value | how |", "|---|---|---|", *lines]) if lines else "It was not scored."
    dim, call = config["prior"].get("dim"), "z, y" if told else "z"
    feed = '{"z": z, "y": y}' if told else '{"z": z}'
    classes = f"; y [n] is one of {told} classes (int64)" if told else ""
    data, shape = config["data"]["_target_"], ", ".join(map(str, config["shape"]))
    verdict = (result.get("verdict") or {}).get("state", "unknown")
    y = f"y = np.arange(8) % {told}\n" if told else ""
    return f"""# {config["name"]}

The generator of a GAN, trained by ganlab on `{data}` for {iteration:,} iterations
(seed {config["seed"]}, verdict: {verdict}). G({call}) gives x [n, {shape}]; images lie in [-1, 1].
z [n, {dim}] is of `{config["prior"]["_target_"]}`{classes}. Command: `{result.get("command", "unknown")}`.

{scores}

Scores are those at the end of training, of the card that is named; numbers of other cards do not compare with them.

## Loading it

Without ganlab, by onnxruntime (z here of a normal prior: see `generator.json`):

```python
import numpy as np, onnxruntime
z = np.random.default_rng(0).standard_normal((8, {dim})).astype(np.float32)
{y}x = onnxruntime.InferenceSession("generator.onnx").run(None, {feed})[0]
```

By torch alone (that of {torch.__version__.split("+")[0]} or later); y is ignored by a G that is told none:

```python
import torch
from safetensors.torch import load_file
G = torch.export.load("generator.pt2").module()
G.load_state_dict(load_file("generator.safetensors"))
x = G(torch.randn(8, {dim}), torch.arange(8) % {told or 1})
```

With ganlab, as the network that it was, from `generator.json`:

```python
import json
from pathlib import Path
from hydra.utils import instantiate
from safetensors.torch import load_file
G = instantiate(json.loads(Path("generator.json").read_text())["model.G"], _convert_="all").eval()
G.load_state_dict(load_file("generator.safetensors"))
```
"""


def _how(card: dict[str, Any]) -> str:
    kept = {key: value for key, value in card.items() if key in ("metric", "version", "n_real", "n_fake", "weights", "data")}
    return ", ".join(f"{key} {value}" for key, value in kept.items()).replace("|", "/")
