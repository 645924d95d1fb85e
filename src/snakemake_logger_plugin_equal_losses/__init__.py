"""What Snakemake logs, told in the words of the study: `--logger equal-losses`, as in profiles/default.

Snakemake finds this package by its name. It imports nothing of `equal_losses`, because the library to be used is the
one beside the workflow, which the Snakefile finds: that hands over a `terminal` (see `equal_losses.terminal`) in a
record of that name. What is logged before, and everything with `--verbose`, is told by Snakemake's own handler.
"""

import logging
import re
import sys

from snakemake.logging import ColorizingTextHandler, DefaultFilter
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.base import LogHandlerBase

# What Snakemake says of its own doings, by its beginning; anything else is passed on.
CHATTER = (
    "Assuming unrestricted shared filesystem",
    "Building DAG of jobs",
    "Complete log(s):",
    "Conda environments: ignored",
    "Elapsed time:",
    "Execute ",
    "Group jobs: inactive",
    "Provided ",
    "Reasons:",
    "Removing temporary output",
    "Rules claiming more threads",
    "Select jobs to execute",
    "Shutting down",
    "Singularity containers: ignored",
    "Storing output in storage",
    "This was a dry-run",
    "Touching output file",
    "Using shell:",
    "Workflow has started",
    "Would remove temporary output",
)


# A traceback of Snakemake's.
MISSING_CONFIG = re.compile(r"load_configfile.*FileNotFoundError: \[Errno 2\] [^:]*: '(.+)'", re.DOTALL)


class LogHandler(LogHandlerBase):
    """Passes on what is logged."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = False
    needs_rulegraph = False

    def __post_init__(self) -> None:
        settings = self.common_settings
        self.terminal = None
        stream = sys.stdout if settings.stdout else sys.stderr
        self.own = ColorizingTextHandler(nocolor=settings.nocolor, stream=stream)
        self.is_verbose = settings.verbose or settings.debug_dag or settings.printshellcmds
        if self.is_verbose:
            self.addFilter(
                DefaultFilter(
                    settings.quiet, settings.debug_dag, settings.verbose, settings.dryrun, settings.printshellcmds
                )
            )

    def emit(self, record: logging.LogRecord) -> None:
        """Pass on a record; one that has the terminal is the first of the workflow itself."""
        try:
            if hasattr(record, "terminal"):
                if not self.is_verbose:
                    self.terminal = record.terminal
                    quiet = {Quietness.ALL, Quietness.PROGRESS, Quietness.RULES} & set(self.common_settings.quiet or ())
                    self.terminal.open(self.own.stream, dry=self.common_settings.dryrun, quiet=bool(quiet))
            elif self.is_verbose:
                self._snakemake(record)
            elif not hasattr(record, "event") and record.getMessage().startswith(CHATTER):
                return
            elif self.terminal is not None:
                self.terminal.tell(record)
            else:
                self._snakemake(record)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """The last words."""
        if self.terminal is not None:
            self.terminal.close()
        super().close()

    def _snakemake(self, record: logging.LogRecord) -> None:
        missing = None if self.is_verbose else MISSING_CONFIG.search(record.getMessage())
        if missing:
            line = f"config: {missing[1]}: no such file; --configfile takes every word up to the next option for a file"
            record = logging.makeLogRecord({**vars(record), "msg": line, "args": None})
        self.own.setFormatter(self.formatter)
        self.own.emit(record)
