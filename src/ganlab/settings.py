"""The typed config. What is named here once is a key of the command line, a part of a run's identity, a tag, and what reports
group by."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"input should be a number, not {str(value).lower()}")
    return value


Node = dict[str, Any]  # a mapping with a `_target_`
Count = Annotated[int, Field(ge=1), BeforeValidator(_no_bool)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Model(_Part):
    pack: Count
    G: Node
    D: Node


class Optim(_Part):
    G: Node
    D: Node
    lr: float | None = None  # these three both nodes may refer to; any other number is written into each of them
    betas: tuple[float, float] | None = None
    momentum: float | None = None


class Schedule(_Part):
    G: Node
    D: Node
    momentum: Node | None
    numbers: dict[str, Any] | None = None  # any other number that moves: schedules under the keys of the config


class Pictures(_Part):
    every: Count
    draw: Node


class Metrics(_Part):
    every: Count
    n: Count
    n_real: Count | None = None
    split: str | None = None
    features: Node | None = None
    scores: dict[str, Node]
    picture: Pictures | None


class Theory(_Part):
    every: Count
    frames: Annotated[int, Field(ge=0), BeforeValidator(_no_bool)]
    instrument: Node | None


class Watch(_Part):
    every: Count
    n: Count
    split: str | None
    stop: bool = False
    patience: Annotated[int, Field(ge=2), BeforeValidator(_no_bool)] = 8


class Checkpoints(_Part):
    every: Count
    keep: Count


class Game(_Part):
    """What decides every iteration: the identity of a run, which its continuations share, and, but for the seed, what sets one
    setting apart from another. Nodes are the groups of `conf/`, in the order in which they name a setting; a new one is a field
    here and a folder there."""

    data: Node
    model: Model
    objective: Node
    loss: Node
    adjust: dict[str, Node]  # what is done to the loss, by names; the last one outermost
    penalty: dict[str, Node]  # terms by their names, of D and of G
    augment: Node
    updates: Node
    prior: Node
    optim: Optim
    schedule: Schedule
    average: Node
    k: Count
    batch_size: Count
    ema_decay: Annotated[float, Field(ge=0, lt=1)]
    ema_ramp: Annotated[float, Field(gt=1)]
    shape: list[Count]
    seed: Annotated[int, Field(ge=0, lt=2**32), BeforeValidator(_no_bool)]


class Settings(Game):
    """The top level of a config: Algorithm 1's own numbers, and one choice of each group."""

    iterations: Count
    images: Count | None
    at_once: Count | None = None
    features: str | None
    log_every: Count
    threads: Count | None
    resume: str | None
    runs: str
    study: str | None
    name: str
    metrics: Metrics
    theory: Theory
    health: Watch
    trainer: Node
    logger: dict[str, Node]
    checkpoint: Checkpoints


NAMED = tuple(name for name, field in Game.model_fields.items() if field.annotation == dict[str, Node])  # nodes by names
GAME = tuple(Game.model_fields)
GROUPS = tuple(name for name, field in Game.model_fields.items() if field.annotation not in (int, float, list[Count]))
