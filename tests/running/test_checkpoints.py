"""Checkpoints of a training: how many are kept, which one is trusted, and that no two processes are at one training."""

from __future__ import annotations

import errno
import fcntl
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from equal_losses.running import checkpoints, weights
from equal_losses.running.checkpoints import KEPT, Checkpoints, alone
from equal_losses.running.errors import InputError
from equal_losses.running.files import read_json, write_json

from .jobs import FORK

MADE_OF = {"settings": {"loss": "CE"}, "code": {}, "inputs": {}}


WEIGHTS = {"3/weight": torch.tensor(3.0)}


def saving(epoch: int) -> tuple[int, Callable[[Path], None]]:
    """The state of a training that counts its epochs: its epoch, and how it is saved."""
    return epoch, lambda path: write_json(path, {"epoch": epoch})


def load(path: Path) -> int:
    return read_json(path)["epoch"]


def checkpoints_in(folder: Path, made_of: dict = MADE_OF, minutes: float = 0) -> Checkpoints:
    return Checkpoints(folder, made_of, minutes)


def epochs(folder: Path) -> list[int]:
    return [load(path) for path in sorted(folder.glob("epoch*.safetensors"))]


@pytest.fixture
def written(tmp_path) -> Path:
    """A folder with the checkpoints of epochs 4 and 5."""
    for epoch in (4, 5):
        checkpoints_in(tmp_path).write(*saving(epoch))
    return tmp_path


# Writing


def test_the_newest_two_are_kept(tmp_path):
    for epoch in (1, 2, 9, 10):
        checkpoints_in(tmp_path).offer(*saving(epoch))
    assert KEPT == 2
    assert epochs(tmp_path) == [9, 10]
    assert len(list(tmp_path.iterdir())) == 4, "each with its record"


def test_one_is_written_when_the_last_one_is_old_enough(tmp_path, monkeypatch):
    now = 0.0
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: now)
    training = checkpoints_in(tmp_path, minutes=10)
    for epoch, now in enumerate([599.0, 600.0, 1199.0, 1300.0, 1800.0], start=1):  # noqa: B007
        training.offer(*saving(epoch))
    assert epochs(tmp_path) == [2, 4]


def test_one_that_is_there_is_not_written_again(written):
    before = [path.stat().st_ino for path in sorted(written.iterdir())]
    checkpoints_in(written).write(*saving(5))
    assert [path.stat().st_ino for path in sorted(written.iterdir())] == before


def test_one_without_its_record_is_written_again(written):
    (written / "epoch000005.json").unlink()
    checkpoints_in(written).write(*saving(5))
    assert checkpoints_in(written).newest(load) == 5


# Reading


def test_without_checkpoints_there_is_none(tmp_path):
    assert checkpoints_in(tmp_path).newest(load) is None


def test_the_newest_one_is_taken(written, capsys):
    assert checkpoints_in(written).newest(load) == 5
    assert capsys.readouterr().out == ""


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def change(path: Path) -> None:
    write_json(path, {"epoch": 6})


def forget_the_record(path: Path) -> None:
    path.with_suffix(".json").unlink()


def take_the_record_of_the_other(path: Path) -> None:
    path.with_suffix(".json").write_bytes(path.with_name("epoch000004.json").read_bytes())


@pytest.mark.parametrize(
    "damage", [cut, change, forget_the_record, take_the_record_of_the_other], ids=lambda function: function.__name__
)
def test_a_bad_one_is_set_aside_with_a_warning_and_the_one_before_it_is_taken(written, damage, capsys):
    damage(written / "epoch000005.safetensors")
    assert checkpoints_in(written).newest(load) == 4
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"warning: {written}/epoch000005.")
    assert line.endswith("; set aside as epoch000005.safetensors.unusable")
    assert (written / "epoch000005.safetensors.unusable").exists()


def test_where_none_is_good_there_is_none(written):
    for path in written.glob("*.safetensors"):
        cut(path)
    assert checkpoints_in(written).newest(load) is None
    assert len(list(written.glob("*.unusable"))) == 2


@pytest.mark.parametrize("part", ["settings", "code", "inputs"])
def test_those_of_another_training_are_not_used(written, part, capsys):
    assert checkpoints_in(written, {**MADE_OF, part: {"other": 1}}).newest(load) is None
    assert capsys.readouterr().out.count("made of other settings, code or inputs") == 2


def test_one_that_will_not_do_is_set_aside(written, capsys):
    def read(path: Path) -> int:
        if load(path) == 5:
            raise InputError("snapshot: missing")
        return load(path)

    assert checkpoints_in(written).newest(read) == 4
    assert capsys.readouterr().out == "warning: snapshot: missing; set aside as epoch000005.safetensors.unusable\n"


def test_after_a_bad_one_the_training_writes_it_anew(written):
    cut(written / "epoch000005.safetensors")
    training = checkpoints_in(written)
    training.newest(load)
    training.write(*saving(5))
    assert checkpoints_in(written).newest(load) == 5


# Snapshots


def test_a_snapshot_that_is_kept_is_whole(tmp_path):
    training = checkpoints_in(tmp_path)
    training.keep_snapshot(3, WEIGHTS)
    training.check_snapshot(3)
    tensors, _ = weights.load(training.snapshot(3))
    assert tensors == WEIGHTS


@pytest.mark.parametrize("damage", [cut, Path.unlink, forget_the_record], ids=["cut", "missing", "without its record"])
def test_a_snapshot_that_is_not_whole_is_refused(tmp_path, damage):
    training = checkpoints_in(tmp_path)
    training.keep_snapshot(3, WEIGHTS)
    damage(training.snapshot(3))
    with pytest.raises(InputError, match=r"/snapshots/epoch000003\."):
        training.check_snapshot(3)


def test_a_snapshot_of_another_training_is_refused(tmp_path):
    checkpoints_in(tmp_path, {**MADE_OF, "settings": {"loss": "FL"}}).keep_snapshot(3, WEIGHTS)
    with pytest.raises(InputError, match="made of other settings, code or inputs"):
        checkpoints_in(tmp_path).check_snapshot(3)


def test_a_training_that_begins_anew_has_no_snapshots(tmp_path):
    training = checkpoints_in(tmp_path)
    training.keep_snapshot(3, WEIGHTS)
    training.remove_snapshots()
    training.remove_snapshots()
    assert list(tmp_path.iterdir()) == []


# One process at a time


def test_a_training_at_which_another_process_is_is_refused(tmp_path):
    def hold() -> None:
        with alone(tmp_path / "unfinished"):
            theirs.send("holding")
            theirs.recv()

    ours, theirs = FORK.Pipe()
    process = FORK.Process(target=hold, daemon=True)
    process.start()
    assert ours.recv() == "holding"
    with pytest.raises(InputError) as raised, alone(tmp_path / "unfinished"):
        pass
    folder = tmp_path / "unfinished"
    assert str(raised.value) == f"{folder}: another process is at this training; wait for it or end it"
    process.kill()
    process.join()
    with alone(folder):
        pass


def test_where_the_file_system_has_no_locks_a_training_does_without(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with alone(tmp_path), alone(tmp_path):
        pass
