"""`ganlab features data=NAME`: the classifier of a data set, from the same config that training has."""

from __future__ import annotations

from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ganlab.errors import UserError
from ganlab.features.training import save
from ganlab.run.classifier import classifier_of, images_of
from ganlab.run.command_line import sentence  # (which registers the resolvers that the config is written in)
from ganlab.run.config import resolve, validate
from ganlab.run.line import read_overrides
from ganlab.run.tree import conf_dir
from ganlab.settings import Settings


def make(overrides: list[str], out: Path | None, epochs: int | None, seed: int) -> Path:
    """Train the classifier of the images that train.py would train on with these overrides, and write it to `out`
    (features/DATA.pt), which is returned; in 3 epochs, or 8 of colour photographs. Raises UserError.

    Its accuracy is measured on the split test where the data has one that is not trained on.
    """
    if epochs is not None and epochs < 1:
        raise UserError(f"--epochs must be >= 1, got {epochs}")
    settings, choice = settings_with(overrides)
    if len(settings.shape) != 3:
        raise UserError(f"a classifier needs images (C, H, W) but data={choice} has shape {settings.shape}: try data=mnist")
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    file = classifier_of(settings, images_of(settings.data), choice, epochs, seed)
    out = out or Path(settings.features or f"features/{choice}.pt")
    save(file, out)
    print(f"{out}: accuracy {file['accuracy']:.2%} on {file['held_out']}")
    return out


def settings_with(overrides: list[str]) -> tuple[Settings, str]:
    """The settings that train.py would have with these overrides, and the name of the data config."""
    read_overrides(overrides)
    try:
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            cfg = compose("config", overrides=overrides, return_hydra_config=True)
        HydraConfig.instance().set_config(cfg)  # what ${hydra:...} refers to
        choice = str(cfg.hydra.runtime.choices.data)
        OmegaConf.set_struct(cfg, False)
        del cfg.hydra
        return validate(resolve(cfg)), choice
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(sentence(error)) from error
