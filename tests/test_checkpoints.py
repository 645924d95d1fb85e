"""Trainings that are killed, stopped or refused their disk: what is kept, what is trusted, and what comes out."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time

import pytest

from .training_job import TrainingJob


def run_of(small_run, epochs: int):
    run = small_run(epochs=str(epochs))
    run.experiment.config["snapshots"] = list(range(0, epochs, 2))
    return run


@pytest.fixture
def long_run(small_run):
    """Seconds of training with a snapshot every second epoch."""
    return run_of(small_run, 24)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """Answers the results of a run that nothing disturbed, trained once."""
    known = {}

    def results(run, dataset) -> dict:
        if run.train_key not in known:
            job = TrainingJob(tmp_path_factory.mktemp("undisturbed"), run, dataset)
            assert job.finish() == 0, job.said()
            known[run.train_key] = job.results()
        return known[run.train_key]

    return results


def test_a_training_killed_at_ten_random_moments_ends_with_the_same_bits(small_run, digits, tmp_path, reference):
    long_run = run_of(small_run, 50)
    expected = reference(long_run, digits)
    job = TrainingJob(tmp_path, long_run, digits)
    moments = random.Random(4)
    began = []
    for _ in range(10):
        job.start()
        began.append(job.began())
        job.wait_for_epoch(began[-1] + moments.randint(0, 3))
        time.sleep(moments.uniform(0, 0.1))
        job.process.kill()
        job.process.join()
        assert job.process.exitcode == -signal.SIGKILL, "the training was over before it was killed"
    assert job.finish() == 0, job.said()
    assert began[-1] > began[0] == 0, "it went on from where it was"
    assert job.results() == expected
    assert not job.scratch.parent.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT], ids=lambda number: number.name)
def test_a_signal_costs_no_more_than_the_epoch_it_came_in(long_run, digits, tmp_path, number, reference):
    job = TrainingJob(tmp_path, long_run, digits, minutes=60)
    job.start()
    job.wait_for_epoch(11)
    os.kill(job.process.pid, number)
    os.kill(job.process.pid, number)  # clusters repeat themselves
    job.process.join(20)
    assert job.process.exitcode == -number
    last = job.epoch()
    assert job.said().splitlines()[-1].startswith(f"stopped: by {number.name}")
    job.start()
    assert job.began() >= last
    assert job.finish() == 0, job.said()
    assert job.results() == reference(long_run, digits)


def truncate(path, job):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_bit(path, job):
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)


def empty(path, job):
    path.write_bytes(b"")


def change_key(path, job):
    from neural_collapse import weights
    from neural_collapse.training import TrainingState

    _, metadata = weights.load(path)
    TrainingState.load(path, key=metadata["key"]).save(path, key="other")


def lose_snapshot(path, job):
    (job.scratch / "snapshots" / "0" / f"{path.stem.replace('epoch0', 'epoch')}.safetensors").unlink()


@pytest.fixture
def stopped(long_run, digits, tmp_path):
    """A training that was killed when it had two checkpoints, the newest of an epoch with a snapshot."""
    job = TrainingJob(tmp_path, long_run, digits)
    job.start()
    job.wait_for_epoch(6)
    job.process.kill()
    job.process.join()
    files = sorted(job.scratch.glob("epoch*.safetensors"))
    assert len(files) == 2
    if int(files[-1].stem.removeprefix("epoch")) % 2:
        files[-1].unlink()
        files = files[:-1]
    return job, files


@pytest.mark.parametrize("damage", [truncate, flip_a_bit, empty, change_key, lose_snapshot], ids=lambda f: f.__name__)
def test_a_bad_checkpoint_is_set_aside_and_the_one_before_it_is_used(stopped, long_run, digits, damage, reference):
    job, files = stopped
    damage(files[-1], job)
    job.start()
    job.wait_for("training on CPU")
    said = job.said()
    assert said.count("warning") == 1
    assert f"set aside as {files[-1].name}.unusable" in said
    begin = int(files[0].stem.removeprefix("epoch")) if len(files) == 2 else 0
    assert f"from epoch {begin}\n" in said
    assert job.finish() == 0, job.said()
    assert job.results() == reference(long_run, digits)
    assert not job.scratch.parent.exists()


def test_where_no_checkpoint_is_good_the_training_begins_again(stopped, long_run, digits, reference):
    job, files = stopped
    for path in files:
        truncate(path, job)
    job.start()
    job.wait_for("from epoch 0\n")
    assert job.said().count("warning") == len(files)
    assert job.finish() == 0, job.said()
    assert job.results() == reference(long_run, digits)


def test_checkpoints_of_other_settings_are_left_aside(stopped, small_run, digits, tmp_path):
    job, _ = stopped
    other = TrainingJob(tmp_path, small_run(epochs="7"), digits)
    assert other.finish() == 0
    assert f"warning: {job.scratch}: checkpoints of other settings or code; left aside" in other.said()
    assert "from epoch 0\n" in other.said()
    assert not other.scratch.parent.exists()


def test_a_checkpoint_of_other_data_is_not_used(stopped, digits, tmp_path):
    job, files = stopped
    from neural_collapse.checkpoints import Checkpoints

    assert Checkpoints(job.scratch, "other data", 0).newest(lambda state: None) is None
    assert len(list(job.scratch.glob("*.unusable"))) == len(files)


def test_two_processes_are_never_at_the_same_training(long_run, digits, tmp_path):
    first, second = (TrainingJob(tmp_path, long_run, digits) for _ in range(2))
    first.start()
    first.wait_for_epoch(2)
    second.start()
    second.process.join(20)
    assert second.process.exitcode == 2
    assert "another process is at this training; wait for it or end it" in second.said()
    first.process.kill()


def test_checkpoints_are_as_far_apart_as_the_study_says(long_run, digits, tmp_path):
    job = TrainingJob(tmp_path, long_run, digits, minutes=60)
    job.start()
    job.wait_for_epoch(9)
    job.process.kill()
    assert not list(job.scratch.glob("epoch*"))
    assert list((job.scratch / "snapshots" / "0").iterdir())


def test_a_file_that_cannot_be_written_is_one_line_and_damages_nothing(long_run, digits, tmp_path, reference):
    job = TrainingJob(tmp_path, long_run, digits, file_bytes=50_000)
    assert job.finish() == 2
    line = job.said().splitlines()[-1]
    assert line.startswith(f"failed: {job.scratch}") and "File too large" in line
    assert job.terminal() == [f"{line.removeprefix('failed: ')} (log: {job.log})"]
    assert "Traceback" not in job.said()
    job = TrainingJob(tmp_path, long_run, digits)
    assert job.finish() == 0
    assert job.results() == reference(long_run, digits)


@pytest.fixture
def disk(tmp_path):
    """Answers a small disk of so many kilobytes, and how to make it read-only."""
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


@pytest.mark.parametrize("kilobytes", [0, 8, 100, 250])
def test_a_full_disk_is_one_line_and_no_damaged_output(long_run, digits, disk, kilobytes, reference):
    place, mount = disk
    mount("remount", f"size={max(kilobytes, 4)}k")
    if kilobytes == 0:
        (place / "fill").write_bytes(bytes(4096))
    job = TrainingJob(place, long_run, digits)
    assert job.finish() == 2
    (line,) = job.terminal()
    assert "No space left on device; what was finished before is unharmed" in line
    whole = [*job.scratch.glob("snapshots/*/*"), *job.scratch.glob("epoch*"), *place.glob("*.safetensors")]
    from neural_collapse import weights

    for path in whole:
        weights.load(path)
    assert not list(place.rglob(".*")), "nothing half-written"
    mount("remount", "size=50m")
    assert job.finish() == 0, job.said()
    assert job.results() == reference(long_run, digits)


def test_a_read_only_disk_is_one_line(long_run, digits, disk):
    place, mount = disk
    mount("remount", "ro")
    job = TrainingJob(place, long_run, digits)
    assert job.finish() == 2
    (line,) = job.terminal()
    assert line == f"{place}/train.log: Read-only file system; what was finished before is unharmed"
