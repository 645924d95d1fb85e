"""Trainings that are killed or told to stop: what is kept and trusted, what comes out, and what is gone."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from equal_losses.running.checkpoints import alone
from equal_losses.running.files import UNFINISHED, read_json
from equal_losses.running.records import digest, seal
from equal_losses.running.shell import Task
from equal_losses.training.job import train_run
from equal_losses.training.state import load_states, save_states

from ..running.jobs import FORK, Process, told, within_job
from .jobs import COMPUTE, DATA, SMALL, Data, Training, began, left_over
from .runs import run


def read_by_the_next_job(training: Training) -> None:
    """Start a job that reads the results."""
    log = training.folder.with_name("next.log")
    output, made_of = {"key": [log.with_name("key.json")]}, {"settings": {}, "code": {}, "inputs": {}}
    snakemake = told(log, made_of, output=output, input={"run": training.outputs}, expected={"run": training.key})
    process = Process(log, training.terminal, within_job, snakemake, lambda task: None, context=FORK)
    assert process.end() == 0, process.said


# Killed


@pytest.mark.parametrize(
    ("before", "epoch"),
    [
        ("write unfinished/snapshots/epoch000000.safetensors", 0),
        ("write unfinished/epoch000000.json", 0),
        ("write unfinished/epoch000001.safetensors", 0),
        ("write unfinished/epoch000001.json", 0),
        ("write unfinished/snapshots/epoch000002.safetensors", 1),
        ("write unfinished/snapshots/epoch000002.json", 1),
        ("write unfinished/epoch000002.safetensors", 1),
        ("remove unfinished/epoch000000.safetensors", 2),
        ("remove unfinished/epoch000000.json", 2),
        ("write unfinished/snapshots/epoch000003.safetensors", 2),
        ("write /snapshots.safetensors", 2),
        ("write /history.csv", 2),
        ("write /best.safetensors", 2),
        ("write /final.safetensors", 2),
        ("write /run.json", 2),
        ("write /key.json", 2),
    ],
)
def test_a_killed_run_goes_on_from_its_last_checkpoint_and_ends_with_the_same_bits(new, whole, before, epoch):
    training = new()
    assert training.start(before=before, number=signal.SIGKILL).end() == -signal.SIGKILL
    assert not training.is_made
    training.lose_outputs()
    assert began(training.finish()) == epoch
    assert training.results == whole.results
    assert left_over(training) == []


@pytest.mark.parametrize(
    "before",
    [
        "write CE/seed1/history.csv",
        "write CE/seed1/final.safetensors",
        "write FL/seed2/best.safetensors",
        "write FL/seed2/run.json",
        "write /key.json",
    ],
)
def test_killed_runs_as_one_go_on_from_their_last_checkpoint_and_end_with_the_same_bits(stack, whole_stack, before):
    assert stack.start(before=before, number=signal.SIGKILL).end() == -signal.SIGKILL
    assert not stack.is_made
    stack.lose_outputs()
    assert began(stack.finish()) == 2
    assert stack.results == whole_stack.results


def test_what_killed_runs_as_one_were_writing_is_removed(stack):
    stack.start(before="write FL/seed2/best.safetensors", number=signal.SIGKILL).end()
    stack.finish()
    assert left_over(stack) == []


@pytest.mark.parametrize(
    "before", ["remove lock", "remove epoch000002.safetensors", "remove epoch000003.safetensors", "remove unfinished"]
)
def test_a_training_that_is_killed_when_it_is_sealed_is_whole_and_the_next_job_tidies_up(new, whole, before):
    training = new()
    assert training.start(before=before, number=signal.SIGKILL).end() == -signal.SIGKILL
    assert training.is_made
    assert left_over(training) != []
    read_by_the_next_job(training)
    assert left_over(training) == []
    assert training.results == whole.results


def test_a_training_killed_at_any_moment_ends_with_the_same_bits(new, tmp_path):
    """In the middle of writing, and of computing."""
    undisturbed, killed = (new(epochs=30, snapshots=tuple(range(0, 30, 3)), place=tmp_path / name) for name in "ab")
    undisturbed.finish()
    moments = random.Random(4)
    starts = []
    for _ in range(4):
        process = killed.start()
        starts.append(began(process))
        process.wait_for(f" {starts[-1] + moments.randint(1, 3)}/30")
        time.sleep(moments.uniform(0, 0.02))
        process.kill()
        assert process.end() == -signal.SIGKILL, "the training was over before it was killed"
    killed.finish()
    assert starts == sorted(set(starts)), "each went on from where the one before was"
    assert killed.results == undisturbed.results
    assert left_over(killed) == []


@pytest.fixture
def signals():
    """What a job does with signals ends with the test."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_no_file_is_open_in_a_folder_that_is_removed(digits, tmp_path, monkeypatch, signals):
    """Nor mapped: NFS does not remove a folder in which a file is in use."""
    made_of = {"settings": {"snapshot_epochs": [1]}, "code": {}, "inputs": {}}
    task = Task(made_of, {}, [tmp_path / digest(made_of) / "snapshots.safetensors"])
    removed = []

    def remove(folder: Path, **_: object) -> None:
        removed.append(folder)
        opened = [each.readlink() for each in Path("/proc/self/fd").iterdir() if each.exists()]
        assert [path.name for path in opened if folder in path.parents] == []
        assert str(folder) not in Path("/proc/self/maps").read_text()

    monkeypatch.setattr(shutil, "rmtree", remove)
    train_run(task, digits, run(epochs=1, **SMALL), None, COMPUTE)
    assert task.folder / UNFINISHED in removed


def test_without_a_checkpoint_a_killed_training_begins_again(new, whole):
    training = new(checkpoint_minutes=60)
    training.start(before="write /history.csv", number=signal.SIGKILL).end()
    assert sorted(path.name for path in training.unfinished.iterdir()) == ["lock", "snapshots"]
    snapshots = sorted(training.unfinished.glob("snapshots/*.safetensors"))
    assert [path.stem for path in snapshots] == ["epoch000000", "epoch000002", "epoch000003"]
    assert began(training.finish()) == 0
    assert training.results == whole.results


# Told to stop


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT], ids=lambda number: number.name)
def test_a_signal_costs_no_more_than_the_epoch_that_it_came_in(new, whole, number):
    training = new(checkpoint_minutes=60)
    process = training.start(before="write unfinished/snapshots/epoch000002.safetensors", number=number)
    assert process.end() == -number
    kept, stopped = process.said.splitlines()[-2:]
    assert kept == f"kept the state after epoch 1 in {training.unfinished}"
    assert stopped.startswith(f"stopped: by {number.name}; ")
    assert began(training.finish()) == 1
    assert training.results == whole.results


@pytest.mark.parametrize(
    "before", ["write /snapshots.safetensors", "write /history.csv", "write /key.json", "remove unfinished"]
)
def test_a_signal_at_the_end_does_not_cost_the_training(new, whole, before):
    """The outputs of a job that ended by a signal are removed by Snakemake."""
    training = new(checkpoint_minutes=60)
    if training.start(before=before, number=signal.SIGTERM).end() != 0:
        training.lose_outputs()
        assert began(training.finish()) == 3
    assert training.results == whole.results
    assert left_over(training) == []


# Checkpoints that are no good


@pytest.fixture(scope="module")
def killed(tmp_path_factory, data) -> Training:
    """A training that was killed when it had checkpoints of its third and fourth epoch and a snapshot of the latter."""
    training = Training(tmp_path_factory.mktemp("killed"), data, "train", {"run": run(epochs=5, **SMALL)}, [0, 2, 4, 5])
    training.start(before="write unfinished/snapshots/epoch000005.safetensors", number=signal.SIGKILL).end()
    return training


@pytest.fixture(scope="module")
def resumed(killed, tmp_path_factory, data) -> Training:
    """The same, brought to its end."""
    place = tmp_path_factory.mktemp("resumed")
    training = Training(place, data, "train", {"run": run(epochs=5, **SMALL)}, [0, 2, 4, 5])
    training.finish()
    return training


@pytest.fixture
def again(killed, new) -> Training:
    """The killed training, to be damaged and started again."""
    training = new(epochs=5, snapshots=(0, 2, 4, 5))
    shutil.copytree(killed.folder, training.folder)
    return training


def flip_a_bit(folder: Path) -> None:
    flip(folder / "epoch000004.safetensors")


def truncate(folder: Path) -> None:
    cut(folder / "epoch000004.safetensors")


def save_another_state(folder: Path) -> None:
    path = folder / "epoch000004.safetensors"
    (state,) = load_states(path)
    state.best_val_accuracy = 0.99
    save_states(path, [state])


def lose_the_snapshot(folder: Path) -> None:
    (folder / "snapshots" / "epoch000004.safetensors").unlink()


def truncate_the_snapshot(folder: Path) -> None:
    cut(folder / "snapshots" / "epoch000004.safetensors")


def flip_a_bit_of_the_snapshot(folder: Path) -> None:
    flip(folder / "snapshots" / "epoch000004.safetensors")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [flip_a_bit, truncate, save_another_state, lose_the_snapshot, truncate_the_snapshot, flip_a_bit_of_the_snapshot],
    ids=lambda function: function.__name__,
)
def test_a_bad_checkpoint_is_set_aside_and_the_one_before_it_is_used(again, resumed, damage):
    damage(again.unfinished)
    process = again.finish()
    assert again.results == resumed.results
    (warning,) = (line for line in process.said.splitlines() if line.startswith("warning: "))
    assert warning.endswith("; set aside as epoch000004.safetensors.unusable")
    assert began(process) == 3
    assert left_over(again) == []


def test_where_no_checkpoint_is_good_the_training_begins_again(again, resumed):
    for path in again.unfinished.glob("epoch*.safetensors"):
        cut(path)
    process = again.finish()
    assert (began(process), process.said.count("warning")) == (0, 2)
    assert again.results == resumed.results


def test_a_checkpoint_of_other_data_is_not_used(again, new, data, tmp_path):
    other = Data(tmp_path / "other" / data.folder.name)
    shutil.copytree(data.folder, other.folder)
    manifest = read_json(other.files[0])
    manifest["sha256"]["images_train.npy"] = "0" * 64
    other.files[0].write_text(json.dumps(manifest))
    seal(other.files, DATA)
    process = new(epochs=5, snapshots=(0, 2, 4, 5), data=other).finish()
    assert (began(process), process.said.count("made of other settings, code or inputs")) == (0, 2)


def test_two_processes_are_never_at_the_same_training(new):
    training = new()
    with alone(training.unfinished):
        process = training.start()
        assert process.end() == 2
    what = f"{training.unfinished}: another process is at this training; wait for it or end it"
    assert process.terminal == [f"{what} (log: {process.log})"]
