"""Who may import whom. Read from the code, so that a shortcut fails here."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "src" / "ganlab"
FILES = sorted(PACKAGE.rglob("*.py"))

# each may import those before it: what is above is not known below
ORDER = ("types", "random", "errors", "signals", "precision", "pixels", "settings", "files", "figures", "networks", "data",
         "theory", "sampling", "metrics", "features", "game", "loggers", "observers", "run", "sweep", "report", "reproduce",
         "commands", "api", "__main__")  # fmt: skip
STRANGERS = {  # neighbours that have nothing to say to each other
    "networks": ("settings", "data", "figures", "files"),
    "data": ("networks", "figures", "files"),
    "metrics": ("networks", "data", "figures", "files"),
    "theory": ("networks", "data", "files"),
    "sampling": ("settings", "networks", "data", "figures", "files", "theory"),
    "features": ("networks", "data", "metrics", "theory"),
    "game": ("data", "sampling", "metrics", "features", "figures", "files"),
    "observers": ("networks", "data", "features"),
    "report": ("run", "sweep", "observers", "game", "data"),
}
DOORS = {"data": ("files.atomic", "files.home", "files.saved")}  # what a stranger has for all
HYDRA = {"run", "sweep", "reproduce.running", "commands", "api"}
LIGHTNING = {"game.module", "data.module", "observers.adapter", "loggers", "run"}
CORE = {"types", "random", "errors", "precision", "pixels", "networks", "metrics", "theory", "sampling", "game"}
PLAIN = {"__future__", "collections", "typing", "operator", "dataclasses", "functools", "itertools", "math", "hashlib",
         "inspect", "abc", "copy", "time", "types", "contextlib", "difflib", "logging", "pathlib", "numpy", "scipy", "torch",
         "torchmetrics", "ganlab"}  # fmt: skip


def name(path):
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


NAMES = {name(path) for path in FILES}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full.removeprefix("ganlab.") in NAMES else node.module


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
    if within(module, CORE) and module != "game.module":
        assert roots <= PLAIN
    room = module.split(".")[0]
    own = {i.removeprefix("ganlab.") for i in found if i.startswith("ganlab.")} - {*DOORS.get(room, ())}
    known = {i.split(".")[0] for i in own} - {room}
    if room != "__init__":
        assert known <= {*ORDER[: ORDER.index(room)]} - {*STRANGERS.get(room, ())}


def test_no_file_imports_itself_in_a_circle():
    arrows = defaultdict(set)
    for path in FILES:
        arrows[name(path)] = {i.removeprefix("ganlab.") for i in imports(path) if i.removeprefix("ganlab.") in NAMES}
    done = set()

    def follow(module, way):
        assert module not in way, f"{' -> '.join(way)} -> {module}"
        if module not in done:
            for other in arrows[module]:
                follow(other, (*way, module))
            done.add(module)

    for module in sorted(arrows):
        follow(module, ())
    assert len(done) > 100


TWICE = {  # names that configs and extensions have: a network's two players, and what the same word is in two rooms
    "Generator", "Discriminator",
    "Dirac", "Line",  # data, and the theory of it
    "ReverseKL",  # a loss, and a score
    "train", "load", "compare", "Run", "Comparison",  # Python's words for what a room has: ganlab.train(...)
}  # fmt: skip


def test_a_name_is_defined_in_one_file():
    """Public functions and classes at the top level of a file: who searches for one finds what it is."""
    homes = defaultdict(set)
    for path in FILES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].add(name(path))
    assert {found: sorted(where) for found, where in homes.items() if len(where) > 1 and found not in TWICE} == {}
    assert all(len(homes[found]) > 1 for found in TWICE)


def test_a_file_fits_a_head():
    assert not {name(path): n for path in FILES if (n := len(path.read_text().splitlines())) > 300}


def test_there_is_one_lightning_module_and_one_callback_that_looks_at_the_game():
    assert [name(p) for p in FILES if "LightningModule)" in p.read_text()] == ["game.module"]
    assert [name(p) for p in FILES if "Callback)" in p.read_text()] == ["observers.adapter", "run.interrupt", "run.progress"]


def test_a_file_is_replaced_as_a_whole_in_one_place():
    """What is done to a name of a file that is there: `.corrupt` is given to a checkpoint that is damaged."""
    assert [name(p) for p in FILES if ".fsync(" in p.read_text()] == ["files.atomic", "files.table"]
    assert not [name(p) for p in FILES if "os.replace" in p.read_text() or ".rename(" in p.read_text()]


def test_nobody_asks_a_logger_what_it_can_do():
    assert not [name(p) for p in FILES if within(name(p), {"observers", "loggers"}) and "hasattr" in p.read_text()]
