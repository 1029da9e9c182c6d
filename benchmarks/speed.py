"""How fast is the bench? Ratios against hand-written loops (loops.py) and against torchvision's data path, in one process.

    python benchmarks/speed.py [--root data] [--rounds 5]

Rounds are interleaved and their order alternates, one thread, CPU time: the figures that mean something on a busy machine
are the ratios, given as median [first and third quartile]. The loops have the same networks, the same optimizer, fresh
data and noise in each step and the same losses. `bare` is ganlab with pictures, scores and theory off, `default` a whole
run with everything at its default, from its first look to its last checkpoint.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import loops
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import open_dict
from torch.utils.data import DataLoader

import ganlab.run.command_line  # noqa: F401 (registers the resolvers)
from ganlab.data.module import Minibatches
from ganlab.files.run import RunDirectory
from ganlab.run.config import build, resolve, validate
from ganlab.run.experiment import Experiment
from ganlab.run.progress import ProgressBar
from ganlab.settings import Settings

Loop = Callable[[Settings, int, int], float]
LOOPS: dict[str, Loop] = {"tuned": loops.tuned, "tutorial": loops.tutorial, "usual Lightning": loops.lightning}
CONF = Path(__file__).resolve().parent.parent / "conf"
QUIET = ("logger=csv", "metrics=none", "theory=none", "checkpoint.every=1000000")
DEFAULT = ("logger=csv",)
CONTIGUOUS = ("model.G.channels_last=false", "model.D.channels_last=false")  # of dcgan, as a loop by hand has it


class Stopwatch(pl.Callback):
    """CPU seconds of an iteration, from the end of the first call of Lightning after iteration `warm` to that of the last but
    one: a call does many."""

    def __init__(self, warm: int) -> None:
        self.warm, self.begun, self.ended = warm, (0, 0.0), (0, 0.0)

    def on_train_batch_end(self, trainer: pl.Trainer, gan: Any, *_: Any) -> None:
        if self.begun[0] == 0 and gan.t >= self.warm:
            self.begun = gan.t, time.process_time()
        elif gan.t < trainer.max_steps:  # the last one writes a checkpoint
            self.ended = gan.t, time.process_time()

    @property
    def seconds(self) -> float:
        """Of one iteration; raises RuntimeError where there were too few calls to see one from its end to another's: how many
        iterations a call does depends on the wall clock."""
        if not 0 < self.begun[0] < self.ended[0]:
            raise RuntimeError(
                f"no call of Lightning lies between iterations {self.begun[0]} and the last: give more iterations"
            )
        return (self.ended[1] - self.begun[1]) / (self.ended[0] - self.begun[0])


class Whole(pl.Callback):
    """CPU seconds of all that a run does from its first look to its last checkpoint."""

    started = ended = 0.0

    def on_fit_start(self, *_: Any) -> None:
        self.started = time.process_time()

    def on_train_end(self, *_: Any) -> None:
        self.ended = time.process_time()


def configured(*overrides: str, base: tuple[str, ...] = QUIET) -> tuple[Settings, dict[str, Any]]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=[*base, *overrides], return_hydra_config=True)
        HydraConfig.instance().set_config(cfg)
        with open_dict(cfg):
            del cfg["hydra"]
    config = resolve(cfg)
    return validate(config), config


def bench(overrides: tuple[str, ...], warm: int, n: int) -> float:
    """Seconds per iteration of ganlab."""
    watch = Stopwatch(warm)
    trained((*overrides, f"iterations={warm + n + 1}"), watch)
    return watch.seconds


def default(overrides: tuple[str, ...]) -> float:
    """Seconds per iteration of ganlab with everything at its default, of a whole run, as readings of the theory and pictures
    are not evenly spread over it."""
    watch = Whole()
    experiment = trained(overrides, watch, base=DEFAULT)
    return (watch.ended - watch.started) / experiment.gan.t


def trained(overrides: tuple[str, ...], *more: pl.Callback, base: tuple[str, ...] = QUIET) -> Experiment:
    with tempfile.TemporaryDirectory() as folder:
        settings, config = configured(*overrides, base=base)
        run = RunDirectory(folder)
        experiment = Experiment(settings, run, {}, 0)
        callbacks = experiment.trainer.callbacks  # type: ignore[attr-defined]
        callbacks[:] = [*(c for c in callbacks if not isinstance(c, ProgressBar)), *more]
        run.create(config, list(overrides), {})
        data = Minibatches(experiment.source, settings.k, settings.batch_size, settings.seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            experiment.trainer.fit(experiment.gan, data)
        return experiment


def theory(*overrides: str) -> None:
    """Print the share of training time that the theory costs over a whole run, at its own cadence."""
    experiment = trained(overrides)
    assert experiment.measure is not None
    seconds = experiment.observation.clock.seconds
    share = experiment.observation.seconds[experiment.measure.name] / seconds
    print(f"{'theory: ' + ' '.join(overrides):58} {share:7.1%} of {seconds:.0f} s of training")


def data_path(root: str, batch_size: int = 128, n: int = 60) -> tuple[Callable[[], float], Callable[[], float]]:
    """Seconds per minibatch of MNIST: ours, and DataLoader(MNIST, ToTensor, Normalize)."""
    from torchvision import datasets, transforms

    settings, _ = configured("data=mnist", f"data.root={root}")
    source = build(settings.data, "data")
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(0.5, 0.5)])
    theirs = DataLoader(datasets.MNIST(root, transform=transform), batch_size, shuffle=True)

    def ours() -> float:
        start = time.process_time()
        for t in range(20 * n):
            source.minibatches(t, 1, batch_size, 0, slice(None))
        return (time.process_time() - start) / (20 * n)

    def torchvisions() -> float:
        batches = iter(theirs)
        next(batches)
        start = time.process_time()
        for _ in itertools.islice(batches, n):
            pass
        return (time.process_time() - start) / n

    return ours, torchvisions


def quartiles(values: list[float]) -> str:
    """Median [first, third quartile]; of fewer than three [least, largest]."""
    low, middle, high = (
        statistics.quantiles(values, n=4) if len(values) > 2 else (min(values), statistics.median(values), max(values))
    )
    return f"{middle:.2f} [{low:.2f}, {high:.2f}]"


def compare(title: str, rounds: int, ours: Callable[[], float], theirs: Callable[[], float]) -> None:
    """Print theirs / ours, the speed of ours as a multiple."""
    ratios, times = [], []
    for i in range(rounds):
        pair = {f: f() for f in ((ours, theirs) if i % 2 else (theirs, ours))}
        ratios.append(pair[theirs] / pair[ours])
        times.append(pair[ours])
    milliseconds = 1000 * statistics.median(times)
    print(f"{title:58} {quartiles(ratios):>19}   {milliseconds:.3g} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default="data", help="where MNIST lies (MNIST/raw); the image rows need it")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"  # as where Lightning is not imported: the plain loop's own speed
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    print(f"{'speed relative to the reference':58}  ratio   quartiles    one of ours")
    toy = ("data=ring", "model=mlp")
    for name, loop in LOOPS.items():
        compare(f"toy iteration, mlp 2 x 128, batch 128, bare / {name} loop", arguments.rounds, *_pair(toy, loop, 50, 400))
    large = (*toy, "batch_size=2048")
    compare("toy iteration, batch 2048, bare / tuned loop", arguments.rounds, *_pair(large, loops.tuned, 10, 60))
    compare(
        "toy, everything at its default / tuned loop",
        max(1, arguments.rounds // 2),
        lambda: default(toy),
        _pair(toy, loops.tuned, 50, 400)[1],
    )
    theory("data=ring", "theory=estimate")
    theory("experiment=figure1", "theory=line")
    if not (Path(arguments.root) / "MNIST" / "raw").is_dir():
        print(f"no MNIST in {arguments.root}: the image rows are left out (--root)")
        return
    images = ("data=mnist", f"data.root={arguments.root}", "model=dcgan", "shape=[1,32,32]", "threads=1",
              "model.G.width=32", "model.D.width=32")  # fmt: skip
    compare(
        "dcgan iteration, 32 x 32, width 32, batch 64 / tuned loop",
        arguments.rounds,
        *_pair(images, loops.tuned, 2, 10, CONTIGUOUS),
    )
    compare("MNIST minibatch of 128 / torchvision DataLoader", arguments.rounds, *data_path(arguments.root))


def _pair(
    overrides: tuple[str, ...], loop: Loop, warm: int, n: int, of_loop: tuple[str, ...] = ()
) -> tuple[Callable[[], float], Callable[[], float]]:
    settings, _ = configured(*overrides, *of_loop)
    return lambda: bench(overrides, warm, n), lambda: loop(settings, warm, n)


if __name__ == "__main__":
    main()
