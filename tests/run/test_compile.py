"""`compile=inductor` in whole runs: what it is told, refused, and gone on with."""

import csv

import pytest
from conftest import NO_COMPILER
from torch.testing import assert_close

from ganlab.errors import UserError
from ganlab.files.checkpoint import read_checkpoint
from ganlab.game.compiled import Inductor

TINY = ("metrics=none", "theory=none", "batch_size=16", "model.G.width=8", "model.D.width=8", "trainer=cpu", "log_every=4",
        "trainer.precision=64-true", "penalty=r1", "penalty.r1.every=4", "ema_decay=0.9", "figures=false")  # fmt: skip


def states(run):
    saved = read_checkpoint(max(run.checkpoints.glob("*.ckpt")))
    kept = {f"{i}.{j}.{key}": value for i, opt in enumerate(saved["optimizer_states"])
            for j, state in opt["state"].items() for key, value in state.items()}  # fmt: skip
    return {**saved["state_dict"], **kept}


def rows(run):
    with run.table_file.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.skipif(NO_COMPILER, reason="needs a C++ compiler")
def test_a_run_tells_what_compiling_costs_and_can_be_gone_on_with_as_it_is_written(run, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(Inductor, "made", lambda self, module, given: module.forward)  # the graph, without half a minute of g++
    whole = run(*TINY, "iterations=24", name="whole")
    with caplog.at_level("WARNING"):
        run(*TINY, "compile=inductor", "iterations=16", name="parts")
    assert [record.message for record in caplog.records if "compile" in record.message] == [*Inductor.told]
    parts = run(*TINY, "compile=none", "iterations=24", f"resume={tmp_path / 'parts'}", name="parts")
    assert parts.result["status"] == "completed"
    assert states(parts).keys() == states(whole).keys()
    for key, value in states(whole).items():
        assert_close(states(parts)[key], value, rtol=1e-9, atol=1e-12)
    assert len(rows(whole)) >= 6
    for mine, its in zip(rows(parts), rows(whole), strict=True):
        for key in ("iteration", "train/loss_D", "train/loss_G", "train/penalty", "train/lr_G", "train/V"):
            assert float(mine[key]) == pytest.approx(float(its[key]), rel=1e-9, abs=1e-12)


@pytest.mark.skipif(NO_COMPILER, reason="needs a C++ compiler: without one that is refused first")
@pytest.mark.parametrize(("overrides", "sentence"), [
    (["optim=sgd"], r"compile: only Adam and AdamW .* optim.G is SGD: use optim=adam"),
    (["replicas=2"], r"replicas: compile \(Inductor\) is of one game: use compile=none"),
])  # fmt: skip
def test_what_cannot_be_compiled_is_refused_before_anything_is_written(run, tmp_path, overrides, sentence):
    with pytest.raises(UserError, match=sentence):
        run("compile=inductor", "iterations=4", *overrides)
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and file.stat().st_size]
