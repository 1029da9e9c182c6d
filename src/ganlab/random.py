"""Seeds. Iteration t draws from generators seeded by (seed, stream, t): there is no random state to save."""

from __future__ import annotations

import hashlib
from functools import lru_cache

import torch

_ODD = 0x9E3779B97F4A7C15  # odd, so that t -> t * _ODD is a bijection modulo 2^32 and 2^64


@lru_cache(maxsize=256)
def _key(seed: int, stream: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}/{stream}".encode(), digest_size=8).digest(), "big")


def seed_of(seed: int, stream: str, t: int = 0) -> int:
    """The 64-bit seed of a stream's t-th draw.

    Torch's CPU generator keeps the low 32 bits only, so hashing t as well would repeat seeds within a long run; here
    no two t < 2^32 of one (seed, stream) share them.
    """
    return (_key(seed, stream) + t * _ODD) % 2**64


def generator_of(seed: int, stream: str, t: int = 0, device: torch.device | str = "cpu") -> torch.Generator:
    return torch.Generator(device).manual_seed(seed_of(seed, stream, t))


def seed_layers(seed: int, rank: int, t: int, device: torch.device) -> None:
    """Seed the default generators: dropout and a penalty's own draws at iteration t take from there."""
    value = seed_of(seed, f"layers/{rank}", t)
    torch.default_generator.manual_seed(value)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(value)
    elif device.type == "mps":
        torch.mps.manual_seed(value)
