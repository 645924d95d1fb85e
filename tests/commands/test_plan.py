"""The command `plan`: what a study is said to cost, against what is known and against sums by hand."""

from __future__ import annotations

import json
import re

import pytest

from equal_losses.commands import cost
from equal_losses.commands.main import main
from equal_losses.running.checkpoints import KEPT
from equal_losses.running.errors import InputError
from equal_losses.running.files import write_json
from equal_losses.running.sources import ROOT
from equal_losses.study import kinds
from equal_losses.study.grid import Experiment, Study

from ..study.studies import NOWHERE, put, shipped

CIFAR = cost.DatasetSize(train=45_000, val=5_000, test=10_000, height=32, width=32, channels=3, classes=10)
DEMO = str(ROOT / "config" / "demo.yaml")


def small(config: dict, **options) -> Experiment:
    """The experiment of the small study with other options."""
    config["experiments"]["small"] |= options
    return Study(config).experiments["small"]


def size_of(experiment: Experiment) -> cost.DatasetSize:
    """The size of its dataset, which is not prepared."""
    return cost.dataset_size(experiment, NOWHERE)


def cost_of(experiment: Experiment, rate: float | None = 1e9) -> cost.Cost:
    return cost.experiment_cost(experiment, size_of(experiment), rate)


def weights_of(experiment: Experiment, width: float) -> int:
    """Bytes of its weights."""
    return cost.network_size(experiment, size_of(experiment), width).weight_bytes


def features_of(classes: int, dimension: int) -> int:
    """Bytes of what is kept of the features of a snapshot."""
    return 8 * classes * (2 * dimension + 3)


# Networks and data


@pytest.mark.parametrize(("width", "gmac"), [(0.25, 0.30), (0.5, 0.56), (1, 1.30), (2, 3.68)])
def test_operations_of_wide_resnet50_are_counted_on_the_network(small_config, width, gmac):
    network = cost.network_size(small(small_config, network={"kind": "wide_resnet50"}), CIFAR, width)
    assert network.forward_operations / 2e9 == pytest.approx(gmac, abs=0.005)
    assert network.feature_dimension == 2048


def test_weights_of_the_widest_network_are_67_million_floats(small_config):
    network = cost.network_size(small(small_config, network={"kind": "wide_resnet50"}), CIFAR, 2)
    assert network.weight_bytes / 4e6 == pytest.approx(67, abs=0.5)


def test_the_size_of_the_digits_is_known_beforehand(small_config, digits):
    size = size_of(small(small_config))
    parts = {split: sum(counts) for split, counts in digits.manifest["counts"].items()}
    assert {"train": size.train, "val": size.val, "test": size.test} == parts
    assert (size.height, size.width, size.channels, size.classes) == (8, 8, 1, 10)


def test_a_balanced_subset_has_its_size(small_config):
    put(
        small_config,
        "datasets.digits",
        {"kind": "fashion_mnist", "per_class": 300, "test_per_class": 300, "validation_fraction": 0.1},
    )
    size = size_of(small(small_config))
    assert (size.train, size.val, size.test) == (2700, 300, 3000)


def test_of_a_prepared_dataset_the_manifest_says_its_size(small_config, tmp_path):
    counts = {"train": [7, 8], "val": [1, 2], "test": [3, 3]}
    write_json(tmp_path / "manifest.json", {"counts": counts, "image_shape": [5, 6, 3], "classes": ["a", "b"]})
    assert cost.dataset_size(small(small_config), tmp_path / "manifest.json") == cost.DatasetSize(15, 3, 6, 5, 6, 3, 2)


def test_a_size_that_nobody_knows_yet_is_asked_for(small_config):
    put(small_config, "datasets.digits", {"kind": "image_folder", "root": "photos", "size": 8})
    expected = (
        r"^datasets.digits: the size of kind image_folder is known only when it is prepared; "
        r"run the target `datasets` first$"
    )
    with pytest.raises(InputError, match=expected):
        size_of(small(small_config))


def test_every_dataset_that_is_always_the_same_says_its_size_and_classes():
    known = {kind for kind in kinds.kinds("datasets") if kinds.constant("datasets", kind, "SIZE")}
    assert known == {kind for kind in kinds.kinds("datasets") if kinds.constant("datasets", kind, "CLASSES")}
    assert "image_folder" not in known


# Operations and hours


def test_operations_are_three_forward_passes_per_image_and_one_for_evaluation(small_config):
    experiment = small(small_config, losses=["CE"], widths=[0.25], epochs=[7])
    size = size_of(experiment)
    forward = cost.network_size(experiment, size, 0.25).forward_operations
    images = 7 * (3 * size.train + size.val) + 5 * 1797  # 4 snapshots and the best
    assert cost_of(experiment).operations == images * forward


def test_device_hours_follow_the_given_rate(small_config):
    experiment = small(small_config)
    slow, fast = cost_of(experiment, 1e9), cost_of(experiment, 1e12)
    starts = slow.jobs * cost.JOB_SECONDS[0] / 3600
    assert slow.device_hours - starts == pytest.approx(1000 * (fast.device_hours - starts))
    assert slow.operations == fast.operations


def test_an_unknown_rate_is_measured(small_config):
    planned = cost_of(small(small_config, widths=[0.25]), None)
    assert 0 < planned.device_hours < planned.device_hours_most


def test_a_range_is_from_the_fastest_to_the_slowest_step_and_has_the_start_of_each_job(small_config, monkeypatch):
    monkeypatch.setattr(cost, "measured_rates", lambda *_: [2e9, 4e9, 1e9])
    planned = cost_of(small(small_config, losses=["CE"], widths=[0.25], epochs=[7]), None)
    low, high = cost.JOB_SECONDS
    assert planned.jobs == 2  # a training and its features
    assert planned.device_hours == pytest.approx(planned.operations / 4e9 / 3600 + 2 * low / 3600)
    assert planned.device_hours_most == pytest.approx(planned.operations / 1e9 / 3600 + 2 * high / 3600)


def test_a_total_is_a_sum_but_of_what_is_there_for_a_while(small_config):
    one = cost_of(small(small_config))
    both = cost.total([one, one])
    assert (both.runs, both.device_hours, both.disk_end) == (16, 2 * one.device_hours, 2 * one.disk_end)
    assert (both.disk_temporary, both.disk_end_of_run) == (one.disk_temporary, one.disk_end_of_run)


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.01, 0.025, "36 to 90 s"),
        (0.05, 0.09, "3 to 5.4 min"),
        (1.25, 2.5, "1.2 to 2.5 h"),
        (800, 1200, "800 to 1,200 h"),
        (3, 3, "3 h"),
        (67_577, 67_578, "67,600 h"),
        (0, 0.0001, "0 to 0.36 s"),
    ],
)
def test_times_are_told_in_the_unit_that_they_are_of(low, high, text):
    assert cost.span(low, high) == text


def test_the_paper_costs_1202_epochs_where_1500_are_run_alone():
    planned = cost_of(Study(shipped("paper.yaml")).experiments["cifar10"], 1e13)
    assert (planned.runs, planned.trainings, planned.trunks) == (192, 192, 144)
    assert (planned.epochs_alone, planned.epochs) == (72_000, 72_000 * 1202 // 1500)
    assert planned.disk_end_of_run < 1e9


def test_of_a_tuned_experiment_the_candidates_are_what_is_trained():
    planned = cost_of(Study(shipped("paper.yaml")).experiments["cifar100"], 1e13)
    points = 4 * 4 * 4  # losses, widths, budgets
    assert (planned.runs, planned.trainings) == (3 * points, 4 * points + 2 * points)
    assert planned.epochs_alone == 6 * 4 * 4 * 1500


def test_runs_that_are_trained_as_one_are_counted_each(small_config):
    alone, stacked = cost_of(small(small_config)), cost_of(small(small_config, stack=2))
    assert (stacked.runs, stacked.trainings, stacked.trunks) == (8, 4, alone.trunks // 2)
    assert (stacked.epochs_alone, stacked.epochs) == (alone.epochs_alone, alone.epochs)
    assert stacked.operations == alone.operations
    assert (stacked.disk_end, stacked.disk_end_of_run) == (alone.disk_end, alone.disk_end_of_run)


# Disk


@pytest.mark.parametrize(("kept", "copies"), [(True, 4), (False, 0)])
def test_disk_at_the_end_has_weights_snapshots_where_they_are_kept_and_features(small_config, kept, copies):
    experiment = small(small_config, losses=["CE"], widths=[0.25], epochs=[7], keep_snapshots=kept)
    planned = cost_of(experiment)
    dimension = cost.network_size(experiment, size_of(experiment), 0.25).feature_dimension
    expected = (2 + copies) * weights_of(experiment, 0.25) + 5 * features_of(10, dimension)
    assert planned.disk_end == planned.disk_end_of_run == expected


def test_disk_in_between_has_every_snapshot_of_a_run_and_the_states_that_are_there_at_a_time():
    """By hand, of 800 epochs at width 2, which leave at epoch 171 a trunk that 400 epochs share."""
    paper = Study(shipped("paper.yaml")).experiments["cifar10"]
    trunk = 9  # 0, 20 to 160
    own, gathered = 16, 21  # 200 to 800, one file each; 0 to 800, all in one
    states = 1 + KEPT  # the trunk's, and those that are kept: weights, momentum, best weights
    assert cost_of(paper, 1e13).disk_temporary == (trunk + own + gathered + 3 * states) * weights_of(paper, 2)


def test_a_run_without_a_trunk_has_its_own_snapshots_in_between(small_config):
    experiment = small(small_config, share_trunk=False, widths=[0.25], epochs=[4, 7])
    snapshots, states = 4, KEPT + 1  # those that are kept at the end are not counted twice
    assert cost_of(experiment).disk_temporary == (snapshots + 3 * states) * weights_of(experiment, 0.25)


def test_a_state_under_adam_has_one_copy_of_the_weights_more(small_config):
    def state(kind: str) -> int:
        training = {**small_config["experiments"]["small"]["training"], "optimizer": {"kind": kind}}
        experiment = small(small_config, share_trunk=False, widths=[0.25], epochs=[7], training=training)
        return cost_of(experiment).disk_temporary

    assert state("adam") == state("adamw") == state("sgd") + (KEPT + 1) * weights_of(small(small_config), 0.25)


@pytest.mark.parametrize(("said", "counted"), [(0, 0), (None, 2)])
def test_an_optimiser_that_keeps_nothing_is_not_one_that_does_not_say(small_config, monkeypatch, said, counted):
    def of_state(buffers: int | None) -> int:
        constant = kinds.constant
        with monkeypatch.context() as patch:
            patch.setattr(kinds, "constant", lambda *of: buffers if of[2] == "BUFFERS" else constant(*of))
            return cost_of(small(small_config, share_trunk=False, widths=[0.25], epochs=[7])).disk_temporary

    per_buffer = of_state(2) - of_state(1)
    assert of_state(said) == of_state(1) + (counted - 1) * per_buffer


def test_runs_that_are_trained_as_one_are_in_between_together(small_config):
    assert (
        cost_of(small(small_config, stack=2)).disk_temporary == 2 * cost_of(small(small_config, stack=1)).disk_temporary
    )


# The command


def test_plan_prints_a_column_for_each_experiment(capsys):
    assert main(["plan", DEMO, "--tflops", "0.1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["demo"]
    rows = dict(re.split(r"  +", line, maxsplit=1) for line in lines[1:-1])
    assert rows["runs"] == "96"
    assert rows["epochs, each run alone"] == "9,120"
    assert rows["epochs, with shared trunks"] == f"{9120 - 48 * 21:,}"  # 50 and 140 epochs share 21


def test_plan_prints_plain_numbers_on_demand(capsys):
    assert main(["plan", DEMO, "--tflops", "0.1", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)["demo"]
    assert (answer["runs"], answer["epochs"]) == (96, 9120 - 48 * 21)
    assert answer["device_hours"] == pytest.approx(answer["operations"] / 0.1e12 / 3600 + answer["jobs"] * 2 / 3600)


def test_devices_share_the_time_and_each_takes_its_disk(capsys):
    assert main(["plan", DEMO, "--tflops", "0.1", "--devices", "4"]) == 0
    printed = capsys.readouterr().out
    assert "time on 4 devices" in printed
    assert "disk at its peak, 4 devices, GB" in printed
    assert printed.splitlines()[-1].startswith(
        "Times rest on the given rate of 0.1 TFLOP a second, and on 2 to 6 s for "
    )


def test_experiments_are_summed(folder, capsys):
    folder.config["experiments"]["other"] = folder.config["experiments"]["small"]
    assert folder.command("plan", folder.file, "--tflops", "1")[0].split() == ["small", "other", "total"]


def test_what_is_timed_is_told_on_the_error_output(folder, capsys, monkeypatch):
    monkeypatch.setattr(cost, "measured_rates", lambda *_: [1e9])
    assert main(["plan", folder.file]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"small: timing 5 steps of small_resnet {width}" for width in (0.25, 0.5)]


def test_plan_takes_the_size_of_a_prepared_dataset(folder):
    folder.config["datasets"]["digits"] = {"kind": "image_folder", "root": "photos", "size": 8}
    manifest = {"counts": {"train": [7], "val": [1], "test": [3]}, "image_shape": [8, 8, 3], "classes": ["a", "b"]}
    write_json(folder.root / folder.steps.dataset("digits").file("manifest.json"), manifest)
    assert folder.command("plan", folder.file, "--tflops", "1")[0].split() == ["small"]


def test_a_study_whose_data_are_of_unknown_size_is_one_line_and_status_2(folder):
    folder.config["datasets"]["digits"] = {"kind": "image_folder", "root": "photos", "size": 8}
    assert folder.refused("plan", folder.file).startswith("datasets.digits: the size of kind image_folder is known onl")


def test_there_is_a_device_or_more(capsys):
    with pytest.raises(SystemExit):
        main(["plan", DEMO, "--devices=0"])
    assert "argument --devices: 0; expected a whole number >= 1" in capsys.readouterr().err


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "fast"])
def test_a_rate_is_a_positive_number(capsys, rate):
    with pytest.raises(SystemExit) as raised:
        main(["plan", DEMO, f"--tflops={rate}"])
    assert raised.value.code == 2
    assert "argument --tflops: " in capsys.readouterr().err
