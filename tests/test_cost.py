"""What a study is said to cost, against what is known and against the workflow's own plan."""

from __future__ import annotations

import json

import pytest
from neural_collapse import configuration, cost
from neural_collapse.cli import main
from neural_collapse.errors import InputError
from neural_collapse.study import Study

from .conftest import ROOT

CIFAR = cost.DatasetSize(train=45_000, val=5_000, test=10_000, height=32, width=32, channels=3, classes=10)


@pytest.fixture(autouse=True)
def nothing_is_prepared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def small(small_config):
    return Study(small_config).experiments["small"]


@pytest.mark.parametrize(("width", "gmac"), [(0.25, 0.30), (0.5, 0.56), (1, 1.30), (2, 3.68)])
def test_operations_of_wide_resnet50_are_counted_on_the_network(small_config, width, gmac):
    small_config["experiments"]["small"]["network"] = {"kind": "wide_resnet50"}
    network = cost.network_size(Study(small_config).experiments["small"], CIFAR, width)
    assert network.forward_operations / 2e9 == pytest.approx(gmac, abs=0.005)
    assert network.feature_dimension == 2048


def test_weights_of_the_widest_network_are_67_million_floats(small_config):
    small_config["experiments"]["small"]["network"] = {"kind": "wide_resnet50"}
    network = cost.network_size(Study(small_config).experiments["small"], CIFAR, 2)
    assert network.weight_bytes / 4e6 == pytest.approx(67, abs=0.5)


def test_device_hours_follow_the_given_rate(small):
    slow, fast = (cost.experiment_cost(small, rate) for rate in (1e9, 1e12))
    assert slow.device_hours == pytest.approx(1000 * fast.device_hours)
    assert slow.operations == fast.operations


def test_operations_are_three_forward_passes_an_image_and_one_for_evaluation(small_config):
    small_config["experiments"]["small"] |= {"losses": ["CE"], "widths": [0.25], "epochs": [7]}
    experiment = Study(small_config).experiments["small"]
    size = cost.dataset_size(experiment)
    forward = cost.network_size(experiment, size, 0.25).forward_operations
    images = 7 * (3 * size.train + size.val) + 5 * 1797  # 4 snapshots and the best
    assert cost.experiment_cost(experiment, 1e9).operations == images * forward


def test_the_size_of_the_digits_is_known_beforehand(small, digits):
    size = cost.dataset_size(small)
    parts = {split: sum(counts) for split, counts in digits.manifest["counts"].items()}
    assert {"train": size.train, "val": size.val, "test": size.test} == parts


def test_an_unmeasured_rate_is_measured(small):
    assert cost.experiment_cost(small, None).device_hours > 0


def test_plan_prints_a_column_an_experiment(capsys):
    assert main(["plan", str(ROOT / "config" / "demo.yaml"), "--tflops", "0.1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["demo"]
    assert ["epochs, each run alone", "2,560"] in [line.rsplit(maxsplit=1) for line in lines]


def test_plan_prints_plain_numbers_on_demand(capsys):
    assert main(["plan", str(ROOT / "config" / "demo.yaml"), "--tflops", "0.1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["demo"]["runs"] == 32


def test_a_size_that_nobody_knows_yet_is_asked_for(small_config, monkeypatch):
    monkeypatch.setattr(cost.datasets, "SIZES", {})
    with pytest.raises(InputError, match=r"datasets.digits: the size of kind digits is known only when it is prepared"):
        cost.dataset_size(Study(small_config).experiments["small"])


def test_a_study_that_is_not_there_is_one_line_and_status_2(capsys):
    assert main(["plan", "nowhere.yaml"]) == 2
    assert (
        capsys.readouterr().err
        == "neural-collapse: nowhere.yaml: No such file or directory; allowed: a readable YAML file\n"
    )


def test_the_paper_costs_1202_epochs_where_1500_are_run_alone():
    paper = Study(configuration.load([ROOT / "config" / "paper.yaml"])).experiments["cifar10"]
    planned = cost.experiment_cost(paper, 1e13)
    assert (planned.epochs_alone, planned.epochs) == (72_000, 72_000 * 1202 // 1500)
    assert planned.disk_end_of_run < 1e9


def test_disk_in_between_has_every_snapshot_of_a_run_once_and_the_states_that_are_there_at_a_time():
    """By hand, of 800 epochs at width 2, which leave at epoch 171 a stem that 100, 200 and 400 epochs share."""
    paper = Study(configuration.load([ROOT / "config" / "paper.yaml"])).experiments["cifar10"]
    stems = 9 + 4 + 4  # to 42: 0, 5 to 40; to 85: 50, 60, 70, 80; to 171: 100, 120, 140, 160
    own = 16  # 200, 240 to 800
    states = 4  # the stem's, two kept and one being written; each of weights, momentum and best weights
    weights = cost.network_size(paper, CIFAR, 2).weight_bytes
    assert cost.experiment_cost(paper, 1e13).disk_temporary == (stems + own + 3 * states) * weights


def test_a_run_without_a_stem_has_its_own_snapshots_in_between(small_config):
    small_config["experiments"]["small"] |= {"share_stem": False, "widths": [0.25], "epochs": [4, 7]}
    experiment = Study(small_config).experiments["small"]
    weights = cost.network_size(experiment, cost.dataset_size(experiment), 0.25).weight_bytes
    assert cost.experiment_cost(experiment, 1e9).disk_temporary == (4 + 3 * 3) * weights


def test_runs_that_are_trained_as_one_are_in_between_together(small_config):
    def in_between(stack: int) -> int:
        small_config["experiments"]["small"]["stack"] = stack
        return cost.experiment_cost(Study(small_config).experiments["small"], 1e9).disk_temporary

    assert in_between(2) == 2 * in_between(1)
