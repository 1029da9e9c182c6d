"""What a search leaves behind, and says at its end."""

from __future__ import annotations

import csv
import io
import json
import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.table import Table

from ganlab.figures.search import Mark, Scale, drawn
from ganlab.files.atomic import write_whole
from ganlab.files.command import program
from ganlab.files.table import no_formula
from ganlab.sweep.driver import say, where_to_look
from ganlab.sweep.jobs import Job
from ganlab.sweep.outcomes import STATES, spread_of, value_of
from ganlab.sweep.space import Space, override

SHOWN = 10  # trials in the table at the end


@dataclass(frozen=True)
class Summary:
    """tune.csv, jobs.jsonl and tune.png in the folder of a search, and its last words."""

    folder: Path
    space: Space
    score: str
    direction: str
    seeds: int

    def write(self, trials: Sequence[FrozenTrial], jobs: Mapping[str, Job], picture: bool = False) -> None:
        """The tables anew, with the rows of jobs of earlier calls; and the picture once a trial is over."""
        marks = [Mark(one.number, STATES[one.state], value_of(one), spread_of(one), one.params) for one in trials]
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(map(no_formula, ["trial", "state", self.score, "sd", "seeds", *self.space, "note", "directory"]))
        for trial, mark in zip(trials, marks, strict=True):
            params = [override(value, self.space[key]) for key, value in trial.params.items()]
            seeds = len(trial.user_attrs.get("values", ()))
            more = (trial.user_attrs.get(name, "") for name in ("note", "directory"))
            writer.writerow(map(no_formula, [trial.number, mark.state, mark.value, mark.spread, seeds, *params, *more]))
        write_whole(self.folder / "tune.csv", out.getvalue())
        table, rows = self.folder / "jobs.jsonl", dict[str, str]()
        if table.exists():
            rows = {json.loads(line)["job"]: line for line in table.read_text().splitlines()}
        rows |= {name: json.dumps(job.row()) for name, job in jobs.items()}
        write_whole(table, "".join(f"{row}\n" for row in rows.values()))
        if picture and any(mark.state != "running" for mark in marks):
            scales = {
                key: Scale(one.choices) if isinstance(one, CategoricalDistribution) else Scale((), one.low, one.high, one.log)
                for key, one in self.space.items()
            }
            drawn(marks, self.score, self.direction == "minimize", scales, self.folder / "tune.png")

    def report(self, trials: Sequence[FrozenTrial], jobs: Mapping[str, Job], own: Callable[[FrozenTrial], list[str]]) -> None:
        """The table and the lines below it; `own` gives the overrides of a trial."""
        console = Console()
        ranked = self._ranked(trials)
        better = "lower" if self.direction == "minimize" else "higher"
        title = f"{self.folder}: the best of {len(ranked)} trials by {self.score}, the {better} the better"
        spread = f" ± sd of {self.seeds} seeds" * (self.seeds > 1)
        table = Table("trial", f"{self.score}{spread}", *self.space, "state", "note", title=title, title_justify="left")
        for trial in ranked[:SHOWN]:
            value, sd = value_of(trial), spread_of(trial)
            text = "-" if value is None else f"{value:.4g}" + (f" ± {sd:.2g}" if sd is not None else "")
            params = [f"{value:.4g}" if isinstance(value, float) else str(value) for value in trial.params.values()]
            table.add_row(str(trial.number), text, *params, STATES[trial.state], str(trial.user_attrs.get("note", "")))
        if ranked:
            console.print(table)
        counts = Counter(STATES[trial.state] for trial in ranked)
        say(console, f"trials     {', '.join(f'{n} {state}' for state, n in counts.items())}; {self.folder / 'tune.csv'}")
        say(console, f"look       {self.folder / 'tune.png'}")
        where_to_look(console, [*jobs.values()], self.folder)
        if ranked and ranked[0].state == TrialState.COMPLETE:
            say(console, f"best       {ranked[0].user_attrs['directory']}")
            say(console, f"train      {program()} {shlex.join(own(ranked[0]))}")

    def _ranked(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """The best first, then those without a value."""
        sign = 1 if self.direction == "minimize" else -1
        order = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING]
        return sorted(trials, key=lambda t: (order.index(t.state), sign * (value_of(t) or 0.0), t.number))
