"""A claim: a published number, the setting that is to give it, and the rule by which it is told whether it does.

A claim is a yaml file of its own; docs/reproduce.md says what is in it. Its name is that of the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ganlab.errors import UserError

RUN = "run"  # the arm of a claim that has one only
FEWEST = 5  # training seeds of what is stochastic


class Number(BaseModel):
    """One published number and its rule: what is found has to lie `within` so much of it, or `above` one and `below` another.
    `of` is a value of an arm, as `gan.modes`, or the difference of two, seed by seed: `pac2.modes - gan.modes`."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    of: str
    published: float | str
    within: float | None = Field(None, gt=0)
    above: float | None = None
    below: float | None = None

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if (self.within is None) == (self.above is None and self.below is None):
            raise ValueError("give it either within, or above and below, or one of these two")
        if self.within is not None and isinstance(self.published, str):
            raise ValueError("within is around a published number, and this one is text")
        if len(self.terms) > 2:
            raise ValueError(f"of = {self.of} has more than two terms: it is one value, or the difference of two")
        if not self.accepted[0] < self.accepted[1]:
            raise ValueError(f"{self.in_words()} accepts nothing: above has to be the smaller one")
        return self

    @property
    def accepted(self) -> tuple[float, float]:
        """The ends of what the rule accepts."""
        if self.within is not None:
            return float(self.published) - self.within, float(self.published) + self.within
        return -float("inf") if self.above is None else self.above, float("inf") if self.below is None else self.below

    @property
    def terms(self) -> list[tuple[str, str]]:
        """(arm, value), of a difference twice."""
        parts = [part.strip().rpartition(".") for part in self.of.split(" - ")]
        return [(arm or RUN, value) for arm, _, value in parts]

    def in_words(self) -> str:
        low, high = self.accepted
        if self.within is not None:
            return f"within {self.within:g} of it"
        return " and ".join([f"above {low:g}"] * (low > -float("inf")) + [f"below {high:g}"] * (high < float("inf")))


class Claim(BaseModel):
    """A claim's file; `differs` is how its setting is not that of the paper, `waits` what it cannot run without."""

    model_config = ConfigDict(extra="forbid")
    title: str
    source: str  # paper, table, and what the setting was taken from
    known: str  # how firmly the published number is known
    minutes: float  # on one core
    seeds: int = Field(ge=1)
    deterministic: bool = False
    differs: str | None = None
    waits: str | None = None
    unknown: str | None = None  # what the paper does not say, and what is taken
    changed: str | None = None  # what was corrected after a run of it, and what that run had said
    afterwards: str | None = None  # what is to be said of its result, which decides nothing
    setting: list[str] = []  # overrides of train.py, of all arms
    arms: dict[str, list[str]] = {RUN: []}
    measure: dict[str, Any] = {"_target_": "ganlab.reproduce.measures.final"}  # (a run) -> values
    compute: dict[str, Any] | None = None  # (seed) -> values: of what is not trained, in place of setting and measure
    numbers: list[Number] = Field(min_length=1)
    beside: list[str] = []  # further values that are kept

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if not self.deterministic and self.seeds < FEWEST:
            raise ValueError(f"seeds = {self.seeds}: a claim that is not deterministic needs at least {FEWEST}")
        for number in self.numbers:
            for arm, _ in number.terms:
                if arm not in self.arms:
                    raise ValueError(f"numbers: {number.of} names no arm, there are {', '.join(self.arms)}")
        return self

    @field_validator("arms")
    @classmethod
    def _names(cls, arms: dict[str, list[str]]) -> dict[str, list[str]]:
        if wrong := [arm for arm in arms if not arm.isidentifier()]:
            raise ValueError(f"arms.{wrong[0]}: an arm's name is letters, digits and _")
        return arms

    @property
    def rule(self) -> str:
        """A fingerprint of what decides the outcome: the setting, what is measured, and what is accepted."""
        decides = self.model_dump(include={"setting", "arms", "measure", "compute", "seeds", "numbers"}, mode="json")
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:12]

    def kept(self) -> set[str]:
        return {value for number in self.numbers for _, value in number.terms} | {*self.beside}

    def jobs(self) -> Iterator[tuple[str, int, list[str]]]:
        """(arm, seed, overrides) of each run."""
        for arm, own in self.arms.items():
            for seed in range(self.seeds):
                lines = ["logger=csv", *self.setting, *own, f"seed={seed}"]
                yield arm, seed, [*{line.partition("=")[0]: line for line in lines}.values()]  # the arm's word counts


def read_claim(file: Path) -> Claim:
    """Raises UserError."""
    try:
        found = yaml.safe_load(file.read_text())
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read ({' '.join(str(error).split())[:100]}): give a claim's yaml") from error
    try:
        return Claim.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{file}: {key + ': ' if key else ''}{first['msg'].removeprefix('Value error, ')}") from error


def claims_in(folder: Path) -> dict[str, Path]:
    """The files of the claims that lie there, by their names."""
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}
