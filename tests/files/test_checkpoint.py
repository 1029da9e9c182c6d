"""A checkpoint that is not as it was written is never gone on with, wherever it is damaged."""

import errno

import pytest
import torch

from ganlab.errors import UserError
from ganlab.files.checkpoint import NEEDED, problem, read_checkpoint, save_summed

STATE = {**dict.fromkeys(NEEDED, 0), "state_dict": {"w": torch.arange(8.0)}, "global_step": 3}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "step-000000003.ckpt"
    with path.open("wb") as out:
        save_summed(STATE, out)
    return path


def test_every_byte_counts(file):
    whole = file.read_bytes()
    assert problem(file) is None
    for place in range(len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :])
        assert problem(file) is not None, place
    for length in (0, 1, 21, 22, 40, len(whole) - 41, len(whole) - 39, len(whole) - 1):  # at - 40 it is a whole one of before
        file.write_bytes(whole[:length])
        assert problem(file) is not None, length
    file.write_bytes(whole + b"\0")
    assert problem(file) is not None


def test_one_of_before_has_no_checksum_and_is_read_or_refused(tmp_path):
    path = tmp_path / "old.ckpt"
    torch.save(STATE, path)
    whole = path.read_bytes()
    assert problem(path) is None
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        if problem(path) is None:  # a byte that nobody reads
            assert torch.equal(read_checkpoint(path)["state_dict"]["w"], STATE["state_dict"]["w"]), place


def test_what_is_no_checkpoint_is_a_sentence(tmp_path):
    path = tmp_path / "x.ckpt"
    for content in (b"", b"text", b"PK\x05\x06" + bytes(18), bytes(1000)):
        path.write_bytes(content)
        assert problem(path)
        with pytest.raises(UserError):
            read_checkpoint(path)
    torch.save({"weights": 1}, path)
    assert problem(path) == "it has no state_dict, and is no checkpoint of a run"
    torch.save([1], path)
    assert "it has no" in problem(path)


def test_a_full_disk_is_told_as_that(tmp_path):
    class Full:
        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

        def flush(self): ...

    with pytest.raises(OSError, match="No space left"):
        save_summed(STATE, Full())
