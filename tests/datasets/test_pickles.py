"""Pickles from strangers: plain data comes back, and nothing runs."""

from __future__ import annotations

import os
import pickle
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from equal_losses.datasets._pickles import integers, load

from . import tiny_datasets as tiny
from .errors import fails

PROTOCOLS = ["python 2", 2, 4, 5]


def read(content: bytes) -> dict:
    return load(content, "a file")


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("dtype", ["u1", "i1", "<i2", ">i4", "<i8", "<u8", "<f4", ">f8", "b1", "<f2"])
def test_arrays_of_numbers_come_back_as_they_were(protocol, dtype):
    for order in "CF":
        array = np.asarray(np.arange(24).reshape(2, 3, 4) % 7, dtype=dtype, order=order)
        for copy in read(tiny.pickled({"a": [array, array]}, protocol))["a"]:
            assert copy.dtype.str[1:] == array.dtype.str[1:]  # the order of bytes may become the machine's
            np.testing.assert_array_equal(copy, array)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_values_come_back_as_they_were(protocol):
    value = {"text": "é", "numbers": [1, -(2**70), 0.5, True, None], "inner": {3: ["x"]}, "numpy": np.int64(7)}
    assert read(tiny.pickled(value, protocol)) == value


def test_tuples_and_bytes_are_lists_and_text():
    assert read(pickle.dumps({"a": (b"a", (1,))})) == {"a": ["a", [1]]}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_pickle_cut_anywhere_is_named(protocol):
    whole = tiny.pickled({"data": np.zeros((2, 3), np.uint8), "labels": [0, 1]}, protocol)
    for kept in range(len(whole)):
        with fails("a file: truncated or not a pickle: "):
            read(whole[:kept])


ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
RUNSTRING = b"cnumpy.testing._private.utils\nrunstring\n"
DOTTED = b"\x80\x04\x8c\x05numpy\x8c\x0ef2py.os.system\x93"


def attacks(mark: Path) -> dict[str, bytes]:
    """Pickles that make `mark` when they are unpickled."""
    touch, path = f"touch {mark}".encode(), str(mark).encode()
    code = f"open({str(mark)!r}, 'w')"
    system, evaluation = tiny.Call(os.system, touch.decode()), tiny.Call(eval, code)
    objects = np.empty(1, dtype=object)
    objects[0] = system
    return {
        "os.system": pickle.dumps(system),
        "os.system, protocol 0": pickle.dumps(system, protocol=0),
        "builtins.exec of Python 2": pickle.dumps(tiny.Call(exec, code), protocol=2),
        "in a value": pickle.dumps({"data": np.zeros((2, 3)), "labels": [0, evaluation]}),
        "in a key": pickle.dumps({(1, evaluation): 1}),
        "in an array of objects": pickle.dumps(objects),
        "in the state of an array": ARRAY + b"(I1\n(I1\ntcbuiltins\neval\n(V" + code.encode() + b"\ntRI00\nS'a'\ntb.",
        "after a whole dictionary": pickle.dumps({"data": 1})[:-1] + pickle.dumps(system)[2:],
        "by numpy": RUNSTRING + b"(Vfrom pathlib import Path; Path(a).touch()\n(dVa\nV" + path + b"\nstR.",
        "by a dotted name": DOTTED + b"\x8c" + bytes([len(touch)]) + touch + b"\x85R.",
    }


ATTACKS = list(attacks(Path("mark")))


@pytest.mark.parametrize("name", ATTACKS)
def test_a_malicious_pickle_is_refused_and_does_not_run(tmp_path, name):
    with fails("a file: refused, because it asks for '"):
        read(attacks(tmp_path / "ran")[name])
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ATTACKS[:-2])
def test_the_malicious_pickles_are_malicious(tmp_path, name):
    """Python's own reader runs them; those left out depend on what numpy has and has loaded."""
    with suppress(TypeError, ValueError):  # a file is no state of an array, but it was opened all the same
        pickle.loads(attacks(tmp_path / "ran")[name])
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps([1]), "holds list; expected a dictionary"),
        (pickle.dumps({1, 2}), "refused, because it asks for 'EMPTY_SET'; expected arrays, dictionaries, lists, "),
        (pickle.dumps(1j), "refused, because it asks for 'builtins.complex'; expected arrays, dictionaries, lists, "),
        (pickle.dumps(np.array([None, "a"])), "refused, because it holds an array of '|O8'"),
        (pickle.dumps(np.array(["a"])), "refused, because it holds an array of '<U1'"),
        (pickle.dumps(np.zeros(1, dtype=[("a", "O")])), "refused, because it holds an array of '|V8'"),
        (pickle.dumps(np.zeros(1, dtype=[("a", "i4")])), "refused, because it holds an array of '|V4'"),
        (pickle.dumps([np.dtype("u1")]), "holds list; expected a dictionary"),
        (b"cnumpy\nndarray\n(K\x01tR.", "truncated or not a pickle: "),
        (b"X\1\0\0\0aQ.", "refused, because it asks for 'BINPERSID'"),
        (b"\x82\x01.", "refused, because it asks for 'EXT1'"),
        (b"(" * 1000 + b"]" + b"0." + b"x", "refused, because it asks for 'POP'"),
    ],
)
def test_what_is_no_plain_data_is_refused(content, message):
    with fails(f"a file: {message}"):
        read(content)


NUMBER = b"\x8b" + struct.pack("<i", 50_000_000) + bytes(49_999_999) + b"\1"
BYTES = b"cnumpy\ndtype\n\x8c\2u1\x85R(K\3\x8c\1|tb", b"\x8e" + struct.pack("<q", 100_000) + bytes(100_000)
ARRAYS = b"](cnumpy.core.numeric\n_frombuffer\nq\0" + BYTES[0] + b"q\1" + BYTES[1] + b"q\2"
ARRAYS += b"h\0(h\2h\1J\xa0\x86\1\0\x85\x8c\1CtR" * 1000 + b"e."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"}" + b")" + b"\x85" * 200_000 + b"Ns.", "truncated or not a pickle: unhashable type"),
        (b"}B\xff\xff\xff\xffa.", "truncated or not a pickle: expected 4294967295 bytes"),
        (b"}r\xff\xff\xff\x7f]0.", "refused, because it asks for 'POP'"),
        (b"}" + NUMBER + b"Ns.", "refused, because it asks for 'LONG4'"),
        (ARRAYS, "refused, because it makes arrays that are larger than the file"),
    ],
    ids=["a deep tuple as key", "a text longer than the file", "a far place of the memo", "a long number", "arrays"],
)
def test_a_small_file_does_not_take_the_memory_or_the_stack(content, message):
    with fails(f"a file: {message}"):
        read(content)


def test_lists_that_share_lists_are_read_in_one_go():
    lists: list = []
    for _ in range(50):  # 2^50 ways through them
        lists = [lists, lists]
    assert list(read(pickle.dumps({1: lists}))) == [1]


def test_a_list_within_itself_is_read():
    endless: list = []
    endless.append(endless)
    assert list(read(pickle.dumps({1: endless}))) == [1]


@pytest.mark.parametrize("values", [[2**64], [0, -(2**70)], [True], [0.5], ["0"], [[0]], np.zeros((1, 1), int)])
def test_what_is_no_list_of_whole_numbers_is_none(values):
    assert integers(values) is None
