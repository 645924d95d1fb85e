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

from .errors import InputError


def load(file: BinaryIO, name: object) -> object:
    """The value in a pickle of any protocol, written by Python 2 or 3 and any numpy.

    Dictionaries, lists, tuples (as lists), text, numbers, None and arrays of numbers come back; byte strings, which
    are Python 2's text, come back as text. Arrays may be read-only.

    Args:
        file: open for reading bytes.
        name: what the messages call it.

    Raises:
        InputError: where the file holds or asks for anything else, or ends too early.
    """
    try:
        return _plain(_Unpickler(file, encoding="bytes").load())
    except MemoryError:
        raise
    except _RefusedError as error:
        raise InputError(f"{name}: {error}; allowed: arrays, dictionaries, lists, text and numbers") from error
    except Exception as error:
        # Bytes that are no pickle, or half of one, make the reader stumble in every way there is.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{name}: truncated or not a pickle: {reason}; allowed: the whole file") from error


class _RefusedError(Exception):
    pass


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        try:
            return _STAND_INS[module.replace("numpy._core.", "numpy.core."), name]
        except KeyError:
            raise _RefusedError(f"refused, because it asks for {f'{module}.{name}'!r}") from None


class _Dtype:
    """numpy.dtype, as the file describes it."""

    def __init__(self, name: object):
        self.name, self.order = name, "="

    def __setstate__(self, state: tuple) -> None:
        self.order = state[1]

    def value(self) -> np.dtype:
        name = f"{_plain(self.order)}{_plain(self.name)}"
        if not re.fullmatch(r"[<>|=][biuf][1248]", name):
            raise _RefusedError(f"refused, because it holds an array of {name!r}")
        return np.dtype(name)


class _Array:
    """numpy.ndarray, as the file describes it."""

    def __setstate__(self, state: tuple) -> None:
        _, self.shape, self.dtype, self.fortran, self.data = state

    def value(self) -> np.ndarray:
        return _values(self.data, self.dtype).reshape(self.shape, order="F" if self.fortran else "C")


def _values(data: object, dtype: object) -> np.ndarray:
    if not isinstance(dtype, _Dtype) or not isinstance(data, bytes | bytearray):
        raise _RefusedError("refused, because it holds an array of objects")
    return np.frombuffer(data, dtype.value())


def _reconstruct(*_: object) -> _Array:
    return _Array()  # the file fills it in next


def _frombuffer(data: object, dtype: object, shape: object, order: object, axis_order: object = None) -> _Array:
    if axis_order is not None:
        raise _RefusedError("refused, because it holds an array with its axes in an order of their own")
    array = _Array()
    array.__setstate__((1, shape, dtype, order == "F", data))
    return array


def _scalar(dtype: object, data: object) -> int | float:
    return _values(data, dtype)[0].item()


def _dtype(name: object, *_: object) -> _Dtype:
    return _Dtype(name)


def _encode(text: str, encoding: object) -> bytes:
    """Byte strings that Python 3 wrote for Python 2."""
    if encoding != "latin1":
        raise _RefusedError(f"refused, because it asks for the encoding {encoding!r}")
    return text.encode("latin1")


_STAND_INS = {
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): _dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
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
    raise _RefusedError(f"refused, because it holds {type(value).__name__.lstrip('_')}")
