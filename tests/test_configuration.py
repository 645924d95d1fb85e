"""What a configuration may say, and the one line that answers what it may not."""

from __future__ import annotations

import pytest
import yaml
from neural_collapse import configuration
from neural_collapse.errors import InputError
from neural_collapse.provenance import Codebase

from .conftest import ROOT


def validated(config: dict) -> dict:
    return configuration.validated(config, Codebase())


def put(config: dict, path: str, value: object) -> dict:
    *parents, last = path.split(".")
    for key in parents:
        config = config.setdefault(key, {})
    config[last] = value
    return config


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            "losses.CE.kind",
            "cross_entrpy",
            "losses.CE.kind: 'cross_entrpy' (did you mean cross_entropy?); allowed: cro",
        ),
        ("losses.FL.gamma", -1, "losses.FL.gamma: -1; allowed: a number >= 0"),
        ("losses.FL.gama", 3, "losses.FL.gama: unknown key (did you mean gamma?); allowed: gamma, kind, reduction"),
        ("losses.FL", {"kind": "focal"}, "losses.FL.gamma: missing; kind focal has no default for it"),
        ("losses.MSE", {"kind": "mse", "kappa": 0, "beta": 1}, "losses.MSE.kappa: 0; allowed: a number > 0"),
        ("losses.2x", {"kind": "cross_entropy"}, "losses: name '2x'; allowed: a letter, then letters, digits"),
        ("experiments.small.losses", ["CE", "LS"], "experiments.small.losses[1]: 'LS'; allowed: CE, FL"),
        (
            "experiments.small.losses",
            ["CE", "CE"],
            "experiments.small.losses: ['CE', 'CE']; allowed: a list of one or ",
        ),
        ("experiments.small.widths", [0.5, 0], "experiments.small.widths[1]: 0; allowed: a number > 0"),
        ("experiments.small.widths", [-1], "experiments.small.widths[0]: -1; allowed: a number > 0"),
        (
            "experiments.small.widths",
            [1, 1.0],
            "experiments.small.widths: [1, 1.0]; allowed: a list of one or more diff",
        ),
        ("experiments.small.epochs", [0], "experiments.small.epochs[0]: 0; allowed: a whole number >= 1"),
        ("experiments.small.epochs", [1.5], "experiments.small.epochs[0]: 1.5; allowed: a whole number >= 1"),
        ("experiments.small.seeds", [], "experiments.small.seeds: []; allowed: a list of one or more different items"),
        ("experiments.small.seeds", 3, "experiments.small.seeds: 3; allowed: a list of one or more different items"),
        (
            "experiments.small.dataset",
            "digit",
            "experiments.small.dataset: 'digit' (did you mean digits?); allowed: dig",
        ),
        ("experiments.small.network.kind", "resnet", "experiments.small.network.kind: 'resnet'"),
        ("experiments.small.network.width", 2, "experiments.small.network.width: unknown key; allowed: kind"),
        (
            "experiments.small.training.batchsize",
            2,
            "experiments.small.training.batchsize: unknown key (did you mean bat",
        ),
        (
            "experiments.small.training.momentum",
            1,
            "experiments.small.training.momentum: 1; allowed: a number >= 0 and <",
        ),
        (
            "experiments.small.training.decay_at",
            ["3:7"],
            "experiments.small.training.decay_at[0]: '3:7'; allowed: a num",
        ),
        (
            "experiments.small.training.decay_at",
            ["9/7"],
            "experiments.small.training.decay_at[0]: '9/7'; allowed: a sha",
        ),
        (
            "experiments.small.training.flip",
            "maybe",
            "experiments.small.training.flip: 'maybe'; allowed: true or false",
        ),
        (
            "experiments.small.figures",
            ["nc_evolutoin"],
            "experiments.small.figures[0]: 'nc_evolutoin' (did you mean nc_",
        ),
        ("defaults.trainnig", {}, "defaults.trainnig: unknown key (did you mean training?)"),
        ("defaults.training.momentum", 2, "defaults.training.momentum: 2; allowed: a number >= 0 and < 1"),
        ("datasets.digits.kind", "digitz", "datasets.digits.kind: 'digitz' (did you mean digits?)"),
        ("datasets.digits.root", "x", "datasets.digits.root: unknown key; allowed: kind, split_seed"),
        (
            "datasets.digits.validation_fraction",
            1,
            "datasets.digits.validation_fraction: 1; allowed: a number > 0 and <",
        ),
        ("compute.device", "gpu", "compute.device: 'gpu'; allowed: auto, cpu, cuda"),
        ("seed", 3, "seed: unknown key; allowed: compute, datasets, defaults, evidence, experiments, losses, theory"),
    ],
)
def test_a_mistake_is_answered_by_key_value_and_what_is_allowed(small_config, path, value, message):
    put(small_config, path, value)
    with pytest.raises(InputError) as raised:
        validated(small_config)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


def test_a_missing_key_is_named(small_config):
    del small_config["experiments"]["small"]["network"]
    with pytest.raises(InputError, match=r"^experiments.small.network: missing; it has no default$"):
        validated(small_config)


def test_defaults_are_filled_in(small_config):
    config = validated(small_config)
    training = config["experiments"]["small"]["training"]
    assert training["momentum"] == 0.9
    assert training["decay_at"] == ["3/7", "5/7"]
    assert training["clip_norm"] == 2
    assert config["losses"]["FL"] == {"kind": "focal", "gamma": 3, "reduction": "mean"}
    assert config["compute"] == {
        "device": "auto",
        "threads": 1,
        "checkpoint_minutes": 10,
        "compile": False,
        "cuda_graphs": False,
    }


def test_experiments_take_over_the_defaults_block_key_by_key(small_config):
    small_config["defaults"] = {"training": {"momentum": 0.5, "batch_size": 7}, "seeds": [9]}
    experiment = validated(small_config)["experiments"]["small"]
    assert experiment["training"]["momentum"] == 0.5
    assert experiment["training"]["batch_size"] == 100
    assert experiment["seeds"] == [1]


def test_numbers_that_arrive_as_text_are_numbers(small_config):
    small_config["experiments"]["small"]["training"]["weight_decay"] = yaml.safe_load("5e-4")
    small_config["experiments"]["small"]["seeds"] = ["5"]
    experiment = validated(small_config)["experiments"]["small"]
    assert experiment["training"]["weight_decay"] == 5e-4
    assert experiment["seeds"] == [5]


def test_the_input_is_left_as_it_was(small_config):
    before = yaml.safe_dump(small_config)
    validated(small_config)
    assert yaml.safe_dump(small_config) == before


def test_files_merge_in_order_and_lists_are_replaced(tmp_path):
    (tmp_path / "a.yaml").write_text("x: {p: 1, q: [1, 2]}\ny: 3\n")
    (tmp_path / "b.yaml").write_text("x: {q: [5]}\n")
    assert configuration.load([tmp_path / "a.yaml", tmp_path / "b.yaml"]) == {"x": {"p": 1, "q": [5]}, "y": 3}


def test_a_key_that_stands_twice_is_an_error(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("losses:\n  CE: {kind: cross_entropy}\n  CE: {kind: focal}\n")
    with pytest.raises(InputError, match=r"twice.yaml, line 3: key 'CE' stands twice; allowed: each key once"):
        configuration.load([path])


@pytest.mark.parametrize(
    ("text", "message"), [("- 1\n", "holds list; allowed: a mapping"), ("a: [1\n", "not YAML"), (None, "No such file")]
)
def test_an_unusable_file_is_named(tmp_path, text, message):
    path = tmp_path / "study.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=f"study.yaml: {message}"):
        configuration.load([path])


def test_a_network_without_more_dimensions_than_classes_is_warned_of(small_config):
    small_config["experiments"]["small"]["widths"] = [0.125, 1]
    lines = configuration.warnings(validated(small_config), Codebase())
    assert lines == [
        "experiments.small.widths: 0.125 gives features of dimension 8 for 10 classes; "
        "Theorem 1 assumes fewer classes than dimensions"
    ]


def test_an_overlay_takes_an_experiment_out_by_null(small_config):
    small_config["experiments"]["other"] = None
    assert list(validated(small_config)["experiments"]) == ["small"]


STUDIES = ["demo.yaml", "fashion.yaml", "paper.yaml", "paper.yaml released-code.yaml"]


@pytest.mark.parametrize("study", STUDIES)
def test_every_shipped_study_is_valid(study):
    validated(configuration.load(ROOT / "config" / name for name in study.split()))


def test_no_shipped_study_is_forgotten():
    shipped = {path.name for path in (ROOT / "config").glob("*.yaml")} - {"schema.yaml"}
    assert shipped == {name for study in STUDIES for name in study.split()}


def test_nothing_in_the_papers_study_is_implied_by_code():
    """Filling in defaults adds nothing to what is computed: each key of training is written down."""
    written = configuration.load([ROOT / "config" / "paper.yaml"])
    for name, experiment in validated(written)["experiments"].items():
        assert experiment["training"].keys() == written["defaults"]["training"].keys(), name
    for loss, options in validated(written)["losses"].items():
        assert options == written["losses"][loss]
