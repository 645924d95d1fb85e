"""What a configuration may say, and the one line for what it may not."""

from __future__ import annotations

import math

import pytest
import yaml

from equal_losses.running.errors import InputError
from equal_losses.running.sources import ROOT
from equal_losses.study import configuration, kinds
from equal_losses.study.grid import Study

from .studies import SHIPPED, put, shipped

FRACTION = "^[1-9][0-9]{0,8}/[1-9][0-9]{0,8}$"
# Aliases of aliases: ten lines that stand for ten thousand million values.
BOMB = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}' if n else '1'] * 10)}]\n" for n in range(10)).encode()
NAME = "expected a letter, then at most 59 letters, digits, - and _"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        # A key that there is not
        ("seed", 3, "seed: unknown key; allowed: compute, datasets, defaults, evidence, experiments, losses, name, theory"),
        ("experiments.small.training.batchsize", 2, "experiments.small.training.batchsize: unknown key (did you mean batch_size?); allowed: batch_size, "),
        ("defaults.trainnig", {}, "defaults.trainnig: unknown key (did you mean training?); allowed: augmented_features, "),
        ("experiments.small.share_stem", True, "experiments.small.share_stem: unknown key"),
        ("losses.FL.gama", 3, "losses.FL.gama: unknown key (did you mean gamma?); allowed: gamma, kind, reduction"),
        ("losses.CE.gamma", 3, "losses.CE.gamma: unknown key; allowed: kind, reduction"),
        ("datasets.digits.root", "x", "datasets.digits.root: unknown key; allowed: kind, split_seed, stratified, test_fraction, validation_fraction"),
        ("experiments.small.network.width", 2, "experiments.small.network.width: unknown key; allowed: init, kind"),
        # A key that is not there
        ("losses.FL", {"kind": "focal"}, "losses.FL.gamma: missing; it has no default"),
        ("losses.FL", {}, "losses.FL.kind: missing; it has no default"),
        ("datasets.photos", {"kind": "image_folder", "root": "x"}, "datasets.photos.size: missing; it has no default"),
        ("experiments.small.training.weight_decay", {"candidates": [1]}, "experiments.small.training.weight_decay.seeds: missing; it has no default"),
        # A name that is none
        ("losses.2x", {"kind": "cross_entropy"}, f"losses: name '2x'; {NAME}"),
        ("experiments.a/b", {}, f"experiments: name 'a/b'; {NAME}"),
        (f"datasets.{'a' * 61}", {"kind": "digits"}, f"datasets: name '{'a' * 61}'; {NAME}"),
        ("name", "a b", "name: 'a b'; allowed: a letter, then at most 59 letters, digits, - and _"),
        # One of a few
        ("losses.CE.kind", "cross_entrpy", "losses.CE.kind: 'cross_entrpy' (did you mean cross_entropy?); allowed: arcface, bce, "),
        ("datasets.digits.kind", "digitz", "datasets.digits.kind: 'digitz' (did you mean digits?); allowed: cifar10, "),
        ("experiments.small.network.kind", "resnet", "experiments.small.network.kind: 'resnet'"),
        ("experiments.small.dataset", "digit", "experiments.small.dataset: 'digit' (did you mean digits?); allowed: digits"),
        ("experiments.small.losses", ["CE", "LS"], "experiments.small.losses[1]: 'LS'; allowed: CE, FL"),
        ("experiments.small.figures", ["nc_evolutoin"], "experiments.small.figures[0]: 'nc_evolutoin' (did you mean nc_evolution?); allowed: accuracy_evolution, "),
        ("experiments.small.training.precision", "fp16", "experiments.small.training.precision: 'fp16'; allowed: float32, tf32, bfloat16"),
        ("compute.device", "gpu", "compute.device: 'gpu'; allowed: auto, cpu, cuda"),
        # A number out of range, or none
        ("losses.FL.gamma", -1, "losses.FL.gamma: -1; allowed: a number >= 0 and <= 100"),
        ("losses.MSE", {"kind": "mse", "kappa": 0, "beta": 1}, "losses.MSE.kappa: 0; allowed: a number > 0"),
        ("losses.GCE", {"kind": "gce", "q": 1.5}, "losses.GCE.q: 1.5; allowed: a number > 0 and <= 1"),
        ("losses.TOP", {"kind": "top_k", "k": 1.5}, "losses.TOP.k: 1.5; allowed: a whole number >= 1"),
        ("losses.CP", {"kind": "confidence_penalty", "beta": -1}, "losses.CP.beta: -1; allowed: a number >= 0"),
        ("losses.F", {"kind": "f_divergence", "divergence": "tv"}, "losses.F.divergence: 'tv'; allowed: TV, KL, Pearson, Jeffrey, JS"),
        ("experiments.small.head", {"kind": "cosin"}, "experiments.small.head.kind: 'cosin' (did you mean cosine?); allowed: cosine, linear"),
        ("experiments.small.head", {"kind": "cosine", "scale": 0}, "experiments.small.head.scale: 0; allowed: a number > 0"),
        ("experiments.small.head", {"kind": "linear", "scale": 1}, "experiments.small.head.scale: unknown key; allowed: kind"),
        ("losses.LA", {"kind": "logit_adjustment", "prior": [1, 0]}, "losses.LA.prior[1]: 0; allowed: a number > 0"),
        ("losses.LA", {"kind": "logit_adjustment", "prior": 2}, "losses.LA.prior: 2; allowed: a list of items, each a number > 0 or null"),
        ("experiments.small.widths", [0.5, 0], "experiments.small.widths[1]: 0; allowed: a number > 0"),
        ("experiments.small.epochs", [0], "experiments.small.epochs[0]: 0; allowed: a whole number >= 1"),
        ("experiments.small.epochs", [1.5], "experiments.small.epochs[0]: 1.5; allowed: a whole number >= 1"),
        ("experiments.small.seeds", [-1], "experiments.small.seeds[0]: -1; allowed: a whole number >= 0"),
        ("experiments.small.training.optimizer", {"kind": "sgd", "momentum": 1}, "experiments.small.training.optimizer.momentum: 1; allowed: a number >= 0 and < 1"),
        ("defaults.training.clip_norm", 0, "defaults.training.clip_norm: 0; allowed: a number > 0 or null"),
        ("datasets.digits.validation_fraction", 1, "datasets.digits.validation_fraction: 1; allowed: a number > 0 and < 1"),
        ("experiments.small.training.schedule", {"kind": "steps", "factor": 1.5}, "experiments.small.training.schedule.factor: 1.5; allowed: a number > 0 and <= 1"),
        ("experiments.small.training.schedule", {"kind": "steps", "at": ["9/7"]}, "experiments.small.training.schedule.at[0]: '9/7'; allowed: a share between 0 and 1"),
        ("experiments.small.training.schedule", {"kind": "steps", "at": ["3/7", "7/7"]}, "experiments.small.training.schedule.at[1]: '7/7'; allowed: a share between 0 and 1"),
        ("experiments.small.training.optimizer", {"kind": "adamx"}, "experiments.small.training.optimizer.kind: 'adamx' (did you mean adam?); allowed: adam, adamw, sgd"),
        ("experiments.small.training.optimizer", {"kind": "adam", "momentum": 0.9}, "experiments.small.training.optimizer.momentum: unknown key; allowed: beta1, beta2, epsilon, kind"),
        ("experiments.small.training.optimizer", {"kind": "adamw", "beta2": 1}, "experiments.small.training.optimizer.beta2: 1; allowed: a number >= 0 and < 1"),
        ("experiments.small.training.schedule", {"kind": "cosin"}, "experiments.small.training.schedule.kind: 'cosin' (did you mean cosine?); allowed: cosine, steps"),
        ("experiments.small.training.schedule", {"kind": "cosine", "at": [0.5]}, "experiments.small.training.schedule.at: unknown key; allowed: kind, warmup"),
        ("experiments.small.training.schedule", {"kind": "steps", "shift": 1}, "experiments.small.training.schedule.shift: 1; allowed: a whole number <= 0"),
        ("experiments.small.network", {"kind": "small_resnet", "init": "xavier"}, "experiments.small.network.init: 'xavier'; allowed: kaiming, pytorch"),
        # Something else than what is expected
        ("experiments.small.training.schedule", {"kind": "steps", "at": ["3:7"]}, f"experiments.small.training.schedule.at[0]: '3:7'; allowed: a number > 0 and < 1 or text like {FRACTION}"),
        ("experiments.small.training.flip", "maybe", "experiments.small.training.flip: 'maybe'; allowed: true or false"),
        ("experiments.small.training.weight_decay", "x", "experiments.small.training.weight_decay: 'x'; allowed: a number >= 0 or a mapping"),
        ("experiments.small.training.normalization", 3, "experiments.small.training.normalization: 3; allowed: a mapping or null"),
        ("experiments.small.seeds", 3, "experiments.small.seeds: 3; allowed: a list of one or more different items, each a whole number >= 0"),
        ("experiments.small.seeds", [], "experiments.small.seeds: []; allowed: a list of one or more different items"),
        ("experiments.small.losses", ["CE", "CE"], "experiments.small.losses: ['CE', 'CE']; allowed: a list of one or more different items, each text"),
        ("experiments.small.widths", [1, 1.0], "experiments.small.widths: [1, 1]; allowed: a list of one or more different items, each a number > 0"),
        ("experiments.small", 3, "experiments.small: 3; allowed: a mapping"),
        ("losses.CE", None, "losses.CE: None; allowed: a mapping"),
        ("losses.CE.kind", 3, "losses.CE.kind: 3; allowed: text"),
        ("datasets", [], "datasets: []; allowed: a mapping"),
        ("defaults", 3, "defaults: 3; allowed: a mapping"),
        ("losses.FL.gamma", 1e9, "losses.FL.gamma: 1000000000; allowed: a number >= 0 and <= 100"),
        ("experiments.small.widths", [1e6], "experiments.small.widths[0]: 1000000; allowed: a number > 0 and <= 100"),
        ("experiments.small.seeds", [10**30], f"experiments.small.seeds[0]: {10**30}; allowed: a whole number >= 0 and <= 4294967295"),
        ("experiments.small.snapshots", [], "experiments.small.snapshots: []; allowed: a whole number >= 1 or a list of one or more different items"),
        ("experiments.small.training.schedule", {"kind": "steps", "at": [f"1/{'9' * 5000}"]}, "experiments.small.training.schedule.at[0]: '1/999"),
        ("name", "a" * 300, f"name: '{'a' * 199}...; allowed: a letter, then at most 59 letters, digits, - and _"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_that_names_key_value_and_what_is_allowed(small_config, path, value, message):
    put(small_config, path, value)
    with pytest.raises(InputError) as raised:
        configuration.validated(small_config)
    assert raised.value.lines[0].startswith(message)
    assert not any("\n" in line for line in raised.value.lines)


def test_all_mistakes_are_told_at_once(small_config):
    put(small_config, "experiments.small.losses", ["CEE", "CE", "FLL"])
    put(small_config, "experiments.small.training.schedule", {"kind": "steps", "at": ["9/7"]})
    put(small_config, "losses.FL.gama", 3)
    with pytest.raises(InputError) as raised:
        configuration.validated(small_config)
    assert [line.partition(":")[0] for line in raised.value.lines] == [
        "losses.FL.gama",
        "experiments.small.losses[0]",
        "experiments.small.losses[2]",
        "experiments.small.training.schedule.at[0]",
    ]


def test_every_unknown_and_every_missing_key_is_told(small_config):
    put(small_config, "experiments.small.training.batchsize", 2)
    put(small_config, "experiments.small.training.moment", 2)
    del small_config["experiments"]["small"]["seeds"], small_config["experiments"]["small"]["epochs"]
    with pytest.raises(InputError) as raised:
        configuration.validated(small_config)
    assert [line.partition(":")[0] for line in raised.value.lines] == [
        "experiments.small.epochs",
        "experiments.small.seeds",
        "experiments.small.training.batchsize",
        "experiments.small.training.moment",
    ]


@pytest.mark.parametrize("key", ["name", "datasets", "losses", "experiments"])
def test_a_study_cannot_do_without(small_config, key):
    del small_config[key]
    with pytest.raises(InputError, match=f"^{key}: missing; it has no default$"):
        configuration.validated(small_config)


@pytest.mark.parametrize("key", ["dataset", "network", "losses", "widths", "epochs", "seeds"])
def test_an_experiment_cannot_do_without(small_config, key):
    del small_config["experiments"]["small"][key]
    with pytest.raises(InputError, match=f"^experiments.small.{key}: missing; it has no default$"):
        configuration.validated(small_config)


def test_one_setting_is_tuned_at_a_time(small_config):
    for key in ("weight_decay", "learning_rate"):
        put(small_config, f"experiments.small.training.{key}", {"candidates": [0.001, 0.002], "seeds": [1]})
    expected = (
        "experiments.small.training.learning_rate: candidates; allowed beside candidates for weight_decay: a number"
    )
    with pytest.raises(InputError) as raised:
        configuration.validated(small_config)
    assert str(raised.value) == expected


def test_runs_that_await_a_weight_decay_are_not_stacked(small_config):
    put(small_config, "experiments.small.training.weight_decay", {"candidates": [0.001, 0.002], "seeds": [1]})
    put(small_config, "experiments.small.stack", 2)
    expected = (
        "experiments.small.stack: 2; allowed with candidates for training.weight_decay: 1, because what is trained "
        "as one has one weight decay"
    )
    with pytest.raises(InputError) as raised:
        configuration.validated(small_config)
    assert str(raised.value) == expected


def test_a_figure_that_asks_for_a_table_that_there_is_not_is_named(small_config, monkeypatch):
    monkeypatch.setattr(kinds, "arguments", lambda package, kind: ["runs", "losses"])
    put(small_config, "experiments.small.figures", ["overview"])
    expected = (
        r"^experiments.small.figures\[0\]: overview, parameter of the function: 'losses'; "
        "allowed: alignment, correlation, equivalence, runs, trajectories$"
    )
    with pytest.raises(InputError, match=expected):
        configuration.validated(small_config)


@pytest.mark.parametrize(
    "path",
    [
        "losses.FL.gamma",
        "experiments.small.training.learning_rate",
        "experiments.small.training.weight_decay",
        "evidence.margin",
    ],
)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_is_finite(small_config, path, value):
    put(small_config, path, value)
    with pytest.raises(InputError, match=f"^{path}: {value}; expected a finite number"):
        configuration.validated(small_config)


@pytest.mark.parametrize(
    ("loss", "head", "message"),
    [
        ("arcface", "linear", "asks for scale, which the head linear does not give; allowed with: cosine"),
        ("l_softmax", "cosine", "asks for weight, which the head cosine does not give; allowed with: linear"),
    ],
)
def test_a_loss_that_asks_for_what_the_head_does_not_give_is_refused(small_config, loss, head, message):
    put(small_config, "losses.CE", {"kind": loss})
    put(small_config, "experiments.small.head", {"kind": head})
    with pytest.raises(InputError) as raised:
        configuration.validated(small_config)
    assert raised.value.lines == (f"experiments.small.losses[0]: 'CE' (kind {loss}) {message}",)


@pytest.mark.parametrize(("loss", "head"), [("arcface", "cosine"), ("l_softmax", "linear"), ("center", "cosine")])
def test_a_loss_that_asks_for_what_the_head_gives_is_taken(small_config, loss, head):
    put(small_config, "losses.CE", {"kind": loss})
    put(small_config, "experiments.small.head", {"kind": head})
    assert configuration.validated(small_config)["losses"]["CE"]["kind"] == loss


def test_the_head_is_linear_where_none_is_named(small_config):
    experiment = configuration.validated(small_config)["experiments"]["small"]
    assert experiment["head"] == {"kind": "linear"}
    put(small_config, "experiments.small.head", {"kind": "cosine"})
    assert configuration.validated(small_config)["experiments"]["small"]["head"] == {"kind": "cosine", "scale": 10}


def test_a_name_ends_where_its_letters_end(small_config):
    put(small_config, "losses", {"CE\n": {"kind": "cross_entropy"}, **small_config["losses"]})
    with pytest.raises(InputError, match=r"^losses: name 'CE\\n'; expected a letter"):
        configuration.validated(small_config)


def test_a_study_without_losses_is_told_to_have_one(small_config):
    small_config["losses"] = {}
    with pytest.raises(InputError, match=r"^losses: empty; expected one or more"):
        configuration.validated(small_config)


def test_a_study_may_be_the_theory_alone(small_config):
    small_config["experiments"], small_config["datasets"] = {}, {}
    assert Study(small_config).theory["losses"]


# What is filled in


def test_defaults_are_filled_in(small_config):
    config = configuration.validated(small_config)
    experiment = config["experiments"]["small"]
    assert experiment["training"]["optimizer"] == {"kind": "sgd", "momentum": 0.9, "nesterov": False}
    assert experiment["training"]["schedule"]["at"] == ["3/7", "5/7"]
    assert experiment["training"]["clip_norm"] == 2
    assert experiment["share_trunk"] is experiment["keep_snapshots"] is True
    assert config["losses"]["FL"] == {"kind": "focal", "gamma": 3, "reduction": "mean"}
    assert config["compute"] == {
        "device": "auto",
        "threads": 1,
        "checkpoint_minutes": 10,
        "compile": False,
        "cuda_graphs": False,
    }


def test_experiments_take_over_the_defaults_block_key_by_key(small_config):
    small_config["defaults"] = {"training": {"clip_norm": 0.5, "batch_size": 7}, "seeds": [9]}
    experiment = configuration.validated(small_config)["experiments"]["small"]
    assert experiment["training"]["clip_norm"] == 0.5
    assert experiment["training"]["batch_size"] == 100
    assert experiment["seeds"] == [1]


def test_numbers_and_truth_values_that_arrive_as_text_are_what_they_say(small_config):
    put(small_config, "experiments.small.training.weight_decay", yaml.safe_load("5e-4"))
    put(small_config, "experiments.small.training.flip", "False")
    put(small_config, "experiments.small.seeds", ["5"])
    experiment = configuration.validated(small_config)["experiments"]["small"]
    assert experiment["training"]["weight_decay"] == 5e-4
    assert experiment["training"]["flip"] is False
    assert experiment["seeds"] == [5]


def test_the_input_is_left_as_it_was(small_config):
    before = yaml.safe_dump(small_config)
    configuration.validated(small_config)
    assert yaml.safe_dump(small_config) == before


def test_an_overlay_takes_an_experiment_out_by_null(small_config):
    small_config["experiments"]["other"] = None
    assert list(configuration.validated(small_config)["experiments"]) == ["small"]


# Files


def test_files_merge_in_order_and_lists_are_replaced(tmp_path):
    (tmp_path / "a.yaml").write_text("x: {p: 1, q: [1, 2]}\ny: {r: 1}\n")
    (tmp_path / "b.yaml").write_text("x: {q: [5]}\ny: 3\n")
    assert configuration.load([tmp_path / "a.yaml", tmp_path / "b.yaml"]) == {"x": {"p": 1, "q": [5]}, "y": 3}


def test_a_key_that_is_there_twice_is_an_error(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("losses:\n  CE: {kind: cross_entropy}\n  CE: {kind: focal}\n")
    with pytest.raises(InputError, match=r"twice.yaml, line 3: key 'CE' is there twice; expected each key once$"):
        configuration.load([path])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file or directory; expected a readable YAML file"),
        (b"- 1\n", "holds list; expected a mapping of keys to values"),
        (b"# nothing\n", "holds NoneType; expected a mapping of keys to values"),
        (b"a: [1\n", "not YAML: "),
        (b"a:\n\tb: 1\n", "not YAML: "),
        (b"\x00\x01", "not YAML: "),
        (b"name: caf\xe9\n", "not YAML: "),
        (b"{{ name }}: 1\n", ", line 1: a dict as a key"),
        (b"a: " + b"[" * 5000, "not YAML: "),
        (b"5\n", "holds int; expected a mapping of keys to values"),
        (b"a: .nan\n", ": a: nan; expected a finite number"),
        (BOMB, ": more than 100,000 values; expected a study"),
    ],
    ids=[
        "missing",
        "list",
        "comment",
        "open bracket",
        "tab",
        "zero bytes",
        "latin-1",
        "key that is a mapping",
        "deep",
        "number",
        "not a number",
        "alias bomb",
    ],
)
def test_an_unusable_file_is_named_in_one_line(tmp_path, content, message):
    path = tmp_path / "study.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as raised:
        configuration.load([path])
    assert message in str(raised.value).partition("study.yaml")[2]
    assert "\n" not in str(raised.value)


def test_a_mapping_that_is_inside_of_itself_is_refused(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("losses: &all {CE: *all}\n")
    with pytest.raises(InputError):
        configuration.validated(configuration.load([path]))


# Shipped studies


@pytest.mark.parametrize("files", SHIPPED)
def test_every_shipped_study_is_valid(files):
    configuration.validated(shipped(files))


def test_no_shipped_study_is_forgotten():
    there = {path.name for path in (ROOT / "config").glob("*.yaml")} - {"schema.yaml"}
    assert there == {name for files in SHIPPED for name in files.split()}


def test_nothing_in_the_papers_study_is_implied_by_code():
    """Filling in defaults adds nothing to what is computed: each key of training is written down."""
    written = shipped("paper.yaml")
    config = configuration.validated(written)
    for name, experiment in config["experiments"].items():
        assert experiment["training"].keys() == written["defaults"]["training"].keys(), name
    for loss, options in config["losses"].items():
        assert options == written["losses"][loss]
