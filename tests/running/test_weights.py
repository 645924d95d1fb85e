"""Weights in safetensors files: what is read is what was written, and what is damaged or does not fit is one line."""

from __future__ import annotations

import errno
import json
import os
import resource
from contextlib import contextmanager

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from equal_losses.running import weights
from equal_losses.running.errors import InputError

DTYPES = [torch.float32, torch.int64, torch.float64, torch.bfloat16, torch.uint8, torch.bool]


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


def test_equal_weights_are_equal_bytes(tmp_path):
    for name in ("a", "b"):
        weights.save(tmp_path / name, tensors_of((3, 2), (4,)), {"epoch": "7", "kind": "best", "loss": "CE"})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_weights_are_for_whoever_the_umask_allows(tmp_path):
    before = os.umask(0o022)
    try:
        weights.save(tmp_path / "best.safetensors", tensors_of((2,)), {})
        weights.gather(tmp_path / "snapshots.safetensors", [tmp_path / "best.safetensors"], lambda name: True)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o644}


# Gathering


@st.composite
def files_of_tensors(draw) -> list[dict[str, torch.Tensor]]:
    """A few files' tensors by name; several files may have one of the same name."""
    names = st.sampled_from([f"{epoch}/{name}" for epoch in range(3) for name in ("weight", "bias", "ü")])
    shapes = st.lists(st.integers(0, 3), max_size=3)
    tensors = st.builds(
        lambda shape, dtype, seed: torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(seed)).to(dtype),
        shapes,
        st.sampled_from(DTYPES),
        st.integers(0, 99),
    )
    return draw(st.lists(st.dictionaries(names, tensors, max_size=5), min_size=1, max_size=4))


@given(files=files_of_tensors(), wanted=st.sets(st.integers(0, 2)))
@settings(max_examples=60, deadline=None)
def test_what_is_gathered_is_what_is_wanted_of_all_files_the_first_ones_first(tmp_path_factory, files, wanted):
    folder = tmp_path_factory.mktemp("gathered")
    for number, tensors in enumerate(files):
        weights.save(folder / str(number), tensors, {"epoch": str(number)})
    sources = [folder / str(number) for number in range(len(files))]
    weights.gather(folder / "all", sources, lambda name: int(name.partition("/")[0]) in wanted)
    union = {}
    for tensors in reversed(files):
        union |= tensors
    found, metadata = weights.load(folder / "all")
    assert same(found, {name: tensor for name, tensor in union.items() if int(name[0]) in wanted})
    assert metadata == {}


def test_what_is_gathered_does_not_depend_on_how_it_was_spread_over_files(tmp_path):
    tensors = tensors_of((3,), (2,), (5,), ())
    names = list(tensors)
    for folder, parts in {"one": [names], "two": [names[2:], names[:2]]}.items():
        (tmp_path / folder).mkdir()
        for number, part in enumerate(parts):
            weights.save(tmp_path / folder / str(number), {name: tensors[name] for name in part}, {})
        weights.gather(tmp_path / folder / "all", sorted((tmp_path / folder).iterdir()), lambda name: True)
    assert (tmp_path / "one" / "all").read_bytes() == (tmp_path / "two" / "all").read_bytes()


def test_numbers_begin_at_multiples_of_their_size(tmp_path):
    """As readers want them that map the file into memory."""
    weights.save(tmp_path / "0", {"a": torch.ones(1), "b": torch.ones(3, dtype=torch.uint8)}, {})
    weights.save(tmp_path / "1", {"c": torch.ones(2, dtype=torch.int64), "dd": torch.ones(1)}, {})
    weights.gather(tmp_path / "all", [tmp_path / "0", tmp_path / "1"], lambda name: True)
    content = (tmp_path / "all").read_bytes()
    begin = 8 + int.from_bytes(content[:8], "little")
    places = {name: begin + entry["data_offsets"][0] for name, entry in json.loads(content[8:begin]).items()}
    assert [places[name] % size for name, size in {"a": 4, "b": 1, "c": 8, "dd": 4}.items()] == [0, 0, 0, 0]


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


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_not_gathered(saved, damage):
    saved.write_bytes(damage(saved.read_bytes()))
    with pytest.raises(InputError) as raised:
        weights.gather(saved.with_name("all"), [saved], lambda name: True)
    assert str(raised.value).startswith(f"{saved}: ")
    assert not saved.with_name("all").exists()


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


def test_gathered_weights_for_which_there_is_no_room_are_too(tmp_path):
    weights.save(tmp_path / "a", tensors_of((1000,)), {})
    with pytest.raises(OSError) as raised, room(1000):
        weights.gather(tmp_path / "all", [tmp_path / "a"], lambda name: True)
    assert raised.value.errno == errno.EFBIG
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
