"""The typed config. What is named here once is a key of the command line, a part of a run's identity, a tag, and what reports
group by."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"input should be a number, not {str(value).lower()}")
    return value


Node = dict[str, Any]  # a mapping with a `_target_`
Count = Annotated[int, Field(ge=1, le=10**12), BeforeValidator(_no_bool)]
Few = Annotated[int, Field(ge=1, le=10**6), BeforeValidator(_no_bool)]  # what is made or kept at a time
Number = Annotated[float, BeforeValidator(_no_bool)]


def _of_a_directory(value: Any) -> Any:
    if isinstance(value, str) and (not 0 < len(value) <= 200 or "/" in value or not value.isprintable()):
        raise PydanticCustomError("name", "it names a directory: 1 to 200 characters, and no / among them")
    return value


Name = Annotated[str, BeforeValidator(_of_a_directory)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Model(_Part):
    pack: Few
    G: Node
    D: Node


class Optim(_Part):
    G: Node
    D: Node
    lr: Annotated[Number, Field(ge=0)] | None = (
        None  # these three both nodes may refer to; any other number is written into each of them
    )
    betas: tuple[Number, Number] | None = None
    momentum: Annotated[Number, Field(ge=0, lt=1)] | None = None


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
    n: Annotated[Count, Field(le=10**8)]
    n_real: Annotated[Count, Field(le=10**8)] | None = None
    split: str | None = None
    held_out: str = "auto"
    features: Node | None = None
    passes: Annotated[Number, Field(ge=0)] | None = None  # over the data, of a run that is scored; features are made for it
    scores: dict[str, Node]
    where_classified: dict[str, Node] = {}  # further scores, if the classifier `features` is on the machine
    where_found: dict[str, Node] = {}  # further scores, where what they look through is on the machine
    picture: Pictures | None


class Theory(_Part):
    every: Count
    frames: Annotated[int, Field(ge=0, le=10**5), BeforeValidator(_no_bool)]
    instrument: Node | None


class Watch(_Part):
    every: Count
    n: Annotated[Few, Field(ge=2)]
    split: str | None
    stop: bool = False
    patience: Annotated[int, Field(ge=2), BeforeValidator(_no_bool)] = 8


class Checkpoints(_Part):
    every: Count
    keep: Few


class OnDivergence(_Part):
    times: Annotated[int, Field(ge=0), BeforeValidator(_no_bool)]
    factor: Annotated[Number, Field(gt=0, le=1)]


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
    k: Few
    batch_size: Annotated[Count, Field(le=10**8)]
    ema_decay: Annotated[Number, Field(ge=0, lt=1)]
    ema_ramp: Annotated[Number, Field(gt=1)]
    shape: Annotated[list[Count], Field(min_length=1, max_length=3)]
    seed: Annotated[int, Field(ge=0, lt=2**32), BeforeValidator(_no_bool)]


class Settings(Game):
    """The top level of a config: Algorithm 1's own numbers, and one choice of each group."""

    iterations: Count
    images: Count | None
    at_once: Count | None = None
    compile: Node = {"_target_": "ganlab.game.compiled.AsWritten"}  # how an iteration is computed; what it comes to is the same
    replicas: Few | list[dict[str, Any]] = 1
    figures: bool | None = None
    features: str | None
    log_every: Count
    threads: Annotated[Few, Field(le=4096)] | None
    resume: str | None
    runs: str
    note: str | None = None
    study: Name | None
    name: Name
    metrics: Metrics
    theory: Theory
    health: Watch
    trainer: Node
    logger: dict[str, Node]
    checkpoint: Checkpoints
    on_divergence: OnDivergence


PRESETS = ("experiment", "condition")  # groups that are no key, but set several
NAMED = tuple(name for name, field in Game.model_fields.items() if field.annotation == dict[str, Node])  # nodes by names
GAME = tuple(Game.model_fields)
GROUPS = tuple(name for name, field in Game.model_fields.items() if field.annotation not in (int, float, list[Count]))
