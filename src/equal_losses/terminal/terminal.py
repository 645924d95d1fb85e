"""The terminal of a running workflow: what runs, what is done, what is left, and how it ended."""

import re
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from logging import WARNING, LogRecord
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from equal_losses.running.progress import Row, last_line
from equal_losses.running.shell import FAILED, STOPPED
from equal_losses.running.words import count
from equal_losses.study.keys import Steps
from equal_losses.terminal import time_left
from equal_losses.terminal.jobs import Job, described, made
from equal_losses.terminal.strays import Strays
from equal_losses.terminal.suggestions import suggestion

# Where nothing is drawn anew, so many lines tell how far it is; and each training has one, of so many at most.
LINES, FEW_TRAININGS = 10, 10
REFRESH_SECONDS = 1.0
# Columns of a terminal that has room for bars.
WIDE = 100
_SIGNAL = re.compile(r"died with <Signals\.(\w+)")


class Terminal:
    """Told what Snakemake logs.

    Args:
        steps: the steps of the study.
        page: path of the page.
        rules: names of the rules, which a misspelt target may have meant.
    """

    def __init__(self, steps: Steps, page: str, rules: Iterable[str]):
        self._steps, self._page, self._rules = steps, page, [*rules]
        self._jobs: dict[int, Job] = {}
        self._failed: dict[int, tuple[str, str | None]] = {}  # by job: why, and where its log is
        self._reason: str | None = None  # what Snakemake said last of an error
        self._interrupted: str | None = None
        self._peak = self._told = 0
        self._live: Live | None = None
        self._strays: Strays | None = None
        self._console: Console | None = None
        self._began = time.time()
        self._lock = threading.RLock()

    def plan(self, jobs: Iterable[Any]) -> None:
        """Take the jobs that are to be done, as Snakemake has them."""
        self._jobs = {
            job.jobid: described(job.rule.name, str(job.output[0]), self._steps) for job in jobs if job.output
        }

    def open(self, stream: TextIO, *, dry: bool = False, quiet: bool = False) -> None:
        """Begin to write to a stream; in a dry run what is to be done, and in quiet nothing but errors."""
        self._dry, self._quiet = dry, quiet
        self._console = _console(stream)

    def close(self) -> None:
        """Say how it ended."""
        with self._lock:
            self._stop_drawing()
            if self._reason is not None:
                self._print(self._reason)
            if self._peak or self._interrupted:
                self._summary()
            elif self._failed:
                self._print_failures()

    def tell(self, record: LogRecord) -> None:
        """Take note of a record."""
        with self._lock:
            told = getattr(self, f"_{getattr(record, 'event', None) or 'message'}", None)
            if told is not None:
                told(record)

    # What Snakemake logs, by the names of its events

    def _run_info(self, record: LogRecord) -> None:
        if self._dry and not self._told:
            self._told = 1
            jobs = {name: number for name, number in record.stats.items() if name != "total"}
            self._print(f"{count(record.stats['total'], 'job')} to do; this is a dry run, and nothing is done:")
            for name, number in jobs.items():
                self._print(f"{number:>8,}  {name.replace('_', ' ')}")

    def _job_started(self, record: LogRecord) -> None:
        for number in record.jobs if isinstance(record.jobs, list) else [record.jobs]:
            if number in self._jobs:
                self._jobs[number].started = time.time()
                self._failed.pop(number, None)
        self._peak = max(self._peak, len(self._running()))
        if self._live is None and not self._quiet:
            self._start_drawing()

    def _job_info(self, record: LogRecord) -> None:
        job = self._jobs.get(record.jobid)
        if job is not None and record.log:
            job.log = record.log[0]

    def _job_finished(self, record: LogRecord) -> None:
        job = self._jobs.get(record.job_id)
        if job is None:
            return
        rows = job.measure()
        job.ended = time.time()
        job.measure()
        if not self._console.is_terminal and not self._quiet:
            self._tell_progress(job, rows)

    def _job_error(self, record: LogRecord) -> None:
        job, log = self._jobs.get(record.jobid), record.log[0] if record.log else None
        line = "" if log is None else last_line(Path(log))
        reason, self._reason = self._reason, None
        if job is not None:
            job.started = None
        if self._interrupted and not line.startswith(FAILED):
            return
        signal = _SIGNAL.search(reason or "")
        if line.startswith(FAILED):
            why = line.removeprefix(FAILED)
        elif line.startswith(STOPPED):
            why = "stopped " + line.removeprefix(STOPPED)
        elif signal is not None:
            why = f"killed by {signal[1]}"
        else:
            why = " ".join((reason or "no reason given").split())
        self._failed[record.jobid] = (why, log)
        if job is None:
            self._jobs[record.jobid] = described(record.rule_name, str([*record.output, ""][0]), self._steps)
        if not self._quiet:
            self._print(f"failed: {self._jobs[record.jobid].title}: {why}", style="red")

    def _error(self, record: LogRecord) -> None:
        text = record.getMessage()
        if "At least one job did not complete successfully" in text:
            return
        if "CalledProcessError" in text:
            self._reason = text  # of a job, of which Snakemake speaks next
            return
        unknown = [line.strip() for line in text.splitlines() if "no result of this study" in line]
        self._print("\n".join(unknown) or text.rstrip(), style="red")
        if (close := suggestion(text, [*self._rules, *self._files()])) is not None:
            self._print(f"did you mean {close}?", style="bold")

    def _message(self, record: LogRecord) -> None:
        text = record.getMessage()
        if text.startswith("Nothing to be done"):
            self._print(f"Nothing to be done: all that was asked for is there.{self._where_the_page_is()}")
        elif text.startswith("Terminating processes on user request"):
            self._interrupted = "Interrupted"
            self._print("Interrupted: waiting for what runs to keep its state.", style="bold")
        elif text.startswith("Will exit after finishing currently running jobs"):
            if self._interrupted is None:
                self._print("Told to end: no job is begun any more, and those that run are finished.", style="bold")
            self._interrupted = "Told to end"
        elif text.startswith("Exiting because a job execution failed"):
            pass
        elif text and text != "None" and not (self._quiet and record.levelno < WARNING):
            self._print(text.rstrip(), style="yellow" if record.levelno >= WARNING else None)

    # What is drawn

    def _start_drawing(self) -> None:
        self._strays = Strays(self._console.file)
        self._console = _console(self._strays.terminal)
        self._live = Live(
            get_renderable=self._drawn,
            console=self._console,
            refresh_per_second=1 / REFRESH_SECONDS,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        if self._console.is_terminal:
            self._live.start()

    def _stop_drawing(self) -> None:
        if self._live is not None:
            self._live.stop()
        if self._strays is not None:
            self._print_strays()
            self._strays.close()

    def _drawn(self) -> Group:
        with self._lock:
            self._print_strays()
            table = Table.grid(padding=(0, 2), expand=False)
            for justify in ("left", "right", "left", "left"):
                table.add_column(no_wrap=True, overflow="ellipsis", justify=justify)
            running = self._running()
            room = max(1, self._console.size.height - 4)
            for job in running[:room]:
                table.add_row(job.title, *_progress(job, job.measure(), bar=self._console.width >= WIDE))
            if len(running) > room:
                table.add_row(f"and {len(running) - room} more")
            for job in running[room:]:
                job.measure()
            return Group(table, Text(self._total(), style="bold"))

    def _total(self) -> str:
        done = sum(job.ended is not None for job in self._jobs.values())
        trainings = [job for job in self._jobs.values() if job.runs]
        parts = [f"{done:,} of {count(len(self._jobs), 'job')}"]
        if trainings:
            runs = sum(job.runs for job in trainings if job.ended is not None)
            parts.append(f"{runs:,} of {count(sum(job.runs for job in trainings), 'run')} trained")
        if self._failed:
            parts.append(f"{len(self._failed)} failed")
        if not self._interrupted:
            works = (replace(job.work) for job in self._jobs.values())
            parts.append(time_left.words(time_left.seconds_left(works, self._peak)))
        return " · ".join(parts)

    def _tell_progress(self, job: Job, rows: list[Row]) -> None:
        """Without a terminal: a line for each tenth of the jobs, and for each training where there are few."""
        done = sum(each.ended is not None for each in self._jobs.values())
        tenth = LINES * done // len(self._jobs)
        few = sum(bool(each.runs) for each in self._jobs.values()) <= FEW_TRAININGS
        if job.runs and few:
            self._print(f"trained: {job.title.removeprefix('train ')}{_accuracies(rows)}")
        if tenth > self._told and done < len(self._jobs):
            self._told = tenth
            for each in self._running():
                each.measure()
            self._print(self._total())

    def _print_strays(self) -> None:
        """What others wrote to the terminal, but for the words of jobs whose logs are read anyway."""
        logs = [job.log for job in self._jobs.values() if job.log]
        for line in self._strays.lines():
            if line and not any(line.endswith(f"(log: {log})") for log in logs):
                self._print(line)

    def _print(self, line: str, style: str | None = None) -> None:
        self._console.print(Text(line, style=style or ""), soft_wrap=True)

    # How it ended

    def _summary(self) -> None:
        if self._quiet and not (self._failed or self._interrupted):
            return
        jobs = self._jobs.values()
        done = [job for job in jobs if job.ended is not None]
        self._print_failures()
        took = _duration(time.time() - self._began)
        what = f" ({made(done)})" if made(done) else ""
        left = len(jobs) - len(done) - len(self._failed)
        if self._interrupted:
            self._print(f"{self._interrupted} after {took}: {count(len(done), 'job')} done{what}, {left:,} left.")
            self._print(
                "The same command goes on from here: what is done is kept, and trainings go on from their state."
            )
        elif self._failed:
            self._print(f"{count(len(self._failed), 'job')} failed; {len(done):,} done{what}, {left:,} not begun.")
            self._print("Once that is mended, the same command goes on from here.")
        else:
            self._print(f"Done in {took}: {count(len(done), 'job')}{what}.{self._where_the_page_is()}")
            files = [job.path for job in done if job.rule in ("figure", "theory_figure", "table", "collect", "claims")]
            if len(files) <= 3:
                for path in files:
                    self._print(f"  {path}")

    def _print_failures(self) -> None:
        for number, (why, log) in self._failed.items():
            self._print(f"failed: {self._jobs[number].title}", style="red")
            self._print(f"  why: {why}")
            self._print(f"  log: {log or 'none'}")

    def _where_the_page_is(self) -> str:
        return f" The page: {self._page}" if Path(self._page).exists() else ""

    def _running(self) -> list[Job]:
        return [job for job in self._jobs.values() if job.is_running]

    def _files(self) -> list[str]:
        suffixes = {"figures": ".pdf", "report": ".html"}  # of what is in a folder, or has a name, like this
        return [
            step.file(next((suffix for part, suffix in suffixes.items() if part in step.path.split("/")), ".csv"))
            for step in self._steps.by_path.values()
            if not step.is_keyed
        ]


def _console(stream: TextIO) -> Console:
    return Console(file=stream, highlight=False, markup=False, emoji=False, soft_wrap=True)


def _progress(job: Job, rows: list[Row], bar: bool) -> list[Any]:
    """The columns of a training: epochs, a bar, and loss and accuracy of the last epoch."""
    if job.until is None:
        return []
    if not rows:
        return [
            f"{job.begin}/{job.until}",
            "",
            "waits for its turn" if not job.log or not Path(job.log).exists() else "",
        ]
    epoch = rows[0].epoch
    drawn = ProgressBar(total=job.until - job.begin, completed=epoch - job.begin, width=16) if bar else ""
    loss = _span([row.loss for row in rows], "{:.3g}")
    return [f"{epoch}/{job.until}", drawn, f"loss {loss}{_accuracies(rows)}"]


def _accuracies(rows: list[Row]) -> str:
    return f"  validation {_span([100 * row.val_accuracy for row in rows], '{:.1f}')} %" if rows else ""


def _span(values: list[float], form: str) -> str:
    low, high = form.format(min(values)), form.format(max(values))
    return low if low == high else f"{low} to {high}"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"
