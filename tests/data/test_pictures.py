"""Pictures of one's own: what looks right in a viewer is right in training, whatever the format and however it is packed."""

import io
import json
import logging
import os
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import SHARED
from PIL import Image, ImageCms, features

from ganlab.data import archives, datasets
from ganlab.data.formats import as_seen, begins_as_one
from ganlab.data.idx import read_idx
from ganlab.errors import UserError

GIVEN = SHARED / "pictures"
needs_given = pytest.mark.skipif(not GIVEN.is_dir(), reason=f"no pictures in {SHARED}")
RED, BLUE, GREEN = (220, 40, 30), (30, 60, 210), (20, 200, 40)


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("home")))


def upright():
    """Red above, blue below, a green corner at the top left; 12 high and 8 wide."""
    x = np.zeros((12, 8, 3), np.uint8)
    x[:6], x[6:], x[:4, :4] = RED, BLUE, GREEN
    return x


def images(path, shape=(3, 12, 8), **more):
    return datasets.images(str(path), shape, **more).x.numpy()


def is_upright(x, within=0):
    want = upright().transpose(2, 0, 1)
    return np.abs(x.astype(int) - want).max() <= within


STORED = {  # how a camera has written the upright picture down, and says so
    1: lambda x: x, 2: lambda x: x[:, ::-1], 3: lambda x: x[::-1, ::-1], 4: lambda x: x[::-1], 5: lambda x: x.swapaxes(0, 1),
    6: lambda x: x.swapaxes(0, 1)[::-1], 7: lambda x: x[::-1, ::-1].swapaxes(0, 1), 8: lambda x: x.swapaxes(0, 1)[:, ::-1],
}  # fmt: skip


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".jpg"])
def test_a_picture_is_upright_as_its_exif_says(tmp_path, orientation, suffix):
    stored = STORED[orientation](upright())
    exif = Image.Exif()
    exif[0x0112] = orientation
    how = {".webp": {"lossless": True}, ".jpg": {"quality": 100, "subsampling": 0}}.get(suffix, {})
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / f"a{suffix}", exif=exif, **how)
    assert is_upright(images(tmp_path)[0], within=12 if suffix == ".jpg" else 0)


def test_damaged_exif_is_passed_over(tmp_path):
    content = io.BytesIO()
    Image.fromarray(upright()).save(content, "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage")
    (tmp_path / "a.png").write_bytes(content.getvalue())
    assert is_upright(images(tmp_path)[0])


def disc(inside, outside, alpha):
    """A disc of one colour, noise around it under alpha 0."""
    y, x = np.mgrid[:16, :16]
    within = (x - 7.5) ** 2 + (y - 7.5) ** 2 < 36
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 4), np.uint8)
    pixels[within, :3], pixels[..., 3] = inside, np.where(within, alpha, 0)
    want = np.where(within[..., None], np.array(inside) * alpha / 255 + np.array(outside) * (1 - alpha / 255), outside)
    return pixels, want


@pytest.mark.parametrize(("background", "colour"), [("white", (255,) * 3), ("black", (0,) * 3), ("#102030", (16, 32, 48))])
@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
@pytest.mark.parametrize("alpha", [255, 100])
def test_what_is_transparent_shows_the_background(tmp_path, background, colour, suffix, alpha):
    pixels, want = disc(RED, colour, alpha)
    how = {"lossless": True, "exact": True} if suffix == ".webp" else {}
    Image.fromarray(pixels).save(tmp_path / f"a{suffix}", **how)
    assert np.abs(images(tmp_path, (3, 16, 16), background=background)[0].transpose(1, 2, 0) - want).max() <= 1


@pytest.mark.parametrize("mode", ["LA", "P", "L", "RGB", "PA", "1"])
def test_other_ways_to_be_transparent(mode):
    """Grey with alpha, a palette with one, and a single colour that is meant to be seen through."""
    pixels, _ = disc(RED, (0,) * 3, 255)
    grey = np.where(pixels[..., 3] > 0, 200, 7).astype(np.uint8)
    if mode in ("LA", "PA"):
        image = Image.fromarray(grey) if mode == "LA" else Image.fromarray(grey).convert("P")
        image.putalpha(Image.fromarray(pixels[..., 3]))
        assert image.mode == mode
    elif mode == "P":
        image = Image.fromarray((grey > 100).astype(np.uint8)).convert("P")
        image.putpalette([9, 9, 9, 200, 200, 200])
        image.info["transparency"] = 0
    elif mode == "1":
        image = Image.fromarray(grey > 100)
        image.info["transparency"] = 0
        grey = np.where(grey > 100, 255, 7)
    else:
        image = Image.fromarray(grey).convert(mode)
        image.info["transparency"] = 7 if mode == "L" else (7, 7, 7)
    want = np.where(pixels[..., 3] > 0, 255 if mode == "1" else 200, 255)
    for channels in (1, 3):
        assert np.abs(np.asarray(as_seen(image, channels, "white")).reshape(16, 16, -1)[..., 0].astype(int) - want).max() <= 1


def test_rgba_is_a_choice_and_what_nobody_sees_is_not_learnt(tmp_path):
    pixels, _ = disc(RED, (0,) * 3, 100)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    x = images(tmp_path, (4, 16, 16), background="black")[0].transpose(1, 2, 0)
    assert np.array_equal(x[..., 3], pixels[..., 3])
    assert (x[pixels[..., 3] > 0, :3] == RED).all()
    assert not x[pixels[..., 3] == 0, :3].any()
    Image.fromarray(upright()).save(tmp_path / "a.png")
    assert (images(tmp_path, (4, 12, 8))[0, 3] == 255).all()


RAMP = np.linspace(0, 65535, 256).round().astype(np.uint16)[None].repeat(4, 0)


def tiff(order, bits, content):
    """A grey picture 256 x 4 by hand: nine tags, and what they say."""
    tags = {256: 256, 257: 4, 258: bits, 259: 1, 262: 1, 273: 122, 277: 1, 278: 4, 279: len(content)}
    entries = b"".join(struct.pack(f"{order}HHI{'HH' if k not in (273, 279) else 'I'}", k, 3 if k not in (273, 279) else 4, 1,
                                   *((v, 0) if k not in (273, 279) else (v,))) for k, v in tags.items())  # fmt: skip
    head = (b"MM" if order == ">" else b"II") + struct.pack(f"{order}HIH", 42, 8, len(tags))
    return head + entries + bytes(4) + content


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm", ".jp2", "big.tif", "12 bits.tif"])
def test_sixteen_bit_grey_is_scaled_from_black_to_white(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    if suffix == ".pgm":
        path.write_bytes(b"P5 256 4 65535\n" + RAMP.astype(">u2").tobytes())
    elif suffix == "big.tif":  # most significant byte first
        path.write_bytes(tiff(">", 16, RAMP.astype(">u2").tobytes()))
    elif suffix == "12 bits.tif":  # two numbers in three bytes
        first, second = (RAMP // 16).reshape(-1, 2).T.astype(np.uint32)
        both = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], 1).astype(np.uint8)
        path.write_bytes(tiff("<", 12, both.tobytes()))
    else:
        Image.fromarray(RAMP).save(path)
    for shape in ((1, 4, 256), (3, 4, 256)):
        x = images(tmp_path, shape)[0]
        assert np.abs(x[-1].astype(int) - np.arange(256)).max() <= ("12" in suffix)  # 4,096 levels are not 65,536


def test_lab_is_seen_in_its_colours(tmp_path):
    rgb = Image.fromarray(upright())
    transform = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    ImageCms.applyTransform(rgb, transform).save(tmp_path / "a.tif")
    assert is_upright(images(tmp_path)[0], within=4)


FORMATS = {".jfif": "JPEG", ".jpe": "JPEG", ".pgm": "PPM", ".pbm": "PPM", ".pnm": "PPM", ".avif": "AVIF", ".jp2": "JPEG2000",
           ".tga": "TGA", "": "PNG", ".dat": "WEBP", ".bin": "TIFF", ".old": "GIF", ".raw": "BMP", ".pcx": "PCX", ".ico": "ICO",
           ".sgi": "SGI", ".dds": "DDS", ".dib": "DIB", ".x": "AVIF", ".y": "JPEG2000", ".z": "PCX", ".mpo": "MPO",
           ".PNG": "PNG"}  # fmt: skip


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_picture_is_found_by_its_content(tmp_path, suffix):
    if FORMATS[suffix] == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    folder = tmp_path / "pictures"
    folder.mkdir()
    image = Image.fromarray(upright())
    if suffix in (".pgm", ".pbm"):
        image = image.convert({".pgm": "L", ".pbm": "1"}[suffix])
    how = {"AVIF": {"quality": 100}, "JPEG": {"quality": 100}, "ICO": {"sizes": [(8, 12)]}}.get(FORMATS[suffix], {})
    image.save(folder / f"a{suffix}", FORMATS[suffix], **how)
    (folder / "notes.txt").write_text("BMX and PNG are no pictures")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.write(folder / f"a{suffix}", f"a{suffix}")
        packed.write(folder / "notes.txt", "notes.txt")
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as packed:
        packed.add(folder, ".")
    found = [images(place) for place in (folder, tmp_path / "a.zip", tmp_path / "a.tar.gz")]
    assert [len(x) for x in found] == [1, 1, 1]
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])
    if suffix not in (".pgm", ".pbm", ".old", ".mpo"):
        for colour, (row, column) in ((GREEN, (1, 1)), (RED, (2, 6)), (BLUE, (10, 4))):
            assert np.abs(found[0][0][:, row, column].astype(int) - colour).max() < 25


def test_text_is_no_picture():
    for text in (b"BM is what bitmaps begin with, and so does this", b"P5", b"RIFFs of a guitar", b"II", b"", b"\0" * 64):
        assert not begins_as_one(text)


def test_what_is_left_out_is_counted_in_one_line(tmp_path, caplog):
    folder = tmp_path / "pets"
    (folder / "cat").mkdir(parents=True)
    for name in ("cat/a.png", ".b.png", "Thumbs"):
        Image.fromarray(upright()).save(folder / name, "PNG")
    (folder / "notes.txt").write_text("none")
    (folder / "more.txt").write_text("none")
    (folder / "README").write_text("none")
    os.mkfifo(folder / "pipe")
    caplog.set_level(logging.INFO)
    for _ in range(2):  # decoded, and from the cache
        caplog.clear()
        assert len(images(folder)) == 2
        (line,) = [record.getMessage() for record in caplog.records if "left out" in record.getMessage()]
        assert "2 pictures; left out: 1 hidden, 1 no file, 2 no picture (.txt), 1 no picture (no suffix)" in line


def test_links_that_loop_are_followed_once(tmp_path):
    folder = tmp_path / "pets"
    (folder / "z" / "deep").mkdir(parents=True)
    Image.fromarray(upright()).save(folder / "z" / "deep" / "a.png")
    (folder / "a_link").symlink_to(folder / "z")  # before z by its name
    (folder / "z" / "deep" / "up").symlink_to(folder)
    (folder / "z" / "itself").symlink_to(folder / "z" / "itself")
    (folder / "gone.txt").symlink_to(folder / "nothing")
    (folder / "extra").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    Image.fromarray(upright()).save(tmp_path / "elsewhere" / "b.png")
    files, left_out = archives.list_files(folder)
    assert [file.relative_to(folder).as_posix() for file in files] == ["extra/b.png", "z/deep/a.png"]
    assert left_out["a link to a folder that is read already"] == 2
    assert len(images(folder)) == 2


def packed(path, members):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def png(value=0, size=(4, 4)):
    content = io.BytesIO()
    Image.new("L", size, value).save(content, "PNG")
    return content.getvalue()


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_train_and_test_folders_are_splits_of_the_same_classes(tmp_path, kind):
    members = {
        "d/train/dog/1.png": 1,
        "d/train/cat/2.png": 2,
        "d/test/dog/3.png": 3,
        "d/Val/dog/5.png": 5,
        "d/test/eel/4.png": 4,
    }
    for name, value in members.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(png(value))
    place = tmp_path / "d"
    if kind == "zip":
        place = packed(tmp_path / "d.zip", {name: png(value) for name, value in members.items()})
    elif kind == "tar":
        with tarfile.open(tmp_path / "d.tar", "w") as file:
            file.add(tmp_path / "d", "d")
        place = tmp_path / "d.tar"
    for split, values, labels in (("train", [2, 1], [0, 1]), ("test", [3, 4], [1, 2]), ("test+train:1:", [3, 4, 1], [1, 2, 1])):
        data = datasets.images(str(place), (1, 4, 4), split)
        assert data.names == ["cat", "dog", "eel"]
        assert data.x[:, 0, 0, 0].tolist() == values
        assert data.y.tolist() == labels


def test_folders_called_train_and_something_else_are_classes(tmp_path):
    place = packed(tmp_path / "a.zip", {"train/1.png": png(), "bus/2.png": png()})
    assert datasets.images(str(place), (1, 4, 4)).names == ["bus", "train"]
    with pytest.raises(UserError, match="has no such split"):
        datasets.images(str(place), (1, 4, 4), "test")
    alone = packed(tmp_path / "b.zip", {"train/cat/1.png": png(), "train/dog/2.png": png()})
    assert datasets.images(str(alone), (1, 4, 4)).names == ["cat", "dog"]


def test_stylegans_labels_come_before_folders(tmp_path):
    names = [f"0000{i // 2}/img{i}.png" for i in range(4)]
    about = {"labels": [[name, i % 2] for i, name in enumerate(names)]}
    pictures = {name: png(i) for i, name in enumerate(names)}
    for prefix in ("", "top/"):
        content = {**{prefix + name: content for name, content in pictures.items()}, f"{prefix}dataset.json": json.dumps(about)}
        data = datasets.images(str(packed(tmp_path / f"a{len(prefix)}.zip", content)), (1, 4, 4))
        assert data.y.tolist() == [0, 1, 0, 1]
        assert data.names == ["0", "1"]
    for bad, sentence in (
        ({"labels": about["labels"][:2]}, "has no label for 00001/img2.png, and 2 are without"),
        ({"labels": [[name, 0.5] for name in names]}, "labels that are no whole numbers"),
        ({"labels": [[name, 255 * i] for i, name in enumerate(names)]}, "has labels up to 765, but only 4 different ones"),
        ([], "is not StyleGAN's"),
        ({"labels": 3}, "is not StyleGAN's"),
    ):
        with pytest.raises(UserError, match=sentence):
            datasets.images(str(packed(tmp_path / "bad.zip", {**pictures, "dataset.json": json.dumps(bad)})), (1, 4, 4))
    with pytest.raises(UserError, match="is not StyleGAN's"):
        datasets.images(str(packed(tmp_path / "deep.zip", {**pictures, "dataset.json": "[" * 100_000})), (1, 4, 4))
    without = packed(tmp_path / "null.zip", {**pictures, "dataset.json": '{"labels": null}'})
    assert datasets.images(str(without), (1, 4, 4)).names == ["images"]


# Too much


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path):
    (tmp_path / "a.png").write_bytes(png(size=(3000, 1000)))
    with pytest.raises(UserError, match=r"a.png \(3 megapixels are over data.max_megapixels=2, which raises it"):
        images(tmp_path, (1, 4, 4), max_megapixels=2)
    assert len(images(tmp_path, (1, 4, 4), max_megapixels=3)) == 1
    huge = png(size=(12000, 10000))  # 120 megapixels in 100 kB; PIL would warn
    (tmp_path / "a.png").write_bytes(huge)
    with pytest.raises(UserError, match=r"120 megapixels are over data\.max_megapixels=64"):
        images(tmp_path, (1, 4, 4))


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_member_that_unpacks_to_too_much_is_refused(tmp_path, kind):
    content = png() + bytes(9_000_000)
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("a.png", content)
            file.writestr("notes.txt", bytes(9_000_000))  # nobody reads it
    else:
        with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as file:
            member = tarfile.TarInfo("a.png")
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    with pytest.raises(UserError, match=r"a.png \(9 MB are over the 8 of a picture: raise data.max_megapixels\)"):
        images(tmp_path / f"a.{kind}", (1, 4, 4), max_megapixels=2)


def test_an_idx_file_that_unpacks_to_more_than_it_says_is_not_unpacked(tmp_path, monkeypatch):
    import gzip

    read = []
    original = gzip.GzipFile.read
    monkeypatch.setattr(gzip.GzipFile, "read", lambda self, n=-1: read.append(n) or original(self, n))
    header = bytes([0, 0, 8, 1]) + (10).to_bytes(4)
    (tmp_path / "a.gz").write_bytes(gzip.compress(header + bytes(50_000_000)))
    with pytest.raises(UserError, match=r"a\.gz is too long: expected 18 bytes"):
        read_idx(tmp_path / "a.gz", axes=1)
    assert min(read) >= 0
    assert max(read) < 100
    (tmp_path / "a.gz").write_bytes(gzip.compress(bytes([0, 0, 8, 1]) + (2**32 - 1).to_bytes(4)))
    with pytest.raises(UserError, match=r"a\.gz is truncated"):
        read_idx(tmp_path / "a.gz", axes=1)


# Mistakes


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ("data.source=", "data.source = '' is empty: give it a value"),
        ("data.source='  '", "data.source = '  ' is empty"),
        ("data.source=x data.background=whitish", "data.background = whitish is no colour"),
        ("data.source=x data.max_megapixels=0", "data.max_megapixels = 0.0 must be > 0"),
        ("data.source=x data.max_megapixels=inf", "data.max_megapixels = inf: a number has to be finite"),
        ("data=mnist data.source=", "data.source = '' is empty"),
        ("data=mnist data.root=", "data.root = '' is empty"),
        ("data=stacked_mnist data.root=", "data.root = '' is empty"),
    ],
)
def test_a_mistake_is_one_sentence(run, overrides, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        run("data=images", *([overrides] if "  " in overrides else overrides.split()))
    assert len(str(caught.value)) <= 200


def test_a_user_without_a_home_can_train_on_a_path(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")

    def homeless(self=None):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.setattr(Path, "expanduser", lambda self: homeless() if str(self).startswith("~") else self)
    (tmp_path / "a.png").write_bytes(png())
    assert len(images(tmp_path, (1, 4, 4))) == 1
    with pytest.raises(UserError, match="is no path here"):
        images("~/pictures")


# What was given


@needs_given
def test_the_given_pictures_are_right(tmp_path):
    def one(name, shape=(3, 32, 32), **more):
        folder = tmp_path / name.replace(".", "_")
        folder.mkdir()
        (folder / name).write_bytes((GIVEN / name).read_bytes())
        x = datasets.images(str(folder), shape, **more).x.numpy()
        assert len(x) == 1
        return x[0].astype(int)

    for name in ("orientation6.jpg", "orientation6.png"):
        x = one(name)
        assert np.abs(x[:, 2, 2] - GREEN).max() < 25
        assert np.abs(x[:, 2, 29] - RED).max() < 25
        assert np.abs(x[:, 29, 2] - BLUE).max() < 25
    x = one("transparent.png", background="black")
    assert x[0, 16, 16] > 150
    assert not x[:, 0].any()
    ramp = one("gray16.png", (1, 32, 32))[0]
    assert (ramp[:, 0] == 0).all()
    assert (ramp[:, -1] == 255).all()
    assert (np.diff(ramp, axis=1) > 0).all()
    for name in ("photo.jfif", "without_suffix"):
        assert np.abs(one(name)[:, 29, 29] - BLUE).max() < 25
    assert one("gray.pgm", (1, 32, 32)).max() == 128
    back = datasets.images(str(GIVEN / "backslashes.zip"), (3, 8, 8))
    assert (len(back), back.names, back.y.tolist()) == (16, ["cat", "dog"], [0] * 8 + [1] * 8)
    style = datasets.images(str(GIVEN / "stylegan.zip"), (3, 8, 8))
    assert (len(style), style.y.tolist()) == (16, [0, 1] * 8)
