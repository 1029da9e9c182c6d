"""What `ganlab export` writes is G, for a process without ganlab."""

import json
import logging
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import same_state
from safetensors.torch import load_file

from ganlab.commands.evaluate import EvaluationRequest, evaluate
from ganlab.commands.export import TRIED, _refuse_other, export
from ganlab.commands.sample import asked_for, checkpoint_of, generate, generator, sample
from ganlab.run.config import build

SMALL = ("iterations=2", "metrics.n=16", "theory=none", "model.G.width=16", "model.D.width=16", "batch_size=8", "ema_decay=0.9")
ALONE = """
import sys, numpy, onnxruntime
given = dict(numpy.load("given.npz"))
numpy.save("x.npy", onnxruntime.InferenceSession("export/generator.onnx").run(None, given)[0])
assert not [name for name in sys.modules if name.split(".")[0] in ("ganlab", "torch")]

import torch, warnings
warnings.simplefilter("ignore")
from safetensors.torch import load_file
G = torch.export.load("export/generator.pt2").module()
for p in G.parameters():
    p.data.zero_()
G.load_state_dict(load_file("export/generator.safetensors"))  # whose weights they are, and not those in the graph
z = torch.from_numpy(given["z"])
y = torch.from_numpy(given["y"]) if "y" in given else torch.zeros(len(z), dtype=torch.long)
numpy.save("y.npy", G(z, y).detach().numpy())
assert not [name for name in sys.modules if name.split(".")[0] in ("ganlab", "hydra")]
"""


@pytest.mark.parametrize("condition", ["none", pytest.param("concat", marks=pytest.mark.long)])
def test_samples_are_those_of_G_in_a_process_without_ganlab(run, tmp_path, condition, caplog, monkeypatch):
    done = run(*SMALL, f"condition={condition}", "metrics=modes")
    caplog.clear()
    monkeypatch.setattr(logging.getLogger("torch"), "propagate", True)  # torch tells its own on the terminal
    out = export(done, out=tmp_path / "export")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert {path.name for path in out.iterdir()} == {
        "README.md",
        *(f"generator.{kind}" for kind in ("json", "onnx", "pt2", "safetensors")),
    }
    config = done.config
    G, prior = generator(config, checkpoint_of(done, None))
    z, y = asked_for(config, prior, 37, 5, None)
    np.savez(tmp_path / "given.npz", z=z.numpy(), **({"y": y.numpy()} if condition != "none" else {}))
    subprocess.run([sys.executable, "-c", ALONE], cwd=tmp_path, check=True, capture_output=True)
    x = torch.from_numpy(np.load(tmp_path / "x.npy"))
    torch.testing.assert_close(x, generate(G, z, y), rtol=0, atol=1e-5)
    torch.testing.assert_close(torch.from_numpy(np.load(tmp_path / "y.npy")), generate(G, z, y), rtol=0, atol=1e-5)
    assert x.std() > 1e-4  # of a G that makes something
    assert same_state(load_file(out / "generator.safetensors"), G.state_dict())
    about = json.loads((out / "generator.json").read_text())
    assert about["classes"] == (8 if condition != "none" else None)
    card = (out / "README.md").read_text()
    assert "| modes | " in card
    assert "n_fake 16" in card
    lines = card.split("```python\n")[3].split("```")[0]
    scope = {}
    exec(
        lines.replace('Path("', f'Path("{out}/').replace('load_file("', f'load_file("{out}/'), scope
    )  # the card's own ten lines
    torch.testing.assert_close(scope["G"](z, y), G(z, y), rtol=0, atol=0)


def test_what_is_not_G_is_not_called_so():
    x = torch.zeros(TRIED, 2)
    _refuse_other(x + 9e-6, x, "a")
    for other in (x + 2e-5, x * torch.nan):
        with pytest.raises(RuntimeError, match="a gives samples that are"):
            _refuse_other(other, x, "a")


def test_a_G_with_a_spectral_norm_is_sampled_evaluated_and_exported_with_it(run, tmp_path):
    """Its checkpoint has the weights before the norm."""
    done = run(*SMALL, "penalty=spectral_norm_g", "metrics=none", "average=decay")
    G, prior = generator(done.config, checkpoint_of(done, None))
    assert any("parametrizations" in name for name in G.state_dict())
    z, y = asked_for(done.config, prior, 7, 0, None)
    wanted = generate(G, z, y)
    plain = build(done.config["model"]["G"], "model.G").eval()
    plain.load_state_dict(load_file(export(done, out=tmp_path / "export") / "generator.safetensors"))
    torch.testing.assert_close(generate(plain, z, y), wanted, rtol=1e-6, atol=1e-7)
    assert sample(done, 4, 0, None, tmp_path / "samples", trust=False).is_dir()
    assert evaluate([done.path], EvaluationRequest(overrides=("metrics.n=16",), metrics="modes"))[0].is_file()
