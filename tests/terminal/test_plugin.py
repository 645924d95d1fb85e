"""The plugin: what it passes on to whom."""

from __future__ import annotations

import io
import logging
from types import SimpleNamespace

import pytest
from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

from snakemake_logger_plugin_equal_losses import LogHandler

TRACEBACK = """Traceback (most recent call last):
  File "configfile.py", line 38, in load_configfile
FileNotFoundError: [Errno 2] No such file or directory: 'figures'
"""


class Terminal:
    """Remembers what it is told."""

    def __init__(self):
        self.told: list[str] = []

    def open(self, stream, *, dry: bool, quiet: bool) -> None:
        self.told.append(f"open dry={dry} quiet={quiet}")

    def tell(self, record: logging.LogRecord) -> None:
        self.told.append(record.getMessage())

    def close(self) -> None:
        self.told.append("close")


def settings(**changed) -> SimpleNamespace:
    plain = {"stdout": False, "nocolor": True, "verbose": False, "debug_dag": False, "printshellcmds": False}
    return SimpleNamespace(**{**plain, "quiet": None, "dryrun": False, **changed})


def logged(handler: LogHandler, message: str, level: int = logging.INFO, **fields) -> None:
    record = logging.LogRecord("snakemake", level, "", 0, message, None, None)
    vars(record).update(fields)
    handler.handle(record)


@pytest.fixture
def handler(request) -> LogHandler:
    handler = LogHandler(settings(**getattr(request, "param", {})), None)
    handler.setFormatter(logging.Formatter())
    handler.own.setStream(io.StringIO())
    return handler


def test_snakemake_finds_it():
    assert LoggerPluginRegistry().is_installed("equal-losses")


def test_the_terminal_is_told_everything_but_what_snakemake_says_of_its_own_doings(handler):
    terminal = Terminal()
    logged(handler, "", terminal=terminal)
    logged(handler, "Building DAG of jobs...")
    logged(handler, "Execute 2 jobs...", event="job_started")
    logged(handler, "Unlocked working directory.")
    handler.close()
    assert terminal.told == ["open dry=False quiet=False", "Execute 2 jobs...", "Unlocked working directory.", "close"]


def test_before_the_workflow_is_read_errors_are_shown(handler):
    logged(handler, "SyntaxError: in the Snakefile", logging.ERROR)
    assert handler.own.stream.getvalue() == "SyntaxError: in the Snakefile\n"


def test_a_configuration_that_is_not_there_is_one_line(handler):
    logged(handler, TRACEBACK, logging.ERROR)
    (line,) = handler.own.stream.getvalue().splitlines()
    assert line.startswith("config: figures: no such file; --configfile takes every word ")


@pytest.mark.parametrize("handler", [{"verbose": True}], indirect=True)
def test_verbose_is_snakemakes_own_words(handler):
    terminal = Terminal()
    logged(handler, "", terminal=terminal)
    logged(handler, "Building DAG of jobs...")
    assert (handler.own.stream.getvalue(), terminal.told) == ("Building DAG of jobs...\n", [])


def test_an_error_in_the_terminal_does_not_end_the_workflow(handler, capsys):
    logged(handler, "", terminal=SimpleNamespace(open=None))
    assert "TypeError" in capsys.readouterr().err
