"""Downloads, from a server on this machine with tiny versions of the published files."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torchvision.datasets as published

from equal_losses import datasets

from . import tiny_datasets as tiny
from .errors import fails

CIFAR, LABELS = published.CIFAR10.filename, "train-labels-idx1-ubyte.gz"
KINDS = ["cifar10", "cifar100", "mnist", "fashion_mnist"]


class Server(NamedTuple):
    folder: Path
    address: str
    close: Callable


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server of tiny files, which torchvision takes for the published ones."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    folder = tiny.write_mnist(tmp_path / "published", compressed=True)
    for source, write in ((published.CIFAR10, tiny.write_cifar10), (published.CIFAR100, tiny.write_cifar100)):
        tiny.write_archive(write(tmp_path / "sources"), folder / source.filename)
    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
    threading.Thread(target=http.serve_forever, args=[0.01], daemon=True).start()
    server = Server(folder, f"http://127.0.0.1:{http.server_port}/", lambda: (http.shutdown(), http.server_close()))
    sums = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    for source in (published.CIFAR10, published.CIFAR100):
        monkeypatch.setattr(source, "url", server.address + source.filename)
        monkeypatch.setattr(source, "tgz_md5", sums[source.filename])
    for source in (published.MNIST, published.FashionMNIST):
        monkeypatch.setattr(source, "mirrors", [server.address])
        monkeypatch.setattr(source, "resources", [(name, sums[name]) for name, _ in source.resources])
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    yield server
    server.close()


@pytest.mark.parametrize("kind", KINDS)
def test_without_root_the_files_are_downloaded_once(server, kind):
    images = datasets.load(kind)()
    np.testing.assert_array_equal(images.train_images[:, 0, 0, 0], images.train_labels)
    server.close()
    np.testing.assert_array_equal(datasets.load(kind)().train_images, images.train_images)


@pytest.mark.parametrize(("kind", "name"), [("cifar10", CIFAR), ("mnist", LABELS)])
def test_an_interrupted_download_is_one_line_and_running_again_mends_it(server, kind, name):
    whole = (server.folder / name).read_bytes()
    (server.folder / name).write_bytes(whole[:20])
    with fails(
        f"results/downloads/{kind}/{name}: not downloaded: what {server.address}{name} delivered has md5 "
        f"{hashlib.md5(whole[:20]).hexdigest()} instead of {hashlib.md5(whole).hexdigest()}; "
        f"run again, or give a folder that has it as root"
    ):
        datasets.load(kind)()
    (server.folder / name).write_bytes(whole)
    images = datasets.load(kind)()
    np.testing.assert_array_equal(images.train_images[:, 0, 0, 0], images.train_labels)


def test_a_file_that_the_server_lacks_is_one_line(server):
    (server.folder / LABELS).unlink()
    with fails(f"{LABELS}: HTTP Error 404: File not found; run again"):
        datasets.load("mnist")()


def test_a_server_that_does_not_answer_is_one_line(server):
    server.close()
    with fails("not downloaded: http://127.0.0.1:"):
        datasets.load("cifar10")()


def test_the_next_mirror_is_asked_when_one_fails(server, monkeypatch):
    monkeypatch.setattr(published.MNIST, "mirrors", [f"{server.address}nothing/", server.address])
    assert len(datasets.load("mnist")().train_labels) == 30


def test_a_full_disk_is_not_taken_for_the_network(server, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", full)
    with pytest.raises(OSError, match="No space left on device"):
        datasets.load("mnist")()
