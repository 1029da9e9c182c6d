"""From a composed config to objects, with every mistake of a user's found here and said in one sentence.

The schema of a node with a `_target_` is the signature of that target; the top level is `Settings`.
"""

from __future__ import annotations

import inspect
import math
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import hydra
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch import nn

from ganlab.errors import Mistakes, UserError, brief, did_you_mean
from ganlab.files.saved import leaves
from ganlab.run.ranges import out_of_range
from ganlab.run.targets import target_of
from ganlab.settings import Node, Settings


def resolve(cfg: DictConfig) -> dict[str, Any]:
    """Plain Python, every interpolation resolved; raises UserError for a value that is missing."""
    try:
        return typing.cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True))
    except MissingMandatoryValue as error:
        raise UserError(f"{error.full_key} is missing: give {error.full_key}=VALUE") from error
    except OmegaConfBaseException as error:
        raise UserError(_one_line(error)) from error


def validate(config: dict[str, Any]) -> Settings:
    """The typed top level; raises UserError. Nodes are checked by `build`. `plain` gives it back as it is to be kept."""
    penalty = config.get("penalty")
    if isinstance(penalty, Mapping):  # what a preset says of a penalty that was not chosen
        config = {**config, "penalty": {name: node for name, node in penalty.items() if not _unchosen(node)}}
    for key, value in leaves(config):
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{key} = {value}: a number has to be finite")
        if isinstance(value, str) and not value.strip():
            raise UserError(f"{key} = {value!r} is empty: give it a value, or null where it may have none")
    settings: Settings = validated(Settings, config, "")
    return settings


def _unchosen(node: Any) -> bool:
    return isinstance(node, Mapping) and "_target_" not in node


def plain(settings: Settings) -> dict[str, Any]:
    """What config.yaml holds: the validated values, in plain Python."""
    return settings.model_dump(mode="json", exclude_unset=True)


MISTAKEN = (
    ValueError,
    TypeError,
    RuntimeError,
    OverflowError,
    MemoryError,
    ZeroDivisionError,
    AssertionError,
)  # of what a user
# has given; anything else that a constructor raises is its own fault


def build_as(wanted: type, node: Node, key: str, **given: Any) -> Any:
    """`build`, for a node that must describe one of the protocols of types.py, or derive from a class."""
    part = build(node, key, **given)
    if not isinstance(part, wanted):
        lacks = [name for name in _members(wanted) if not hasattr(part, name)]
        more = f", for it has no {' and no '.join(lacks)}" if lacks else ""
        group = key.split(".")[0]
        raise UserError(f"{key}._target_ = {node['_target_']} is no {wanted.__name__}{more}: choose one of conf/{group}")
    return part


def _members(protocol: type) -> list[str]:
    """What a class must have to follow a protocol; nothing of a class to derive from."""
    if not getattr(protocol, "_is_protocol", False):
        return []
    every = (name for base in protocol.__mro__ for name in (*vars(base), *vars(base).get("__annotations__", ())))
    return sorted({name for name in every if not name.startswith("_")})


def build(node: Node, key: str, **given: Any) -> Any:
    """The object that a node describes, from its own arguments and the given ones.

    What its constructor refuses (ValueError, TypeError) is the user's mistake, and is reported under `key`.
    """
    node = check(node, key, given)
    try:
        return hydra.utils.instantiate(node, _convert_="all", _partial_=True)(**given)  # given objects are not copied
    except (InstantiationException, MisconfigurationException, ImportError, *MISTAKEN) as error:
        cause = error.__cause__ if isinstance(error, InstantiationException) and error.__cause__ else error
        if isinstance(cause, Mistakes):
            raise Mistakes([f"{key}: {mistake}" for mistake in cause.mistakes]) from error
        raise UserError(f"{key}: {_one_line(cause)}") from error


def check(node: Any, key: str, given: Iterable[str]) -> Node:
    """The node with its values as its target's signature types them; raises UserError where they do not fit."""
    if not isinstance(node, Mapping) or "_target_" not in node:
        raise UserError(f"{key} must be a mapping with a _target_, found {node!r}")
    target = target_of(node["_target_"], key)
    parameters = _parameters(target, node, key)
    own = {name: value for name, value in node.items() if name != "_target_"}
    free = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for name in own:
        if name in given:
            raise UserError(f"{key}.{name} is set by ganlab itself: leave it out")
        if name not in parameters and not free:
            raise UserError(f"unknown key {key}.{name}{did_you_mean(name, set(parameters) - set(given))}")
    for name, parameter in parameters.items():
        required = parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
        if required and name not in own and name not in given and parameter.kind is not parameter.VAR_POSITIONAL:
            raise UserError(f"{key}.{name} is missing: {node['_target_']} needs it")
    hints = _hints(target)
    for name, value in own.items():
        if isinstance(value, Mapping) and "_target_" in value:
            own[name] = check(value, f"{key}.{name}", given=())
        elif isinstance(value, Mapping) and value and all(isinstance(v, Mapping) and "_target_" in v for v in value.values()):
            own[name] = {part: check(inner, f"{key}.{name}.{part}", given=()) for part, inner in value.items()}
        elif name in hints:
            own[name] = validated(hints[name], value, f"{key}.{name}")
        if wrong := out_of_range(target, name, own[name]):
            raise UserError(f"{key}.{name} = {value}: {wrong}")
    return {"_target_": node["_target_"], **own}


def takes(node: Any, key: str, name: str) -> bool:
    """Whether the target of a node has a parameter of this name."""
    return name in parameters_of(node, key)


def parameters_of(node: Any, key: str) -> Mapping[str, inspect.Parameter]:
    """Of the target of a node; raises UserError."""
    if not isinstance(node, Mapping) or "_target_" not in node:
        raise UserError(f"{key} must be a mapping with a _target_, found {node!r}")
    return _parameters(target_of(node["_target_"], key), node, key)


def _parameters(target: Callable[..., Any], node: Mapping[Any, Any], key: str) -> Mapping[str, inspect.Parameter]:
    if getattr(target, "__init__", None) is nn.Module.__init__:  # which takes anything, and refuses it
        return {}
    try:
        return inspect.signature(target).parameters
    except (ValueError, TypeError) as error:  # of what is not written in Python
        raise UserError(
            f"{key}._target_ = {node['_target_']} has no arguments that can be read: name a class of Python's"
        ) from error


def classes_told(node: Any) -> int | None:
    """How many classes a network, or a part within it, is told that there are: then it looks at y. None where it is not."""
    if not isinstance(node, Mapping):
        return None
    return node.get("classes") or next((told for part in node.values() if (told := classes_told(part))), None)


HARMLESS = (  # where what a run directory may name has to be defined: nothing there writes a file that a config can name
    *(f"ganlab.game.{file}" for file in ("priors", "losses", "fdivergences", "terms", "augment", "objectives", "updates",
                                         "consensus", "relativistic", "discrepancies", "adjust", "regularisers",
                                         "constraints", "averages", "unrolled", "extragradient")),
    *(f"ganlab.{room}" for room in ("networks.", "metrics.", "features.classifier", "features.inception", "features.clip",
                                       "features.dinov2")),
    *(f"ganlab.data.{file}" for file in ("toy", "mixture", "polygons", "line", "datasets", "stacked")),
    "torch.nn.modules.activation",
)  # fmt: skip


def own_code(node: Any, places: tuple[str, ...] = HARMLESS) -> bool:
    """Whether everything that building this node would call is a class (of data, also a function) that is defined in these
    places, and not something else that is reached through them."""
    if isinstance(node, Mapping):
        if any(str(key).startswith("_") and key != "_target_" for key in node):
            return False  # Hydra's own, as _args_
        return ("_target_" not in node or _own(node["_target_"], places)) and all(
            own_code(one, places) for one in node.values()
        )
    return all(own_code(one, places) for one in node) if isinstance(node, list | tuple) else True


def _own(path: Any, places: tuple[str, ...]) -> bool:
    if not isinstance(path, str) or not path.startswith(("ganlab.", "torch.", "pytorch_lightning.")) or "._" in path:
        return False  # and nothing else is imported
    try:
        found = target_of(path, "_target_")
    except UserError:
        return False
    home = getattr(found, "__module__", None)
    known = isinstance(home, str) and home.startswith(places)
    if inspect.isfunction(found):
        return known and "." not in found.__qualname__ and str(home).startswith(("ganlab.data.", "ganlab.features."))
    return known and inspect.isclass(found)


def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    function = target.__init__ if inspect.isclass(target) else target
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError):  # annotations that exist for type checkers only
        return {}


def validated(kind: Any, value: Any, key: str) -> Any:
    """The value as the type has it; raises UserError under the key where it does not fit."""
    if _has_truth(value) and _is_of_numbers(kind):
        raise UserError(f"{key} = {str(value).lower()}: input should be a number")
    arbitrary = inspect.isclass(kind) and issubclass(kind, BaseModel)
    try:
        adapter = TypeAdapter(kind, config=None if arbitrary else ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False))
        return adapter.validate_python(value)
    except ValidationError as error:
        problem = next(iter(error.errors()))
        place = [str(part) for part in problem["loc"]] if arbitrary else []
        name = ".".join(filter(None, [key, *place]))
        if problem["type"] == "extra_forbidden" and name == "experiment":
            raise UserError("this experiment sets nothing: its file begins with `# @package _global_`, then k: 2") from error
        if problem["type"] == "extra_forbidden":
            known = kind.model_fields if len(place) == 1 else ()
            raise UserError(f"unknown key {name}{did_you_mean(place[-1], known)}") from error
        if problem["type"] == "missing":
            raise UserError(f"{name} is missing: choose one of conf/{name.split('.')[0]}, or give it a value") from error
        raise UserError(f"{name} = {brief(repr(problem['input']), 60)}: {problem['msg'].lower()}") from error
    except Exception:  # an annotation pydantic has no rule for: the constructor will judge
        return value


def _has_truth(value: Any) -> bool:
    return isinstance(value, bool) or (isinstance(value, list | tuple) and any(map(_has_truth, value)))


def _is_of_numbers(kind: Any) -> bool:
    """Whether a type is of numbers, or lists of them, and says nothing of true and false."""
    parts = {*_parts(kind)}
    return bool(parts & {int, float}) and bool not in parts and Any not in parts


def _parts(kind: Any) -> Iterator[Any]:
    arguments = typing.get_args(kind)
    yield kind
    for argument in arguments:
        yield from _parts(argument)


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, UserError) else text[:300]
