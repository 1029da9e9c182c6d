"""What D and G descend, out of the loss, the terms, and what D returns besides its logit."""

from __future__ import annotations

from torch import Tensor, nn

from ganlab.game.players import Players, Terms


class Adversarial(nn.Module):
    """The two lines of Algorithm 1 (Goodfellow et al., 2014), for any loss. An objective with weights of its own, as an
    auxiliary classifier, has D's optimizer train them; with `features`, D's two halves are called one after the other, and
    what lies between them is in `seen.features`."""

    features = False

    def D(self, play: Players, x: Tensor, y: Tensor, z: Tensor, step: int) -> Terms:
        """What one step of D descends: x [B, *S], y [B], z [B, Z]. Nothing flows into G."""
        seen = play.look(x, y, z, step)
        return play.descended("D", seen, play.loss.d(seen.on_x, seen.on_fake))

    def G(self, play: Players, x: Tensor, y: Tensor, z: Tensor, step: int) -> Terms:
        """What one step of G descends; x are the data of D's last step, which only some losses look at."""
        seen = play.glance(x, y, z, step)
        return play.descended("G", seen, play.loss.g(seen.on_fake, seen.real))
