"""Scores of samples, as torchmetrics.Metric classes: update(x [n, *S], real: bool), compute() -> scalar. They are computed
on one process and never synchronised, so that an evaluation on rank 0 does not wait for the others."""
