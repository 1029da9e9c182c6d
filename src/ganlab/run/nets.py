"""D, and of either player what its terms hang on it and its weights in a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from torch import nn

from ganlab.errors import UserError
from ganlab.files.checkpoint import read_checkpoint
from ganlab.game.terms import Term
from ganlab.networks.layers import Packed, packed_shape
from ganlab.run.config import build, build_as, classes_told
from ganlab.settings import Node, Settings


def discriminator_of(settings: Settings) -> nn.Module:
    """D as it is trained: with what its penalties hang on it."""
    return with_terms(raw_discriminator(settings), settings.penalty, "D")


def with_terms(net: nn.Module, penalty: Mapping[str, Node], player: str) -> nn.Module:
    """A player's net with what its terms hang on it, as a spectral norm: a checkpoint has the weights of that."""
    for name, node in penalty.items():
        if (term := term_of(name, node)).of == player:
            term.attach(net)
    return net


@contextmanager
def as_configured(checkpoint: Path) -> Iterator[None]:
    """Reads weights in here; raises UserError where the checkpoint is damaged, or of other nets than its config has."""
    try:
        yield
    except (OSError, RuntimeError, KeyError, TypeError) as error:
        raise UserError(f"{checkpoint} does not fit its config.yaml or is damaged: {str(error).splitlines()[0]}") from error


def with_weights(net: nn.Module, name: str, checkpoint: Path) -> nn.Module:
    """A net with what a checkpoint has of it, by its name in the game: G, D or G_ema. Raises UserError."""
    with as_configured(checkpoint):
        state = read_checkpoint(checkpoint)["state_dict"]
        net.load_state_dict({key.removeprefix(f"{name}."): v for key, v in state.items() if key.startswith(f"{name}.")})
    return net


def term_of(name: str, node: Node) -> Term:
    """A term of conf/penalty; raises UserError."""
    if hasattr(nn.ModuleDict, name) or not name.isidentifier():
        raise UserError(f"penalty.{name}: a penalty cannot have this name, take another one")
    term: Term = build_as(Term, node, f"penalty.{name}")
    if term.of not in ("D", "G"):
        raise UserError(f"penalty.{name} is of {term.of!r}: a term is of D or of G")
    if any(True for _ in term.parameters()):
        raise UserError(f"penalty.{name} has weights, which no optimizer would train: keep state in buffers")
    return term


def raw_discriminator(settings: Settings) -> nn.Module:
    """D, for packs if it is to see some."""
    node, m = settings.model.D, settings.model.pack
    if m == 1:
        return build(node, "model.D")
    if classes_told(node):
        raise UserError(f"model.pack = {m} but D is told y, of which a pack has {m}: leave model.pack at 1")
    if settings.batch_size % m:
        raise UserError(f"batch_size = {settings.batch_size} does not come in packs of {m}: make it a multiple of model.pack")
    if node.get("shape") != settings.shape:
        raise UserError(f"model.pack = {m} needs a D that is told its shape: give model.D.shape, or leave model.pack at 1")
    return Packed(build({**node, "shape": packed_shape(settings.shape, m)}, "model.D"), m)
