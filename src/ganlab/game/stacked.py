"""What of a game can be stacked: a player's loss as a function of all weights, and what is refused by its name."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.optim import SGD, Adagrad, Adam, AdamW, NAdam, RAdam, RMSprop

from ganlab.game.augment import Augment
from ganlab.game.module import GAN
from ganlab.game.players import Stackable
from ganlab.game.terms import Term

ELEMENTWISE = (Adam, AdamW, NAdam, RAdam, RMSprop, SGD, Adagrad)  # whose step of a row is that of the row alone


def refuse_alone(gan: GAN) -> None:
    """Raises ValueError, by its name, for a part that cannot be stacked."""
    Body(gan)
    for name, term in gan.players.terms.items():
        if type(term).after_step is not Term.after_step and not term.stacks:
            raise ValueError(f"penalty.{name} keeps what it has seen of one game: leave it out, or replicas")
    for part in gan.augment.modules():
        if isinstance(part, Augment) and type(part).after_step is not Augment.after_step and list(part.buffers()):
            raise ValueError(f"augment ({type(part).__name__}) follows the D of one game: take another one")
    if not gan.way.stacks:
        raise ValueError(f"compile ({type(gan.way).__name__}) is of one game: use compile=none")
    if not gan.updates.stacks:
        raise ValueError(f"updates ({type(gan.updates).__name__}) takes passes of one game's nets: use alternating")
    for name, optimizer in (("G", gan.opt_G), ("D", gan.opt_D)):
        if type(optimizer) not in ELEMENTWISE:
            raise ValueError(f"optim.{name} is a {type(optimizer).__name__}, whose step may mix weights: use Adam")


class Body(Stackable):
    """A player's loss as a function of all weights and buffers, and what is to be known of it afterwards."""

    def __init__(self, gan: GAN) -> None:
        super().__init__(gan.players)
        self.terms = gan.terms

    def forward(self, player: str, x: Tensor, y: Tensor, z: Tensor, step: int) -> dict[str, Any]:  # type: ignore[override]
        terms, changed = self.descended(player, x, y, z, step)
        seen = {"on_fake": terms.seen.on_fake} | ({"on_x": terms.seen.on_x} if player == "D" else {})
        said = {"penalties": dict(terms.penalties), "said": dict(terms.said)}
        return {"loss": terms.loss, **said, "seen": seen, "buffers": changed}
