"""Sweeps that survive: one process a job, each of which is skipped, resumed or retried when the same command comes again."""
