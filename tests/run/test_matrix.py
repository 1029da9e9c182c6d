"""Every loss with every term, on points and on images: it trains, with gradients that are finite and where they belong, or is
refused with the reason. A fixed sample here, all of it in `make test-all`."""

import random

import pytest
import torch
from conftest import ROOT, composed

from ganlab.errors import UserError
from ganlab.random import Recorded, handed
from ganlab.run.build import game_of
from ganlab.run.config import resolve, validate
from ganlab.run.pairs import doubts_of

ON = {"mlp": ("data=ring", "model.G.width=8", "model.D.width=8"),
      "dcgan": ("data=cifar10", "model=dcgan", "model.G.width=4", "model.D.width=4")}  # fmt: skip
REFUSED = {("dcgan", "transport"): "z has 100, x 3072"}


def names(group):
    return sorted(path.stem for path in (ROOT / "conf" / group).glob("*.yaml"))


MATRIX = [(family, loss, term) for family in ON for loss in names("loss") for term in names("penalty")]
SAMPLE = random.Random(0).sample(MATRIX, 40)


def two_iterations(family, loss, term):
    settings = validate(
        resolve(composed("theory=none", "metrics=none", *ON[family], f"loss={loss}", f"penalty={term}", path=ROOT))
    )
    torch.manual_seed(0)
    gan = game_of(settings)
    list(doubts_of(gan))
    gan.backward_to, gan._frozen = torch.autograd.backward, ()
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(8) % 2
    for t in range(2):
        gan.now.D_steps = gan.now.G_steps = t
        with handed(Recorded(torch.Generator().manual_seed(t))):
            x = torch.randn(8, *settings.shape, generator=generator).clamp(-1, 1)
            for player, other in ("DG", "GD"):
                getattr(gan, f"{player}_gradient")(x, y, gan.prior.sample(8, generator))
                own = [p.grad for p in getattr(gan, player).parameters()]
                assert all(g is not None and g.isfinite().all() for g in own), f"gradients of {player}"
                assert any(g.abs().sum() > 0 for g in own)
                assert all(p.grad is None for p in getattr(gan, other).parameters())
                getattr(gan, f"{player}_step")()
    assert all(p.isfinite().all() for p in gan.parameters())


def checked(family, loss, term):
    reason = REFUSED.get((family, term))
    if reason is None:
        return two_iterations(family, loss, term)
    with pytest.raises((UserError, ValueError), match=reason):
        two_iterations(family, loss, term)
    return None


@pytest.mark.parametrize("choice", SAMPLE, ids="-".join)
def test_a_sample_of_losses_and_terms(choice):
    checked(*choice)


@pytest.mark.long
@pytest.mark.parametrize("choice", [choice for choice in MATRIX if choice not in SAMPLE], ids="-".join)
def test_every_loss_with_every_term(choice):
    checked(*choice)
