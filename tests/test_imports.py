"""Who may import whom. Read from the code, so that a shortcut fails here."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "src" / "ganlab"
FILES = sorted(PACKAGE.rglob("*.py"))

# the entry points compose and build; everything else is plain torch or plain Lightning
HYDRA = {"entry", "config", "experiment", "cli", "evaluate", "features.make", "sweep"}
LIGHTNING = {"gan", "data.module", "callbacks", "loggers", "config", "parts", "experiment"}
CORE = {
    "types",
    "augment",
    "schedules",
    "pixels",
    "random",
    "errors",
    "priors",
    "losses",
    "fdivergences",
    "theory",
    "penalties",
    "objectives",
    "updates",
    "networks",
    "metrics",
    "health",
}
LAYERS = {  # who must not know whom
    "networks": ("losses", "penalties", "objectives", "updates", "gan", "data", "metrics", "callbacks"),
    "losses": ("networks", "penalties", "objectives", "gan"),
    "instruments": ("losses", "fdivergences", "networks", "gan", "data", "metrics", "callbacks"),
    "portraits": ("losses", "fdivergences", "networks", "gan", "data", "metrics", "callbacks", "instruments"),
    "theory": ("losses", "fdivergences", "penalties", "networks", "objectives", "gan", "data", "metrics", "callbacks"),
    "penalties": ("networks", "losses", "objectives", "gan"),
    "data": ("networks", "losses", "penalties", "objectives", "gan", "metrics", "callbacks"),
    "metrics": ("networks", "losses", "gan", "callbacks", "data", "features", "scoring"),
    "features": ("networks", "losses", "gan", "callbacks", "metrics", "scoring"),
    "scoring": ("networks", "losses", "gan", "callbacks", "metrics", "data", "features"),
    "health": ("networks", "losses", "gan", "callbacks", "metrics", "data"),
    "callbacks": ("data", "networks", "losses"),
    "pictures": ("data", "networks", "losses", "gan", "callbacks"),
    "runs": ("data", "networks", "losses", "gan", "callbacks"),
    "gan": ("data", "networks", "losses", "penalties", "callbacks", "metrics"),
}


def name(path):
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(module, rooms):
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


@pytest.mark.parametrize("path", FILES, ids=name)
def test_who_may_import_whom(path):
    module, found = name(path), set(imports(path))
    roots = {i.split(".")[0] for i in found}
    if not within(module, HYDRA):
        assert not roots & {"hydra", "omegaconf"}
    if not within(module, LIGHTNING):
        assert "pytorch_lightning" not in roots
    if module != "loggers.wandb":
        assert "wandb" not in roots
    if within(module, CORE):
        assert roots <= {"__future__", "collections", "typing", "dataclasses", "functools", "itertools", "math", "hashlib",
                         "difflib", "contextlib", "abc", "logging", "numpy", "scipy", "torch", "torchmetrics",
                         "ganlab"}  # fmt: skip
    for room, strangers in LAYERS.items():
        if within(module, (room,)):
            known = {i.removeprefix("ganlab.") for i in found if i.startswith("ganlab.")}
            assert not {i for i in known if within(i, strangers)}


def test_there_is_one_lightning_module():
    assert [name(p) for p in FILES if "LightningModule)" in p.read_text()] == ["gan"]
