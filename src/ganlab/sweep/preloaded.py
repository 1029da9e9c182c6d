"""What a job's process finds imported when it is forked: seconds that each would spend."""

from __future__ import annotations

import ganlab.run.experiment  # noqa: F401
from ganlab.run.lightly import keep

keep()
