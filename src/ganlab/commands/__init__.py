"""The `ganlab` command: one file for each of its words."""
