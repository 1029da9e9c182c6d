"""The `ganlab` command, for what comes after training. Training itself is train.py."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ganlab.signals import listen

WIDTH = "with average=power: the average of G of this width, a share of the iterations, as 0.08"


def main() -> None:
    listen()  # before seconds of importing
    from ganlab.run.command_line import guarded

    parser = argparse.ArgumentParser(prog="ganlab", description=__doc__)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("sample", help="images (or points), a grid and an interpolation from a run directory")
    command.add_argument("run", metavar="RUN", help="a run directory")
    command.add_argument("--n", type=int, default=64, help="samples (default 64)")
    command.add_argument("--seed", type=int, default=0, help="of z (default 0)")
    command.add_argument("--classes", type=_numbers, help="what G is asked for, by turns: 3,7 (default: as the data have them)")
    command.add_argument("--checkpoint", help="a file or its name (default: the newest)")
    command.add_argument("--ema-std", type=float, metavar="WIDTH", help=WIDTH)
    command.add_argument("--out", type=Path, help="folder (default: RUN/generated/CHECKPOINT-seedSEED)")
    command.add_argument("--trust", action="store_true", help="build networks that are not ganlab's own code")
    command.set_defaults(do=_sample)
    command = commands.add_parser("phase", help="phase portraits of Dirac-GANs side by side, and how far each ended")
    command.add_argument("runs", metavar="DIR", nargs="+", type=Path, help="run directories, or folders of them")
    command.add_argument("--out", type=Path, default=Path("phase.png"), help="the picture (default: phase.png)")
    command.add_argument("--trust", action="store_true", help="build losses and the like that are not ganlab's own code")
    command.set_defaults(do=_phase)
    command = commands.add_parser("evaluate", help="score trained generators, with a card that says how")
    command.add_argument("runs", metavar="RUN", nargs="+", help="run directories; then metrics.n=10000 and the like")
    command.add_argument("--metrics", help="a choice of conf/metrics (default: what the run was scored by)")
    command.add_argument("--checkpoint", help="a file or its name (default: the newest)")
    command.add_argument("--n", type=int, help="samples (default: metrics.n), and real examples if metrics.n_real is null")
    command.add_argument("--raw", action="store_true", help="G itself, where there is an average of it")
    command.add_argument("--ema-std", type=float, metavar="WIDTH", help=WIDTH)
    command.add_argument("--seed", type=int, help="of z (default: that of the run)")
    command.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    command.add_argument("--trust", action="store_true", help="build networks that are not ganlab's own code")
    command.set_defaults(do=_evaluate)
    command = commands.add_parser("compare", help="what beats what, by how much, how surely: a report of finished runs")
    command.add_argument("runs", metavar="DIR", nargs="+", type=Path, help="run directories, or folders of them, as a sweep's")
    command.add_argument("--reference", help="the setting that the others are tested against (default: the first)")
    command.add_argument("--versus", metavar="KEY=VALUE", help="test each setting against that which is the same but for this")
    command.add_argument("--at", metavar="AXIS=N", help="at an equal budget: iterations, d_steps, images or seconds")
    command.add_argument("--out", type=Path, help="folder (default: compare beside the first DIR)")
    command.set_defaults(do=_compare)
    command = commands.add_parser("features", help="train the small classifier that metrics=classifier looks through")
    command.add_argument("overrides", metavar="KEY=VALUE", nargs="+", help="as train.py would be given: data=mnist, ...")
    command.add_argument("--epochs", type=int, help="passes over the data (default 3, of colour images 8)")
    command.add_argument("--seed", type=int, default=0, help="of its weights and minibatches (default 0)")
    command.add_argument("--out", type=Path, help="the file (default: features/DATA.pt)")
    command.set_defaults(do=_features)
    command = commands.add_parser("reproduce", help="published numbers, measured again: without a name, which there are")
    command.add_argument("names", metavar="CLAIM", nargs="*", help="its name, or a yaml file of your own")
    command.add_argument("--all", action="store_true", help="run all that have no record, and write docs/reproduced.md")
    command.add_argument("--quick", action="store_true", help="with --all: the cheapest of them, ten minutes together")
    command.add_argument("--report", action="store_true", help="run nothing, write docs/reproduced.md from the records")
    command.add_argument("--jobs", type=int, default=1, metavar="N", help="runs at a time (default 1)")
    command.add_argument("--runs", default="runs", help="where run directories go (default runs)")
    command.add_argument("--out", type=Path, help="folder of reproduced.md and reproduced.html (default docs)")
    command.set_defaults(do=_reproduce)
    arguments, rest = parser.parse_known_args()  # argparse takes no KEY=VALUE after an option
    if rest and (arguments.do is not _evaluate or not all("=" in text and not text.startswith("-") for text in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    arguments.rest = rest
    sys.exit(guarded(lambda: arguments.do(arguments), overrides=False))


def _sample(arguments: argparse.Namespace) -> None:
    from ganlab.commands.sample import checkpoint_of, sample
    from ganlab.files.run import RunDirectory

    run = RunDirectory(arguments.run)
    run.config  # noqa: B018 (a wrong path is reported before a wrong checkpoint)
    checkpoint = checkpoint_of(run, arguments.checkpoint)
    given = (arguments.n, arguments.seed, checkpoint, arguments.out, arguments.trust, arguments.ema_std, arguments.classes)
    print(sample(run, *given))


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _compare(arguments: argparse.Namespace) -> None:
    from ganlab.report.compare import compare

    print(compare(arguments.runs, arguments.out, arguments.reference, arguments.at, arguments.versus))


def _features(arguments: argparse.Namespace) -> None:
    from ganlab.commands.features import make

    make(arguments.overrides, arguments.out, arguments.epochs, arguments.seed)


def _evaluate(arguments: argparse.Namespace) -> None:
    from ganlab.commands.evaluate import EvaluationRequest, evaluate
    from ganlab.errors import UserError

    overrides = [text for text in (*arguments.runs, *arguments.rest) if "=" in text]
    if arguments.n is not None:
        overrides.append(f"metrics.n={arguments.n}")
    runs = [Path(text) for text in arguments.runs if "=" not in text]
    if not runs:
        raise UserError("ganlab evaluate needs a run directory: it was given overrides only")
    given = {key: getattr(arguments, key) for key in ("checkpoint", "metrics", "raw", "ema_std", "seed", "device", "trust")}
    for file in evaluate(runs, EvaluationRequest(overrides=overrides, **given)):
        print(file)


def _reproduce(arguments: argparse.Namespace) -> None:
    from ganlab.commands.reproduce import ReproduceRequest, reproduce

    every = arguments.all or arguments.quick
    given = (arguments.quick, arguments.report, arguments.jobs, arguments.runs, arguments.out)
    reproduce(ReproduceRequest(arguments.names, every, *given))


def _phase(arguments: argparse.Namespace) -> None:
    from ganlab.commands.phase import phase

    for line in phase(arguments.runs, arguments.out, arguments.trust):
        print(line)


if __name__ == "__main__":
    main()
