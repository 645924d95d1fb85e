"""Jobs in processes of their own, told what Snakemake tells a script."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace

from snakemake.iocontainers import OutputFiles

from equal_losses.running.shell import job

FORK = multiprocessing.get_context("fork")


def told(
    log: Path,
    ingredients: Mapping,
    *,
    output: Mapping[str, Iterable[Path]],
    input: Mapping[str, Iterable[Path]] | None = None,
    expected: Mapping[str, str | list[str]] | None = None,
    **params: object,
) -> SimpleNamespace:
    """What is called `snakemake` in a script; files by name, and the `expected` key of each input."""
    inputs = {}
    for name, paths in (input or {}).items():
        keys = expected[name]
        each = [keys] * len(paths) if isinstance(keys, str) else keys
        inputs[name] = [(str(path), key) for path, key in zip(paths, each, strict=True)]
    return SimpleNamespace(
        log=[str(log)],
        output=_named(OutputFiles(), output),
        params=SimpleNamespace(step={"ingredients": ingredients, "inputs": inputs}, **params),
    )


def _named(files, groups):
    for name, paths in groups.items():
        begin = len(files)
        files.extend(map(str, paths))
        files._set_name(name, begin, end=len(files))
    return files


class Process:
    """A process that runs a job; what it says on the terminal goes to a file.

    Args:
        body: called in the process with `arguments`.
    """

    def __init__(self, log: Path, terminal: Path, body: Callable, *arguments: object, context=FORK):
        self.log, self._terminal = log, terminal
        if log.is_file():
            log.unlink()
        self._process = context.Process(target=_run, args=(terminal, body, arguments))
        self._process.start()
        self.pid = self._process.pid

    def end(self) -> int:
        """Wait for the end; returns the exit status, or minus the signal."""
        self._process.join(60)
        return self._process.exitcode

    def kill(self) -> None:
        """Kill it, as the kernel does where memory runs out."""
        self._process.kill()
        self._process.join()

    def wait_for(self, text: str) -> None:
        """Wait until the log holds `text`."""
        end = time.monotonic() + 60
        while text not in self.said:
            assert self._process.is_alive() and time.monotonic() < end, self.said
            time.sleep(0.002)

    @property
    def said(self) -> str:
        """The log, but for its first line, which names the process."""
        return self.log.read_text().partition("\n")[2] if self.log.exists() else ""

    @property
    def terminal(self) -> list[str]:
        """The lines on the terminal."""
        return self._terminal.read_text().splitlines()


def _run(terminal: Path, body: Callable, arguments: tuple) -> None:
    os.dup2(os.open(terminal, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), 2)
    # A fork of pytest has what captures the output of tests in their place.
    sys.stdout, sys.stderr = (os.fdopen(descriptor, "w", closefd=False) for descriptor in (1, 2))
    body(*arguments)


def within_job(snakemake: SimpleNamespace, body: Callable) -> None:
    """What a script is."""
    with job(snakemake) as task:
        body(task)
