"""The line of each epoch: what is printed is what is read again, of a training alone and of several as one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equal_losses.running import progress
from equal_losses.running.progress import EPOCH, Progress

ROW = {
    "epoch": 2,
    "learning_rate": 0.1,
    "train_loss": 1.5,
    "train_accuracy": 0.5,
    "val_accuracy": 0.625,
    "images_per_second": 5000.0,
}


@pytest.fixture
def clock(monkeypatch):
    """Sets the time, in seconds since the training began."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    return now


def test_a_line_is_what_it_was(clock, capsys):
    report = Progress(80, 0, 80)
    clock[0] = 7200.0
    report(ROW)
    assert capsys.readouterr().out == (
        "epoch  2/80  lr 0.1  loss 1.5  train 50.00%  val 62.50%  5,000 images/s  1 epochs/h  ETA 3 days, 6:00:00\n"
    )


def test_the_time_that_is_left_is_to_the_end_of_this_job_at_the_speed_of_this_job(clock, capsys):
    report = Progress(200, 50, 100)
    clock[0] = 10.0
    report({**ROW, "epoch": 60})
    assert capsys.readouterr().out.endswith("  3600 epochs/h  ETA 0:00:40\n")


@given(
    member=st.sampled_from(["", "CE/seed1", "label smoothing/seed12", "FL: 3/seed1"]),
    epoch=st.integers(1, 10**5),
    loss=st.floats(0, 1e30),
    train=st.floats(0, 1),
    val=st.floats(0, 1),
    rate=st.floats(1e-9, 10),
    seconds=st.floats(1e-3, 1e7),
)
@settings(deadline=None)
def test_what_is_printed_is_what_is_read(member, epoch, loss, train, val, rate, seconds):
    row = {"epoch": epoch, "learning_rate": rate, "train_loss": loss, "train_accuracy": train, "val_accuracy": val}
    printed = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("builtins.print", lambda line, **_: printed.append(line))
        patch.setattr(progress.time, "perf_counter", iter([0.0, seconds]).__next__)
        Progress(10**5, 0, 10**5)({**row, "images_per_second": 1e6 / seconds}, member)
    found = EPOCH.search("training on CPU, 1 thread from epoch 0\n" + printed[0] + "\nfailed: no memory\n")
    assert (found["member"] or "", int(found["epoch"])) == (member, epoch)
    assert float(found["loss"]) == pytest.approx(loss, rel=1e-4)
    assert float(found["train"]) == pytest.approx(100 * train, abs=0.006)
    assert float(found["val"]) == pytest.approx(100 * val, abs=0.006)
    assert float(found["rate"]) == pytest.approx(3600 * epoch / seconds, rel=1e-3)


def test_other_lines_of_a_log_are_not_read():
    lines = ["training on CPU, 1 thread from epoch 2", "kept the state after epoch 2 in unfinished", "epoch 2/7"]
    assert EPOCH.search("\n".join(lines)) is None


def test_of_several_trainings_each_line_says_whose_it_is(clock, capsys):
    report = Progress(7, 0, 7)
    clock[0] = 1.0
    for member in ("CE/seed1", "FL/seed1"):
        report(ROW, member)
    assert [found["member"] for found in EPOCH.finditer(capsys.readouterr().out)] == ["CE/seed1", "FL/seed1"]
