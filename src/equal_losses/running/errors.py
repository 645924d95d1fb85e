"""The one kind of error that is the user's to mend."""


class InputError(ValueError):
    """Bad input: one line for each mistake, which names what is wrong, where, and what is expected.

    Commands and jobs print the lines alone, without a traceback, and end with exit status 2.
    """

    def __init__(self, *lines: str):
        super().__init__(*lines)
        self.lines = lines

    def __str__(self) -> str:
        return "\n".join(self.lines)
