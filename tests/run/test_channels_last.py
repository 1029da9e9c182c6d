"""How maps lie in memory changes rounding and speed, and nothing else."""

import copy

import pytest
import torch
import yaml
from conftest import composed, same_state

from ganlab.files.checkpoint import read_checkpoint
from ganlab.game.quick import lay_out, quicken
from ganlab.run.command_line import with_saved_overrides
from ganlab.run.experiment import train

DCGAN = ("data=triangles", "model=dcgan", "shape=[1,16,16]", "model.G.width=4", "model.D.width=4", "batch_size=8", "k=2",
         "metrics=none", "health.n=8", "checkpoint.every=5")  # fmt: skip
CHANNEL_BY_CHANNEL = ("model.G.channels_last=false", "model.D.channels_last=false")


def state(run):
    return read_checkpoint(run.newest_checkpoint())["state_dict"]


@pytest.mark.parametrize(("precision", "iterations", "tolerance"), [("64-true", 60, 1e-12), ("32-true", 10, 1e-6)])
def test_a_dcgan_in_channels_last_is_the_same_but_for_rounding(run, precision, iterations, tolerance):
    given = (*DCGAN, f"iterations={iterations}", f"trainer.precision={precision}")
    last, first = state(run(*given, name="last")), state(run(*given, *CHANNEL_BY_CHANNEL, name="first"))
    maps = [name for name, value in last.items() if value.dim() == 4 and min(value.shape) > 1]
    assert maps
    for name in maps:
        assert last[name].is_contiguous(memory_format=torch.channels_last)
        assert first[name].is_contiguous()
    for name, value in last.items():
        assert (value - first[name]).double().norm() <= tolerance * first[name].double().norm(), name
    assert not same_state(last, first)


def test_a_run_of_before_there_was_a_choice_goes_on_channel_by_channel(run):
    whole = run(*DCGAN, *CHANNEL_BY_CHANNEL, "iterations=10", name="whole")
    old = run(*DCGAN, *CHANNEL_BY_CHANNEL, "iterations=5", name="old")
    config = yaml.safe_load(old.config_file.read_text())
    for player in ("G", "D"):
        del config["model"][player]["channels_last"]
    old.config_file.write_text(yaml.safe_dump(config, sort_keys=False))
    lines = yaml.safe_load((old.path / "overrides.yaml").read_text())
    (old.path / "overrides.yaml").write_text(yaml.safe_dump([line for line in lines if "channels_last" not in line]))
    argv = with_saved_overrides(["train.py", f"resume={old.path}", "iterations=10"])
    train(composed(*argv[1:], path=old.path))
    assert same_state(state(old), state(whole))


def test_what_is_kept_of_a_weight_lies_as_the_weight_does():
    """torch's fused Adam takes a state that lies otherwise for that of other weights."""
    generator = torch.Generator().manual_seed(0)
    start, x = torch.randn(4, 3, 3, 3, generator=generator), torch.randn(4, 3, 3, 3, generator=generator)

    def stepped(w, optimizer):
        for t in range(3):
            (w * x).square().sum().mul(1 + t).backward()
            optimizer.step()
            w.grad = None

    before = torch.nn.Parameter(start.clone())
    plain = torch.optim.Adam([before], lr=0.1, fused=True)
    stepped(before, plain)
    after = torch.nn.Parameter(before.detach().clone(memory_format=torch.channels_last))
    moved = torch.optim.Adam([after], lr=0.1, fused=True)
    moved.load_state_dict(copy.deepcopy(plain.state_dict()))
    assert moved.state[after]["exp_avg"].stride() != after.stride()
    lay_out(moved)
    quicken(moved)
    stepped(before, plain)
    stepped(after, moved)
    assert torch.allclose(before, after, rtol=1e-6, atol=0)
