"""Pickles from strangers, read as data.

A pickle is a program. Here it may ask only for the few names that spell numpy arrays and numbers, and even these are
not numpy's: stand-ins note what the file says about an array, and numpy sees plain bytes, a numeric type and a shape
afterwards. (Given to the file itself, numpy's own functions would make arrays of pointers of its choice.)
"""

from __future__ import annotations

import pickle
import re
from typing import BinaryIO

import numpy as np

from equal_losses.running.errors import InputError


def load(file: BinaryIO, name: object) -> dict:
    """The dictionary in a pickle of any protocol, written by Python 2 or 3 and any numpy.

    In it are dictionaries, lists, tuples (as lists), text, numbers, None and arrays of numbers; byte strings, which are
    Python 2's text, come back as text. Arrays may be read-only.

    Args:
        file: open for reading bytes.
        name: what the messages call it.

    Raises:
        InputError: where the file holds or asks for anything else, or ends too early.
    """
    try:
        value = _plain(_Unpickler(file, encoding="bytes").load())
    except MemoryError:
        raise
    except _RefusedError as error:
        expected = "arrays, dictionaries, lists, text and numbers"
        raise InputError(f"{name}: refused, because it {error}; expected {expected}") from error
    except Exception as error:
        # Bytes that are no pickle, or half of one, make the reader stumble in every way there is.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{name}: truncated or not a pickle: {reason}; expected the whole file") from error
    if not isinstance(value, dict):
        raise InputError(f"{name}: holds {type(value).__name__}; expected a dictionary")
    return value


def integers(values: object) -> np.ndarray | None:
    """A list or an array of N whole numbers as int64, or None where `values` is anything else."""
    if isinstance(values, list) and all(type(value) is int for value in values):
        return np.array(values, dtype=np.int64)
    if isinstance(values, np.ndarray) and values.dtype.kind in "iu" and values.ndim == 1:
        return values.astype(np.int64)
    return None


class _RefusedError(Exception):
    pass


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        try:
            return _STAND_INS[module.replace("numpy._core.", "numpy.core."), name]
        except KeyError:
            raise _RefusedError(f"asks for {f'{module}.{name}'!r}") from None


class _Dtype:
    """numpy.dtype, as the file describes it."""

    def __init__(self, name: object, *_: object):
        self.name, self.order = name, "="

    def __setstate__(self, state: tuple) -> None:
        self.order = state[1]

    def value(self) -> np.dtype:
        name = f"{_plain(self.order)}{_plain(self.name)}"
        if not re.fullmatch(r"[<>|=][biuf][1248]", name):
            raise _RefusedError(f"holds an array of {name!r}")
        return np.dtype(name)


class _Array:
    """numpy.ndarray, as the file describes it; the file fills it in after it has made it."""

    def __init__(self, *_: object):
        pass

    def __setstate__(self, state: tuple) -> None:
        _, self.shape, self.dtype, self.fortran, self.data = state

    def value(self) -> np.ndarray:
        return _values(self.data, self.dtype).reshape(self.shape, order="F" if self.fortran else "C")


def _values(data: object, dtype: object) -> np.ndarray:
    if not isinstance(dtype, _Dtype) or not isinstance(data, bytes | bytearray):
        raise _RefusedError("holds an array of objects")
    return np.frombuffer(data, dtype.value())


def _frombuffer(data: object, dtype: object, shape: object, order: object, axis_order: object = None) -> _Array:
    if axis_order is not None:
        raise _RefusedError("holds an array with its axes in an order of their own")
    array = _Array()
    array.__setstate__((1, shape, dtype, order == "F", data))
    return array


def _scalar(dtype: object, data: object) -> int | float:
    return _values(data, dtype)[0].item()


def _encode(text: str, encoding: object) -> bytes:
    """Byte strings that Python 3 wrote for Python 2."""
    if encoding != "latin1":
        raise _RefusedError(f"asks for the encoding {encoding!r}")
    return text.encode("latin1")


_STAND_INS = {
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _frombuffer,
    ("_codecs", "encode"): _encode,
}


def _plain(value: object) -> object:
    if isinstance(value, _Array):
        return value.value()
    if isinstance(value, bytes):
        return value.decode("latin1")
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    raise _RefusedError(f"holds {type(value).__name__.lstrip('_')}")
