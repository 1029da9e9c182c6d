"""The recipes for CIFAR-10 have the numbers of their sources, however they are put together of other files."""

import pytest
from conftest import composed

from ganlab.run.config import resolve
from ganlab.run.gate import value_at

SMALL = {"k": 5, "batch_size": 512, "iterations": 40_000, "optim.G.lr": 8e-4, "optim.D.lr": 8e-4, "prior.dim": 100,
         "optim.G.betas": [0.5, 0.999], "ema_decay": 0, "data.flip": True, "model.G.width": 256}  # fmt: skip
MIMICRY = {"k": 5, "batch_size": 64, "iterations": 100_000, "optim.G.lr": 2e-4, "optim.D.betas": [0.0, 0.9], "prior.dim": 128,
           "data.flip": False, "ema_decay": 0, "model.G.width": 256, "model.D.width": 128}  # fmt: skip
SOURCES = {
    # xyfJASON/GANs-Implementations, configs/*_cifar10.yaml; R1's lambda stands beside half the loss there
    "dcgan": SMALL,
    "dcgan_r1": SMALL | {"penalty.r1.gamma": 20.0},
    "dcgan_gp": SMALL | {"optim.D.betas": [0.5, 0.9], "optim.G.betas": [0.5, 0.9], "penalty.gradient_penalty.weight": 10.0},
    "dcgan_cbn": SMALL | {"model.G.told": None, "model.G.norm.apart": 0.0},
    "dcgan_ac": SMALL | {"model.G.told": None, "objective.on_data": 2.0, "objective.on_samples": 0.0, "objective.of_G": 1.0},
    # kwotsin/mimicry, examples/*_cifar.py
    "sngan": MIMICRY,
    "wgan_gp": MIMICRY | {"penalty.gradient_penalty.weight": 10.0},
    "sngan_cond": MIMICRY | {"model.G.told": None, "model.G.norm.apart": 0.02},
    # ajbrock/BigGAN-PyTorch, scripts/launch_cifar_ema.sh
    "biggan": {"k": 4, "batch_size": 50, "images": 25_000_000, "optim.G.lr": 2e-4, "optim.G.betas": [0.0, 0.999],
               "ema_decay": 0.9999, "prior.dim": 128, "data.flip": True, "model.G.width": 256, "model.D.width": 256},
    # mit-han-lab/data-efficient-gans, DiffAugment-stylegan2: run_cifar.py, training_loop.py, networks_stylegan2.py
    "stylegan2": {"k": 1, "batch_size": 32, "images": 25_000_000, "optim.G.lr": 2e-3, "optim.D.lr": 2e-3,
                  "optim.G.betas": [0.0, 0.99], "penalty.r1.gamma": 0.1, "penalty.r1.every": 1, "average.images": 1e6,
                  "model.G.width": 128, "model.G.depth": 8, "model.G.doublings": 2, "model.G.mixing": 0.9,
                  "model.D.group": 4, "model.D.residual": True, "data.flip": True},
    # NVlabs/stylegan2-ada-pytorch, train.py (cfg=cifar) and training_loop.py (lazy regularization)
    "stylegan2_ada": {"k": 1, "batch_size": 64, "images": 100_000_000, "optim.D.lr": 2.5e-3, "optim.G.lr": 2e-3,
                      "optim.D.betas": [0.0, 0.99], "optim.G.betas": [0.0, pytest.approx(0.99**0.8, abs=1e-4)],
                      "penalty.r1.gamma": 0.01, "penalty.r1.every": 16, "average.images": 500e3, "average.ramp": 0.05,
                      "model.G.width": 512, "model.G.depth": 2, "model.G.mixing": 0.0, "model.D.group": 32,
                      "model.D.residual": False,
                      "augment.target": 0.6, "augment.speed": 500e3, "augment.every": 4, "data.flip": False},
    # brownvc/R3GAN, train.py (CIFAR10)
    "r3gan": {"k": 1, "batch_size": 512, "images": 20_000_000, "optim.D.lr": 2e-4, "schedule.D.end": 0.25, "prior.dim": 64,
              "schedule.numbers.penalty.r1.gamma.start": 0.05, "schedule.numbers.penalty.r2.gamma.end": 0.005,
              "schedule.numbers.optim.G.beta2.end": 0.99, "schedule.numbers.augment.p.end": 0.55, "augment.colour": 0.5,
              "augment.cutout": 1.0, "schedule.numbers.average.images.end": 5e6, "model.G.width": 768, "data.flip": True},
}  # fmt: skip


@pytest.mark.parametrize("name", SOURCES)
def test_a_recipe_has_the_numbers_of_its_source(name, tmp_path):
    given = [f"experiment={name}"]
    config = resolve(composed(*given, path=tmp_path))
    found = {key: value_at(config, key) for key in SOURCES[name]}
    assert found == SOURCES[name]
