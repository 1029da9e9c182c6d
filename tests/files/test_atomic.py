"""A reader sees the old file or the new one, whatever happens while it is written."""

import pytest

from ganlab.files.atomic import replaced, substitute, write_whole


def test_a_file_takes_its_place_when_it_is_complete(tmp_path):
    path = tmp_path / "a.txt"
    with replaced(path) as file:
        file.write(b"old")
        assert not path.exists()
    with replaced(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    write_whole(path, "été")
    assert path.read_bytes() == "été".encode()
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("written", [False, True])
def test_where_writing_fails_the_old_file_stays_and_nothing_else(tmp_path, written):
    path = tmp_path / "a.txt"
    write_whole(path, "old")

    def write():
        with substitute(path) as half:
            if written:
                half.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert path.read_text() == "old"
    assert [*tmp_path.iterdir()] == [path]


def test_two_that_write_at_once_do_not_meet(tmp_path):
    path = tmp_path / "a.txt"
    with substitute(path) as one, substitute(path) as other:
        assert one != other
        one.write_text("one")
        other.write_text("other")
    assert path.read_text() == "one"
    assert [*tmp_path.iterdir()] == [path]
