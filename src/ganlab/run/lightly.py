"""Lightning without what it imports and nobody here asks for: a third of the time in which a run begins.

torchmetrics imports torchvision, scipy.signal and matplotlib's windows where they are installed, for metrics of sound and of
images that no part of ganlab looks at; Lightning imports torch's compiler, to know a compiled module when it sees one.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from lightning_utilities.core import imports

OWN = ("ganlab.", "torch.", "pytorch_lightning.")  # parts that do without
HIDDEN = {"torchvision", "torch_fidelity", "scipy", "matplotlib"}  # from torchmetrics, and from nobody else
COMPILER = "torch._dynamo"


def import_lightly(config: str) -> None:
    """Import Lightning. A config, given as yaml, that names another's part has it as it always is: one of torchmetrics' own
    scores may want what is hidden, and so may a part that uses them."""
    if "torchmetrics" in sys.modules or not own_parts(config):
        return
    with undisturbed():
        with hidden():
            import torchmetrics  # noqa: F401
        if COMPILER not in sys.modules:
            sys.modules[COMPILER] = PutOff(COMPILER)
            sys.meta_path.insert(0, _Parts())
        import pytorch_lightning  # noqa: F401


@contextmanager
def undisturbed() -> Iterator[None]:
    """In here nothing is looked through for garbage: what is imported stays, and looking takes a fifth of the time."""
    looked = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if looked:
            gc.enable()


def keep() -> None:
    """What there is by now is not looked through for garbage while this process lives, and processes that are forked from it
    do not copy it to look."""
    gc.freeze()
    atexit.register(gc.unfreeze)  # what is kept is not taken apart at the end, and C++ would say that it leaks


def own_parts(config: str) -> bool:
    """Whether all parts that a config names, as yaml or in overrides, are ganlab's, torch's or Lightning's."""
    named = re.findall(r"_target_['\"]?\s*[:=]\s*([^\s,}]+)", config)
    return len(named) == config.count("_target_") and all(target.strip("'\"").startswith(OWN) for target in named)


@contextmanager
def hidden() -> Iterator[None]:
    """In here, who asks Lightning's helpers whether one of HIDDEN is installed is told that it is not."""
    available, check = imports.package_available, imports.RequirementCache._check_available

    def told(self: imports.RequirementCache) -> None:
        if self.requirement and re.split(r"\W", self.requirement)[0] in HIDDEN:
            self.available, self.message = False, f"{self.requirement} is hidden by ganlab.run.lightly"
        else:
            check(self)

    imports.package_available = lambda name: name not in HIDDEN and available(name)  # type: ignore[assignment]
    imports.RequirementCache._check_available = told  # type: ignore[method-assign]
    try:
        yield
    finally:
        imports.package_available = available
        imports.RequirementCache._check_available = check  # type: ignore[method-assign]


class PutOff(ModuleType):
    """In the place of torch's compiler until somebody asks for more of it than eager code does: what is not to be compiled is
    left as it is, and no module is a compiled one. Anything else has it imported, and is answered by it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__ = list[str]()  # a package, whose parts `_Parts` finds

    @staticmethod
    def disable(fn: Any = None, *args: Any, **kwargs: Any) -> Any:
        return (lambda fn: fn) if fn is None else fn

    @staticmethod
    def graph_break(*args: Any, **kwargs: Any) -> None: ...

    class _Compiled(type):
        def __instancecheck__(cls, one: Any) -> bool:
            real = sys.modules[COMPILER]
            return not isinstance(real, PutOff) and isinstance(one, real.OptimizedModule)

    class OptimizedModule(metaclass=_Compiled): ...

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # inspect asks every module for its __file__: torchvision's import alone, hundreds of times
            raise AttributeError(name)
        return getattr(_compiler(), name)


class _Parts(MetaPathFinder):
    """Finds a part of the compiler that is imported by its own name while the whole is put off."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if not name.startswith(f"{COMPILER}.") or not isinstance(sys.modules.get(COMPILER), PutOff):
            return None
        _compiler()
        return ModuleSpec(name, _Made(importlib.import_module(name)))


class _Made(Loader):
    """Gives a module that is imported already."""

    def __init__(self, module: ModuleType) -> None:
        self.module, self.spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec


def _compiler() -> ModuleType:
    if isinstance(sys.modules.get(COMPILER), PutOff):
        del sys.modules[COMPILER]
    return importlib.import_module(COMPILER)
