"""Imported by the forkserver before anything else, where all jobs have ganlab's own parts only."""

from __future__ import annotations

from ganlab.run.lightly import import_lightly

import_lightly("")
