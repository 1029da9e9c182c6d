"""The `ganlab` command, for what comes after training. Training itself is train.py."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ganlab.entry import guarded


def main() -> None:
    parser = argparse.ArgumentParser(prog="ganlab", description=__doc__)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("sample", help="images (or points), a grid and an interpolation from a run directory")
    command.add_argument("run", metavar="RUN", help="a run directory")
    command.add_argument("--n", type=int, default=64, help="samples (default 64)")
    command.add_argument("--seed", type=int, default=0, help="of z (default 0)")
    command.add_argument("--checkpoint", help="a file or its name (default: the newest)")
    command.add_argument("--out", type=Path, help="folder (default: RUN/generated/CHECKPOINT-seedSEED)")
    command.add_argument("--trust", action="store_true", help="build networks that are not ganlab's own code")
    command.set_defaults(do=_sample)
    arguments = parser.parse_args()
    sys.exit(guarded(lambda: arguments.do(arguments)))


def _sample(arguments: argparse.Namespace) -> None:
    from ganlab.runs import RunDirectory
    from ganlab.sample import named, sample

    run = RunDirectory(arguments.run)
    run.config  # noqa: B018 (a wrong path is reported before a wrong checkpoint)
    checkpoint = named(run, arguments.checkpoint)
    print(sample(run, arguments.n, arguments.seed, checkpoint, arguments.out, arguments.trust))


if __name__ == "__main__":
    main()
