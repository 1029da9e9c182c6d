"""From a composed config to objects, with every mistake of a user's found here and said in one sentence.

The schema of a node with a `_target_` is the signature of that target; the top level is `Settings`.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import hydra
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from ganlab.errors import UserError, did_you_mean
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
    settings: Settings = validated(Settings, config, "")
    return settings


def _unchosen(node: Any) -> bool:
    return isinstance(node, Mapping) and "_target_" not in node


def plain(settings: Settings) -> dict[str, Any]:
    """What config.yaml holds: the validated values, in plain Python."""
    return settings.model_dump(mode="json", exclude_unset=True)


def build_as(wanted: type, node: Node, key: str, **given: Any) -> Any:
    """`build`, for a node that must describe one of the protocols of types.py, or derive from a class."""
    part = build(node, key, **given)
    if not isinstance(part, wanted):
        group = key.split(".")[0]
        raise UserError(f"{key}._target_ = {node['_target_']} is no {wanted.__name__}: choose one of conf/{group}")
    return part


def build(node: Node, key: str, **given: Any) -> Any:
    """The object that a node describes, from its own arguments and the given ones.

    What its constructor refuses (ValueError, TypeError) is the user's mistake, and is reported under `key`.
    """
    node = check(node, key, given)
    try:
        return hydra.utils.instantiate(node, _convert_="all", _partial_=True)(**given)  # given objects are not copied
    except (InstantiationException, ValueError, TypeError, MisconfigurationException, ImportError) as error:
        cause = error.__cause__ if isinstance(error, InstantiationException) and error.__cause__ else error
        raise UserError(f"{key}: {_one_line(cause)}") from error


def check(node: Any, key: str, given: Iterable[str]) -> Node:
    """The node with its values as its target's signature types them; raises UserError where they do not fit."""
    if not isinstance(node, Mapping) or "_target_" not in node:
        raise UserError(f"{key} must be a mapping with a _target_, found {node!r}")
    target = _target(node["_target_"], key)
    parameters = inspect.signature(target).parameters
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
    return {"_target_": node["_target_"], **own}


def takes(node: Any, key: str, name: str) -> bool:
    """Whether the target of a node has a parameter of this name."""
    if not isinstance(node, Mapping) or "_target_" not in node:
        raise UserError(f"{key} must be a mapping with a _target_, found {node!r}")
    return name in inspect.signature(_target(node["_target_"], key)).parameters


def classes_told(node: Any) -> int | None:
    """How many classes a network, or a part within it, is told that there are: then it looks at y. None where it is not."""
    if not isinstance(node, Mapping):
        return None
    return node.get("classes") or next((told for part in node.values() if (told := classes_told(part))), None)


HARMLESS = (  # where what a run directory may name has to be defined: nothing there writes a file that a config can name
    *(f"ganlab.game.{file}" for file in ("priors", "losses", "fdivergences", "terms", "augment", "objectives", "updates",
                                         "consensus", "relativistic", "discrepancies", "adjust", "regularisers",
                                         "constraints", "averages", "unrolled", "extragradient")),
    *(f"ganlab.{room}" for room in ("networks.", "metrics.", "features.classifier", "features.inception")),
    *(f"ganlab.data.{file}" for file in ("toy", "mixture", "polygons", "line", "datasets", "stacked")),
    "torch.nn.modules.activation",
)  # fmt: skip


def own_code(node: Any) -> bool:
    """Whether everything that building this node would call is one of ganlab's parts, or of torch's activations, and not
    something else that is reached through them."""
    if isinstance(node, Mapping):
        path = str(node.get("_target_", "ganlab."))
        if not path.startswith(("ganlab.", "torch.nn.")):
            return False
        if "_target_" in node and not getattr(_target(path, "_target_"), "__module__", "").startswith(HARMLESS):
            return False
        return all(own_code(value) for value in node.values())
    return all(own_code(value) for value in node) if isinstance(node, list | tuple) else True


def refuse_foreign_code(nodes: Mapping[str, Node], trust: bool) -> None:
    """For nodes of a run directory, which may come from anyone: raises UserError for the first one that is not `own_code`."""
    for key, node in nodes.items():
        if not trust and not own_code(node):
            raise UserError(f"{key} = {node} is not ganlab's own code alone: pass --trust to run it")


def _target(path: str, key: str) -> Callable[..., Any]:
    try:
        return hydra.utils.get_object(path)
    except Exception as error:
        raise UserError(f"{key}._target_ = {path}: {_one_line(error)}") from error


def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    function = target.__init__ if inspect.isclass(target) else target
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError):  # annotations that exist for type checkers only
        return {}


def validated(kind: Any, value: Any, key: str) -> Any:
    """The value as the type has it; raises UserError under the key where it does not fit."""
    if kind in (int, float) and isinstance(value, bool):
        raise UserError(f"{key} = {str(value).lower()}: input should be a number")
    arbitrary = inspect.isclass(kind) and issubclass(kind, BaseModel)
    try:
        adapter = TypeAdapter(kind, config=None if arbitrary else ConfigDict(arbitrary_types_allowed=True))
        return adapter.validate_python(value)
    except ValidationError as error:
        problem = next(iter(error.errors()))
        place = [str(part) for part in problem["loc"]] if arbitrary else []
        name = ".".join(filter(None, [key, *place]))
        if problem["type"] == "extra_forbidden":
            known = kind.model_fields if len(place) == 1 else ()
            raise UserError(f"unknown key {name}{did_you_mean(place[-1], known)}") from error
        if problem["type"] == "missing":
            raise UserError(f"{name} is missing: choose one of conf/{name.split('.')[0]}, or give it a value") from error
        raise UserError(f"{name} = {problem['input']!r}: {problem['msg'].lower()}") from error
    except Exception:  # an annotation pydantic has no rule for: the constructor will judge
        return value


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, UserError) else text[:300]
