"""How Lightning writes and reads a checkpoint."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from ganlab.files.atomic import replaced
from ganlab.files.checkpoint import save_summed
from ganlab.files.older import weights
from ganlab.observers.adapter import of_one_entry


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target, flushes to disk and renames: Lightning's own write copies across file systems, and a kill
    then leaves half a file under the final name. What keeps the newest from being written is its `problem`. Reads older
    checkpoints, too."""

    problem: OSError | None = None

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        path, self.problem = Path(path), None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replaced(path) as file:
                save_summed(_own(checkpoint), file)
        except OSError as error:  # not raised here, where other processes wait for this one
            self.problem = error

    def load_checkpoint(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        checkpoint = super().load_checkpoint(*args, **kwargs)
        if "iteration" in checkpoint:
            return checkpoint
        callbacks, state = of_one_entry(checkpoint.get("callbacks", {})), weights(checkpoint["state_dict"])
        return {**checkpoint, "callbacks": callbacks, "state_dict": state}


def _own(value: Any) -> Any:
    """The same, without what a tensor is a view of: a replica's weights are rows of those of all, which would be saved, too."""
    if isinstance(value, torch.Tensor):
        whole = value.untyped_storage().nbytes() <= value.numel() * value.element_size()
        return value if whole else value.detach().clone()
    if isinstance(value, OrderedDict):  # of a module, with its versions
        value.update([(key, _own(each)) for key, each in value.items()])
        return value
    if isinstance(value, dict):
        return {key: _own(each) for key, each in value.items()}
    return [_own(each) for each in value] if type(value) is list else value
