"""trainer.precision=64-true: everything that enters a number is in float64, and 32-true is as it was."""

import pytest
import torch

from ganlab.files.table import read

SMALL = (
    "iterations=3",
    "model.G.width=8",
    "model.D.width=8",
    "log_every=1",
    "trainer=cpu",
    "metrics.every=3",
    "health.every=3",
)


@pytest.mark.parametrize("data", ["ring", "normal1d", "mixture2d", "swissroll"])
def test_float64_from_the_data_to_the_checkpoint(data, run):
    double = run(f"data={data}", *SMALL, "trainer.precision=64-true", "metrics.picture=null", name="double")
    state = torch.load(double.newest_checkpoint(), weights_only=True)
    assert {value.dtype for value in state["state_dict"].values() if value.is_floating_point()} == {torch.float64}
    assert torch.get_default_dtype() is torch.float32  # for whoever comes after
    losses = [row["train/loss_D"] for row in read(double.table_file) if "train/loss_D" in row]
    assert any(loss != torch.tensor(loss, dtype=torch.float32).item() for loss in losses)  # digits that float32 has not
