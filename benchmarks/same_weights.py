"""Does a change leave every weight as it was? Trains fixed settings with two checkouts and compares all weights, bit for bit.

    python benchmarks/same_weights.py --against f81876f [--iterations 50] [--mnist FOLDER]

`--against` is a commit, of which a work tree is made for the while. Settings of images take MNIST's IDX files from FOLDER, and
are left out without it. Exit code 1 if a setting that is not exempt differs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
SMALL = ("model.G.width=16", "model.D.width=16")
TWO = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2")
SETTINGS: dict[str, tuple[str, ...]] = {
    "default": ("data=ring",),
    "minimax, k=3, simultaneous": ("data=grid", "loss=minimax", "k=3", "updates=simultaneous", "schedule=cosine"),
    "least squares, dropout": ("model=maxout", "model.G.width=16", "model.D.units=16", "loss=least_squares", "k=3"),
    "hinge, on the line": ("data=mixture1d", "loss=hinge", "k=3", *SMALL),
    "gradient penalty": ("data=swissroll", "loss=wasserstein_toy", "k=3", *SMALL),
    "weight clipping": ("data=normal1d", "loss=wasserstein", "penalty=weight_clipping", "optim=rmsprop", *SMALL),
    "f-GAN": ("loss=f_hellinger", "updates=simultaneous", "prior=uniform", *SMALL),
    "dcgan": ("data=mnist", "model=dcgan", "model.G.width=4", "model.D.width=4", "batch_size=16"),
    "dcgan, colour, hinge, k=3": (
        "data=stacked_mnist", "model=dcgan", "model.G.width=4", "model.D.width=4", "batch_size=8", "k=3", "loss=hinge",
        "updates=simultaneous",
    ),
    "the 2014 nets on MNIST": (
        "data=mnist", "experiment=paper_mnist", "metrics=none", "model.G.width=32", "model.D.units=16", "batch_size=20",
    ),
    "packs, instance noise": (
        "data=grid_pacgan", "model=pacgan", "model.G.width=16", "model.D.units=16", "model.pack=2",
        "augment=instance_noise", "k=3",
    ),
    "packs, gradient penalty": ("model=pacgan", "model.G.width=16", "model.D.units=16", "model.pack=2", "loss=wasserstein_toy"),
    "dirac": ("experiment=dirac_instance_noise",),
    "two processes": ("k=3", "loss=minimax", "data=grid", *SMALL, *TWO),
    "two processes, gradient penalty": ("loss=wasserstein_toy", "ema_decay=0.9", *SMALL, *TWO),
}  # fmt: skip
EXEMPT: dict[str, tuple[str, ...]] = {  # R1 shares the pass of the loss since it has names
    "r1": ("penalty=r1", "k=3", *SMALL),
    "r1, dropout": ("model=maxout", "model.G.width=16", "model.D.units=16", "penalty=r1"),
    "r1, BatchNorm": ("data=mnist", "model=dcgan", "model.G.width=4", "model.D.width=4", "batch_size=16", "penalty=r1"),
    "r1, instance noise": ("penalty=r1", "augment=instance_noise", *SMALL),
    "consensus": ("updates=consensus", *SMALL),  # each player has a pass of its own
}
QUIET = ("logger=csv", "metrics=none", "theory=none", "log_every=50", "checkpoint.keep=1")


def train(checkout: Path, overrides: tuple[str, ...], folder: Path) -> list[torch.Tensor]:
    """The tensors of the last checkpoint, in their order: nets first, whatever they are called."""
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1"}
    line = [sys.executable, str(checkout / "train.py"), *overrides, *QUIET, f"hydra.run.dir={folder}", "threads=1"]
    done = subprocess.run(line, env=environment, cwd=folder.parent, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(overrides)}: {done.stderr.strip().splitlines()[-1]}")
    state = torch.load(next((folder / "checkpoints").glob("*.ckpt")), weights_only=True)["state_dict"]
    return [value for name, value in state.items() if name.startswith(("G.", "D.", "G_ema."))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", required=True, help="a commit")
    parser.add_argument("--iterations", type=int, default=50)
    parser.add_argument("--mnist", type=Path, help="folder of MNIST's IDX files")
    arguments = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        subprocess.run(["git", "worktree", "add", "--detach", "-q", folder / "old", arguments.against], cwd=ROOT, check=True)
        try:
            for i, (name, own) in enumerate({**SETTINGS, **EXEMPT}.items()):
                images = any("mnist" in word for word in own)
                if images and arguments.mnist is None:
                    print(f"{name:34} left out: no --mnist", flush=True)
                    continue
                given = (
                    *own,
                    f"iterations={arguments.iterations}",
                    *([f"data.source={arguments.mnist.resolve()}"] if images else []),
                )
                old, new = (train(path, given, folder / f"{i}{kind}") for kind, path in (("a", folder / "old"), ("b", ROOT)))
                same = len(old) == len(new) > 0 and all(torch.equal(a, b) for a, b in zip(old, new, strict=True))
                far = max((a.double() - b.double()).abs().max().item() for a, b in zip(old, new, strict=True))
                failed += not same and name in SETTINGS
                print(f"{name:34} {'equal' if same else f'differs by {far:.2g}'}{' (exempt)' * (name in EXEMPT)}", flush=True)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", folder / "old"], cwd=ROOT, check=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
