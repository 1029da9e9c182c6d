"""A figure that is made once shows what one that is made anew shows."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from ganlab.data.toy import ring
from ganlab.figures import line, plane
from ganlab.figures.pictures import Points, gif
from ganlab.game.losses import NonSaturating, Wasserstein

pytestmark = pytest.mark.usefixtures("drawn")


def same(one, other):
    return np.array_equal(np.asarray(one), np.asarray(other))


@pytest.mark.parametrize("more", [{}, {"y": torch.arange(60) % 8}, {"walks": 3}], ids=["plain", "classes", "walks"])
def test_points_that_move_are_drawn_as_those_of_a_new_figure(more):
    source = ring(modes=8, radius=1.0, std=0.1)
    clouds = [scale * torch.randn(60, 2, generator=torch.Generator().manual_seed(i)) for i, scale in enumerate((0.3, 2.0))]
    moved = Points(source, 60)
    first = moved.draw(clouds[0], "iteration 0", **more)
    second = moved.draw(clouds[1], "iteration 1,000", **more)
    assert same(second, Points(source, 60).draw(clouds[1], "iteration 1,000", **more))
    assert not same(first, second)


def of_plane(i):
    cells = torch.linspace(-1, 1, 12)
    D = torch.sin(3 * cells[:, None] + i) + cells[None] * (i - 1) + 0.2 * i
    generator = torch.Generator().manual_seed(i)
    real, fake = (torch.randn(40, 2, generator=generator) / 2 for _ in range(2))
    return {"axes": torch.stack([cells, cells]), "D": D.flatten(), "real": real, "fake": fake}


def of_line(i):
    x = torch.linspace(-3 - i, 3, 80)
    p, q = (torch.exp(-((x - m) ** 2) / 2) / math.sqrt(2 * math.pi) for m in (0, i))
    z = torch.linspace(-4, 4, 41)
    return {"x": x, "p": p, "q": q, "D": (1 + i) * torch.sin(x), "best": (p / q).log(),
            "z": z, "Gz": z / (1 + i), "F_z": torch.special.ndtr(z)}  # fmt: skip


@pytest.mark.parametrize(("scene", "frame"), [(plane._Game, of_plane), (line._Game, of_line)], ids=["plane", "line"])
@pytest.mark.parametrize("loss", [NonSaturating(), Wasserstein()], ids=["V", "no optimum"])
def test_a_frame_of_the_film_is_drawn_as_by_a_new_figure(scene, frame, loss):
    moved = scene(frame(0), loss)
    first, second = (moved.picture(frame(i), f"iteration {i}") for i in (0, 1))
    assert moved.fits(frame(1))
    assert same(second, scene(frame(1), loss).picture(frame(1), "iteration 1"))
    assert not same(first, second)


def test_a_film_of_other_cells_or_without_a_map_is_another_figure():
    assert not plane._Game(of_plane(0), NonSaturating()).fits({**of_plane(0), "axes": 2 * of_plane(0)["axes"]})
    without = {name: value for name, value in of_line(0).items() if name != "z"}
    assert not line._Game(of_line(0), NonSaturating()).fits(without)


def test_a_gif_keeps_white_and_what_stands_still(tmp_path):
    """Blue that all frames have, beside many other colours of each, and paper."""
    frames = []
    for i in range(6):
        colours = np.random.default_rng(i).integers(100, 256, (40, 60, 3), dtype=np.uint8)
        colours[:20], colours[:10, :30] = 255, (0, 114, 178)
        frames.append(Image.fromarray(colours))
    gif(frames, tmp_path / "film.gif")
    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames == 6
        for i in range(6):
            film.seek(i)
            seen = np.asarray(film.convert("RGB")).astype(int)
            assert (seen[:10, 30:] == 255).all()
            assert np.abs(seen[:10, :30] - (0, 114, 178)).max() <= 4
