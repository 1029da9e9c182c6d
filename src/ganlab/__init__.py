"""ganlab: the bench on which generative adversarial networks are studied. docs/api.md"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ganlab.api.comparison import Comparison, compare
    from ganlab.api.runs import Run, load, train
    from ganlab.api.sweeps import Sweep
    from ganlab.errors import Interrupted, UserError

__version__ = "0.1.0"
__all__ = ["Comparison", "Interrupted", "Run", "Sweep", "UserError", "compare", "load", "sweep", "train"]

HOMES = {
    "Comparison": "api.comparison", "compare": "api.comparison", "Run": "api.runs", "load": "api.runs", "train": "api.runs",
    "Sweep": "api.sweeps", "sweep": "sweep", "UserError": "errors", "Interrupted": "errors",
}  # fmt: skip  # imported when they are asked for: seconds, which `ganlab --help` does without


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module 'ganlab' has no attribute {name!r}")
    home = import_module(f"ganlab.{HOMES[name]}")
    return home if name == "sweep" else getattr(home, name)  # a room that can be called


def __dir__() -> list[str]:
    return [*globals(), *HOMES]
