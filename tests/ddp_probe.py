"""Trains a few iterations and writes what each rank saw: run as a script, once per process, by test_ddp.py."""

import sys
from pathlib import Path

import torch
from conftest import composed

from ganlab.files.run import RunDirectory
from ganlab.game.module import GAN
from ganlab.run.config import resolve, validate
from ganlab.run.experiment import Experiment

out, *overrides = sys.argv[1:]
seen = {"noise": [], "x": [], "gradients": []}


def spy(name, record):
    original = getattr(GAN, name)

    def method(gan, *arguments):
        record(gan, *arguments)
        result = original(gan, *arguments)
        if name == "noise":
            seen["noise"].append(result.clone())
        return result

    setattr(GAN, name, method)


def gradients(net):
    return lambda gan: seen["gradients"].append([p.grad.clone() for p in getattr(gan, net).parameters()])


spy("noise", lambda gan: None)
spy("D_gradient", lambda gan, x, y, z: seen["x"].append(x.clone()))
spy("D_step", gradients("D"))
spy("G_step", gradients("G"))

torch.set_num_threads(1)
run = RunDirectory(out)
config = resolve(composed("logger=csv", "metrics=none", "theory=none", *overrides, path=Path(out)))
experiment = Experiment(validate(config), run, {}, 0)
run.create(config, overrides, {})
for kept in seen.values():
    kept.clear()  # what was rehearsed
experiment.run_to_the_end(config, None)
seen["weights"] = experiment.gan.state_dict()
torch.save(seen, f"{out}/rank{experiment.trainer.global_rank}.pt")
