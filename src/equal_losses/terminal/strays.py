"""What jobs and libraries write to the terminal past everybody, which would break what is drawn there."""

import os
import tempfile
from typing import TextIO


class Strays:
    """Turns the error output of this process, and of the jobs that it starts, into a file until it is closed.

    Args:
        stream: where is written meanwhile, as `terminal`: the same place, whatever becomes of the error output.

    Attributes:
        terminal: the stream.
    """

    def __init__(self, stream: TextIO):
        stream.flush()
        try:
            self.terminal: TextIO = os.fdopen(os.dup(stream.fileno()), "w", buffering=1)
        except OSError:  # a stream without a file, as in the tests
            self.terminal = stream
        self._original = os.dup(2)
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        self._read = 0
        os.dup2(self._file.fileno(), 2)

    def lines(self) -> list[str]:
        """Whole lines that were written since the last time."""
        text = os.pread(self._file.fileno(), 1 << 20, self._read)
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        return whole.decode(errors="replace").splitlines()

    def close(self) -> None:
        """Give the error output back."""
        os.dup2(self._original, 2)
        os.close(self._original)
        self._file.close()
