"""What a directory from anyone may say, and may not: of each attack that is refused nothing has happened."""

import pytest
import yaml
from conftest import ROOT, runs_in

from ganlab.commands.evaluate import EvaluationRequest, evaluate
from ganlab.commands.phase import phase
from ganlab.commands.sample import sample
from ganlab.errors import LONGEST, UserError, brief, prose
from ganlab.files.run import RunDirectory
from ganlab.run.config import own_code
from ganlab.run.line import flags_first, read_line, with_saved_overrides


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    run = runs_in(tmp_path_factory.mktemp("runs"))
    return run("iterations=2", "metrics=modes", "metrics.n=20", "theory=none", "model.G.width=4", "model.D.width=4")


@pytest.fixture
def mine(whole):
    """The run, whose files are as they were afterwards."""
    before = {file: file.read_bytes() for file in (whole.config_file, whole.overrides_file)}
    yield whole
    for file, content in before.items():
        file.write_bytes(content)
    whole.flags_file.unlink(missing_ok=True)


LINES = [
    "--experimental-rerun=x.pkl", "--multirun", "--config-dir=/tmp/x", "hydra.job_logging.version=1", "hydra/job_logging=none",
    "+hydra.callbacks.x={_target_: builtins.print}", "hydra.run.dir=/tmp/x", "hydra.searchpath=[/tmp]",
    "name=${oc.env:HOME}", "name='a${oc.env:HOME}'", "name='${${a}}'", "name=${hydra.job.name}", "name=${hydra:runtime.cwd}",
    "+data.x=${oc.create:{_target_:torch.load}}", "+data.x=[{y:'${oc.decode:1}'}]", "+data={'${oc.env:HOME}':1}",
    "+trainer.plugins=[{_target_:os.system,command:x}]", "loss._target_=subprocess.run", "++loss._target_=builtins.eval",
    "+penalty.x._target_=ganlab.features.training.save", "model.G._target_=ganlab.commands.sample.torch.load",
    "+penalty.x={_target_:ganlab.game.terms.R1,gamma:{_target_:builtins.eval}}", "+penalty.x={_args_:[1]}",
    "+penalty.x={_target_:ganlab.game.terms.R1,_partial_:true}", "experiment=../../../tmp/x", "experiment=/tmp/x",
    "data@hydra.launcher=ring", "+data@hydra.sweeper=ring", "seed=1,2", "seed=range(3)", "unknown=1", "+env.X=1",
    "+logger.x={_target_:pytorch_lightning.loggers.MLFlowLogger}", "optim.G._target_=torch.load", "not an override", "",
]  # fmt: skip


@pytest.mark.parametrize("text", LINES)
def test_a_run_may_choose_among_ganlabs_own_keys_and_nothing_else(mine, text):
    mine.overrides_file.write_text(yaml.safe_dump(["k=2", text]))
    with pytest.raises(UserError) as caught:
        with_saved_overrides(["train.py", f"resume={mine.path}"])
    assert prose(brief(str(caught.value))) <= LONGEST


FILES = ["!!python/object/apply:os.system [touch x]", "a: &a [1]\nb: *a\n", "- k=1\n- {k: 2}\n", "[", "\x00", "- 2024-01-01\n",
         "[" * 100_000, "- " * 100_000,
         "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in ("ab", "bc", "cd", "de",
         "ef", "fg"))]  # fmt: skip


@pytest.mark.parametrize("text", FILES)
def test_a_file_of_overrides_that_is_none_is_one_sentence(mine, text):
    mine.overrides_file.write_text(text)
    with pytest.raises(UserError, match=r"overrides.yaml"):
        with_saved_overrides(["train.py", f"resume={mine.path}"])


def test_what_is_said_again_on_the_line_is_ones_own_and_trust_obeys_the_run(mine):
    mine.overrides_file.write_text(yaml.safe_dump(["k=2", "loss._target_=my.Loss"]))
    line = ["train.py", f"resume={mine.path}"]
    assert with_saved_overrides([*line, "loss._target_=your.Loss"])[1:] == ["k=2", line[1], "loss._target_=your.Loss"]
    assert with_saved_overrides([*line, "--trust"])[1:] == ["k=2", "loss._target_=my.Loss", line[1]]


OWN = ["optim.D.lr=${optim.lr}", "name=${hydra:runtime.choices.loss}-x", "schedule=cosine", "penalty=[r1,gradient_penalty]",
       "+penalty.x={_target_:ganlab.game.terms.R1,gamma:1}", "optim.G._target_=torch.optim.SGD", "~metrics.scores.modes",
       "+model.G.activation={_target_:torch.nn.SELU}", "data.source='/a b/ä'", "seed=3", "~augment"]  # fmt: skip


def test_ganlabs_own_choices_and_interpolations_are_repeated(mine):
    mine.overrides_file.write_text(yaml.safe_dump(OWN))
    assert with_saved_overrides(["train.py", f"resume={mine.path}"])[1:] == [*OWN, f"resume={mine.path}"]


CONFIGS = [
    ("data", "radius", "${oc.create:{_target_: torch.load, f: x}}"), ("data", "source", "${oc.env:HOME}"),
    ("data", "_target_", "builtins.open"), ("data", "std", {"_target_": "os.system", "command": "x"}),
    ("data", "_args_", [1]), ("model", "G", {"_target_": "torch.nn.Identity"}), ("model", "${x}", 1),
    ("prior", "_partial_", True), ("prior", "dim", [{"_target_": "subprocess.run"}]),
    ("prior", "_target_", "ganlab.random.Draws.take"),
    ("prior", "_target_", "ganlab.game.priors.torch.load"), ("prior", "_target_", 3),
    ("data", "_target_", "ganlab.data.toy._equal"),
]  # fmt: skip


@pytest.mark.parametrize(("group", "key", "value"), CONFIGS)
def test_a_saved_config_is_data(mine, group, key, value, tmp_path):
    config = yaml.safe_load(mine.config_file.read_text())
    config[group][key] = value
    mine.config_file.write_text(yaml.safe_dump(config))
    for command in (
        lambda: sample(mine, 1, 0, mine.newest_checkpoint(), tmp_path / "out", False),
        lambda: evaluate([mine.path], EvaluationRequest()),
    ):
        with pytest.raises(UserError):
            command()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("key", ["loss", "augment", "objective", "updates", "penalty"])
def test_phase_builds_ganlabs_own_parts_only(run, key, tmp_path):
    done = run("data=dirac", "model=dirac", "theory=dirac", "iterations=2", "metrics=none")
    config = yaml.safe_load(done.config_file.read_text())
    foreign = {"_target_": "fractions.Fraction"}
    config[key] = {"x": foreign} if key == "penalty" else foreign
    done.config_file.write_text(yaml.safe_dump(config))
    with pytest.raises(UserError, match="--trust"):
        list(phase([done.path], tmp_path / "phase.png", trust=False))


def test_where_configs_came_from_is_remembered_and_looked_at_first(mine, tmp_path):
    folder = tmp_path / "more"
    (folder / "experiment").mkdir(parents=True)
    own = folder / "experiment" / "mine.yaml"
    own.write_text("# @package _global_\ndefaults:\n  - override /loss: hinge\nk: 3\nname: ${hydra:runtime.choices.loss}\n")
    mine.flags_file.write_text(yaml.safe_dump({"--config-dir": str(folder)}))
    line = ["train.py", f"resume={mine.path}"]
    assert with_saved_overrides(line)[1:3] == ["--config-dir", str(folder)]
    assert with_saved_overrides([*line, "--config-dir", "x"])[1:3] == ["--config-dir", "x"]
    for text in ("# @package hydra\nx: 1\n", "# @package _global_\nhydra: {}\n", "# @package _global_\nname: ${oc.env:HOME}\n",
                 "# @package _global_\nloss: {_target_: os.system}\n", "defaults:\n  - override /hydra/launcher: x\n",
                 "# @package _global_\ndefaults:\n  - ../../x\n"):  # fmt: skip
        own.write_text(text)
        with pytest.raises(UserError, match="--config-dir"):
            with_saved_overrides(line)
    assert with_saved_overrides([*line, "--trust"])[1] == "--config-dir"
    mine.flags_file.write_text(yaml.safe_dump({"hydra.searchpath": "hydra.searchpath=[pkg://more]"}))
    with pytest.raises(UserError, match=r"was composed with hydra.searchpath=\[pkg://more\]: say it again"):
        with_saved_overrides(line)
    assert with_saved_overrides([*line, "--trust"])[-2:] == ["hydra.searchpath=[pkg://more]", line[1]]
    assert with_saved_overrides([*line, "hydra.searchpath=[x]"])[-2:] == [line[1], "hydra.searchpath=[x]"]
    mine.flags_file.write_text(yaml.safe_dump({"--experimental-rerun": "x.pkl"}))
    with pytest.raises(UserError, match="damaged"):
        with_saved_overrides(line)


def test_the_line_is_read_by_hydras_grammar(tmp_path):
    spaced = RunDirectory(tmp_path / "a b")
    spaced.path.mkdir()
    spaced.overrides_file.write_text(yaml.safe_dump(["k=2"]))
    for spelling in (f"resume={spaced.path}", f"resume='{spaced.path}'", f'resume="{spaced.path}"', f"+resume={spaced.path}"):
        assert with_saved_overrides(["train.py", spelling])[1] == "k=2"
    line = read_line(["train.py", "--config-dir", "x", "k=2", "seed=1", "-m"])
    assert (line.flags, line.given) == (["--config-dir", "x", "-m"], ["k=2", "seed=1"])


TYPED = {
    "k=1 k=2": "k is given twice", "+x=1 ++x=2": "x is given twice", "data.source=": "data.source= is empty",
    "hydra.run.dir=": "hydra.run.dir= is empty", "name=' '": "is empty", "data.source=/a/é": """'data.source="/a/é"'""",
    "seed=range(3": "close its brackets, or quote its value twice",
    "runs=~/x": "quote its value twice", "runs=/a(b)": "quote its value twice", "k": "an override is KEY=VALUE",
}  # fmt: skip


def test_flags_may_stand_anywhere():
    typed = [
        "train.py",
        "k=2",
        "-m",
        "seed=1,2",
        "--config-dir",
        "x y",
        "--trust",
        "data=ring",
        "--cfg=job",
        "-p",
        "loss",
        "--info",
    ]
    flags = ["-m", "--config-dir", "x y", "--trust", "--cfg=job", "-p", "loss", "--info"]
    assert flags_first(typed) == ["train.py", *flags, "k=2", "seed=1,2", "data=ring"]
    assert flags_first(["train.py", "--info", "k=2"]) == ["train.py", "--info", "k=2"]
    assert flags_first(["train.py", "k=2", "--info", "defaults"]) == ["train.py", "--info", "defaults", "k=2"]
    with pytest.raises(UserError, match=r"--data is no option of .*: write data=mnist"):
        flags_first(["train.py", "k=1", "--data=mnist"])


def test_a_run_goes_on_in_its_own_directory(mine):
    for typed in (f"resume={mine.path}", f"+resume={mine.path}"):
        with pytest.raises(UserError, match=r"goes on in its own directory: leave hydra\.run\.dir=x out"):
            with_saved_overrides(["train.py", typed, "hydra.run.dir=x"])
    same = [f"resume={mine.path}", f"hydra.run.dir={mine.path}"]
    assert with_saved_overrides(["train.py", *same])[-2:] == same
    for typed in ("resume=auto", "resume=null", f"resume={mine.path}/checkpoints/a.ckpt"):
        assert with_saved_overrides(["train.py", typed, "hydra.run.dir=x"])[1:] == [typed, "hydra.run.dir=x"]


@pytest.mark.parametrize("typed", TYPED)
def test_a_mistake_in_the_line_is_told_as_it_was_typed(typed):
    import shlex

    with pytest.raises(UserError) as caught:
        read_line(["train.py", *(shlex.split(typed) if "' '" not in typed else [typed])])
    assert TYPED[typed] in str(caught.value)


def test_what_a_choice_of_metrics_looks_through_is_ganlabs_own():
    choices = [yaml.safe_load(path.read_text()) for path in (ROOT / "conf" / "metrics").glob("*.yaml")]
    through = [choice["features"] for choice in choices if isinstance(choice.get("features"), dict)]
    assert len(through) >= 3
    assert all(map(own_code, through))
