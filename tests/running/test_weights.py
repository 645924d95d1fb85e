"""Weights in safetensors files: what is read is what was written, and what is damaged or does not fit is one line."""

from __future__ import annotations

import errno
import os
import resource
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from equal_losses.running import weights
from equal_losses.running.errors import InputError


def tensors_of(*shapes: tuple[int, ...], seed: int = 0) -> dict[str, torch.Tensor]:
    """Float32 and int64 by turns, as parameters and counters of a network are."""
    generator = torch.Generator().manual_seed(seed)
    return {
        f"{index}/layer": torch.randint(-9, 9, shape, generator=generator).to((torch.float32, torch.int64)[index % 2])
        for index, shape in enumerate(shapes)
    }


def same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(
        ours[name].dtype == theirs[name].dtype and torch.equal(ours[name], theirs[name]) for name in ours
    )


def test_what_is_read_is_what_was_written(tmp_path):
    tensors = tensors_of((3, 2), (), (0,), (4,))
    weights.save(tmp_path / "a.safetensors", tensors, {"epoch": "7", "states": "[]"})
    found, metadata = weights.load(tmp_path / "a.safetensors")
    assert same(found, tensors)
    assert metadata == {"epoch": "7", "states": "[]"}


def test_tensors_in_any_layout_are_written(tmp_path):
    tensor = torch.arange(24.0).view(1, 2, 3, 4).to(memory_format=torch.channels_last)
    weights.save(tmp_path / "a.safetensors", {"a": tensor, "b": tensor.mT.requires_grad_()}, {})
    found, _ = weights.load(tmp_path / "a.safetensors")
    assert torch.equal(found["a"], tensor)
    assert torch.equal(found["b"], tensor.mT)


def test_a_prefix_picks_tensors_and_is_cut_off(tmp_path):
    tensors = tensors_of((1,), (2,), (3,))
    weights.save(tmp_path / "a.safetensors", tensors, {})
    assert same(weights.load(tmp_path / "a.safetensors", "1/")[0], {"layer": tensors["1/layer"]})


def test_what_is_read_is_mapped_and_need_not_fit_into_memory(tmp_path):
    weights.save(tmp_path / "a.safetensors", tensors_of((1000,)), {})
    found, _ = weights.load(tmp_path / "a.safetensors")
    assert str(tmp_path / "a.safetensors") in Path("/proc/self/maps").read_text()
    del found
    assert str(tmp_path / "a.safetensors") not in Path("/proc/self/maps").read_text()


def test_equal_weights_are_equal_bytes(tmp_path):
    for name in ("a", "b"):
        weights.save(tmp_path / name, tensors_of((3, 2), (4,)), {"epoch": "7", "kind": "best", "loss": "CE"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_weights_are_for_whoever_the_umask_allows(tmp_path):
    before = os.umask(0o022)
    try:
        weights.save(tmp_path / "best.safetensors", tensors_of((2,)), {})
    finally:
        os.umask(before)
    assert (tmp_path / "best.safetensors").stat().st_mode & 0o777 == 0o644


# Damage


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "a.safetensors"
    weights.save(path, tensors_of((3, 2), (4,)), {"epoch": "7"})
    return path


DAMAGES = {
    "empty": lambda content: b"",
    "cut in the length": lambda content: content[:5],
    "cut in the head": lambda content: content[:40],
    "cut in the numbers": lambda content: content[:-4],
    "a length out of reach": lambda content: b"\xff" * 8 + content[8:],
    "no head": lambda content: content[:8] + b"?" * (len(content) - 8),
    "something else": lambda content: b"epoch,loss\n" * 20,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_one_line(saved, damage):
    saved.write_bytes(damage(saved.read_bytes()))
    with pytest.raises(InputError) as raised:
        weights.load(saved)
    (line,) = str(raised.value).splitlines()
    assert line.startswith(f"{saved}: ")
    assert line.endswith("; expected a whole safetensors file")


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"^.*/none\.safetensors: .*; expected a whole safetensors file$"):
        weights.load(tmp_path / "none.safetensors")


# A disk without room


@contextmanager
def room(bytes: int):
    """Lets this process write no file that is larger."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_weights_for_which_there_is_no_room_are_an_error_of_the_system_and_no_file(tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(OSError) as raised, room(1000):
        weights.save(path, tensors_of((1000,)), {})
    assert (raised.value.errno, raised.value.filename) == (errno.EFBIG, str(path))
    assert raised.value.strerror.endswith("File too large")
    assert list(tmp_path.iterdir()) == []
