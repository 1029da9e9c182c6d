"""Scores of trained generators, after training: `ganlab evaluate`."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from torch import nn

from ganlab.commands.judging import WithD
from ganlab.commands.sample import checkpoint_of, generator, precision_of
from ganlab.data.images import Images
from ganlab.errors import UserError
from ganlab.features.nearest import nearest, picture
from ganlab.files.atomic import write_whole
from ganlab.files.checkpoint import iteration_of
from ganlab.files.result import commit, now, provenance, without_nan
from ganlab.files.run import RunDirectory
from ganlab.metrics.cards import refuse_unlike
from ganlab.metrics.scoring import Scorer
from ganlab.precision import computed_in
from ganlab.run.build import scorer_of
from ganlab.run.config import build_as, classes_told, resolve, validated
from ganlab.run.gate import refuse_foreign_code
from ganlab.run.identity import about_data, located, refuse_other_data
from ganlab.run.line import read_overrides
from ganlab.run.parts import average_of
from ganlab.run.tree import conf_dir
from ganlab.settings import Metrics
from ganlab.types import Extractor, Prior, Source

NEIGHBOURS, SHOWN = 12, 7  # samples whose nearest training images are shown, and how many of those


class EvaluationRequest(NamedTuple):
    """What a user asks for, of each of several runs."""

    checkpoint: str | None = None  # a file or its name; None = the newest
    metrics: str | None = None  # a choice of conf/metrics; None = those of the run
    overrides: Sequence[str] = ()  # metrics.n=10000, features=PATH, ...
    raw: bool = False  # G itself, where there is an average of it
    ema_std: float | None = None  # the power average of G of this width
    with_D: str | None = None  # a choice of conf/sampling
    seed: int | None = None  # of z; None = that of the run, as while it trained
    device: str = "auto"
    neighbours: bool = False  # whether to look for the training images that samples are most like
    trust: bool = False


class Candidate(NamedTuple):
    """One generator and how it will be scored."""

    run: RunDirectory
    checkpoint: Path
    G: nn.Module
    prior: Prior
    source: Source
    metrics: Metrics
    scorer: Scorer


def evaluate(runs: Sequence[Path], request: EvaluationRequest) -> list[Path]:
    """Score each run, print a table, and return the files in `RUN/evaluations`. Raises UserError before any work is done,
    also where the runs would not be scored alike."""
    device = torch.device(request.device if request.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda but torch finds no GPU on this machine: leave it out")
    if len(runs) > 1 and request.checkpoint is not None and Path(request.checkpoint).is_file():
        raise UserError(f"--checkpoint {request.checkpoint} is a file of one run: name it as it is called in each of them")
    candidates = []
    for run in map(RunDirectory, runs):
        with computed_in(precision_of(run.config)):
            candidates.append(_candidate(run, request))
    for name in candidates[0].scorer.cards:
        cards = {str(c.run.path): c.scorer.cards.get(name, {"metric": None}) for c in candidates}
        refuse_unlike(name, cards)
    results = []
    for candidate in candidates:
        with computed_in(precision_of(candidate.run.config)):
            results.append(_scored(candidate, request, device))
    _print(_names([candidate.run.path for candidate in candidates]), results)
    return [file for both in zip(candidates, results, strict=True) for file in _written(*both, request)]


def _candidate(run: RunDirectory, request: EvaluationRequest) -> Candidate:
    config, overrides = located(run, request.overrides)
    checkpoint = checkpoint_of(run, request.checkpoint)
    of_D = [text for text in overrides if request.with_D and not text.lstrip("+~").startswith(("metrics.", "features"))]
    metrics = metrics_of(config, request.metrics, [text for text in overrides if text not in of_D])
    nodes = {
        "data": config["data"],
        "average": config["average"],
        **{f"metrics.scores.{name}": node for name, node in metrics.scores.items()},
    }
    refuse_foreign_code(nodes, request.trust)
    if request.raw and request.ema_std is not None:
        raise UserError("--raw and --ema-std are two sets of weights: give one of them")
    averaged = average_of(config).on and not request.raw
    G, prior = generator(config, checkpoint, request.trust, "G_ema" if averaged else "G", request.ema_std)
    source: Source = build_as(Source, config["data"], "data")
    refuse_other_data(run, about_data(config["data"], source), f"{run.path}")
    weights = "raw" if not averaged else "EMA" if request.ema_std is None else f"EMA of width {request.ema_std:g}"
    z_seed = config["seed"] if request.seed is None else request.seed
    told = classes_told(config["model"]["G"])
    made: dict[str, Any] = {"seed": config["seed"], "commit": commit()}
    if request.with_D is not None:
        if told is not None:
            raise UserError("--with-D but G is told y: scores ask it for the labels of the data, and D chooses among all")
        prior = WithD.of(run, config, checkpoint, G, prior, request.with_D, of_D, z_seed, request.trust)
        made["with_D"] = prior.card
    scorer = scorer_of(metrics, config["data"], source, weights, z_seed, told is not None, **made)
    if scorer is None:
        which = f"--metrics {request.metrics}" if request.metrics else f"{run.path}"
        raise UserError(f"{which}: these metrics have no scores: name others, with --metrics {_choices()}")
    if request.neighbours and not (isinstance(source, Images) and _extractor(scorer)):
        raise UserError("--neighbours shows images beside those that a network finds nearest: give it a run of images, and "
                        "--metrics classifier")  # fmt: skip
    return Candidate(run, checkpoint, G, prior, source, metrics, scorer)


def metrics_of(config: dict[str, Any], choice: str | None, overrides: Sequence[str]) -> Metrics:
    """The metrics of a run's config, or another choice of conf/metrics in its place, changed by overrides."""
    if choice is None:
        config = {**config, "metrics": _referring(config)}
    else:
        file = conf_dir() / "metrics" / f"{choice}.yaml"
        if not file.is_file():
            raise UserError(f"--metrics {choice}: there is no such file in {file.parent}: use one of {_choices()}")
        config = {**config, "metrics": OmegaConf.load(file)}
    tree = OmegaConf.create(config)
    try:
        for one in read_overrides(overrides):
            if one.is_sweep_override() or one.is_delete() or not f"{one.key_or_group}.".startswith(("metrics.", "features.")):
                raise UserError(
                    f"{one.input_line}: after training only metrics.* and features can change, and where data lie: data.source"
                )
            OmegaConf.update(tree, one.key_or_group, one.value(), merge=True, force_add=True)
    except OmegaConfBaseException as error:
        raise UserError(" ".join(str(error).split())) from error
    return validated(Metrics, resolve(tree)["metrics"], "metrics")


def _referring(config: dict[str, Any]) -> dict[str, Any]:
    """The metrics of a run, whose config is resolved, as they were before: scores refer to metrics.features, and that to
    features, so that an override of either reaches them."""
    metrics, features = config["metrics"], config["metrics"].get("features")
    if features is None:
        return metrics
    refer = {"extractor": "${metrics.features}"}
    scores = {k: {**v, **refer} if v.get("extractor") == features else v for k, v in metrics["scores"].items()}
    if "path" in features and features["path"] == config.get("features"):
        features = {**features, "path": "${features}"}
    return {**metrics, "features": features, "scores": scores}


def _choices() -> str:
    """Those that have scores."""
    every = sorted((conf_dir() / "metrics").glob("*.yaml"))
    return ", ".join(file.stem for file in every if "scores: {}" not in file.read_text())


def _extractor(scorer: Scorer) -> Extractor | None:
    """What the scores look through, if any does."""
    found = (getattr(metric, "extractor", None) for metric in scorer.metrics.values())
    return next((each for each in found if isinstance(each, Extractor)), None)


def _scored(candidate: Candidate, request: EvaluationRequest, device: torch.device) -> dict[str, Any]:
    G, scorer = candidate.G.to(device), candidate.scorer
    bars = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*bars, console=console, disable=console.is_jupyter) as progress:  # (of notebooks, which need ipywidgets)
        tasks = {stage: progress.add_task(f"{candidate.run.path.name}: {stage}", total=n) for stage, n in scorer.stages.items()}
        started = time.perf_counter()
        values = scorer(G, candidate.prior, device, lambda stage, count: progress.advance(tasks[stage], count))
    return {
        "checkpoint": candidate.checkpoint.name,
        "iteration": iteration_of(candidate.checkpoint),
        "scores": without_nan({name: {"value": value} for name, value in values.items()}),
        "details": without_nan(scorer.details()),
        "cards": scorer.cards,
        **({"with_D": without_nan(candidate.prior.about)} if isinstance(candidate.prior, WithD) else {}),
        "seconds": round(time.perf_counter() - started, 3),
        "device": str(device),
        "finished": now(),
        **provenance(),
    }


def _written(candidate: Candidate, result: dict[str, Any], request: EvaluationRequest) -> list[Path]:
    """The scores as JSON; on request, of images that are looked at through an extractor, samples with their nearest ones."""
    folder = candidate.run.path / "evaluations"
    folder.mkdir(exist_ok=True)
    how = hashlib.sha256(json.dumps(result["cards"], sort_keys=True).encode()).hexdigest()[:6]  # no other way is written over
    name = f"{candidate.checkpoint.stem}-{request.metrics or 'metrics'}-n{candidate.metrics.n}-{how}"
    files = [folder / f"{name}.json"]
    write_whole(files[0], json.dumps(result, indent=2, allow_nan=False) + "\n")
    extractor = _extractor(candidate.scorer)
    images = candidate.source
    if request.neighbours and extractor is not None and isinstance(images, Images):
        x = candidate.scorer.samples[:NEIGHBOURS]
        found = nearest(x, images.x, extractor, k=min(SHOWN, len(images)), progress=True)
        files.append(folder / f"{name}-nearest.png")
        picture(x, images.x, found).save(files[-1])
    return files


def _names(paths: Sequence[Path]) -> list[str]:
    """What tells the runs apart: without the folder that all are in."""
    shared = Path(os.path.commonpath([path.absolute().parent for path in paths])) if len(paths) > 1 else None
    return [str(path if shared is None else path.absolute().relative_to(shared)) for path in paths]


def _print(names: Sequence[str], results: Sequence[dict[str, Any]]) -> None:
    """Scores down, runs across."""
    table = Table()
    table.add_column("score", no_wrap=True)
    for name in names:
        table.add_column(name, justify="right", overflow="fold")
    table.add_row("at iteration", *(f"{result['iteration']:,}" for result in results), end_section=True)
    for score in results[0]["scores"]:
        table.add_row(score, *(_cell(result["scores"][score]["value"], result["details"].get(score, {})) for result in results))
    Console().print(table)


def _cell(value: float | None, details: dict[str, Any]) -> str:
    error = details.get("standard_error")
    return "-" if value is None else f"{value:.4g}" + (f" ± {error:.2g}" if error is not None else "")
