"""The bench on which generative adversarial networks are studied: train, sample, score, compare."""

from __future__ import annotations

import argparse
import runpy
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from ganlab import __version__
from ganlab.files.command import SCRIPT
from ganlab.signals import listen

WIDTH = "with average=power: the average of G of this width, a share of the iterations, as 0.08"

WITH_D = "a choice of conf/sampling, by which D has a say in which samples: rejection, mh or langevin"
TRUNCATE = "z within so many standard deviations of 0 (prior=normal), or w so near to its mean (stylegan2: 0 to 1)"
TAKE_OVERRIDES = ("_sample", "_evaluate")  # KEY=VALUE after their options


class Parser(argparse.ArgumentParser):
    """A mistake is one sentence."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"ganlab: error: {message}; `{self.prog} --help` says how it is used\n")


def main() -> None:
    listen()  # before seconds of importing
    if sys.argv[1:2] == ["train"]:  # its words are Hydra's
        sys.argv = [str(SCRIPT), *sys.argv[2:]]
        runpy.run_path(sys.argv[0], run_name="__main__")
    parser = Parser(prog="ganlab", description=__doc__)
    parser.add_argument("--version", action="version", version=f"ganlab {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("train", help="one GAN, or with -m a sweep: KEY=VALUE, as python train.py in a checkout; train --help")
    command = commands.add_parser("sample", help="images (or points), a grid and an interpolation from a run directory")
    command.add_argument(
        "run", metavar="RUN", help="a run directory, or a checkpoint in it; with --with-D also sampler.K=100 ..."
    )
    command.add_argument("--n", type=int, default=64, help="samples (default 64)")
    command.add_argument("--seed", type=int, default=0, help="of z (default 0)")
    command.add_argument("--classes", type=_numbers, help="what G is asked for, by turns: 3,7 (default: as the data have them)")
    command.add_argument("--checkpoint", help="a file or its name (default: the newest)")
    command.add_argument("--ema-std", type=float, metavar="WIDTH", help=WIDTH)
    command.add_argument("--truncate", type=float, metavar="PSI", help=TRUNCATE)
    command.add_argument("--walk", type=int, metavar="FRAMES", help="also walk.gif: a walk through the prior, class by class")
    command.add_argument("--with-D", metavar="HOW", help=WITH_D)
    command.add_argument("--out", type=Path, help="folder (default: RUN/generated/CHECKPOINT-seedSEED)")
    command.add_argument("--trust", action="store_true", help="build networks that are not ganlab's own code")
    command.set_defaults(do=_sample)
    command = commands.add_parser("figures", help="all pictures of a run once more, from what is saved in it")
    command.add_argument("run", metavar="RUN", help="a run directory, also of a run that was interrupted or still trains")
    command.add_argument("--trust", action="store_true", help="build networks and losses that are not ganlab's own code")
    command.set_defaults(do=_figures)
    command = commands.add_parser("export", help="G as safetensors and ONNX, with a model card")
    command.add_argument("run", metavar="RUN", help="a run directory, or a checkpoint in it")
    command.add_argument("--checkpoint", help="a file or its name (default: the newest)")
    command.add_argument("--out", type=Path, help="folder (default: RUN/export)")
    command.add_argument("--trust", action="store_true", help="build networks that are not ganlab's own code")
    command.set_defaults(do=_export)
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
    command.add_argument("--with-D", metavar="HOW", help=f"{WITH_D}; then sampler.K=100 and the like")
    command.add_argument("--seed", type=int, help="of z (default: that of the run)")
    command.add_argument("--neighbours", action="store_true", help="also a picture of samples beside their nearest data")
    command.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    command.add_argument("--trust", action="store_true", help="build networks that are not ganlab's own code")
    command.set_defaults(do=_evaluate)
    command = commands.add_parser("compare", help="what beats what, by how much, how surely: a report of finished runs")
    command.add_argument("runs", metavar="DIR", nargs="+", type=Path, help="run directories, or folders of them, as a sweep's")
    command.add_argument("--reference", help="the setting that the others are tested against (default: the first)")
    command.add_argument("--versus", metavar="KEY=VALUE", help="test each setting against that which is the same but for this")
    command.add_argument("--at", metavar="AXIS=N", help="at an equal budget: iterations, d_steps, images or seconds")
    command.add_argument("--score", help="what the first picture and its sentences are about, by its key in result.json")
    command.add_argument("--all", action="store_true", help="all scores in the terminal, not the main ones only")
    command.add_argument("--out", type=Path, help="folder (default: compare within the first DIR)")
    command.set_defaults(do=_compare)
    command = commands.add_parser("runs", help="list runs: state, verdict, main score, age; and remove some")
    command.add_argument("dirs", metavar="DIR", nargs="*", type=Path, default=[Path("runs")], help="folders (default: runs)")
    command.add_argument("--state", action="append", default=[], help="completed, running, failed, ...; may be given again")
    command.add_argument("--where", action="append", default=[], metavar="KEY=VALUE", help="of the config; may be given again")
    command.add_argument("--remove", action="store_true", help="delete those that are listed, after asking; no running one")
    command.add_argument("--yes", action="store_true", help="with --remove: do not ask")
    command.set_defaults(do=_runs)
    command = commands.add_parser("fetch", help="download and decode data, resumably, and train nothing")
    command.add_argument("overrides", metavar="KEY=VALUE", nargs="+", help="as train.py would be given: data=cifar10, ...")
    command.set_defaults(do=_fetch)
    command = commands.add_parser("features", help="train the small classifier that metrics=classifier looks through")
    command.add_argument("overrides", metavar="KEY=VALUE", nargs="+", help="as train.py would be given: data=mnist, ...")
    command.add_argument("--epochs", type=int, help="passes over the data (default 3, of colour images 8)")
    command.add_argument("--seed", type=int, default=0, help="of its weights and minibatches (default 0)")
    command.add_argument("--out", type=Path, help="the file (default: features/DATA.pt)")
    command.set_defaults(do=_features)
    command = commands.add_parser("reproduce", help="published numbers, measured again: without a name, which there are")
    command.add_argument("names", metavar="CLAIM", nargs="*", help="its name, or a yaml file of your own")
    command.add_argument("--all", action="store_true", help="run all that have no record, and write docs/reproduced.md")
    command.add_argument(
        "--quick", action="store_true", help="run the cheapest again, ten minutes together, and write the same"
    )
    command.add_argument("--report", action="store_true", help="run nothing, write docs/reproduced.md from the records")
    command.add_argument("--jobs", type=int, default=1, metavar="N", help="runs at a time (default 1)")
    command.add_argument("--together", action="store_true", help="the seeds of an arm as replicas, where they can be")
    command.add_argument("--runs", default="runs", help="where run directories go (default runs)")
    command.add_argument("--out", type=Path, help="folder of reproduced.md and reproduced.html (default docs)")
    command.set_defaults(do=_reproduce)
    arguments, rest = parser.parse_known_args()  # argparse takes no KEY=VALUE after an option
    if rest and (
        arguments.do.__name__ not in TAKE_OVERRIDES or not all("=" in text and not text.startswith("-") for text in rest)
    ):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    arguments.rest = rest
    from ganlab.run.command_line import guarded  # seconds of importing, which --help and --version do without

    sys.exit(guarded(lambda: arguments.do(arguments), overrides=False))


def _import_for(runs: Sequence[str | Path], metrics: str | None = None, overrides: Sequence[str] = ()) -> None:
    """Import what the parts of these runs need, and not what only others' parts would: two of five CPU seconds of a start."""
    from ganlab.run.lightly import import_lightly
    from ganlab.run.tree import conf_dir

    folders = [Path(run).parent.parent if Path(run).suffix == ".ckpt" else Path(run) for run in runs]
    files = [folder / "config.yaml" for folder in folders]
    files += [conf_dir() / "metrics" / f"{metrics}.yaml"] if metrics else []
    with suppress(OSError, UnicodeDecodeError):  # which is said by whoever reads it in earnest
        import_lightly("\n".join([*(file.read_text() for file in files), *overrides]))


def _sample(arguments: argparse.Namespace) -> None:
    _import_for([arguments.run])
    from ganlab.commands.sample import meant_by, sample

    run, checkpoint = meant_by(arguments.run, arguments.checkpoint)
    given = (arguments.n, arguments.seed, checkpoint, arguments.out, arguments.trust, arguments.ema_std, arguments.classes)
    print(sample(run, *given, arguments.with_D, arguments.rest, arguments.truncate, arguments.walk))


def _figures(arguments: argparse.Namespace) -> None:
    _import_for([arguments.run])
    from ganlab.commands.figures import figures
    from ganlab.files.run import RunDirectory

    for file in figures(RunDirectory(arguments.run), arguments.trust):
        print(file)


def _export(arguments: argparse.Namespace) -> None:
    from ganlab.commands.export import export
    from ganlab.commands.sample import meant_by

    print(export(*meant_by(arguments.run, arguments.checkpoint), arguments.out, arguments.trust))


def _numbers(text: str) -> list[int]:
    if not all(part.strip().isdecimal() for part in text.split(",")):
        raise argparse.ArgumentTypeError(f"give numbers from 0 on, as 3,7, and not {text}")
    return [int(part) for part in text.split(",")]


def _compare(arguments: argparse.Namespace) -> None:
    from ganlab.report.compare import compare

    given = (arguments.out, arguments.reference, arguments.at, arguments.versus, arguments.score, arguments.all)
    print(compare(arguments.runs, *given))


def _runs(arguments: argparse.Namespace) -> None:
    from ganlab.commands.runs import runs

    runs(arguments.dirs, arguments.state, arguments.where, arguments.remove, arguments.yes)


def _features(arguments: argparse.Namespace) -> None:
    from ganlab.commands.features import make

    make(arguments.overrides, arguments.out, arguments.epochs, arguments.seed)


def _fetch(arguments: argparse.Namespace) -> None:
    from ganlab.commands.fetch import fetch

    for line in fetch(arguments.overrides):
        print(line)


def _evaluate(arguments: argparse.Namespace) -> None:
    _import_for([text for text in arguments.runs if "=" not in text], arguments.metrics, [*arguments.runs, *arguments.rest])
    from ganlab.commands.evaluate import EvaluationRequest, evaluate
    from ganlab.errors import UserError

    overrides = [text for text in (*arguments.runs, *arguments.rest) if "=" in text]
    if arguments.n is not None:
        overrides.append(f"metrics.n={arguments.n}")
    runs = [Path(text) for text in arguments.runs if "=" not in text]
    if not runs:
        raise UserError("ganlab evaluate needs a run directory: it was given overrides only")
    given = {
        key: getattr(arguments, key)
        for key in ("checkpoint", "metrics", "raw", "ema_std", "with_D", "seed", "device", "neighbours", "trust")
    }
    for file in evaluate(runs, EvaluationRequest(overrides=overrides, **given)):
        print(file)


def _reproduce(arguments: argparse.Namespace) -> None:
    from ganlab.commands.reproduce import ReproduceRequest, reproduce

    every = arguments.all or arguments.quick
    given = (arguments.quick, arguments.report, arguments.jobs, arguments.together, arguments.runs, arguments.out)
    reproduce(ReproduceRequest(arguments.names, every, *given))


def _phase(arguments: argparse.Namespace) -> None:
    from ganlab.commands.phase import phase

    for line in phase(arguments.runs, arguments.out, arguments.trust):
        print(line)


if __name__ == "__main__":
    main()
