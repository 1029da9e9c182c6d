"""The content of a data set is its identity; its path is where it lies today."""

import gzip
import json
import shutil
import struct

import numpy as np
import pytest
import torch
from conftest import composed, same_state
from PIL import Image

from ganlab.commands.evaluate import EvaluationRequest, _candidate
from ganlab.commands.sample import sample
from ganlab.data import datasets
from ganlab.errors import UserError
from ganlab.files.run import RunDirectory, differences, newest_like
from ganlab.run.command_line import with_saved_overrides
from ganlab.run.experiment import train
from ganlab.run.identity import fingerprint_of

SMALL = ("shape=[1,8,8]", "batch_size=8", "metrics.picture=null", "model.G.width=8", "model.D.width=8", "metrics.n=10",
         "+metrics.scores.sliced._target_=ganlab.metrics.sliced.SlicedWasserstein", "health.every=100")  # fmt: skip


def write(folder, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 8, 8), np.uint8)
    for i, image in enumerate(pixels):
        (folder / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / "ab"[i % 2] / f"{i:02}.png")
    return folder


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The working directory, with pictures in it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "pictures")
    return tmp_path


@pytest.fixture
def trained(run, place):
    return run("data=images", "data.source=pictures", *SMALL, "iterations=2")


def resumed(run, *new):
    argv = with_saved_overrides(["train.py", f"resume={run.path}", *new])
    train(composed(*argv[1:], path=run.path))
    return RunDirectory(run.path)


def test_a_run_goes_on_wherever_its_data_lie(run, trained, place, monkeypatch):
    whole = run("data=images", "data.source=pictures", *SMALL, "iterations=4", name="whole")
    assert trained.data["place"] == {"source": str(place / "pictures")}
    shutil.make_archive(str(place / "packed"), "zip", place, "pictures")
    shutil.move(place / "pictures", place / "moved")
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    with pytest.raises(UserError, match=r"data.source=.*pictures cannot be read"):
        resumed(trained, "iterations=3")
    resumed(trained, "iterations=3", "data.source=../moved")
    assert trained.data["place"] == {"source": str(place / "moved")}
    done = resumed(trained, "iterations=4", f"data.source={place}/packed.zip")  # the same pictures, in a zip
    assert done.result["iterations"] == 4
    one, other = (torch.load(r.newest_checkpoint(), weights_only=True)["state_dict"] for r in (done, whole))
    assert same_state(one, other)


def test_data_that_have_changed_are_refused(trained, place):
    x = np.array(Image.open(place / "pictures" / "a" / "00.png"))
    x[0, 0] ^= 1
    Image.fromarray(x).save(place / "pictures" / "a" / "00.png")
    with pytest.raises(UserError, match=r"was trained on other data than .*/pictures holds now \(\w+ -> \w+\): restore them"):
        resumed(trained, "iterations=4")
    with pytest.raises(UserError, match="was trained on other data"):
        _candidate(trained, EvaluationRequest())
    with pytest.raises(UserError, match="was trained on other data"):  # a branch
        train(composed("data=images", "data.source=pictures", *SMALL, "iterations=4", f"resume={trained.newest_checkpoint()}",
                       path=place / "branch"))  # fmt: skip
    assert trained.result["iterations"] == 2


def test_a_label_is_content_and_a_name_is_not(place):
    one = datasets.images("pictures", [1, 8, 8]).fingerprint
    shutil.copytree(place / "pictures", place / "renamed")
    for file in (place / "renamed" / "a").iterdir():
        file.rename(file.with_name(f"x{file.name}"))
    assert datasets.images("renamed", [1, 8, 8]).fingerprint == one
    (place / "renamed" / "b").rename(place / "renamed" / "c")
    assert datasets.images("renamed", [1, 8, 8]).fingerprint != one
    assert datasets.images("pictures", [1, 8, 8], "train:0:50%").fingerprint == one  # the part is in the config
    assert datasets.images("pictures", [3, 4, 4]).fingerprint == one


def test_a_run_is_evaluated_and_sampled_where_its_data_lie(trained, place, monkeypatch):
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    device = torch.device("cpu")
    here = _candidate(trained, EvaluationRequest())  # the path was relative: it is found where it was
    values = here.scorer(here.G, here.prior, device)
    shutil.move(place / "pictures", place / "moved")
    with pytest.raises(UserError, match="cannot be read"):
        _candidate(trained, EvaluationRequest())
    moved = _candidate(trained, EvaluationRequest(overrides=["data.source=../moved", "metrics.n=10"]))
    assert moved.scorer(moved.G, moved.prior, device) == values
    with pytest.raises(UserError, match="was trained on other data"):
        _candidate(trained, EvaluationRequest(overrides=[f"data.source={write(place / 'other', seed=1)}"]))
    with pytest.raises(UserError, match=r"data.root is no key of this run's data"):
        _candidate(trained, EvaluationRequest(overrides=["data.root=x"]))
    assert sample(trained, 2, 0, None, place / "out", trust=False).exists()


def test_a_run_from_before_fingerprints_goes_on(trained, place, caplog):
    trained.data_file.unlink()
    config = trained.config_file.read_text()
    trained.config_file.write_text("".join(line for line in config.splitlines(True) if "background" not in line))
    assert resumed(trained, "iterations=3").result["iterations"] == 3
    assert "from before" not in caplog.text
    trained.data_file.unlink()
    shutil.move(place / "pictures", place / "moved")
    assert resumed(trained, "iterations=4", "data.source=moved").result["iterations"] == 4
    assert "from before data had fingerprints" in caplog.text
    assert trained.data["fingerprint"]


@pytest.mark.parametrize("content", ["", "[1]", "{}", '{"fingerprint": "a", "place": 3}', '{"place": {"source": 3}}', "\xff"])
def test_a_damaged_data_json_is_as_none(trained, content):
    trained.data_file.write_bytes(content.encode("latin-1"))
    assert trained.data == {}
    assert _candidate(trained, EvaluationRequest()).source.fingerprint


def test_resume_auto_finds_the_run_of_the_same_data_alone(run, trained, place):
    def config(source):
        data = {**trained.config["data"], "source": str(source)}
        return {**trained.config, "data": data}

    def found(source):
        new = config(source)
        return newest_like(new, place, lambda: fingerprint_of(new["data"]))

    assert found("pictures") == found(place / "pictures") == trained.path
    shutil.copytree(place / "pictures", place / "copy")
    assert found(place / "copy") == trained.path
    assert found(write(place / "other", seed=1)) is None
    assert differences(trained.config, config("anywhere")) == []


def test_plain_and_packed_idx_files_are_the_same(place):
    def write_idx(folder, suffix):
        folder.mkdir()
        for kind, data in (("images-idx3", x), ("labels-idx1", y)):
            content = bytes([0, 0, 8, data.ndim]) + struct.pack(f">{data.ndim}I", *data.shape) + data.tobytes()
            (folder / f"train-{kind}-ubyte{suffix}").write_bytes(gzip.compress(content) if suffix else content)
        return folder

    x, y = np.arange(6 * 64, dtype=np.uint8).reshape(6, 8, 8), np.arange(6, dtype=np.uint8) % 3
    plain, packed = (write_idx(place / name, suffix) for name, suffix in (("plain", ""), ("packed", ".gz")))
    prints = {datasets.images(str(folder), [1, 8, 8]).fingerprint for folder in (plain, packed)}
    assert len(prints) == 1
    labels = packed / "train-labels-idx1-ubyte.gz"
    labels.write_bytes(gzip.compress(gzip.decompress(labels.read_bytes())[:-1] + b"\0"))
    assert datasets.images(str(packed), [1, 8, 8]).fingerprint not in prints


def test_a_law_has_no_place(run):
    done = run("iterations=1", "metrics=none", "theory=none")
    assert json.loads(done.data_file.read_text()) == {"fingerprint": None, "place": {}}


def test_runs_of_moved_data_are_of_one_data_set_in_a_report(run, trained, place):
    from ganlab.report.data import by_data
    from ganlab.report.read import Notes, read_runs

    shutil.copytree(place / "pictures", place / "copy")
    moved = run("data=images", "data.source=copy", *SMALL, "iterations=2", "seed=1", name="moved")
    other = run("data=images", f"data.source={write(place / 'other', seed=1)}", *SMALL, "iterations=2", name="other")
    runs = read_runs([trained.path, moved.path, other.path], Notes())
    assert [len(group) for group in by_data(runs).values()] == [2, 1]


def test_a_job_of_a_sweep_is_not_taken_for_one_of_other_data(run, trained, place):
    from ganlab.run.identity import refuse_elsewhere

    shutil.copytree(place / "pictures", place / "copy")
    refuse_elsewhere(trained, {**trained.config["data"], "source": str(place / "copy")})
    with pytest.raises(UserError, match="was trained on other data"):
        refuse_elsewhere(trained, {**trained.config["data"], "source": str(write(place / "other", seed=1))})


def test_a_run_goes_on_in_the_precision_that_it_has(run):
    small = ("metrics=none", "theory=none", "figures=false")
    before = run(*small, "iterations=2")
    with pytest.raises(UserError, match=r"another config \(trainer.precision: 32-true -> 64-true\): start a new run"):
        run(*small, "iterations=4", "trainer.precision=64-true", f"resume={before.path}")
    assert run(*small, "iterations=3", "trainer.precision=32", f"resume={before.path}").result["iterations"] == 3
