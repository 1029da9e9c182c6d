"""What D sees of images: DiffAugment and the pipeline of ADA against numpy and scipy, and ADA's controller."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import same_state
from PIL import Image
from scipy.ndimage import affine_transform
from scipy.spatial.transform import Rotation
from torch.autograd import gradcheck, gradgradcheck
from torch.testing import assert_close

from ganlab.files.table import read
from ganlab.game.augment import Augment, Chain, InstanceNoise
from ganlab.game.augment_ada import BGC, SYM6, Adaptive, blitted, colour_map, cut, recoloured, transformed
from ganlab.game.augment_diff import Color, Cutout, Translation
from ganlab.random import Given, Recorded, handed

SHAPES = [(3, 16, 16), (1, 12, 9), (3, 9, 14)]
H = torch.tensor(SYM6, dtype=torch.float64)


def images(shape, n=6, seed=0):
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def drawn(augment, x, seed=1):
    recorded = Recorded(torch.Generator().manual_seed(seed))
    with handed(recorded):
        return augment(x), recorded.draws


PARTS = {
    "color": lambda: Color(1.0, 2.0, 1.0),
    "translation": lambda: Translation(0.25),
    "cutout": lambda: Cutout(0.5),
    "chain": lambda: Chain({"color": Color(1.0, 2.0, 1.0), "translation": Translation(0.125), "cutout": Cutout(0.5)}),
    "bgc": lambda: BGC(0.8).double(),
    "bgc with cutout": lambda: BGC(0.8, colour=0.5, cutout=1.0).double(),
    "ada": lambda: Adaptive(0.8, 0.6, 1e5, 4).double(),
}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", PARTS)
def test_it_is_differentiable_twice_and_draws_what_does_not_depend_on_data(name, shape):
    augment = PARTS[name]()
    x = images(shape, n=2).requires_grad_(True)
    changed, draws = drawn(augment, x)
    assert changed.shape == x.shape
    assert not torch.equal(changed, x)
    _, others = drawn(augment, 100 * images(shape, n=2, seed=3))
    assert all(torch.equal(a, b) for a, b in zip(draws, others, strict=True))

    def again(x):
        with handed(Given(draws)):
            return augment(x).flatten()[::17].tanh()

    assert gradcheck(again, x, atol=1e-6, fast_mode=True)
    assert gradgradcheck(again, x, atol=1e-6, fast_mode=True)


@pytest.mark.parametrize("name", PARTS)
def test_each_image_is_changed_by_its_own_draws_alone(name):
    augment, x = PARTS[name](), images((3, 16, 16))
    changed, draws = drawn(augment, x)
    for i in range(len(x)):
        with handed(Given([draw[i : i + 1] for draw in draws])):
            assert_close(augment(x[i : i + 1])[0], changed[i], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_diffaugment_is_what_numpy_makes_of_the_same_draws(shape):
    x = images(shape)
    changed, draws = drawn(PARTS["chain"](), x)
    (b, s, c, down, right, row, column), size = (draw.flatten().numpy() for draw in draws), shape[1:]
    for i, one in enumerate(x.numpy()):
        one = one + b[i] - 0.5
        gray = one.mean(0, keepdims=True)
        one = gray + (one - gray) * 2 * s[i]
        one = one.mean() + (one - one.mean()) * (0.5 + c[i])
        for axis, u in ((1, down[i]), (2, right[i])):
            most = int(one.shape[axis] / 8 + 0.5)
            shift = math.floor(u * (2 * most + 1)) - most
            one = np.roll(one, shift, axis)
            gone = slice(0, shift) if shift >= 0 else slice(shift, None)
            one[(slice(None),) * axis + (gone,)] = 0
        corners = []
        for n, u in zip(size, (row[i], column[i]), strict=True):
            cut = int(n / 2 + 0.5)
            corners.append((math.floor(u * (n + 1 - cut % 2)) - cut // 2, cut))
        (top, high), (left, wide) = corners
        one[:, max(top, 0) : top + high, max(left, 0) : left + wide] = 0
        assert_close(changed[i], torch.from_numpy(one), rtol=1e-12, atol=1e-12)


def test_translations_and_cutouts_reach_everywhere_equally():
    x = torch.ones(20_000, 1, 8, 8)
    moved, _ = drawn(Translation(0.25), x)
    rows = moved[:, 0, :, 4].sum(1)  # 8 less how far it went
    for lost in (0, 1, 2):
        share = 0.2 if lost == 0 else 0.4
        assert ((rows == 8 - lost).double().mean() - share).abs() < 0.015
    cut, _ = drawn(Cutout(0.5), x)
    height = (cut[:, 0].sum(2) < 8).sum(1)
    assert height.min() == 2  # half of it lies outside
    assert ((height == 4).double().mean() - 5 / 9).abs() < 0.015
    assert torch.equal(drawn(Cutout(0.0), x[:4])[0], x[:4])
    assert torch.equal(drawn(Translation(0.0), x[:4])[0], x[:4])


# --- the pipeline of ADA


def test_the_filter_is_orthonormal_to_its_even_shifts():
    for k in range(6):
        assert (H[: 12 - 2 * k] * H[2 * k :]).sum().item() == pytest.approx(float(k == 0), abs=1e-7)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_blitting_copies_pixels_as_numpy_does(shape):
    x, n = images(shape), 6
    none, shift = torch.zeros(n, dtype=torch.float64), torch.zeros(n, 2, dtype=torch.float64)
    assert torch.equal(blitted(x, none, none, shift), x)
    assert torch.equal(blitted(x, none + 1, none, shift), x.flip(3))
    assert torch.equal(blitted(x, none, none + 2, shift), x.flip(2, 3))
    assert torch.equal(blitted(x, none + 1, none + 2, shift), x.flip(2))
    if shape[1] == shape[2]:
        for turns in (1, 3):
            assert torch.equal(blitted(x, none, none + turns, shift), torch.rot90(x, turns, (2, 3)))
            assert torch.equal(blitted(x, none + 1, none + turns, shift), torch.rot90(x.flip(3), turns, (2, 3)))
    for down, right in ((2, -1), (-3, 4), (0, 2)):
        wide = np.pad(x.numpy(), ((0, 0), (0, 0), (5, 5), (5, 5)), mode="reflect")
        expected = wide[:, :, 5 - down : 5 - down + shape[1], 5 - right : 5 - right + shape[2]]
        given = torch.tensor([[down, right]] * n, dtype=torch.float64)
        assert_close(blitted(x, none, none, given), torch.from_numpy(expected.copy()))
        inner = (slice(None), slice(None), slice(5, -5), slice(5, -5))
        if min(shape[1:]) > 12:  # the filtered path moves whole pixels exactly, too
            eye = torch.eye(2, dtype=torch.float64).expand(n, 2, 2)
            assert_close(transformed(x, eye, given)[inner], blitted(x, none, none, given)[inner], atol=1e-6, rtol=0)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_nothing_changes_where_nothing_is_to(shape):
    x = images(shape)
    assert_close(drawn(BGC(0.0).double(), x)[0], x, atol=1e-5, rtol=0)
    assert_close(drawn(Adaptive(0.0, 0.6, 1e5, 4), x.float())[0], x.float(), atol=1e-5, rtol=0)


def smooth(rows, columns):
    return np.sin(rows / 6) * np.cos(columns / 5 + 1)


def test_geometry_puts_pixels_where_its_matrix_says():
    """Against the function that the image is of, and scipy's cubic spline."""
    size, shift = (40, 48), (1.5, -2.25)
    rows, columns = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in size), indexing="ij")
    x = torch.from_numpy(smooth(rows, columns))[None, None]
    angle, stretch = 0.5, 1.2
    cos, sin = math.cos(angle), math.sin(angle)
    back = np.array([[cos, sin], [-sin, cos]]) @ np.diag([stretch, 1 / stretch])
    found = transformed(x, torch.from_numpy(back)[None], torch.tensor([shift]).double())[0, 0].numpy()
    away_rows, away_columns = rows - shift[0], columns - shift[1]
    came = back[0, 0] * away_rows + back[0, 1] * away_columns, back[1, 0] * away_rows + back[1, 1] * away_columns
    inside = (abs(came[0]) < 15) & (abs(came[1]) < 19)
    assert inside.sum() > 500
    assert abs(found - smooth(*came))[inside].max() < 4e-3
    centre = np.array([(n - 1) / 2 for n in size])
    spline = affine_transform(x[0, 0].numpy(), back, centre - back @ (centre + np.array(shift)), order=3, mode="mirror")
    assert abs(found - spline)[inside].max() < 4e-3
    assert abs(found - spline).mean() < 4e-3  # mirrored surroundings as well


def test_geometry_and_colours_are_those_of_kornia():
    """Random maps of a batch; kornia has them from where a pixel is to where it goes, as (x, y), and interpolates linearly."""
    enhance, geometry = (pytest.importorskip(f"kornia.{part}") for part in ("enhance", "geometry.transform"))
    height, width, n = 40, 48, 8
    rows, columns = np.meshgrid(*(np.arange(size) - (size - 1) / 2 for size in (height, width)), indexing="ij")
    x = torch.from_numpy(smooth(rows, columns))[None, None].repeat(n, 3, 1, 1)
    torch.manual_seed(0)
    back, shift = BGC(1.0)._geometry(x)
    forward, centre = back.inverse().flip(1, 2), torch.tensor([(width - 1) / 2, (height - 1) / 2]).double()
    maps = torch.cat([forward, (centre + shift.flip(1) - forward @ centre)[..., None]], 2)
    theirs = geometry.warp_affine(x, maps, (height, width), mode="bilinear", padding_mode="reflection", align_corners=True)
    away = np.stack([rows, columns]) - shift.numpy()[:, :, None, None]
    came = np.einsum("bij,bjhw->bihw", back.numpy(), away)
    inside = torch.from_numpy((abs(came[:, 0]) < height / 2 - 4) & (abs(came[:, 1]) < width / 2 - 4))
    assert inside.double().mean() > 0.5
    ours, true = transformed(x, back, shift)[:, 0], torch.from_numpy(smooth(came[:, 0], came[:, 1]))
    assert (ours - theirs[:, 0]).abs()[inside].max() < 9e-3
    assert (ours - true).abs()[inside].max() < 3e-3 < (theirs[:, 0] - true).abs()[inside].max()  # ours is the nearer one
    zero, one = torch.zeros(n).double(), torch.ones(n).double()
    changed = recoloured(x, colour_map(zero + 0.1, zero + 1.5, zero, zero, one))
    assert_close(changed, enhance.adjust_contrast(enhance.adjust_brightness(x, 0.1, False), 1.5, False))


def test_colours_are_the_authors_matrices():
    """Brightness, contrast, Householder's reflection, Rodrigues' rotation, saturation: by numpy and scipy."""
    generator = np.random.default_rng(0)
    x, v = images((3, 4, 5), n=5), np.ones(3) / np.sqrt(3)
    light, contrast, hue, saturation = (generator.normal(size=5) for _ in range(4))
    flip = np.array([0.0, 1.0, 0.0, 1.0, 1.0])
    given = [torch.from_numpy(a) for a in (light, contrast, flip, hue, saturation)]
    changed = recoloured(x, colour_map(*given))
    gray = recoloured(x[:, :1], colour_map(*given))
    for i in range(5):
        pixels = (x[i].numpy().reshape(3, -1) + light[i]) * contrast[i]
        pixels = pixels - 2 * flip[i] * np.outer(v, v) @ pixels
        pixels = Rotation.from_rotvec(hue[i] * v).as_matrix() @ pixels
        along = np.outer(v, v) @ pixels
        pixels = along + saturation[i] * (pixels - along)
        assert_close(changed[i].reshape(3, -1), torch.from_numpy(pixels), rtol=1e-10, atol=1e-10)
        one = (x[i, :1].numpy() + light[i]) * contrast[i] * (1 - 2 * flip[i])
        assert_close(gray[i], torch.from_numpy(one), rtol=1e-10, atol=1e-10)


def test_each_kind_is_applied_with_its_probability():
    x, pipeline, n, p = torch.zeros(20_000, 1, 8, 8), BGC(0.6), 20_000, 0.6
    flip, turns, shift = pipeline._blitting(x)
    assert flip.mean().item() == pytest.approx(p / 2, abs=0.015)
    for quarter in (1, 2, 3):
        assert (turns == quarter).double().mean().item() == pytest.approx(p / 4, abs=0.015)
    assert shift.abs().max() == 1  # an eighth of 8 pixels
    back, moved = pipeline._geometry(x)
    assert (moved != 0).any(1).double().mean().item() == pytest.approx(p, abs=0.015)
    turned = (back - back.mT).abs().amax((1, 2)) > 1e-6
    assert turned.double().mean().item() == pytest.approx(p, abs=0.015)  # one rotation at least
    scale = torch.linalg.det(back).abs().log2() / -2
    assert (scale.abs() > 1e-5).double().mean().item() == pytest.approx(p, abs=0.015)
    assert scale[scale.abs() > 1e-5].std().item() == pytest.approx(0.2, rel=0.03)
    assert math.sqrt(n) > 100
    share, _ = BGC(0.6, cutout=0.5)._cut(x)
    assert (share == 0.5).double().mean().item() == pytest.approx(p / 2, abs=0.015)


def test_the_cutout_of_adas_pipeline_is_a_rectangle_of_half_the_sides():
    """Against the authors' line: a pixel stays where |(i + 1/2) / size - centre| >= share / 2 along either side."""
    x, generator = images((3, 10, 16), n=50).abs() + 1, torch.Generator().manual_seed(0)
    centre = torch.rand(50, 2, generator=generator, dtype=x.dtype)
    share = torch.tensor([0.5, 0.0], dtype=x.dtype).repeat(25)
    changed = cut(x, share, centre)
    rows, columns = (np.arange(size)[None] / size + 0.5 / size for size in (10, 16))
    far = [
        abs(place - centre[:, axis, None].numpy()) >= share[:, None].numpy() / 2 for axis, place in enumerate((rows, columns))
    ]
    kept = far[0][:, None, :, None] | far[1][:, None, None, :]
    assert torch.equal(changed, x * torch.from_numpy(kept))
    assert torch.equal(changed[1::2], x[1::2])
    assert (changed[::2] == 0).any(3).any(2).all(1).double().mean() > 0.9


def test_what_it_cannot_change_is_refused():
    for augment, x, told in (
        (BGC(0.5), torch.zeros(2, 2), "BGC is of images"),
        (Cutout(0.5), torch.zeros(2, 2), "Cutout is of images"),
        (BGC(0.5), torch.zeros(2, 2, 16, 16), "gray or RGB images of 8 x 8 at least"),
        (BGC(0.5), torch.zeros(2, 3, 7, 16), "gray or RGB images of 8 x 8 at least"),
    ):
        with pytest.raises(ValueError, match=told):
            augment(x)
    for make in (lambda: Cutout(1.5), lambda: Translation(-0.1), lambda: BGC(1.1), lambda: Adaptive(0.0, 1.0, 1e5, 4),
                 lambda: Adaptive(0.0, 0.6, 0.0, 4), lambda: Adaptive(0.0, 0.6, 1e5, 0)):  # fmt: skip
        with pytest.raises(ValueError, match=r"0\.\.1|target|speed|every"):
            make()


# --- the controller


def test_p_moves_by_the_images_seen_where_the_sign_says():
    """8 images a step, 4 steps a move, 100 images from 0 to 1: .32 a move."""
    ada = Adaptive(0.1, 0.6, 100.0, 4).double()

    def step(t, positive):
        logits = torch.tensor([3.0] * positive + [-1.0] * (8 - positive)).double()
        ada.after_step(SimpleNamespace(on_x=logits, x=torch.zeros(8, 1), step=t))

    expected = [(8, 0.42), (8, 0.74), (6, 0.42), (7, 0.74), (8, 1.0), (8, 1.0), (0, 0.68)]  # r = 1, 1, .5, .75, 1, 1, -1
    for move, (positive, p) in enumerate(expected):
        before = ada.p.item()
        for j in range(4):
            assert ada.p.item() == before
            step(4 * move + j, positive)
        assert ada.p.item() == pytest.approx(p)
        assert ada.readings()["ada_r"].item() == pytest.approx(positive / 4 - 1)
    assert {name for name, _ in ada.named_buffers()} == {"p", "signs", "r"}
    assert ada.state_dict().keys() == {"p", "signs", "r"}


def test_a_chain_passes_on_what_its_parts_are_told_and_say():
    ada = Adaptive(0.5, 0.6, 10.0, 1)
    chain = Chain({"noise": InstanceNoise(0.1), "ada": ada})
    assert (chain.neutral, chain.images) == (False, True)
    assert (Chain({"a": Augment()}).neutral, Chain({"noise": InstanceNoise(0.1)}).images) == (True, False)
    chain.after_step(SimpleNamespace(on_x=torch.ones(2), x=torch.zeros(2, 1), step=0))
    assert chain.readings()["ada_p"].item() == pytest.approx(0.7)


def test_a_run_with_ada_shows_p_and_resumes_bit_for_bit(run, tmp_path):
    (tmp_path / "pictures").mkdir()
    for i in range(16):
        Image.effect_noise((16, 16), 90.0).save(tmp_path / "pictures" / f"{i}.png")
    given = ("data=images", f"data.source={tmp_path}/pictures", "shape=[1,16,16]", "batch_size=6", "k=2", "model=dcgan",
             "model.G.width=4", "model.D.width=4", "penalty=r1", "augment=ada", "augment.speed=300", "augment.target=0.1",
             "augment.p=0.5", "metrics=none", "log_every=1")  # fmt: skip
    run(*given, "iterations=5", name="parts")  # ten steps of D: two and a half moves
    parts = run(*given, "iterations=9", f"resume={tmp_path}/parts", name="parts")
    whole = run(*given, "iterations=9", name="whole")
    a, b = (torch.load(r.newest_checkpoint(), weights_only=True)["state_dict"] for r in (parts, whole))
    assert same_state(a, b)
    p = [row["train/ada_p"] for row in read(whole.table_file)]
    assert p == [row["train/ada_p"] for row in read(parts.table_file)]
    moves = [abs(after - before) for before, after in zip([0.5, *p], p, strict=False)]
    assert moves == pytest.approx([0, 0.08] * 4 + [0], abs=1e-6)
    assert b["augment.p"].item() == pytest.approx(p[-1])
