"""The shell around a job: what it checks, what it says, what it leaves, and how it ends."""

from __future__ import annotations

import errno
import os
import platform
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from equal_losses.running import shell, sources
from equal_losses.running.errors import InputError
from equal_losses.running.files import UNFINISHED, read_json
from equal_losses.running.records import check, digest, is_made, seal
from equal_losses.running.shell import Task

from .jobs import Process, told, within_job

MADE_OF = {"settings": {"loss": "CE"}, "code": {}, "inputs": {}}
KEY = digest(MADE_OF)
DATA = {"settings": {"source": "digits"}, "code": {}, "inputs": {}}


class Job:
    """A job that makes `final.txt` in the folder of its key, unless it is changed before it starts."""

    def __init__(self, place: Path, made_of: Mapping = MADE_OF):
        self.made_of = made_of
        self.folder = place / digest(made_of)
        self.log = self.folder / "train.log"
        self.final, self.record = self.folder / "final.txt", self.folder / "key.json"
        self._terminal = place / "terminal"
        self.output: dict[str, list[Path]] = {"final": [self.final], "key": [self.record]}
        self.inputs: dict[str, list[Path]] = {}
        self.expected: dict[str, str | list[str]] = {}

    def start(self, body: Callable[[Task], None] | None = None, script: Callable = within_job) -> Process:
        def write(task: Task) -> None:
            self.final.write_text("weights")

        names = {"output": self.output, "input": self.inputs, "expected": self.expected}
        return Process(self.log, self._terminal, script, told(self.log, self.made_of, **names), body or write)

    def refusal(self, body: Callable[[Task], None] | None = None) -> str:
        """The one line that a job which fails by the user's mistake says on the terminal."""
        process = self.start(body)
        assert process.end() == 2
        (line,) = process.terminal
        assert "Traceback" not in process.said
        assert process.said.splitlines()[-1] == f"failed: {line.removesuffix(f' (log: {self.log})')}"
        assert not self.record.exists()
        return line


@pytest.fixture
def job(tmp_path) -> Job:
    return Job(tmp_path)


def fail(error: BaseException) -> Callable[[Task], None]:
    def body(task: Task) -> None:
        raise error

    return body


# A job that does what it should


def test_a_job_that_is_done_leaves_its_record_and_says_nothing_on_the_terminal(job):
    process = job.start()
    assert process.end() == 0
    assert process.terminal == []
    check(job.final, KEY)


def test_everything_that_is_said_is_in_the_log(job):
    def body(task: Task) -> None:
        print("by Python")
        os.write(1, b"by a library\n")
        subprocess.run("echo by a program; echo of its mistakes >&2", shell=True)
        job.final.touch()

    process = job.start(body)
    assert process.end() == 0
    lines = ["by Python", "by a library", "by a program", "of its mistakes"]
    assert sorted(process.said.splitlines()) == sorted(lines)
    assert process.terminal == []


def test_a_task_has_the_settings_the_key_and_the_folder_of_its_result(job):
    def body(task: Task) -> None:
        print(task.settings, task.key, task.folder, task.record, sep="\n")
        job.final.touch()

    process = job.start(body)
    assert process.end() == 0
    assert process.said.splitlines() == ["{'loss': 'CE'}", KEY, str(job.folder), str(job.record)]


def test_files_that_a_job_adds_are_in_the_record(job):
    def body(task: Task) -> None:
        for name in ("final.txt", "CE.txt"):
            (task.folder / name).write_text(name)
        task.seal(task.folder / "CE.txt")

    assert job.start(body).end() == 0
    assert set(read_json(job.record)["files"]) == {"final.txt", "CE.txt"}
    check(job.folder / "CE.txt", KEY)


def test_what_is_sealed_is_not_sealed_again_when_a_job_removes_what_it_no_longer_needs(job):
    def body(task: Task) -> None:
        job.final.touch()
        task.seal()
        job.final.unlink()

    assert job.start(body).end() == 0


def test_markers_of_the_workflow_are_no_part_of_the_result(tmp_path, job):
    job.final, job.record = tmp_path / "runs.csv", tmp_path / "runs.json"
    job.output = {"runs": [job.final], "made": [tmp_path / "runs.made"]}
    assert job.start().end() == 0
    assert set(read_json(job.record)["files"]) == {"runs.csv"}


def test_a_silent_job_touches_its_log(job, monkeypatch):
    monkeypatch.setattr(shell, "HEARTBEAT_SECONDS", 0.01)

    def body(task: Task) -> None:
        os.utime(job.log, (0, 0))
        while job.log.stat().st_mtime == 0:
            time.sleep(0.01)
        job.final.touch()

    assert job.start(body).end() == 0


# A job that cannot


def test_bad_input_is_one_line_and_status_2(job):
    line = job.refusal(fail(InputError("root: 'photos' is no folder; expected the folder that has the images")))
    assert line == f"root: 'photos' is no folder; expected the folder that has the images (log: {job.log})"


def test_a_mistake_of_the_program_is_one_line_and_status_1_with_the_traceback_in_the_log(job):
    process = job.start(fail(ZeroDivisionError("of a loss")))
    assert process.end() == 1
    assert process.terminal == [f"ZeroDivisionError: of a loss (log: {job.log})"]
    assert "Traceback" in process.said
    assert process.said.splitlines()[-1] == "failed: ZeroDivisionError: of a loss"
    assert not job.record.exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT], ids=errno.errorcode.get)
def test_a_disk_that_takes_nothing_is_one_line_and_status_2(job, number):
    line = job.refusal(fail(OSError(number, os.strerror(number), "history.csv")))
    assert line.startswith(f"history.csv: {os.strerror(number)}; what was finished before is unharmed")


def test_a_log_that_cannot_be_written_is_one_line(job):
    job.log.mkdir(parents=True)
    process = job.start()
    assert process.end() == 2
    assert len(process.terminal) == 1
    assert process.terminal[0].endswith(f"Is a directory: '{job.log}'")


def test_a_disk_without_room_for_the_log_is_one_line_nevertheless(job):
    def body(task: Task) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        print("word " * 1000, flush=True)

    process = job.start(body)
    assert process.end() == 2
    assert process.terminal == [f"results: File too large; what was finished before is unharmed (log: {job.log})"]


def test_a_result_that_a_job_did_not_write_is_not_sealed(job):
    process = job.start(lambda task: None)
    assert process.end() == 1
    assert process.terminal[0].startswith("FileNotFoundError: ")
    assert not job.record.exists()


# A job that is told to stop


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1], ids=lambda number: number.name)
def test_a_job_that_is_told_to_stop_tidies_up_and_ends_by_the_signal(job, number):
    """However often it is told: clusters repeat themselves."""

    def body(task: Task) -> None:
        try:
            print("began", flush=True)
            time.sleep(60)
        except KeyboardInterrupt:
            os.kill(os.getpid(), number)
            time.sleep(0.01)
            print("tidied up", flush=True)
            raise

    process = job.start(body)
    process.wait_for("began")
    os.kill(process.pid, number)
    assert process.end() == -number
    what = f"by {number.name}; what was computed is kept, and running the workflow again goes on from there"
    assert process.said.splitlines()[1:] == ["tidied up", f"stopped: {what}"]
    assert process.terminal == [f"{what} (log: {job.log})"]
    assert not job.record.exists()


@pytest.mark.parametrize("when", ["sealed", "over"])
def test_a_signal_that_comes_when_the_result_is_whole_comes_too_late(job, when):
    """Snakemake removes the outputs of a job that fails, and a training has removed its checkpoints by now."""

    def body(task: Task) -> None:
        job.final.touch()
        task.seal()
        if when == "sealed":
            os.kill(os.getpid(), signal.SIGTERM)

    def script(snakemake: SimpleNamespace, body: Callable[[Task], None]) -> None:
        within_job(snakemake, body)
        if when == "over":  # and the interpreter takes its time to end
            os.kill(os.getpid(), signal.SIGTERM)

    assert job.start(body, script).end() == 0


# What a job reads


@pytest.fixture
def reading(job, tmp_path) -> Job:
    """A job that reads two files of one result, in a list, and one of each of two others."""
    made = {name: tmp_path / name / digest(DATA | {"settings": name}) / "run.json" for name in ("CE", "FL")}
    data = [tmp_path / "digits" / digest(DATA) / name for name in ("images.npy", "labels.npy")]
    for path in [*made.values(), *data]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
    seal(data, DATA)
    for name, path in made.items():
        seal([path], DATA | {"settings": name})
    job.inputs = {"dataset": data, "records": list(made.values())}
    job.expected = {"dataset": digest(DATA), "records": [path.parent.name for path in made.values()]}
    return job


def test_inputs_as_they_were_written_are_read(reading):
    assert reading.start().end() == 0


@pytest.mark.parametrize(("name", "place"), [("dataset", 1), ("records", 1)])
def test_an_input_that_changed_ends_the_job_before_it_begins(reading, name, place):
    path = reading.inputs[name][place]
    path.write_text("other")
    line = reading.refusal()
    assert line.startswith(f"{path}: changed since it was written")
    assert not reading.final.exists()


def test_each_input_of_a_list_is_of_its_own_result(reading):
    reading.expected["records"].reverse()
    assert reading.refusal().startswith(f"{reading.inputs['records'][0]}: ")
    assert not reading.final.exists()


def test_what_a_killed_job_left_beside_an_input_goes(reading):
    folder = reading.inputs["dataset"][0].parent
    (folder / UNFINISHED / "snapshots").mkdir(parents=True)
    (folder / f".images.{platform.node()}.4194305.npy").touch()
    assert reading.start().end() == 0
    assert sorted(path.name for path in folder.iterdir()) == ["images.npy", "key.json", "labels.npy"]


def test_what_a_killed_job_left_of_the_outputs_goes(job):
    job.folder.mkdir()
    (job.folder / f".final.{platform.node()}.4194305.txt").touch()
    assert job.start().end() == 0
    assert {path.name for path in job.folder.iterdir()} == {"final.txt", "key.json", "train.log"}


def test_the_record_of_an_earlier_result_goes_before_the_job_begins(job):
    """It would vouch for a file that it was not written for."""
    job.folder.mkdir()
    job.record.write_text("{}")

    def body(task: Task) -> None:
        print(job.record.exists())
        job.final.touch()

    process = job.start(body)
    assert process.end() == 0
    assert process.said == "False\n"


# The code


@pytest.fixture
def coded(tmp_path, monkeypatch) -> Job:
    """A job of which one file, `loss.py`, is the code."""
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    (tmp_path / "loss.py").write_text("SCALE = 2\n")
    return Job(tmp_path, {**MADE_OF, "code": {"loss.py": sources.source_hash(tmp_path / "loss.py")}})


CHANGED = "loss.py: changed since the workflow was started; run the same command again"


def test_a_job_runs_on_the_code_that_the_workflow_was_started_with(coded):
    assert coded.start().end() == 0
    assert is_made(coded.record, digest(coded.made_of))


def test_code_that_changed_before_the_job_is_refused_before_it_begins(coded, tmp_path):
    (tmp_path / "loss.py").write_text("SCALE = 3\n")
    assert coded.refusal().startswith(CHANGED)
    assert not coded.final.exists()


def test_code_that_changed_during_the_job_leaves_no_record(coded, tmp_path):
    def body(task: Task) -> None:
        coded.final.touch()
        (tmp_path / "loss.py").write_text("SCALE = 3\n")

    assert coded.refusal(body).startswith(CHANGED)
