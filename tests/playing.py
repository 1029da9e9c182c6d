"""A game in a test: what one step of a player computes, from plain functions."""

import torch

from ganlab.game.augment import Augment
from ganlab.game.losses import Minimax
from ganlab.game.objectives import Adversarial
from ganlab.game.players import Players
from ganlab.game.terms import Term


def players(G, D, loss=None, terms=None, augment=None, **more):
    """G(z, y) and D(x, y), which may be modules or functions; `terms` a mapping, a single term, or nothing."""
    terms = {"term": terms} if isinstance(terms, Term) else terms or {}
    return Players(G, D, loss or Minimax(), terms, augment or Augment(), more.pop("objective", Adversarial()), **more)


def look(D, real, fake, term=None, step=0, **more):
    """What a step of a critic D(x) sees."""
    y = torch.zeros(len(real), dtype=torch.long)
    play = players(lambda z, y: fake, lambda x, y: D(x), terms=term, **more)
    return play.look(real, y, fake.new_zeros(len(fake), 1), step)


def value(term, D, real, fake, **more):
    """A term of D's loss."""
    return term(look(D, real, fake, term, **more))
