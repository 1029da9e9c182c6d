"""One run: trained here, or read from its directory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from ganlab.api import show
from ganlab.api.session import as_it_was, numbers_kept, run_here, told_in_python
from ganlab.api.words import words_of
from ganlab.commands.evaluate import EvaluationRequest
from ganlab.commands.evaluate import evaluate as scored
from ganlab.commands.sample import asked_for, checkpoint_of, generate, generator, precision_of, walked
from ganlab.commands.truncation import truncated
from ganlab.errors import UserError
from ganlab.files.run import RunDirectory
from ganlab.files.status import Status
from ganlab.files.table import read
from ganlab.precision import computed_in
from ganlab.run.config import classes_told, validate
from ganlab.run.gate import refuse_foreign_code, value_at
from ganlab.run.identity import located
from ganlab.run.line import read_line
from ganlab.run.nets import discriminator_of, with_weights
from ganlab.types import Prior

if TYPE_CHECKING:
    from pandas import DataFrame


def train(*overrides: str, **keys: Any) -> Run:
    """Train one GAN, as `ganlab train` does with the same words: `train("data=ring", k=2)`, keys with a dot as
    `**{"optim.lr": 1e-4}`. Returns the run when it is over, also if it diverged or collapsed: see `status` and `verdict`.

    Raises UserError, with the sentence of the command line, before anything is written; Interrupted, a KeyboardInterrupt,
    after a checkpoint: go on with `train(f"resume={path}")`."""
    words = words_of(overrides, keys)
    line = read_line(["train", *words])
    if swept := next((one.input_line for one in line.parsed if one.is_sweep_override()), None):
        raise UserError(f"{swept} has several values, and train trains one run: use ganlab.sweep")
    if several := next((one.input_line for one in line.parsed if one.key_or_group == "replicas" and one.value() != 1), None):
        raise UserError(f"{several} is several runs, and train trains one: sweep('hydra/launcher=replicas', seed=range(10))")
    return Run(run_here(words))


def load(path: Run | str | Path, trust: bool = False) -> Run:
    """A run from its directory; raises UserError where there is none. `trust`: build what is not ganlab's own code."""
    if not isinstance(path, Run | str | Path):
        raise UserError(f"load takes the path of a run directory, got {path!r}")
    run = Run(path.path if isinstance(path, Run) else path, trust)
    run.config  # noqa: B018  (which says what is wrong)
    return run


class Run:
    """A run directory. What it reads is read when it is asked for; G and D are those of the newest checkpoint."""

    def __init__(self, path: str | Path, trust: bool = False) -> None:
        self.path, self.trust = Path(path).absolute(), trust  # (the working directory may change)
        self._files = RunDirectory(self.path)

    @property
    def config(self) -> dict[str, Any]:
        """Plain values, all of them resolved."""
        return self._files.config

    @property
    def result(self) -> dict[str, Any]:
        """What result.json says: scores under `final`, `best` and `mean`, with their cards; empty while the run is not over."""
        return self._files.result or {}

    @property
    def status(self) -> str:
        """completed, diverged, interrupted, ...: docs/runs.md; `unfinished` while there is no result."""
        return Status.of(self._files.result).value

    @property
    def verdict(self) -> str:
        """healthy, collapsed, astray, stalled, diverged or unknown."""
        return str((self.result.get("verdict") or {}).get("state", "unknown"))

    @property
    def scores(self) -> dict[str, float | None]:
        """The last value of each."""
        return {name: last["value"] for name, last in self.result.get("final", {}).items()}

    @property
    def metrics(self) -> DataFrame:
        """The rows of metrics.csv, by iteration; NaN where a value was not measured."""
        from pandas import DataFrame

        return DataFrame(read(self._files.table_file)).set_index("iteration")

    @property
    def figures(self) -> show.Figures:
        """Pictures of the whole run; `run.figures.curves` is the path of one."""
        return show.Figures(sorted(path for path in self._files.figures.glob("*") if path.suffix in show.KINDS))

    @cached_property
    def _players(self) -> tuple[dict[str, Any], nn.Module, Prior]:
        with self._as_trained():
            config, _ = located(self._files, ())
            return config, *generator(config, checkpoint_of(self._files, None), self.trust)

    @contextmanager
    def _as_trained(self) -> Iterator[None]:
        """In the dtype of the run, with numbers of its own."""
        with told_in_python(), numbers_kept(), computed_in(precision_of(self.config)):
            yield

    @property
    def G(self) -> nn.Module:
        """What is sampled and scored (the average of G, where there is one), in evaluation mode: G(z [n, d], y [n])."""
        return self._players[1]

    @property
    def prior(self) -> Prior:
        """Of z: `prior.sample(n, generator)`."""
        return self._players[2]

    @cached_property
    def D(self) -> nn.Module:
        """The discriminator, in evaluation mode: D(x [n, *S], y [n]) gives logits [n]."""
        with self._as_trained():
            config, checkpoint = self.config, checkpoint_of(self._files, None)
            refuse_foreign_code({key: value_at(config, key) for key in ("model.D", "penalty")}, self.trust)
            return with_weights(discriminator_of(validate(config)), "D", checkpoint).eval()

    def sample(self, n: int = 64, seed: int = 0, y: int | Sequence[int] | None = None, truncate: float | None = None) -> Tensor:
        """n samples [n, *S], those of `ganlab sample --n N --seed SEED`; images lie in [-1, 1]. `y`: the classes that G is
        asked for, by turns; None is as the data have them. `truncate`: psi, as of `--truncate`. Raises UserError."""
        _whole(n=n, seed=seed)
        classes = [y] if isinstance(y, Integral) else y
        if classes is not None and not (isinstance(classes, Sequence) and all(isinstance(one, Integral) for one in classes)):
            raise UserError(f"y = {y!r} is no class and no list of some: give y=3 or y=[3, 7]")
        if classes is not None and not classes:
            raise UserError("y names no class: give one or more, or None, which is as the data have them")
        config, G, prior = self._players
        with self._as_trained():
            if truncate is not None:
                G, prior = truncated(G, prior, truncate, classes_told(config["model"]["G"]))
            return generate(G, *asked_for(config, prior, n, seed, classes))

    def interpolate(self, walks: int = 8, steps: int = 10, seed: int = 0) -> Tensor:
        """Walks through the prior from one z to another, [walks, steps, *S]; those of `ganlab sample`."""
        _whole(walks=walks, steps=steps, seed=seed)
        config, G, prior = self._players
        with self._as_trained():
            return walked(config, G, prior, walks, steps, seed)

    def evaluate(self, *overrides: str, metrics: str | None = None, n: int | None = None, **more: Any) -> dict[str, Any]:
        """Scores by `ganlab evaluate`, which writes them into the run directory: `scores`, with `cards` that say how.
        `metrics`: a choice of conf/metrics; `more`: checkpoint, raw, ema_std, seed, device. Raises UserError."""
        given = [*overrides, *([f"metrics.n={n}"] if n is not None else [])]
        try:
            request = EvaluationRequest(metrics=metrics, overrides=given, trust=self.trust, **more)
        except TypeError as error:
            known = ", ".join(sorted({*EvaluationRequest._fields} - {"overrides", "trust"}))
            raise UserError(f"evaluate takes {known} and n, and not {', '.join(more)}") from error
        with as_it_was(), told_in_python():
            file = next(file for file in scored([self.path], request) if file.suffix == ".json")
        found: dict[str, Any] = json.loads(file.read_text())
        return found

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}): {self.status}, {self.verdict}"

    def _repr_html_(self) -> str:
        result = self.result
        best = {name: score["value"] for name, score in result.get("best", {}).items()}
        lines = [(name, last, best.get(name)) for name, last in self.scores.items() if not name.startswith("theory/")]
        pictures = {path.stem: path for path in self.figures}
        shown = next((pictures[name] for name in ("samples", "game", "phase") if name in pictures), None)
        about = {"run": self.path, "status": self.status, "verdict": self.verdict, "iterations": result.get("iterations")}
        scores = show.tabled(("score", "last", "best"), lines) if lines else ""
        return show.pairs(about) + scores + (show.pictured(shown) if shown else "")


def _whole(**given: object) -> None:
    """Raises UserError for what is no whole number, or, but for a seed, not 1 at least."""
    for name, value in given.items():
        if not isinstance(value, Integral) or isinstance(value, bool) or (name != "seed" and int(value) < 1):
            raise UserError(f"{name} must be a whole number{'' if name == 'seed' else ' >= 1'}, got {value!r}")
