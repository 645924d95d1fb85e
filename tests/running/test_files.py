"""Files that are whole or absent and as readable as the umask allows, and nothing left over from killed processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from equal_losses.running.errors import InputError
from equal_losses.running.files import (
    UNFINISHED,
    atomic_path,
    link_or_copy,
    read_json,
    remove_leftovers,
    remove_unfinished,
    write_json,
)
from equal_losses.running.sources import ROOT

from .jobs import FORK


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def umask():
    """Sets the umask of the process for the time of the test."""
    before = os.umask(0)
    yield os.umask
    os.umask(before)


# Writing


def test_what_is_written_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "table.csv"
    with atomic_path(path) as temporary:
        temporary.write_text("1")
        assert not path.exists()
    assert path.read_text() == "1"
    assert names(path.parent) == ["table.csv"]


def test_a_writer_that_fails_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("before")
    with pytest.raises(ZeroDivisionError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "before"
    assert names(tmp_path) == ["table.csv"]


def test_a_file_that_cannot_be_flushed_to_the_disk_is_absent(tmp_path, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError("no space")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"), atomic_path(tmp_path / "table.csv") as temporary:
        temporary.write_text("1")
    assert names(tmp_path) == []


def test_the_temporary_file_is_in_the_same_folder_and_keeps_the_suffix(tmp_path):
    with atomic_path(tmp_path / "best.safetensors") as temporary:
        assert (temporary.parent, temporary.suffix) == (tmp_path, ".safetensors")


@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077], ids=oct)
def test_the_mode_is_the_umasks_even_where_the_writer_makes_a_file_for_one_user(tmp_path, umask, mask):
    umask(mask)
    with atomic_path(tmp_path / "best.safetensors") as temporary:
        temporary.unlink()
        os.close(os.open(temporary, os.O_CREAT | os.O_WRONLY, 0o600))
    assert (tmp_path / "best.safetensors").stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.parametrize("value", [float("nan"), {1, 2}], ids=["not a number", "not JSON"])
def test_json_that_cannot_be_written_leaves_the_file_as_it_was(tmp_path, value):
    write_json(tmp_path / "a.json", {"value": 1})
    with pytest.raises((ValueError, TypeError)):
        write_json(tmp_path / "a.json", {"value": value})
    assert read_json(tmp_path / "a.json") == {"value": 1}


# Reading


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file or directory; expected a readable JSON file"),
        (b"", "not JSON: "),
        (b'{"key": "0123', "not JSON: "),
        (b"\xff\xfe{}", "not JSON: "),
        (b"[]", "holds list; expected a JSON object"),
        (b"17", "holds int; expected a JSON object"),
    ],
    ids=["missing", "empty", "truncated", "no text", "list", "number"],
)
def test_a_file_that_holds_no_json_object_is_one_line(tmp_path, content, reason):
    path = tmp_path / "run.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as raised:
        read_json(path)
    (line,) = str(raised.value).splitlines()
    assert line.startswith(f"{path}: {reason}")


def test_a_folder_in_the_place_of_a_json_file_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"Is a directory; expected a readable JSON file$"):
        read_json(tmp_path)


# What processes leave that are gone


def interrupt(path: Path) -> None:
    """Kill a process while it writes a file."""

    def write() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)

    process = FORK.Process(target=write)
    process.start()
    process.join()


@pytest.mark.parametrize("name", ["best.safetensors", "epoch.1.csv", "without a suffix", "CE/seed1/best.safetensors"])
def test_what_a_killed_process_was_writing_is_absent_and_its_half_is_removed(tmp_path, name):
    path = tmp_path / name
    interrupt(path)
    assert len(names(path.parent)) == 1 and not path.exists()
    remove_leftovers(tmp_path)
    assert names(path.parent) == []


def test_what_a_process_is_writing_stays(tmp_path):
    with atomic_path(tmp_path / "best.safetensors"), atomic_path(tmp_path / "without a suffix"):
        remove_leftovers(tmp_path)
        assert len(names(tmp_path)) == 2


def test_what_a_process_on_another_machine_is_writing_stays(tmp_path):
    """Machines of a cluster, and containers, share folders and not the ids of processes."""
    code = "import sys; from pathlib import Path; from equal_losses.running.files import remove_leftovers as remove;"
    command = [sys.executable, "-c", f"{code} remove(Path(sys.argv[1]))", str(tmp_path)]
    elsewhere = [
        "unshare",
        "--pid",
        "--uts",
        "--fork",
        "--mount-proc",
        "sh",
        "-c",
        'hostname elsewhere && exec "$@"',
        "-",
    ]
    with atomic_path(tmp_path / "best.safetensors") as temporary:
        try:
            subprocess.run([*elsewhere, *command], env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, check=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("another machine cannot be made here")
        assert temporary.exists()
        temporary.touch()


def test_other_hidden_files_stay(tmp_path):
    others = [".gitignore", ".nfs0000a", "table.1234567.csv"]
    for name in others:
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert names(tmp_path) == sorted(others)


def test_what_an_interrupted_job_goes_on_from_is_removed_once_or_twice(tmp_path):
    (tmp_path / UNFINISHED / "snapshots").mkdir(parents=True)
    (tmp_path / UNFINISHED / "snapshots" / "epoch00001.safetensors").touch()
    (tmp_path / "final.safetensors").touch()
    remove_unfinished(tmp_path)
    remove_unfinished(tmp_path)
    assert names(tmp_path) == ["final.safetensors"]


# Linking


@pytest.fixture
def source(tmp_path) -> Path:
    path = tmp_path / "source"
    path.write_text("weights")
    return path


def test_a_linked_file_is_the_same_file(tmp_path, source):
    target = tmp_path / "run" / "final"
    link_or_copy(source, target)
    assert target.samefile(source)


def test_a_link_takes_the_place_of_what_was_there(tmp_path, source):
    (tmp_path / "final").write_text("other")
    link_or_copy(source, tmp_path / "final")
    assert (tmp_path / "final").samefile(source)


def test_where_the_file_system_cannot_link_the_file_is_copied(tmp_path, source, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError("no links")

    monkeypatch.setattr(os, "link", refuse)
    link_or_copy(source, tmp_path / "final")
    assert (tmp_path / "final").read_text() == "weights"
    assert not (tmp_path / "final").samefile(source)


def test_the_mode_of_what_is_linked_is_not_changed(tmp_path, source):
    source.chmod(0o440)
    link_or_copy(source, tmp_path / "final")
    assert source.stat().st_mode & 0o777 == 0o440
