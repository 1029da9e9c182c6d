"""Downloads that go on where they were broken off, and `ganlab fetch`, from a server of our own."""

import gzip
import hashlib
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import numpy as np
import pytest
import torchvision

from ganlab.commands.fetch import fetch
from ganlab.data.download import downloaded
from ganlab.errors import UserError

CONTENT = np.random.default_rng(0).bytes(100_000)
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server(BaseHTTPRequestHandler):
    """Gives `files`, from the byte that is asked for if `pieces`, and breaks off after `most` bytes of each answer."""

    files: ClassVar[dict] = {}
    pieces, most = True, 10**9
    asked: ClassVar[list] = []

    def do_GET(self):
        whole = self.files.get(self.path)
        asked = self.headers.get("Range")
        type(self).asked.append((self.path, asked))
        if whole is None:
            return self.send_error(404)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.pieces else 0
        if start >= len(whole):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(whole) - start))
        self.end_headers()
        self.wfile.write(whole[start : start + self.most])
        return None

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    for name, value in (("files", {"/a": CONTENT}), ("pieces", True), ("most", 10**9), ("asked", [])):
        monkeypatch.setattr(Server, name, value)
    http = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    thread.join()
    http.server_close()


def test_a_download_goes_on_where_it_was_broken_off(server, tmp_path):
    Server.most = 40_000
    path = tmp_path / "deep" / "a"
    downloaded([f"{server}/a"], path, MD5, progress=False)
    assert path.read_bytes() == CONTENT
    assert [asked for _, asked in Server.asked] == [None, "bytes=40000-", "bytes=80000-"]
    assert [file.name for file in path.parent.iterdir()] == ["a"]
    downloaded([f"{server}/a"], path, MD5, progress=False)
    assert len(Server.asked) == 3  # what is there is not asked for


def test_what_a_killed_process_left_is_gone_on_with_and_what_is_wrong_is_not_kept(server, tmp_path):
    (tmp_path / "a.part").write_bytes(CONTENT[:99_999])
    downloaded([f"{server}/a"], tmp_path / "a", MD5, progress=False)
    assert [asked for _, asked in Server.asked] == ["bytes=99999-"]
    (tmp_path / "b.part").write_bytes(b"x" * 50_000)
    downloaded([f"{server}/a"], tmp_path / "b", MD5, progress=False)
    assert (tmp_path / "b").read_bytes() == CONTENT
    (tmp_path / "c.part").write_bytes(CONTENT)  # whole, and killed before it got its name
    downloaded([f"{server}/a"], tmp_path / "c", MD5, progress=False)
    assert (tmp_path / "c").read_bytes() == CONTENT


def test_a_server_without_pieces_is_asked_for_all_and_a_mirror_where_there_is_none(server, tmp_path):
    Server.pieces = False
    (tmp_path / "a.part").write_bytes(CONTENT[:10])
    downloaded([f"{server}/nowhere", f"{server}/a"], tmp_path / "a", MD5, progress=False)
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_another_file_is_refused_and_a_broken_one_kept(server, tmp_path):
    with pytest.raises(OSError, match=f"gives has md5 {MD5}, and not 0000"):
        downloaded([f"{server}/a"], tmp_path / "a", "0000", progress=False)
    assert not list(tmp_path.iterdir())
    Server.most = 1000
    with pytest.raises(OSError, match=r"a: the connection broke off after 3,000 of 100,000 bytes"):
        downloaded([f"{server}/a"], tmp_path / "a", MD5, progress=False)
    assert (tmp_path / "a.part").read_bytes() == CONTENT[:3000]
    with pytest.raises(OSError, match="404"):
        downloaded([f"{server}/nowhere"], tmp_path / "new/folder/a", MD5, progress=False)
    assert not (tmp_path / "new").exists()


def test_fetch_downloads_and_decodes_both_splits_and_trains_nothing(server, tmp_path, monkeypatch):
    resources = []
    for prefix, n in (("train", 30), ("t10k", 20)):
        for kind, dims in (("images-idx3", (n, 28, 28)), ("labels-idx1", (n,))):
            header = bytes([0, 0, 8, len(dims)]) + struct.pack(f">{len(dims)}I", *dims)
            packed = gzip.compress(header + (np.arange(np.prod(dims)) % 10).astype(np.uint8).tobytes(), mtime=0)
            Server.files[f"/{prefix}-{kind}-ubyte.gz"] = packed
            resources.append((f"{prefix}-{kind}-ubyte.gz", hashlib.md5(packed).hexdigest()))
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [f"{server}/"])
    monkeypatch.setattr(torchvision.datasets.MNIST, "resources", resources)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    lines = [*fetch(["data=mnist", "shape=[1,14,14]"])]
    assert lines == ["train  30 of shape [1, 14, 14], of 10 classes", "test   20 of shape [1, 14, 14], of 10 classes"]
    asked = len(Server.asked)
    assert asked == 4
    assert [*fetch(["data=mnist", "shape=[1,14,14]"])] == lines
    assert len(Server.asked) == asked
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} <= {"", ".gz", ".npy", ".json"}


def test_a_law_cannot_be_fetched():
    with pytest.raises(UserError, match="data=ring is drawn from a law: there is nothing to fetch"):
        [*fetch(["data=ring"])]
