"""What only a GPU can show. Skipped without one."""

import pytest
import pytorch_lightning as pl
import torch
from conftest import composed, same_state
from PIL import Image

from ganlab.files.run import RunDirectory
from ganlab.run.config import resolve, validate
from ganlab.run.experiment import Experiment

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


class NoSync(pl.Callback):
    """Fails in any iteration from the fifth on that waits for the GPU."""

    def on_train_batch_start(self, trainer, *_):
        if trainer.global_step == 5:
            torch.cuda.set_sync_debug_mode("error")

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == 15:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("penalty", ["none", "r1", "gradient_penalty", "weight_clipping"])
@pytest.mark.parametrize("model", ["mlp", "maxout", "dcgan"])
def test_no_iteration_waits_for_the_gpu(tmp_path, model, penalty):
    overrides = [
        "trainer=gpu",
        "logger=csv",
        "metrics=none",
        "theory=none",
        "iterations=20",
        f"model={model}",
        f"penalty={penalty}",
        "k=2",
    ]
    if model == "dcgan":
        for i in range(64):
            Image.effect_noise((32, 32), 90.0).save(tmp_path / f"{i}.png")
        overrides += ["data=images", f"data.source={tmp_path}", "shape=[1,32,32]", "batch_size=8"]
    config = resolve(composed(*overrides, "log_every=20", path=tmp_path / "run"))
    run = RunDirectory(tmp_path / "run")
    experiment = Experiment(validate(config), run, {}, 0)
    experiment.trainer.callbacks.append(NoSync())
    run.create(config, overrides, {})
    try:
        assert experiment.run_to_the_end(config, None)["status"] == "completed"
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_two_runs_on_one_gpu_are_equal(run):
    a, b = (run("trainer=gpu", "iterations=20", "metrics=none", "theory=none", name=name) for name in "ab")
    states = [torch.load(done.newest_checkpoint(), map_location="cpu", weights_only=True)["state_dict"] for done in (a, b)]
    assert same_state(*states)
