"""Trainings as jobs: what they leave, alone and through trunks, and how they fail."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest
import torch

from equal_losses.running import weights
from equal_losses.running.files import UNFINISHED, read_json
from equal_losses.training.state import TrainingState

from .jobs import MEMBERS, SMALL, Data, Training, began, left_over
from .runs import TIMED, run, trained


@pytest.fixture(scope="module")
def state(digits) -> TrainingState:
    """The same run, trained by the function."""
    state = trained(run(epochs=3, **SMALL), digits)
    assert state.best_epoch < 3, "or the best weights are the last ones"
    return state


# What a training leaves


def test_a_run_leaves_what_it_was(whole, state):
    record = read_json(whole.folder / "run.json")
    assert (record["key"], record["settings"]) == (whole.key, run(epochs=3, **SMALL))
    assert record["trained_together"] == 1
    processor, _, threads = record["device"].rpartition(", ")
    assert processor in Path("/proc/cpuinfo").read_text()
    assert threads == "1 thread"
    assert record["data_sha256"].keys() >= {"images_train.npy", "labels_test.npy"}
    assert record["versions"].keys() == {"equal_losses", "python", "torch", "numpy"}
    assert (record["best_epoch"], record["best_val_accuracy"]) == (state.best_epoch, state.best_val_accuracy)


def test_a_run_leaves_its_history_its_best_and_its_last_weights(whole, state):
    for name, expected, epoch in (("best", state.best_weights, state.best_epoch), ("final", state.weights, 3)):
        tensors, metadata = weights.load(whole.folder / f"{name}.safetensors")
        assert metadata == {"epoch": str(epoch)}
        assert all(torch.equal(tensors[key], tensor) for key, tensor in expected.items())
    expected = [{key: str(value) for key, value in row.items() if key not in TIMED} for row in state.history]
    assert whole.results["history.csv"] == expected


def test_snapshots_are_those_that_are_wanted_and_the_last_is_the_final_one(whole):
    snapshots, _ = weights.load(whole.folder / "snapshots.safetensors")
    final, _ = weights.load(whole.folder / "final.safetensors")
    assert {name.partition("/")[0] for name in snapshots} == {"0", "2", "3"}
    assert all((snapshots[f"3/{name}"] == tensor).all() for name, tensor in final.items())


def test_runs_as_one_leave_a_folder_each_and_their_snapshots_together(whole_stack):
    files = {"history.csv", "best.safetensors", "final.safetensors", "run.json"}
    assert set(read_json(whole_stack.record)["files"]) == {
        "snapshots.safetensors",
        *(f"{member}/{name}" for member in MEMBERS for name in files),
    }
    for place, (member, settings) in enumerate(MEMBERS.items()):
        record = read_json(whole_stack.folder / member / "run.json")
        assert (record["settings"], record["trained_together"]) == (settings, 2)
        final, _ = weights.load(whole_stack.folder / member / "final.safetensors")
        snapshot, _ = weights.load(whole_stack.folder / "snapshots.safetensors", f"3/{place}/")
        assert all((snapshot[name] == tensor).all() for name, tensor in final.items())


def test_nothing_is_left_over(whole, whole_stack):
    assert left_over(whole) == left_over(whole_stack) == []


def test_every_file_is_for_whoever_the_umask_allows(whole):
    modes = {path.stat().st_mode & 0o777 for path in whole.outputs}
    assert modes == {(whole.folder / "train.log").stat().st_mode & 0o777}


def test_a_training_that_diverges_is_one_line_and_leaves_nothing_that_looks_finished(tmp_path, data):
    training = Training(tmp_path, data, "train", {"run": run(learning_rate=1e30, clip_norm=None, **SMALL)}, [0, 7])
    process = training.start()
    assert process.end() == 2
    (line,) = process.terminal
    assert line.startswith("training diverged: the loss is ")
    assert {path.name for path in training.folder.iterdir()} == {"train.log", UNFINISHED}


# Through a trunk


def trunk_of(place: Path, data: Data, to: int, snapshots: list[int], trunk: Training | None = None) -> Training:
    """A trunk that several budgets share; none of them decays before the end of the second epoch."""
    shared = {"run": run(epochs=5, **SMALL), "to": to}
    return Training(place, data, "train", shared, snapshots, trunk=trunk)


def test_a_run_that_goes_on_from_a_trunk_of_a_trunk_ends_with_the_same_bits(new, data, tmp_path):
    direct = new(epochs=5, snapshots=(0, 2, 5))
    direct.finish()
    first = trunk_of(tmp_path / "trunks", data, 1, [0, 1])
    second = trunk_of(tmp_path / "trunks", data, 2, [0, 1, 2], first)
    through = new(epochs=5, snapshots=(0, 2, 5), place=tmp_path / "through", trunk=second)
    assert [began(training.finish()) for training in (first, second, through)] == [0, 1, 2]
    assert through.results == direct.results
    assert left_over(first) == left_over(second) == left_over(through) == []


@pytest.mark.parametrize(
    ("script", "what"), [("train", {"run": MEMBERS["CE/seed1"]}), ("train_stack", {"members": MEMBERS})]
)
def test_a_trunk_that_is_killed_before_it_is_sealed_goes_on_from_its_checkpoint(tmp_path, data, script, what):
    trunk = Training(tmp_path, data, script, {**what, "to": 2}, [0, 2])
    assert trunk.start(before="write /key.json", number=signal.SIGKILL).end() == -signal.SIGKILL
    assert began(trunk.finish()) == 1


def test_a_run_that_is_killed_after_its_trunk_goes_on_from_its_checkpoint(new, data, tmp_path):
    direct = new(epochs=5, snapshots=(0, 2, 3, 5))
    direct.finish()
    trunk = trunk_of(tmp_path / "trunks", data, 2, [0, 2])
    trunk.finish()
    through = new(epochs=5, snapshots=(0, 2, 3, 5), place=tmp_path / "through", trunk=trunk)
    assert through.start(before="write epoch000004.safetensors", number=signal.SIGKILL).end() == -signal.SIGKILL
    assert began(through.finish()) == 3
    assert through.results == direct.results


def test_a_run_goes_on_from_its_trunk_where_its_checkpoint_is_older(new, data, tmp_path):
    direct, through = (new(epochs=5, snapshots=(0, 2, 5), place=tmp_path / name) for name in ("direct", "through"))
    direct.finish()
    assert through.start(before="write epoch000002.safetensors", number=signal.SIGKILL).end() == -signal.SIGKILL
    trunk = trunk_of(tmp_path / "trunks", data, 2, [0, 2])
    trunk.finish()
    through = new(epochs=5, snapshots=(0, 2, 5), place=tmp_path / "through", trunk=trunk)
    assert began(through.finish()) == 2
    assert through.results == direct.results
    assert left_over(through) == []


def test_runs_as_one_go_on_from_a_trunk_with_the_same_bits(data, tmp_path):
    members = {name: {**settings, "epochs": 5} for name, settings in MEMBERS.items()}
    direct, through = (tmp_path / name for name in ("direct", "through"))
    trunk = Training(tmp_path, data, "train_stack", {"members": members, "to": 2}, [0, 2])
    trunk.finish()
    trainings = [
        Training(place, data, "train_stack", {"members": members}, [0, 2, 5], trunk=start)
        for place, start in ((direct, None), (through, trunk))
    ]
    assert [began(training.finish()) for training in trainings] == [0, 2]
    assert trainings[0].results == trainings[1].results


# A disk that takes nothing


def test_a_file_that_cannot_be_written_is_one_line_and_damages_nothing(new, whole):
    training = new()
    process = training.start(file_bytes=5_000)
    assert process.end() == 2
    (line,) = process.terminal
    assert line.startswith(f"{training.folder}") and "File too large; what was finished before is unharmed" in line
    assert "Traceback" not in process.said
    training.finish()
    assert training.results == whole.results


def test_a_disk_that_is_full_at_the_end_does_not_cost_the_training(new, whole):
    """There is room for the state, and not for the snapshots of all epochs together."""
    training = new(epochs=5, snapshots=tuple(range(6)), checkpoint_minutes=60)
    weights_bytes = (whole.folder / "final.safetensors").stat().st_size
    process = training.start(file_bytes=5 * weights_bytes)
    assert process.end() == 2
    assert "File too large" in process.terminal[0]
    assert began(training.finish()) == 5


@pytest.fixture
def disk(tmp_path):
    """A small disk, and how to mount it with other options."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(*options: str) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(options), "none", str(place)], check=True)

    try:
        mount("size=100k")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a disk is not allowed here")
    yield place, mount
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("kilobytes", [0, 8, 60, 120])
def test_a_full_disk_is_one_line_and_no_damaged_file(new, disk, whole, kilobytes):
    place, mount = disk
    mount("remount", f"size={max(kilobytes, 4)}k")
    if kilobytes == 0:
        (place / "fill").write_bytes(bytes(4096))
    training = new(place=place)
    training.terminal = place.with_name("terminal")
    process = training.start()
    assert process.end() == 2
    (line,) = process.terminal
    assert "No space left on device; what was finished before is unharmed" in line
    for path in place.rglob("*.safetensors"):
        weights.load(path)
    assert not list(place.rglob(".*")), "nothing half-written"
    mount("remount", "size=50m")
    training.finish()
    assert training.results == whole.results


def test_a_read_only_disk_is_one_line(new, disk):
    place, mount = disk
    mount("remount", "ro")
    training = new(place=place)
    training.terminal = place.with_name("terminal")
    process = training.start()
    assert process.end() == 2
    assert process.terminal == [f"{training.folder}: Read-only file system; what was finished before is unharmed"]
