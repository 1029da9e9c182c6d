"""Every yaml composes and trains; every mistake is one sentence."""

import os
import re
import signal
import time

import pytest
import torch
import yaml
from conftest import NO_COMPILER, ROOT, SHARED, composed, same_state
from filelock import FileLock
from forked import Forked
from PIL import Image

from ganlab.errors import UserError
from ganlab.features.training import save, train_classifier
from ganlab.files.run import RunDirectory
from ganlab.run.build import game_of, settings_of
from ganlab.run.command_line import discard, sentence, with_saved_overrides
from ganlab.run.config import build, resolve, validate
from ganlab.run.gate import value_at
from ganlab.run.parts import average_of
from ganlab.run.tree import NOT_OF_A_RUN

SMALL = ("iterations=2", "batch_size=8", "metrics.n=16", "metrics.every=1", "theory.frames=0")
CONFIGS = sorted(path.relative_to(ROOT / "conf").with_suffix("") for path in (ROOT / "conf").glob("*/*.yaml"))
CONFIGS = [config for config in CONFIGS if config.parts[0] not in NOT_OF_A_RUN]  # tests/sampling has those of sampling
ALONE = {
    "metrics/polygons": "data=triangles",
    "theory/line": "data=normal1d",
    "theory/dirac": "model=dirac",
}  # what is refused on the default's data
DRAWN = {"metrics/modes", "metrics/images"}  # and all of theory: each kind of figure there is; others leave them blank
NARROW = {"dcgan": ("model.G.width=4", "model.D.width=4"), "maxout": ("model.G.width=16", "model.D.units=8")}
ON_MNIST = {"metrics/parzen", "metrics/stacked", "metrics/memorisation", "metrics/clip", "metrics/dinov2"}
SMALL_IMAGES = {"sngan", "wgan_gp", "sagan", "biggan", "stylegan2", "r3gan"}
TENTH = {"dcgan": (26, 26), "sngan": (26, 13), "wgan_gp": (26, 13), "biggan": (26, 26), "stylegan2": (51, 51),
         "r3gan": (80, 80), "experiment/stylegan2": (13, 13)}  # fmt: skip
# recipes that are one change to another that is tried
ROWS = [
    "dcgan_r1",
    "dcgan_clip",
    "dcgan_gp",
    "dcgan_sn",
    "dcgan_cbn",
    "dcgan_ac",
    "lsgan",
    "hinge",
    "sngan_cond",
    "stylegan2_ada",
]


def text(config):
    """Of a yaml, and of the one of its group that it begins with."""
    own = (ROOT / "conf" / config).with_suffix(".yaml").read_text()
    base = re.search(r"^  - (\w+)$", own, re.MULTILINE)
    return own if base is None or base[1] == "_self_" else own + text(config.parent / base[1])


def family(config):
    """The network that a yaml chooses, if it does."""
    chosen = re.search(r"override /model: (\w+)", text(config))
    return config.name if config.parts[0] == "model" else chosen[1] if chosen else None


CIFAR = {str(config) for config in CONFIGS if "/data: cifar10" in text(config)}
CIFAR |= {"data/cifar10", "data/cifar100"}  # their own files are not here: our pictures stand in
RECIPES = {str(config) for config in CONFIGS if config.parts[0] == "experiment" and family(config) in TENTH
           and config.name not in {"cifar10_dcgan", "mnist_dcgan"}}  # fmt: skip
LONG = [
    pytest.param(config, marks=[pytest.mark.long] * (config.parts[0] == "experiment" and config.name in ROWS), id=str(config))
    for config in CONFIGS
]


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for i in range(16):
        kind = folder / "ab"[i % 2]
        kind.mkdir(exist_ok=True)
        Image.effect_noise((40, 36), 80.0).convert("RGB").save(kind / f"{i}.png")
    return folder


def classifier(folder, shape):
    """One that has learnt nothing, for images of a shape."""
    x = torch.randint(256, (200, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    save(
        train_classifier(x, torch.arange(200) % 10, list("0123456789"), None, seed=0, epochs=1, width=4), folder / "features.pt"
    )
    return f"features={folder}/features.pt"


@pytest.mark.parametrize("config", LONG)
def test_every_yaml_composes_and_trains_two_iterations(config, run, pictures, monkeypatch, tmp_path, request):
    monkeypatch.setenv("HOME", str(tmp_path))  # no W&B account
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    group, name = config.parts
    if group == "theory" or str(config) in DRAWN:
        request.getfixturevalue("drawn")
    overrides, small = [f"{group}={name}"], SMALL
    if config == type(config)("trainer/gpu") and not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    if str(config) == "compile/inductor" and NO_COMPILER:
        pytest.skip("needs a C++ compiler")
    if str(config) in CIFAR | {"data/images", "experiment/my_images", "experiment/my_images_small"}:
        overrides.append(f"data.source={pictures}")
    elif (group == "data" and name == "fashion_mnist") or "mnist" in name or str(config) in ON_MNIST:
        if not SHARED.is_dir():
            pytest.skip("needs ../shared/data")
        overrides.append(f"data.source={SHARED}/MNIST/raw")  # Fashion-MNIST has the same format
    of_images = {
        "model/dcgan",
        "metrics/images",
        "metrics/pictures",
        "metrics/classifier",
        "metrics/inception",
        "metrics/scored",
    }
    of_images |= {f"model/{each}" for each in SMALL_IMAGES}
    if str(config) in of_images | {"augment/ada", "augment/bgc", "augment/diffaugment"}:
        overrides[:0] = ["data=images", f"data.source={pictures}"]
    if str(config) in {"metrics/classifier", "metrics/stacked", "metrics/memorisation"}:
        overrides.append(classifier(tmp_path, (3, 64, 64) if name == "classifier" else (1, 28, 28)))
    if str(config) == "metrics/inception":
        overrides.append(f"metrics.features.weights={request.getfixturevalue('weights')}")
        # a second an image, and a minute for FID of 2,048 features, which `metrics=classifier` has of fewer
        small = (*SMALL[:2], "metrics.n=10", "metrics.every=2", "~metrics.scores.fid")
    if str(config) in {"metrics/clip", "metrics/dinov2"}:
        overrides.append(f"metrics.features.weights={request.getfixturevalue(f'{name}_weights')}")
    if str(config) in ON_MNIST:
        overrides[:0] = [f"data={'stacked_mnist' if name == 'stacked' else 'mnist'}", f"data.source={SHARED}/MNIST/raw"]
    if name in ("memorisation", "clip", "dinov2"):
        small = (*SMALL[:2], "metrics.n=30", "metrics.every=2", "metrics.n_real=100")
    if name in {"triangles", "polygons"}:
        small = (*SMALL, *(f"metrics.scores.manifold.{key}=1" for key in ("most", "starts", "steps")))
    if str(config) in ALONE:
        overrides[:0] = [ALONE[str(config)]]
    if group not in {"data", "experiment", "loss", "theory", "model"}:  # what the instruments depend on
        overrides.append("theory=none")
    if str(config) in RECIPES:  # at a tenth of the published width
        overrides += [
            f"model.{net}.width={width}" for net, width in zip("GD", TENTH.get(str(config), TENTH[family(config)]), strict=True)
        ]
        small = (*SMALL, "shape=[3,16,16]", "batch_size=2", "health.n=4", "metrics.picture.draw.n=4")
    elif group == "model" and name in SMALL_IMAGES:
        overrides += [*NARROW["dcgan"], "shape=[3,16,16]", *["model.G.w_dim=4"] * (name == "stylegan2")]
    else:
        for each, narrow in NARROW.items():
            overrides += narrow if each in name and group != "optim" else ()
    if name.startswith("my_images"):
        overrides += ["shape=[3,16,16]", "health.n=4", "model.G.width=8", "model.D.width=8", "model.G.w_dim=8"]
    done = run(*overrides, *small)
    assert (done.result["status"], done.result["iterations"]) == ("completed", 2)
    scored = {score for score in done.result["final"] if "/" not in score}
    assert bool(scored) == bool(done.config["metrics"]["scores"])
    state = torch.load(done.newest_checkpoint(), weights_only=True)["state_dict"]
    assert state
    assert all(value.isfinite().all() for value in state.values())


@pytest.mark.parametrize("loss", ["minimax", "hinge", "wasserstein"])
@pytest.mark.parametrize("penalty", ["none", "r1", "weight_clipping"])
@pytest.mark.parametrize("model", ["maxout", "dcgan"])
def test_choices_compose_freely(run, pictures, loss, penalty, model):
    data = ("data=images", f"data.source={pictures}", "shape=[1,20,18]", "data.flip=true")
    done = run(*data, f"model={model}", f"loss={loss}", f"penalty={penalty}", *NARROW[model], *SMALL, "k=2")
    assert done.result["status"] == "completed"


def test_bf16_trains(run, pictures):
    data = ("data=images", f"data.source={pictures}", "model=dcgan")
    done = run(*data, *NARROW["dcgan"], *SMALL, "trainer.precision=bf16-mixed", "penalty=gradient_penalty")
    assert done.result["status"] == "completed"


def chosen(*overrides, tmp_path):
    return resolve(composed(*overrides, path=tmp_path))


def test_images_and_dcgan_alone_pick_a_recipe_that_trains_well(tmp_path):
    config = chosen("data=cifar10", "model=dcgan", tmp_path=tmp_path)
    for net in ("G", "D"):
        assert config["optim"][net]["lr"] == 2e-4
        assert config["optim"][net]["betas"] == [0.5, 0.999]
    assert config["prior"] == {"_target_": "ganlab.game.priors.Normal", "dim": 100}
    assert config["metrics"]["picture"]["draw"]["_target_"] == "ganlab.figures.pictures.Grid"
    assert config["ema_decay"] == 0.999


def test_the_command_line_has_the_last_word_over_a_recipe(tmp_path):
    config = chosen(
        "data=cifar10",
        "model=dcgan",
        "optim=sgd",
        "metrics=none",
        "theory=none",
        "batch_size=9",
        "prior=uniform",
        tmp_path=tmp_path,
    )
    assert config["optim"]["D"]["_target_"] == "torch.optim.SGD"
    assert config["metrics"]["picture"] is None
    assert config["batch_size"] == 9
    assert config["prior"]["dim"] == 100  # of the model


def test_one_override_reaches_the_object_it_names(tmp_path):
    gan = game_of(validate(chosen("optim.D.lr=0.5", "penalty=r1", "penalty.r1.gamma=7", "model.D.width=9", tmp_path=tmp_path)))
    opt_G, opt_D = gan.configure_optimizers()
    assert (opt_G.param_groups[0]["lr"], opt_D.param_groups[0]["lr"]) == (1e-3, 0.5)
    assert gan.terms["r1"].gamma == 7
    assert gan.D.trunk[1].out_features == 9


MISTAKES = {
    "+metrics.scores.parzen._target_=ganlab.metrics.parzen.ParzenWindow metrics.n=500": "metrics.n_real = 500 is too few",
    "k=0": "k = 0: input should be greater than or equal to 1",
    "k=-1": "k = -1",
    "k=two": "k = 'two': input should be a valid integer",
    "k=2.5": "k = 2.5",
    "batch_size=0": "batch_size = 0",
    "iterations=0": "iterations = 0",
    "seed=-1": "seed = -1",
    "seed=5000000000": "seed = 5000000000",
    "augment=ada": "augment = Adaptive is of images (C, H, W) but shape is [2]: try augment=instance_noise",
    "augment=diffaugment": "augment = Chain is of images (C, H, W) but shape is [2]",
    "average=power average.stds=[0.1,0.5]": "average: the relative width of an average lies in 0..0.289, got 0.5",
    "ema_decay=1.0": "ema_decay = 1.0",
    "ema_ramp=1": "ema_ramp = 1",
    "optim.lr=abc": "optim.lr = 'abc'",
    "optim.D.lr=-1": "optim.D.lr = -1: a learning rate cannot be negative",
    "optim.betas=[1.5,0.9]": "optim.G: Invalid beta parameter",
    "+kk=3": "unknown key kk: did you mean k?",
    "+optim.G.lrr=1": "unknown key optim.G.lrr: did you mean lr?",
    "+optim.lrr=1": "unknown key optim.lrr",
    "+trainer.determinstic=true": "unknown key trainer.determinstic: did you mean deterministic?",
    "+trainer.max_epochs=3": "trainer.max_epochs is set by ganlab itself",
    "data.std=0": "data: std must be > 0, got 0",
    "data.modes=x": "data.modes = 'x'",
    "data._target_=ganlab.data.toy.rong": "ganlab.data.toy.rong: ganlab.data.toy has no rong: did you mean ring?",
    "model.G.activation._target_=torch.nn.Relu": "torch.nn has no Relu: did you mean ReLU?",
    "loss._target_=nowhere.Loss": "nowhere.Loss: there is no module nowhere: install it, or give package.module.Class",
    "loss._target_=torch.nn": "loss._target_ = torch.nn is no class and no function",
    "loss._target_=torch..nn": "loss._target_ = torch..nn is no name: give package.module.Class",
    "prior._target_=builtins.complex ~prior.dim": "is no Prior, for it has no coordinate and no dim and no interpolate",
    "adjust=[top_k,label_smoothing]": "TopK is of a minibatch, and label smoothing of each example: it comes first",
    "metrics=parzen": "50000:51000+test but this data has no splits: take other metrics, or set it to null",
    "model=dcgan": "model.G: dcgan needs images (C, H, W) but shape is [2]: try model=mlp",
    "shape=[3]": "shape = [3] but the data has [2]",
    "data=images": "data.source is missing",
    "trainer.precision=16-mixed": "use bf16-mixed or 32-true",
    "trainer.precision=12": "trainer.precision = 12",
    "penalty=weight_clipping penalty.weight_clipping.limit=-1": "penalty.weight_clipping: weight clipping needs limit > 0",
    "penalty=gradient_penalty penalty.gradient_penalty.target=-1": "penalty.gradient_penalty: target must be >= 0, got -1",
    "penalty=r1 penalty.gamma=1": "unknown key penalty.gamma: a penalty is set by its name, as in penalty=r1 penalty.r1.",
    "penalty=r1 +penalty.lecam.weight=1": "penalty.lecam is set but not chosen: add penalty=lecam, or leave",
    "+penalty.gamma=1": "penalty.gamma = 1: a penalty is set by its name, as in penalty=r1 penalty.r1.gamma=1",
    "+penalty={x:{gamma:5}}": "penalty.x is set but not chosen: add penalty=x, or leave +penalty out",
    "+penalty.items._target_=ganlab.game.terms.R1 +penalty.items.gamma=1": "penalty.items: a penalty cannot have this name",
    "~penalty": "penalty is missing: choose one of conf/penalty",
    "penalty=r1 penalty.r1.every=true": "penalty.r1.every = true: input should be a number",
    "model.G.width=true": "model.G.width = true: input should be a number",
    "penalty=r1 penalty.r1.every=0": "penalty.r1: every must be >= 1, got 0",
    "objective._target_=ganlab.game.priors.Normal +objective.dim=2": "is no Adversarial: choose one of conf/objective",
    "prior.dim=0": "prior: dim must be >= 1, got 0",
    "logger.mode=on logger=wandb": "unknown key logger.mode",
    "k=true": "k = True",
    "trainer.precision=bf16-true": "use 32-true, bf16-mixed or 64-true",
    "trainer=cpu trainer.devices=2": "2 processes need trainer=ddp",
    "+trainer.gradient_clip_val=1": "trainer.gradient_clip_val is set by ganlab itself",
    "+trainer.max_time=00:00:01:00": "trainer.max_time is set by ganlab itself",
    "iterations=5 images=100": "iterations and images are two budgets",
    "model.G.width=0": "model.G: width must be >= 1, got 0",
    "model.D.depth=-1": "model.D: depth must be >= 1, got -1",
    "model=maxout model.D.dropout=[0.2,0.5]": "model.D: dropout needs three shares",
    "data=mixture1d data.means=[] data.stds=[] data.weights=null": "data: a mixture needs means",
    "data.radius=inf": "data.radius = inf: a number has to be finite",
    "loss._target_=ganlab.game.priors.Normal +loss.dim=2": "loss._target_ = ganlab.game.priors.Normal is no Loss",
    "metrics=images": "metrics.picture.draw: Grid draws images but shape is [2]: try metrics=points",
    "metrics.picture.draw.n=0": "metrics.picture.draw: n must be >= 1, got 0",
    "checkpoint.keep=0": "checkpoint.keep = 0",
    "metrics=modes data=swissroll": "metrics.scores.modes: ModeCounts needs a mixture",
    "resume=nowhere": "resume = nowhere is not a run directory",
    "resume=nowhere.ckpt": "resume = nowhere.ckpt: there is no such file",
}


@pytest.mark.parametrize("overrides", MISTAKES)
def test_a_mistake_is_one_sentence_before_training_and_leaves_nothing(run, tmp_path, overrides):
    from hydra.errors import ConfigCompositionException

    with pytest.raises((UserError, ConfigCompositionException)) as caught:
        run(*overrides.split())
    told = str(caught.value) if caught.type is UserError else sentence(caught.value)
    assert MISTAKES[overrides] in told
    assert "\n" not in told
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_a_directory_that_has_a_run_is_not_trained_over(run, tmp_path):
    first = run("iterations=2", "metrics=none", "theory=none")
    before = {path: path.read_bytes() for path in first.path.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match="has a run already: go on with resume="):
        run("iterations=1", "k=2", "metrics=none", "theory=none")
    assert before == {path: path.read_bytes() for path in first.path.rglob("*") if path.is_file()}


def test_the_values_that_were_checked_are_the_values_that_are_used_and_kept(run):
    done = run("iterations=2", "batch_size=8.0", "prior.dim=3.0", "optim.betas=[0,0.9]", "metrics=none", "theory=none")
    assert repr(done.config["batch_size"]) == "8"
    assert done.config["optim"]["betas"] == [0.0, 0.9]


def test_one_jobs_threads_do_not_become_the_next_ones(run, monkeypatch):
    import ganlab.run.experiment

    monkeypatch.setattr(ganlab.run.experiment, "ALL_THREADS", 2)
    run("iterations=1", "metrics=none", "theory=none", "threads=1", name="a")
    assert torch.get_num_threads() == 1
    run("iterations=1", "metrics=none", "theory=none", "threads=null", name="b")
    assert torch.get_num_threads() == 2


def test_a_gpu_that_is_not_there(run, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="use trainer=cpu"):
        run("trainer=gpu")


def test_a_batch_larger_than_the_data(run, pictures):
    with pytest.raises(UserError, match="batch_size=64 is larger than the 16 images"):
        run("data=images", f"data.source={pictures}")


def test_a_constructors_own_bug_is_not_taken_for_a_users_mistake(monkeypatch):
    def broken(dim):
        raise KeyError("ours")

    monkeypatch.setattr("ganlab.game.priors.Normal", broken)
    with pytest.raises(Exception, match="ours") as caught:
        build({"_target_": "ganlab.game.priors.Normal", "dim": 2}, "prior")
    assert caught.type is not UserError


COMMAND_LINE = {
    "modl=mlp": "unknown key modl: did you mean model?",
    "data=cifr10": "data = cifr10 is no choice: did you mean cifar10?",
    "optim.lrr=1": "unknown key optim.lrr; `python train.py --cfg job -p optim` lists its keys",
    "-m experiment=dcgan,hinge data.source=x": "if it is one of each experiment that is swept over, write ++data.source=",
    "lr=1e-4,": "cannot read the override 'lr=1e-4,'",
    "k=1 --data=mnist": "--data is no option of python train.py: write data=mnist",
    "--trusst k=1": "--trusst is no option of python train.py: did you mean --trust?",
    "k=1 -m seed=0,1 optim.lr=x": "optim.lr = 'x'",
    "-m optim.lr=interval(1e-4,1e-2)": "interval(1e-4,1e-2) is a range to search in: add hydra/sweeper=tune",
    "penalty=[r1,r3]": "penalty = r3 is no choice: did you mean r2?",
    "data=MNIST": "data = MNIST is no choice: did you mean mnist?",
    "k=0": "k = 0: input should be greater than or equal to 1",
}


def command(*arguments, cwd):
    return Forked(ROOT / "train.py", *arguments, cwd=cwd, env={**os.environ, "HOME": str(cwd)}).ended()


@pytest.mark.slow
@pytest.mark.parametrize("override", COMMAND_LINE)
def test_the_command_tells_a_mistake_in_one_line_and_exits_with_2(tmp_path, override):
    done = command(*override.split(), cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("ganlab: error: ")
    assert done.stderr.count("\n") == 1
    assert COMMAND_LINE[override] in done.stderr
    assert not list(tmp_path.rglob("*_ring-mlp*"))


@pytest.mark.slow
def test_a_folder_among_configs_that_has_the_name_of_a_key(tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "mine.yaml").write_text("")
    done = command("--config-dir", ".", "runs=elsewhere", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("ganlab: error: runs is a folder where configs are looked for")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    done = command("runs=file", cwd=tmp_path)
    assert done.returncode == 2
    assert "ganlab: error: cannot use" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_auto_goes_on_with_the_newest_run_of_the_same_config_and_resume_repeats_its_overrides(tmp_path):
    small = ("logger=csv", "metrics=none", "theory=none", "k=2", "resume=auto")
    assert command("iterations=4", *small, cwd=tmp_path).returncode == 0
    again = command("iterations=4", *small, cwd=tmp_path)
    assert (again.returncode, "nothing to do" in again.stderr) == (0, True)
    assert command("iterations=6", *small, cwd=tmp_path).returncode == 0
    (folder,) = {path.parent for path in tmp_path.glob("runs/*/*/result.json")}
    third = command(f"resume={folder}", "iterations=8", cwd=tmp_path)  # k=2 is remembered
    assert third.returncode == 0, third.stderr
    assert "Restor" not in third.stdout + third.stderr  # Lightning says so, where it was imported before Hydra's logging
    assert sorted(p.name for p in folder.glob("checkpoints/*")) == [f"step-{t:09d}.ckpt" for t in (4, 6, 8)]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1], ids=lambda number: number.name)
def test_a_signal_ends_a_run_with_a_checkpoint_and_resume_goes_on_as_if_nothing_had_happened(run, tmp_path, number):
    small = ("logger=csv", "metrics=none", "theory=none", "iterations=400", "log_every=1")
    table = tmp_path / "part" / "metrics.csv"
    process = Forked(ROOT / "train.py", "hydra.run.dir=part", *small, cwd=tmp_path)
    while not table.exists() or len(table.read_text().splitlines()) < 20:
        assert process.poll() is None, process.ended().stderr
        time.sleep(0.02)
    process.send_signal(number)
    told = process.ended().stderr
    assert process.returncode == 75
    assert "go on with resume=" in told
    part = RunDirectory(tmp_path / "part")
    stopped = part.result["iterations"]
    assert 19 <= stopped < 400
    assert part.result["status"] == "interrupted"
    assert part.newest_checkpoint().stem == f"step-{stopped:09d}"
    if number != signal.SIGTERM:  # from here on all signals are alike
        return
    whole = run(*small, name="whole")
    run(*small, f"resume={part.path}", name="part")
    assert part.result["resumed_from"].endswith(f"step-{stopped:09d}.ckpt")
    a, b = (torch.load(done.newest_checkpoint(), weights_only=True) for done in (part, whole))
    assert same_state(a["state_dict"], b["state_dict"])


def test_saved_overrides_come_before_the_new_ones(tmp_path):
    (tmp_path / "overrides.yaml").write_text("[k=2, resume=auto, images=400, +trainer.x=1]")
    argv = ["train.py", f"resume={tmp_path}", "iterations=9"]
    assert with_saved_overrides(argv) == ["train.py", "k=2", "+trainer.x=1", *argv[1:]]  # one budget replaces the other
    assert with_saved_overrides(["train.py", "k=3"]) == ["train.py", "k=3"]


def test_every_group_of_a_run_may_be_chosen_by_its_saved_overrides(tmp_path):
    chosen = {}
    for folder in (ROOT / "conf").iterdir():
        if folder.is_dir() and folder.name not in NOT_OF_A_RUN:
            chosen[folder.name] = sorted(file.stem for file in folder.glob("*.yaml"))[0]
    saved = [f"{group}={name}" for group, name in chosen.items()]
    assert "condition=ac_gan" in saved
    (tmp_path / "overrides.yaml").write_text(yaml.safe_dump(saved))
    assert with_saved_overrides(["train.py", f"resume={tmp_path}"]) == ["train.py", *saved, f"resume={tmp_path}"]


@pytest.mark.parametrize("sign", ["", "++"])
def test_iterations_on_the_command_line_replace_an_experiments_images(tmp_path, sign):
    given = ["experiment=sweep_k", f"{sign}iterations=7"]
    assert settings_of(composed(*given, path=tmp_path), given).iterations == 7
    assert settings_of(composed(given[0], path=tmp_path), given[:1]).iterations == 4000
    both = ["images=null", f"{sign}iterations=7"]
    assert settings_of(composed(*both, path=tmp_path), both).iterations == 7


def test_a_number_of_another_average_is_told_to_have_no_part_in_it(tmp_path, caplog):
    for given, told in (
        (["average=half_life", "ema_decay=0.9"], ["ema_decay is not looked at by average = HalfLife"]),
        (["average=power", "ema_ramp=3"], ["ema_ramp is not looked at by average = Power"]),
        (["average=half_life"], []),  # data=ring has a decay of its own
        (["ema_decay=0.9", "ema_ramp=3"], []),
    ):
        caplog.clear()
        settings_of(composed(*given, path=tmp_path), given)
        assert [r.getMessage().split(":")[0] for r in caplog.records] == told


def test_a_choice_on_the_line_leaves_out_what_a_preset_says_of_another(tmp_path, pictures, caplog):
    source = f"data.source={pictures}"
    for given, told in (
        (["model=stylegan2", "average=power"], ["average.images"]),
        (["experiment=r3gan", source, "average=decay", "augment=none"],
         ["augment.p", "augment.colour", "augment.cutout", "schedule.numbers.augment.p", "average.images",
          "average.ramp", "schedule.numbers.average.images"]),
        (["experiment=r3gan", source, "penalty=r1", "augment=ada", "optim=adam"],
         ["schedule.numbers.augment.p", "schedule.numbers.penalty.r2"]),
        (["schedule=r3gan", "penalty=r1", "model=sngan", "data=mnist"], ["schedule.numbers.penalty.r2"]),
        (["experiment=my_images", source, "model=dcgan"],
         ["average.images", "model.G.doublings", "model.D.doublings", "model.D.group", "model.D.residual"]),
        (["experiment=r3gan", source], []),
        (["model=stylegan2", "average=half_life", "augment=ada"], []),
        (["experiment=dcgan_ac", source, "objective=adversarial"], ["objective.on_data", "objective.on_samples"]),
    ):  # fmt: skip
        caplog.clear()
        settings = settings_of(composed(*given, path=tmp_path), given)
        assert [r.getMessage().split(" of a preset")[0] for r in caplog.records] == told
        for key in told:
            place, _, name = key.rpartition(".")
            assert name not in (value_at(settings.model_dump(), place) or {})
    given = ["experiment=my_images", source, "model=dcgan", "seed=1", "shape=[3,32,32]", "iterations=3"]
    note = settings_of(composed(*given, path=tmp_path), given).note
    assert note.startswith("my_images: StyleGAN2")
    assert note.endswith("; on the line: model=dcgan, shape=[3,32,32]")
    assert settings_of(composed(*given[:2], path=tmp_path), given[:2]).note.endswith("(features=FILE)")
    for name in ("images", "imgs"):  # what the line itself says is a mistake
        given = ["model=stylegan2", "average=power", f"+average.{name}=3" if name == "imgs" else f"average.{name}=3"]
        with pytest.raises(UserError, match=rf"unknown key average\.{name}; known are every, stds"):
            average_of(settings_of(composed(*given, path=tmp_path), given).model_dump())
    given = ["augment=none", "+augment.p=0.1"]
    with pytest.raises(UserError, match=r"unknown key augment\.p"):
        game_of(settings_of(composed(*given, path=tmp_path), given))


def test_a_run_that_never_began_takes_nothing_from_a_folder_where_another_process_is_at_work(tmp_path):
    files = [tmp_path / ".lock", tmp_path / "run.log"]
    with FileLock(tmp_path / ".lock"):
        files[1].touch()
        discard(tmp_path)
        assert all(file.exists() for file in files)
    discard(tmp_path)
    assert not tmp_path.exists()
