"""The one kind of error that is the user's to mend."""

from __future__ import annotations


class InputError(ValueError):
    """Bad input: the message is one line that names what is wrong, where, and what is expected.

    Commands and jobs print the message alone, without a traceback, and end with exit status 2.
    """
