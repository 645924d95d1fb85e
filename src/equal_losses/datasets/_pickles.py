"""Pickles from strangers, read as data.

A pickle is a program. Of its instructions only those are known here that spell dictionaries, lists, text, numbers and
arrays of numbers; the names that they may call stand for functions of this file, and what they make is bounded by the
size of the pickle.
"""

import pickletools
import re

import numpy as np

from equal_losses.running.errors import InputError

_VALUE = re.compile(r"BININT[12]?|LONG1|BINFLOAT|(SHORT_)?BIN(STRING|BYTES8?|UNICODE8?)|BYTEARRAY8")
_MADE = {"NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False, "EMPTY_DICT": dict}
_MADE |= {"EMPTY_LIST": list, "EMPTY_TUPLE": list}
_TAKEN = {"APPEND": 1, "SETITEM": 2, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3, "STACK_GLOBAL": 2, "REDUCE": 2, "BUILD": 1}


def load(content: bytes, name: object) -> dict:
    """The dictionary in a pickle of protocol 2 to 5, written by Python 2 or 3 and any numpy.

    Tuples come back as lists, and byte strings, which are Python 2's text, as text. Arrays may be read-only.

    Raises:
        InputError: where the pickle, which the message calls `name`, has anything else or ends too early.
    """
    try:
        value = _Reader(content).value()
    except _RefusedError as error:
        expected = "arrays, dictionaries, lists, text and numbers"
        raise InputError(f"{name}: refused, because it {error}; expected {expected}") from error
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # Bytes that are no pickle, or half of one.
        reason = " ".join(str(error).split())
        raise InputError(f"{name}: truncated or not a pickle: {reason}; expected the whole file") from error
    if not isinstance(value, dict):
        raise InputError(f"{name}: holds {type(value).__name__}; expected a dictionary")
    return value


def integers(values: object) -> np.ndarray | None:
    """A list or an array of N whole numbers as int64, or None where `values` is anything else."""
    if isinstance(values, list) and all(type(value) is int for value in values):
        values = np.array(values)  # of objects where a number has more than 64 bits
    if isinstance(values, np.ndarray) and values.dtype.kind in "iu" and values.ndim == 1:
        return values.astype(np.int64)
    return None


class _RefusedError(Exception):
    pass


class _Reader:
    def __init__(self, content: bytes):
        self.content = content
        self.unused = len(content)  # bytes that arrays may still take; each of the file's is taken once
        self.functions = {
            "numpy ndarray": None,
            "numpy dtype": lambda name, *_: [name],
            "numpy.core.multiarray _reconstruct": lambda *_: np.empty(0, np.uint8),
            "numpy.core.multiarray scalar": lambda dtype, data: np.frombuffer(*self.numbers(data, dtype))[0].item(),
            "numpy.core.numeric _frombuffer": self.array,
            "_codecs encode": lambda text, encoding: text,  # byte strings that Python 3 wrote for Python 2
        }

    def value(self) -> object:
        """The value that the pickle spells."""
        stack, below, memo = [], [], {}
        for instruction, argument, _ in pickletools.genops(self.content):
            name = instruction.name
            if pickletools.markobject in instruction.stack_before:
                taken, stack = stack, below.pop()
            elif name in _TAKEN:
                taken = [stack.pop() for _ in range(_TAKEN[name])][::-1]
            match name:
                case "PROTO" | "FRAME":
                    pass
                case "MARK":
                    below.append(stack)
                    stack = []
                case "BINPUT" | "LONG_BINPUT" | "MEMOIZE":
                    memo[len(memo) if argument is None else argument] = stack[-1]
                case "BINGET" | "LONG_BINGET":
                    stack.append(memo[argument])
                case "APPEND" | "APPENDS":
                    stack[-1].extend(taken)
                case "SETITEM" | "SETITEMS":
                    stack[-1].update(zip(taken[::2], taken[1::2], strict=True))
                case "TUPLE" | "TUPLE1" | "TUPLE2" | "TUPLE3":
                    stack.append(taken)
                case "GLOBAL" | "STACK_GLOBAL":
                    called = (argument or " ".join(taken)).replace("numpy._core.", "numpy.core.")
                    if called not in self.functions:
                        raise _RefusedError(f"asks for {called.replace(' ', '.')!r}")
                    stack.append(self.functions[called])
                case "REDUCE":
                    function, arguments = taken
                    stack.append(function(*arguments))
                case "BUILD":
                    self.fill(stack[-1], *taken)
                case "STOP":
                    return stack.pop()
                case _ if name in _MADE:
                    stack.append(_MADE[name]())
                case _ if _VALUE.fullmatch(name):
                    stack.append(argument.decode("latin1") if isinstance(argument, bytes | bytearray) else argument)
                case _:
                    raise _RefusedError(f"asks for {name!r}")

    def fill(self, value: object, state: list) -> None:
        """Do what the file does to an array or a type after it has made it."""
        if isinstance(value, np.ndarray):
            _, shape, dtype, fortran, data = state
            data, dtype = self.numbers(data, dtype)
            shape = np.frombuffer(data, dtype).reshape(shape).shape  # which checks it
            value.__setstate__((1, shape, dtype, bool(fortran), data))
        else:
            value[1:] = [state[1]]  # the order of bytes

    def array(self, data: str, dtype: list, shape: list, order: str, *_: None) -> np.ndarray:
        return np.frombuffer(*self.numbers(data, dtype)).reshape(shape, order=order)

    def numbers(self, data: str, dtype: list) -> tuple[bytes, np.dtype]:
        name, order = dtype
        if not re.fullmatch(r"[<>=|][biuf][1248]", f"{order}{name}"):
            raise _RefusedError(f"holds an array of {f'{order}{name}'!r}")
        self.unused -= len(data)
        if self.unused < 0:
            raise _RefusedError("makes arrays that are larger than the file")
        return data.encode("latin1"), np.dtype(f"{order}{name}")
