"""Train one GAN, or sweep over many with -m. `python train.py --help` lists the choices; `ganlab train` is the same."""

from __future__ import annotations

import sys

from ganlab.signals import listen

listen()  # before seconds of importing: a signal then is told in one line, too

from ganlab.run.command_line import trained  # noqa: E402

if __name__ == "__main__":
    sys.exit(trained())
