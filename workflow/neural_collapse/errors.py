"""The one kind of error that is the user's to mend."""


class InputError(ValueError):
    """Bad input: the message is one line that names what is wrong, where, and what is allowed.

    Commands and jobs print the message alone, without a traceback, and end with exit status 2.
    """
