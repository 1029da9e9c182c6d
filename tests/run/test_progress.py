"""What a run says of itself where there is no terminal."""

import io
from types import SimpleNamespace

from rich.console import Console

from ganlab.run import progress
from ganlab.run.progress import ProgressBar


def test_a_line_says_how_fast_it_is_and_how_long_it_takes_from_here(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    bar = ProgressBar("one", SimpleNamespace(latest={"train/V": -1.386, "train/lr_G": 1.0}))
    bar.console = Console(file=io.StringIO(), width=200)
    trainer = SimpleNamespace(is_global_zero=True, max_steps=62_500, should_stop=False)
    bar.on_train_start(trainer, SimpleNamespace(t=500))  # resumed: those were done at another time
    for t, seconds in ((501, 0.04), (520, 199.96), (521, 1.0), (1500, 9800.0), (62_500, 9.0)):
        now[0] += seconds
        bar.on_train_batch_end(trainer, SimpleNamespace(t=t))
    lines = bar.console.file.getvalue().splitlines()
    assert lines == [
        "one: 500 of 62,500 iterations done",
        "iteration 501/62,500  25 it/s  V -1.39",
        "iteration 520/62,500  0.1 it/s  7 d left  V -1.39",
        "iteration 1,500/62,500  0.1 it/s  7 d left  V -1.39",
        "iteration 62,500/62,500  6.19 it/s  V -1.39",
    ]
