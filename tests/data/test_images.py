"""The data path of images: readers and archives, the cache, and minibatches as a function of (t, k, seed, part)."""

import gzip
import shutil
import struct
import tarfile
import threading
import zipfile
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from conftest import SHARED
from PIL import Image
from torch.testing import assert_close

from ganlab.data import archives, cache, datasets, decode, download
from ganlab.data.idx import read_idx, read_idx_pair
from ganlab.data.images import Images
from ganlab.errors import UserError, brief
from ganlab.metrics.parzen import ParzenWindow
from ganlab.pixels import to_uint8
from ganlab.random import generator_of

ALL = slice(None)
needs_mnist = pytest.mark.skipif(not (SHARED / "MNIST").is_dir(), reason=f"no MNIST in {SHARED}")
needs_cifar = pytest.mark.skipif(not (SHARED / "cifar10-train.zip").is_file(), reason=f"no cifar10-train.zip in {SHARED}")


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where entries go that cannot lie beside their source."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder / "ganlab"


def numbered(n: int, flip: bool = False) -> Images:
    """n < 256 images of 1 x 2 x 3: the left column holds the image's number, the others 0; its label is its number."""
    x = torch.zeros(n, 1, 2, 3, dtype=torch.uint8)
    x[..., 0] = torch.arange(n)[:, None, None]
    return Images(x, torch.arange(n), [f"{i}" for i in range(n)], flip)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def write_folder(folder: Path, pixels: np.ndarray, classes: tuple[str, ...] = ("cat", "dog")) -> Path:
    """Image i as PNG in class i mod n; also what is to be ignored."""
    for i, image in enumerate(pixels):
        file = folder / classes[i % len(classes)] / f"{i:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)
    (folder / "notes.txt").write_text("not a picture")
    for hidden in (folder / ".hidden.png", folder / "__MACOSX" / "cat" / "00.png"):
        hidden.parent.mkdir(parents=True, exist_ok=True)
        hidden.write_bytes(b"not a picture")
    return folder


def write_archives(folder: Path) -> list[Path]:
    kinds = ("zip", "tar", "gztar")
    return [Path(shutil.make_archive(str(folder.with_suffix(f".{kind}")), kind, folder)) for kind in kinds]


def write_idx(folder: Path, x: np.ndarray, y: np.ndarray, prefix: str = "train", suffix: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    for kind, data in (("images-idx3", x), ("labels-idx1", y)):
        header = bytes([0, 0, 8, data.ndim]) + struct.pack(f">{data.ndim}I", *data.shape)
        content = header + data.tobytes()
        file = folder / f"{prefix}-{kind}-ubyte{suffix}"
        file.write_bytes(gzip.compress(content, mtime=0) if suffix else content)
    return folder


def in_memory(source: Path, shape: tuple[int, ...]) -> decode.Decoded:
    return decode.decode(source, shape, lambda shape: np.empty(shape, np.uint8))


# Minibatches


def test_an_epoch_visits_every_image_once():
    data, B = numbered(23), 5
    for epoch in range(3):
        seen = torch.cat([data.minibatches(epoch * 4 + i, 1, B, 7, ALL).y[0] for i in range(4)])
        assert len(set(seen.tolist())) == 4 * B == len(seen)
        assert_close(seen, torch.randperm(23, generator=generator_of(7, "order", epoch))[: 4 * B])


def test_order_depends_on_the_seed_and_the_epoch_alone():
    a, b = numbered(20), numbered(20)
    late = a.minibatches(9, 1, 4, 0, ALL).y  # before any other: there is no state to bring there
    assert_close(late, [b.minibatches(t, 1, 4, 0, ALL).y for t in range(10)][9])
    assert not torch.equal(late, a.minibatches(9, 1, 4, 1, ALL).y)
    assert not torch.equal(late, a.minibatches(4, 1, 4, 0, ALL).y)  # the same place in the epoch before


@pytest.mark.parametrize("k", [2, 3, 11])  # across a border of epochs, and 11 minibatches over six of them
def test_k_minibatches_equal_k_iterations_of_one(k):
    data = numbered(10)
    together = data.minibatches(3, k, 4, 0, ALL)
    single = [data.minibatches(3 * k + j, 1, 4, 0, ALL) for j in range(k)]
    assert together.x.shape == (k, 4, 1, 2, 3)
    assert together.y.shape == (k, 4)
    assert_close(together.x, torch.cat([batch.x for batch in single]))
    assert_close(together.y, torch.cat([batch.y for batch in single]))


@pytest.mark.parametrize("flip", [False, True])
def test_ranks_together_see_what_one_process_sees(flip):
    data = numbered(50, flip)
    whole = data.minibatches(5, 2, 12, 3, ALL)
    parts = [data.minibatches(5, 2, 12, 3, slice(4 * r, 4 * r + 4)) for r in range(3)]
    assert_close(torch.cat([part.x for part in parts], 1), whole.x, rtol=0, atol=0)
    assert_close(torch.cat([part.y for part in parts], 1), whole.y)


def test_a_flip_mirrors_left_to_right_half_of_the_images():
    plain, flipped = numbered(200).minibatches(0, 1, 200, 0, ALL), numbered(200, flip=True).minibatches(0, 1, 200, 0, ALL)
    heads = torch.rand(1, 200, generator=generator_of(0, "flip", 0)) < 0.5
    assert_close(flipped.x[heads], plain.x[heads].flip(-1), rtol=0, atol=0)
    assert_close(flipped.x[~heads], plain.x[~heads], rtol=0, atol=0)
    assert 70 < heads.sum() < 130  # 4 standard deviations around 100


def test_x_and_y_stay_together():
    batch = numbered(30).minibatches(0, 3, 10, 0, ALL)
    assert_close(to_uint8(batch.x[:, :, 0, 0, 0]).long(), batch.y)


def test_normalising_is_inverted_exactly():
    levels = torch.arange(256, dtype=torch.uint8)
    x, _ = Images(levels.view(1, 1, 16, 16), torch.zeros(1, dtype=torch.long), ["a"]).sample(1, generator_of(0, "a"))
    assert x.dtype == torch.float32
    assert (x.min(), x.max()) == (-1, 1)
    assert_close(x.flatten(), levels / 127.5 - 1)
    assert torch.equal(to_uint8(x).flatten(), levels)
    assert to_uint8(torch.tensor([-1.2, 1.2, -1 + 0.9 / 255, -1 + 1.1 / 255])).tolist() == [0, 255, 0, 1]


def test_a_sample_is_with_replacement_and_repeats_for_a_seed():
    x, y = numbered(3).sample(300, generator_of(0, "sample"))
    assert x.shape == (300, 1, 2, 3)
    assert y.unique(return_counts=True)[1].tolist() == pytest.approx([100, 100, 100], abs=40)
    assert_close(y, numbered(3).sample(300, generator_of(0, "sample"))[1])


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(UserError, match="batch_size=11 is larger than the 10 images of data: lower it to 10"):
        numbered(10).minibatches(0, 1, 11, 0, ALL)
    assert numbered(10).minibatches(0, 1, 10, 0, ALL).y.sort().values.tolist() == [list(range(10))]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("room", [2**40, 1])  # on the GPU, and too large for it
def test_a_gpu_gets_the_same_minibatches_without_waiting(room, monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (room, room))
    cpu, device = numbered(50, flip=True), torch.device("cuda:0")
    gpu = cpu.to(device)
    assert gpu.x.is_cuda == (room > 1)
    gpu.minibatches(0, 3, 16, 0, ALL)  # allocates the pinned memory
    torch.cuda.set_sync_debug_mode("error")
    try:
        batch = gpu.minibatches(1, 3, 16, 0, slice(8, 16))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert batch.x.is_cuda
    assert batch.y.is_cuda
    assert_close(batch.x.cpu(), cpu.minibatches(1, 3, 16, 0, slice(8, 16)).x, rtol=0, atol=1e-6)


# Pictures


@pytest.mark.parametrize("shape", [(1, 6, 6), (3, 6, 6)])
def test_folder_zip_and_tar_hold_the_same_pictures(tmp_path, shape):
    pixels = noise(7, 6, 6, 3) if shape[0] == 3 else noise(7, 6, 6)
    folder = write_folder(tmp_path / "pets", pixels)
    order = [0, 2, 4, 6, 1, 3, 5]  # by name: cat/00 cat/02 ... dog/01 ...
    for source in (folder, *write_archives(folder)):
        data = datasets.images(str(source), shape)
        assert data.shape == shape
        assert data.names == ["cat", "dog"]
        assert data.y.tolist() == [0, 0, 0, 0, 1, 1, 1]
        assert np.array_equal(data.x.numpy(), pixels.reshape(7, 6, 6, -1).transpose(0, 3, 1, 2)[order])


@pytest.mark.parametrize(
    ("names", "classes", "labels"),
    [
        (["a.png", "b.png"], ["images"], [0, 0]),
        (["faces/a.png", "faces/b.png"], ["images"], [0, 0]),
        (["top/cat/a.png", "top/dog/a.png"], ["cat", "dog"], [0, 1]),
        (["cat/big/a.png", "dog/a.png"], ["cat/big", "dog"], [0, 1]),
        (["./cat/a.png", "./z.PNG"], ["images", "cat"], [1, 0]),
    ],
)
def test_a_class_is_the_folder_below_the_common_one(tmp_path, names, classes, labels):
    Image.fromarray(noise(4, 4)).save(tmp_path / "one.png")
    with tarfile.open(tmp_path / "pictures.tar", "w") as tar:
        for name in names:
            tar.add(tmp_path / "one.png", name)
    pictures = in_memory(tmp_path / "pictures.tar", (1, 4, 4))
    assert pictures.classes == classes
    assert pictures.y.tolist() == labels


@pytest.mark.parametrize("size", [(40, 30), (30, 40), (31, 31), (9, 50), (12, 8), (8, 13)])
def test_fitting_is_the_resize_and_crop_of_torchvision(size):
    from torchvision.transforms import CenterCrop, Compose, Resize

    image = Image.fromarray(noise(*size, 3))
    expected = np.asarray(Compose([Resize(8), CenterCrop(8)])(image))
    assert np.array_equal(decode.fit(image, (3, 8, 8)), expected.transpose(2, 0, 1))


def test_fitting_covers_a_target_that_is_not_square():
    image = Image.fromarray(np.tile(np.arange(0, 200, 10, np.uint8), (10, 1)))  # 10 x 20, a ramp to the right
    assert np.array_equal(decode.fit(image, (1, 10, 4))[0, 0], [80, 90, 100, 110])
    assert decode.fit(image, (1, 3, 17)).shape == (1, 3, 17)


def test_modes_become_grey_or_rgb():
    rgba = noise(5, 5, 4)
    rgba[..., 3] = 255
    assert np.array_equal(decode.fit(Image.fromarray(rgba), (3, 5, 5)), rgba[..., :3].transpose(2, 0, 1))
    grey = noise(5, 5)
    assert np.array_equal(decode.fit(Image.fromarray(grey), (3, 5, 5)), np.stack([grey] * 3))
    assert np.array_equal(decode.fit(Image.fromarray(np.stack([grey] * 3, -1)), (1, 5, 5)), grey[None])


def test_a_transparent_palette_is_decoded_without_a_warning(tmp_path):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.save(tmp_path / "a.png", transparency=b"\x80\x80")
    on_white = [round((colour * 0x80 + 255 * 0x7F) / 255) for colour in (10, 20, 30)]
    assert in_memory(tmp_path, (3, 4, 4)).x[0, :, 0, 0].tolist() == pytest.approx(on_white, abs=1)


# IDX


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files_are_read_plain_and_packed(tmp_path, suffix):
    x, y = noise(9, 5, 4), np.arange(9, dtype=np.uint8) % 3
    folder = write_idx(tmp_path / "raw", x, y, suffix=suffix)
    for source in (folder, folder / f"train-images-idx3-ubyte{suffix}"):
        data = datasets.images(str(source), (1, 5, 4))
        assert np.array_equal(data.x.numpy(), x[:, None])
        assert np.array_equal(data.y.numpy(), y)
        assert data.names == ["0", "1", "2"]
    assert datasets.images(str(folder), (3, 8, 8)).x.shape == (9, 3, 8, 8)


def test_split_chooses_the_idx_files(tmp_path):
    for prefix, n in (("train", 6), ("t10k", 4)):
        write_idx(tmp_path / "raw", noise(n, 2, 2), np.zeros(n, np.uint8), prefix)
    for split, n in (("train", 6), ("test", 4)):
        data = datasets.torchvision_images("MNIST", "nowhere", str(tmp_path / "raw"), [1, 2, 2], split)
        assert len(data) == n
        assert data.names[3] == "3 - three"


@pytest.mark.parametrize("axes", [1, 3])
def test_an_idx_file_is_read_as_torchvision_reads_it(tmp_path, axes):
    from torchvision.datasets.mnist import read_sn3_pascalvincent_tensor

    folder = write_idx(tmp_path / "raw", noise(9, 5, 4), noise(9))
    file = folder / ("train-images-idx3-ubyte" if axes == 3 else "train-labels-idx1-ubyte")
    theirs = read_sn3_pascalvincent_tensor(str(file))
    assert theirs.dim() == axes
    assert_close(read_idx(file, axes), theirs, rtol=0, atol=0)


IDX = bytes([0, 0, 8, 3]) + struct.pack(">3I", 2, 3, 3) + bytes(18)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a", b"", "a is empty"),
        ("a", b"\x89PNG" + IDX, "a is not an IDX file of images: its magic number is 0x89504e47, expected 0x00000803"),
        ("a", IDX[:30], "a is truncated: expected 34 bytes, has 30"),
        ("a", IDX[:9], "a is truncated: expected 16 bytes, has 9"),
        ("a", IDX + b"0", "a is too long: expected 34 bytes, has 35"),
        ("a.gz", gzip.compress(IDX, mtime=0)[:-9], "a.gz is a truncated or damaged .gz file"),
        ("a.gz", IDX, "a.gz is a truncated or damaged .gz file"),
        ("a.gz", gzip.compress(IDX[:30], mtime=0), "a.gz is truncated: expected 34 bytes, has 30"),
        ("a.gz", b"", "a.gz is empty"),
    ],
)
def test_a_bad_idx_file_is_named(tmp_path, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        read_idx(tmp_path / name, axes=3)


def test_idx_pairs_that_do_not_match_are_refused(tmp_path):
    folder = write_idx(tmp_path / "raw", noise(10, 2, 2), np.zeros(7, np.uint8))
    images, labels = folder / "train-images-idx3-ubyte", folder / "train-labels-idx1-ubyte"
    with pytest.raises(UserError, match=r"train-images.* has 10 images but .*train-labels.* has 7 labels"):
        read_idx_pair(images, labels)
    with pytest.raises(UserError, match="not an IDX file of labels"):
        read_idx_pair(images, images)
    labels.unlink()
    with pytest.raises(UserError, match="has no labels: put train-labels-idx1-ubyte or"):
        datasets.images(str(folder), [1, 2, 2])
    with pytest.raises(UserError, match="absent cannot be read"):
        read_idx(tmp_path / "absent", axes=3)


# The cache


def forbid(monkeypatch: pytest.MonkeyPatch) -> None:
    def decoded(*args: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(datasets, "decode", decoded)


def entry(folder: Path) -> Path:
    (path,) = folder.glob("*.npy")
    return path


def test_the_second_opening_comes_from_the_cache(tmp_path, monkeypatch):
    source = write_folder(tmp_path / "pets", noise(6, 4, 4))
    first = datasets.images(str(source), [1, 4, 4])
    assert sorted(file.suffix for file in (tmp_path / ".ganlab").iterdir()) == [".json", ".npy"]
    forbid(monkeypatch)
    second = datasets.images(str(source), [1, 4, 4])
    assert torch.equal(first.x, second.x)
    assert torch.equal(first.y, second.y)
    assert first.names == second.names


def test_writing_into_an_opened_entry_leaves_the_file_alone(tmp_path):
    source = write_folder(tmp_path / "pets", noise(6, 4, 4))
    datasets.images(str(source), [1, 4, 4]).x.zero_()
    assert datasets.images(str(source), [1, 4, 4]).x.any()


@pytest.mark.parametrize("change", ["time", "content", "new file", "shape"])
def test_a_changed_source_is_decoded_again(tmp_path, change):
    source = write_folder(tmp_path / "pets", noise(6, 4, 4))
    datasets.images(str(source), [1, 4, 4])
    file, shape = source / "cat" / "00.png", [1, 4, 4]
    if change == "time":
        file.touch()
    elif change == "content":
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(file)
    elif change == "new file":
        shutil.copy(file, file.with_name("08.png"))
    else:
        shape = [1, 5, 5]
    data = datasets.images(str(source), shape)
    assert len(list((tmp_path / ".ganlab").glob("*.npy"))) == 2
    assert len(data) == 7 if change == "new file" else len(data) == 6
    assert data.x[0].any() == (change != "content")


@pytest.mark.parametrize("damage", ["truncated", "empty", "no labels", "bad labels", "other size"])
def test_a_damaged_entry_is_made_again(tmp_path, damage):
    source = write_folder(tmp_path / "pets", noise(6, 4, 4))
    good = datasets.images(str(source), [1, 4, 4]).x.clone()
    npy = entry(tmp_path / ".ganlab")
    if damage == "truncated":
        npy.write_bytes(npy.read_bytes()[:-1])
    elif damage == "empty":
        npy.write_bytes(b"")
    elif damage == "no labels":
        npy.with_suffix(".json").unlink()
    elif damage == "bad labels":
        npy.with_suffix(".json").write_text('{"classes": ["cat"], "lab')
    else:
        np.save(npy, good.numpy()[:5])
    assert torch.equal(datasets.images(str(source), [1, 4, 4]).x, good)
    assert np.array_equal(np.load(npy), good.numpy())


def test_a_read_only_place_is_left_alone(tmp_path, home, monkeypatch):
    source = write_folder(tmp_path / "place" / "pets", noise(6, 4, 4))
    (tmp_path / "place").chmod(0o555)
    try:
        datasets.images(str(source), [1, 4, 4])
        assert [path.name for path in (tmp_path / "place").iterdir()] == ["pets"]
    finally:
        (tmp_path / "place").chmod(0o755)
    assert entry(home).name.startswith("pets-")
    forbid(monkeypatch)
    datasets.images(str(source), [1, 4, 4])  # found there although the place can be written now


def test_nowhere_to_write_is_one_sentence(tmp_path, home):
    source = write_folder(tmp_path / "pets", noise(2, 4, 4))
    home.parent.rmdir()
    home.parent.write_text("a file where the folder should be")
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(UserError, match=r"ganlab cannot take the decoded images .*: set XDG_CACHE_HOME"):
            datasets.images(str(source), [1, 4, 4])
    finally:
        tmp_path.chmod(0o755)


def test_a_full_disk_is_noticed_before_decoding(tmp_path, monkeypatch):
    source = write_folder(tmp_path / "pets", noise(2, 4, 4))
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(UserError, match="has 0 MB free but the decoded images take"):
        datasets.images(str(source), [1, 4, 4])
    assert not list((tmp_path / ".ganlab").iterdir())


def test_decoding_at_once_leaves_one_good_entry(tmp_path):
    source = write_folder(tmp_path / "pets", noise(40, 4, 4))
    start, opened = threading.Barrier(4), []

    def work() -> None:
        start.wait()
        opened.append(datasets.images(str(source), [1, 4, 4]).x)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 4
    assert all(torch.equal(x, opened[0]) for x in opened)
    assert len(list((tmp_path / ".ganlab").iterdir())) == 2


# Bad sources


def test_bad_pictures_are_named_up_to_five(tmp_path):
    source = write_folder(tmp_path / "pets", noise(20, 30, 30))
    good = (source / "cat" / "00.png").read_bytes()
    (source / "cat" / "02.png").write_bytes(good[:-200])
    (source / "cat" / "04.png").write_bytes(b"garbage")
    for place in (source, *write_archives(source)):
        with pytest.raises(UserError, match=r"pets.* has bad pictures: cat/02.png \(.*cat/04.png \(not a pic") as caught:
            datasets.images(str(place), [1, 8, 8])
        assert "dog" not in str(caught.value)
    for file in source.rglob("dog/*.png"):
        file.write_bytes(b"")
    with pytest.raises(UserError) as caught:
        datasets.images(str(source), [1, 8, 8])
    assert str(caught.value).count(".png") == 5
    assert not list((tmp_path / ".ganlab").iterdir())


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_more_than_sixteen_bits_are_refused(tmp_path, dtype):
    (tmp_path / "pets").mkdir()
    Image.fromarray(np.full((4, 4), 40_000, dtype)).save(tmp_path / "pets" / "deep.tif")
    with pytest.raises(UserError, match=r"deep.tif \(mode (I|F) has more than 16 bits a channel, of no known range: convert"):
        datasets.images(str(tmp_path / "pets"), [1, 4, 4])


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tgz"])
@pytest.mark.parametrize("content", [b"", b"garbage" * 200])
def test_a_damaged_archive_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"{name} is damaged or no such archive \(.+\): copy or download it again"):
        datasets.images(str(tmp_path / name), [1, 4, 4])


def test_a_truncated_archive_is_named(tmp_path):
    for archive in write_archives(write_folder(tmp_path / "pets", noise(20, 30, 30))):
        content = archive.read_bytes()
        for share in (0.3, 0.5, 0.51, 0.7):  # of a tar, some of these cut a header and some a picture
            archive.write_bytes(content[: int(len(content) * share)])
            with pytest.raises(UserError, match=f"{archive.name} is damaged or no such archive"):
                datasets.images(str(archive), [1, 4, 4])
    assert not list((tmp_path / ".ganlab").iterdir())


def test_one_damaged_member_of_a_zip_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("cat/00.png", b"0123456789")
    path = tmp_path / "a.zip"
    path.write_bytes(path.read_bytes().replace(b"0123456789", b"0123456780"))
    with pytest.raises(UserError, match=r"a.zip has bad pictures: cat/00.png \(Bad CRC-32"):
        datasets.images(str(path), [1, 4, 4])


def test_sources_without_pictures_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.rar").write_bytes(b"Rar!")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("notes.txt", "no picture")
    for source, sentence in (
        ("empty", "empty holds no pictures: data.source needs files as .apng"),
        ("a.zip", "a.zip holds no pictures"),
        ("a.rar", "a.rar is no archive: data.source takes"),
        ("absent", r"data.source=.*absent cannot be read \(No such file or directory\): give a folder"),
    ):
        with pytest.raises(UserError, match=sentence):
            datasets.images(str(tmp_path / source), [1, 4, 4])


def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    source = write_folder(tmp_path / "pets", noise(4, 4, 4))

    def scandir(folder: Path):
        raise PermissionError(13, "Permission denied", f"{folder}/cat")

    monkeypatch.setattr(archives.os, "scandir", scandir)  # root may read everything, so no mode would do
    with pytest.raises(UserError, match=r"pets/cat cannot be read \(Permission denied\): check its permissions"):
        datasets.images(str(source), [1, 4, 4])


def test_bad_options_are_refused(tmp_path):
    for shape in ([2, 4, 4], [3, 32], [1, 0, 4]):
        with pytest.raises(UserError, match=r"shape=\[.*is not \(C, H, W\)"):
            datasets.images(str(tmp_path), shape)
    with pytest.raises(UserError, match=r"data.name=CIFAR11 is not known: use one of MNIST"):
        datasets.torchvision_images("CIFAR11", str(tmp_path), None, [3, 32, 32])
    with pytest.raises(UserError, match=r"data.split=val is not a split: use train or test"):
        datasets.torchvision_images("CIFAR10", str(tmp_path), None, [3, 32, 32], "val")


# torchvision


def test_the_names_of_classes_are_those_of_torchvision():
    import torchvision

    assert {name: getattr(torchvision.datasets, name).classes for name in datasets.IDX_CLASSES} == datasets.IDX_CLASSES


@pytest.mark.parametrize(("name", "wanted"), [("MNIST", "train-images-idx3-ubyte.gz"), ("CIFAR100", "cifar-100-python.tar.gz")])
def test_a_failed_download_says_what_to_do(tmp_path, monkeypatch, name, wanted):
    def urlopen(*_, **__):
        raise URLError("no route to host")

    monkeypatch.setattr(download, "urlopen", urlopen)
    with pytest.raises(UserError) as caught:
        datasets.torchvision_images(name, str(tmp_path / "root"), None, [3, 32, 32])
    sentence = str(caught.value)
    for part in (f"{name} is not under {tmp_path / 'root'}", "no route to host", f"put {wanted}", "data.source=PATH"):
        assert part in sentence
    assert "\n" not in sentence
    reason, what_to_do = map(brief, caught.value.mistakes)
    assert name in reason
    assert "no route to host" in reason
    assert what_to_do in sentence  # and no word of it was cut out


def test_cifar_is_read_with_channels_first_and_cached(tmp_path, monkeypatch):
    import torchvision

    pixels, opened = noise(6, 32, 32, 3), []

    class Small(torchvision.datasets.CIFAR10):
        def __init__(self, root: Path, train: bool) -> None:
            opened.append(train)
            self.data, self.targets, self.classes = pixels, [0, 1, 2, 0, 1, 2], ["a", "b", "c"]

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", Small)
    (tmp_path / "cifar-10-batches-py").mkdir()
    for i in range(1, 6):
        (tmp_path / "cifar-10-batches-py" / f"data_batch_{i}").write_bytes(b"")
    for _ in range(2):
        data = datasets.torchvision_images("CIFAR10", str(tmp_path), None, [3, 32, 32])
        assert np.array_equal(data.x.numpy(), pixels.transpose(0, 3, 1, 2))
        assert data.y.tolist() == [0, 1, 2, 0, 1, 2]
        assert data.names == ["a", "b", "c"]
    assert opened == [True]


@needs_mnist
def test_mnist_is_opened_in_place(home):
    before = sorted(SHARED.rglob("*"))
    train = datasets.torchvision_images("MNIST", str(SHARED), None, [1, 28, 28])
    test = datasets.torchvision_images("MNIST", str(SHARED), None, [1, 28, 28], "test")
    assert (train.x.shape, test.x.shape) == ((60_000, 1, 28, 28), (10_000, 1, 28, 28))
    assert train.classes == 10
    assert train.y[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert train.y.bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert train.x.float().mean() == pytest.approx(33.318421, abs=1e-4)
    assert sorted(SHARED.rglob("*")) == before
    assert not home.exists()


@needs_mnist
def test_mnist_in_another_shape_is_resized(tmp_path, home):
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)  # whether SHARED is writable decides where entries lie
    for file in (SHARED / "MNIST" / "raw").glob("t10k-*-ubyte"):
        shutil.copy(file, tmp_path / "MNIST" / "raw")
    small, original = (
        datasets.torchvision_images("MNIST", str(tmp_path), None, shape, "test") for shape in ([3, 14, 14], [1, 28, 28])
    )
    assert small.x.shape == (10_000, 3, 14, 14)
    assert torch.equal(small.x[:, 0], small.x[:, 2])
    assert small.x.float().mean().item() == pytest.approx(original.x.float().mean().item(), rel=5e-3)
    assert entry(tmp_path / "MNIST" / "raw" / ".ganlab").name.startswith("t10k-images")
    assert not home.exists()


@pytest.mark.slow
@pytest.mark.long  # 50,000 pictures are decoded
@needs_cifar
def test_cifar_zip_is_decoded_once(tmp_path, monkeypatch):
    source = Path(shutil.copy(SHARED / "cifar10-train.zip", tmp_path))  # whether SHARED is writable decides where entries lie
    first = datasets.images(str(source), [3, 32, 32])
    assert first.x.shape == (50_000, 3, 32, 32)
    assert first.y.bincount().tolist() == [5000] * 10
    assert first.names[:3] == ["airplane", "automobile", "bird"]
    mean = first.x.float().mean((0, 2, 3)) / 255  # the well-known means of CIFAR-10
    assert_close(mean, torch.tensor([0.4914, 0.4822, 0.4465]), atol=1e-4, rtol=0)
    assert entry(tmp_path / ".ganlab").name.startswith("cifar10-train-")
    forbid(monkeypatch)
    assert torch.equal(datasets.images(str(source), [3, 32, 32]).x, first.x)


@pytest.mark.slow
@needs_mnist
def test_parzen_is_calibrated_on_real_digits():
    """protocols 2: 10,000 train images score 242.5 +- 2.1 (other draws 241.1 to 244.7) and the mean image -59.1 +- 1.0."""
    train, test = (
        datasets.torchvision_images("MNIST", str(SHARED), None, [1, 28, 28], split, flip=False).x.float() / 127.5 - 1
        for split in ("train", "test")
    )

    def score(samples: torch.Tensor) -> tuple[float, ParzenWindow]:
        metric = ParzenWindow(
            Images(torch.zeros(1, 1, 28, 28, dtype=torch.uint8), torch.zeros(1, dtype=torch.long), ["0"], False)
        )
        metric.update(samples, real=False)
        metric.update(train[50000:51000], real=True)
        metric.update(test, real=True)
        return metric.compute().item(), metric

    value, metric = score(train[:10000])
    assert (value, metric.details["sigma"]) == (pytest.approx(242.5, abs=4), pytest.approx(0.1668, abs=1e-4))
    assert metric.details["standard_error"] == pytest.approx(2.1, abs=0.1)
    value, metric = score(train[:50000].mean(0, keepdim=True).expand(10, -1, -1, -1))
    assert (value, metric.details["sigma"]) == (pytest.approx(-59.1, abs=0.1), pytest.approx(0.2783, abs=1e-4))
    assert metric.details["standard_error"] == pytest.approx(1.0, abs=0.05)
