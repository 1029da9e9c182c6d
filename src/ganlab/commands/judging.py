"""Samples in which D has a say: a choice of conf/sampling on a run's G and D (`--with-D`)."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console
from torch import Tensor, nn
from torch.distributions import Distribution

from ganlab.errors import UserError
from ganlab.files.run import RunDirectory
from ganlab.game.priors import Coded
from ganlab.random import generator_of
from ganlab.run.config import build, build_as, classes_told, resolve
from ganlab.run.gate import refuse_foreign_code
from ganlab.run.identity import about_data, refuse_other_data
from ganlab.run.line import read_overrides
from ganlab.run.nets import with_terms, with_weights
from ganlab.run.splits import held_out_of
from ganlab.run.tree import conf_dir
from ganlab.sampling.calibration import Calibration, measures
from ganlab.sampling.judged import Judged, Sampler
from ganlab.types import Prior, Source

log = logging.getLogger(__name__)

AT_ONCE = 2**20  # numbers of x that G makes at once
FEWEST = 20  # examples of a calibration, half of which measure it
KEYS = ("n", "calibration", "sampler")


class WithD:
    """In place of the prior: its z are those of samples that D agrees to. `about` says how, and what the calibration is worth
    on examples that it was not fitted to; of the newest draw also the shares of what was accepted."""

    def __init__(self, judged: Judged, sampler: Sampler, prior: Prior, about: dict[str, Any]) -> None:
        self.judged, self.sampler, self.about, self._prior = judged, sampler, about, prior
        self.dim: int = prior.dim
        self.coordinate: Distribution = prior.coordinate

    @staticmethod
    def of(
        run: RunDirectory, config: dict[str, Any], checkpoint: Path, G: nn.Module, prior: Prior, name: str,
        overrides: Sequence[str], seed: int, trust: bool,
    ) -> WithD:  # fmt: skip
        """Calibrates D, and says how well; raises UserError before any sample is drawn."""
        how = _choice(name, overrides)
        sampler: Sampler = build_as(Sampler, how["sampler"], "sampler")
        calibration: Calibration = build_as(Calibration, how["calibration"], "calibration")
        if sampler.gradient and not calibration.smooth:
            raise UserError(f"--with-D {name} climbs D, and calibration = {how['calibration']['_target_']} is in steps: give "
                            "calibration._target_=ganlab.sampling.calibration.Logistic")  # fmt: skip
        if sampler.gradient and isinstance(prior, Coded):
            raise UserError(f"--with-D {name} moves z, of which prior=coded has a category: take mh or rejection")
        refuse_foreign_code({key: config[key] for key in ("model", "penalty", "data")}, trust)
        D = _discriminator(config, checkpoint)
        source: Source = build_as(Source, config["data"], "data")
        refuse_other_data(run, about_data(config["data"], source), str(run.path))
        unseen = held_out_of(config["data"], config["health"]["split"]) or source
        if unseen is source and hasattr(source, "__len__"):
            log.warning("D is calibrated on images that it was trained on, of which it is too sure: give the data a split test")
        x, y = _examples(unseen, how["n"], seed)
        told = classes_told(config["model"]["G"]) is not None

        def propose(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
            z = prior.sample(n, generator)
            y = unseen.sample(n, generator)[1] if told else torch.zeros(n, dtype=torch.long)
            device = next(G.parameters()).device
            return z.to(device), y.to(device)

        size = max(1, AT_ONCE // math.prod(x.shape[1:]))

        def on(x: Tensor, y: Tensor) -> Tensor:
            D.to(x.device)
            return torch.cat([D(*part) for part in zip(x.split(size), y.split(size), strict=True)])

        def output(z: Tensor, y: Tensor) -> Tensor:
            return torch.cat([D(G(*part), part[1]) for part in zip(z.split(size), y.split(size), strict=True)])

        with torch.no_grad():
            real, fake = on(x, y), output(*propose(len(x), generator_of(seed, "calibration")))
        half = len(x) // 2
        calibration.fit(real[:half], fake[:half])
        before, after = (measures(*(how(part[half:]) for part in (real, fake))) for how in (torch.Tensor.double, calibration))
        about = {**how, "name": name, "unseen": unseen is not source or not hasattr(source, "__len__"),
                 "raw": before, "calibrated": after}  # fmt: skip
        _say(about)

        def logit(z: Tensor, y: Tensor) -> Tensor:
            D.to(z.device)
            with torch.set_grad_enabled(torch.is_grad_enabled() and sampler.gradient):
                return calibration(output(z, y))

        def log_prior(z: Tensor) -> Tensor:
            return prior.coordinate.log_prob(z.double()).sum(1)

        return WithD(Judged(propose, logit, log_prior, calibration(real)), sampler, prior, about)

    def draw(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """z [n, Z] and y [n]. Raises UserError where D agrees to too few."""
        try:
            with torch.no_grad():
                z, y, shares = self.sampler(self.judged, n, generator)
        except ValueError as error:
            raise UserError(f"--with-D {self.about['name']}: {error}") from error
        self.about["samples"] = shares
        Console(stderr=True).print(
            f"with D     {', '.join(f'{name} {value:.3g}' for name, value in shares.items())}", highlight=False, soft_wrap=True
        )
        return z, y

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        return self.draw(n, generator)[0]

    def interpolate(self, a: Tensor, b: Tensor, share: Tensor) -> Tensor:
        return self._prior.interpolate(a, b, share)

    @property
    def card(self) -> dict[str, Any]:
        """What has to be the same of two scores of samples with D."""
        return {key: self.about[key] for key in ("name", *KEYS)}


def _choice(name: str, overrides: Sequence[str]) -> dict[str, Any]:
    folder = conf_dir() / "sampling"
    if not (file := folder / f"{name}.yaml").is_file():
        known = ", ".join(sorted(path.stem for path in folder.glob("*.yaml")))
        raise UserError(f"--with-D {name}: there is no such file in {folder}: use one of {known}")
    tree = OmegaConf.load(file)
    try:
        for one in read_overrides(overrides):
            if one.is_sweep_override() or one.is_delete() or one.key_or_group.split(".")[0] not in KEYS:
                raise UserError(f"{one.input_line}: of --with-D only {', '.join(KEYS)} can change, as sampler.K=100")
            OmegaConf.update(tree, one.key_or_group, one.value(), merge=True, force_add=True)
    except OmegaConfBaseException as error:
        raise UserError(" ".join(str(error).split())) from error
    how = resolve(tree)  # type: ignore[arg-type]
    if not isinstance(how["n"], int) or how["n"] < FEWEST:
        raise UserError(f"n = {how['n']}: a calibration takes {FEWEST} examples at least")
    return how


def _discriminator(config: dict[str, Any], checkpoint: Path) -> nn.Module:
    if config["model"]["pack"] > 1:
        raise UserError(f"--with-D but model.pack = {config['model']['pack']}: D judges packs, and no sample of them")
    D = with_terms(build(config["model"]["D"], "model.D"), config["penalty"], "D")
    return with_weights(D, "D", checkpoint).eval().requires_grad_(False)


def _examples(source: Source, n: int, seed: int) -> tuple[Tensor, Tensor]:
    """x and y of what D has not seen: n of a law, of a data set as many as it has."""
    if hasattr(source, "__len__"):
        count = min(n, len(source))  # type: ignore[arg-type]
        if count < FEWEST:
            raise UserError(f"a calibration takes {FEWEST} unseen examples at least, and there are {count}")
        return source.reference(count)
    return source.sample(n, generator_of(seed, "calibration data"))


def _say(about: dict[str, Any]) -> None:
    raw, calibrated = about["raw"], about["calibrated"]
    parts = [f"{name} {raw[name]:.3g} -> {calibrated[name]:.3g}" for name in raw]
    Console(stderr=True).print(f"D          as it is -> calibrated: {', '.join(parts)}", highlight=False, soft_wrap=True)
