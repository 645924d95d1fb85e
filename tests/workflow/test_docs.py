"""The pages for those who build on the workflow: what they print is what is executed here.

A page is worked through from top to bottom. A block after "In `file`:" is put at the end of that file, a block after
"In `file`, below `line`:" below the line that begins so, and the commands of a bash block are run.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from sklearn.datasets import load_digits

from equal_losses.commands.main import main
from equal_losses.running import weights
from equal_losses.study import configuration
from tests.conftest import ROOT, Workflow, copied_repository, edit


@dataclass(frozen=True)
class Block:
    """A block of code, its language (empty where it is merely indented), and where the text above it puts it."""

    text: str
    language: str
    file: str | None
    below: str | None


def blocks(page: str) -> list[Block]:
    """Every block of code of a page, fenced or indented."""
    text = (ROOT / page).read_text()
    found = []
    for match in re.finditer(r"^```(\w*)\n((?:.*\n)*?)```$|(?<=\n\n)((?: {4}.*\n|\n)+)", text, re.MULTILINE):
        language, fenced, indented = match.groups()
        body = fenced or re.sub("^    ", "", indented, flags=re.MULTILINE).strip("\n") + "\n"
        above = text[: match.start()].rstrip().split("\n\n")[-1]
        place = re.search(r"\b[Ii]n `([^`]+)`(?:, below `([^`]+)`)?[^`]*:$", above)
        if body.strip():
            found.append(Block(body, language or "", *(place.groups() if place else (None, None))))
    return found


def put(block: Block, folder: Path) -> None:
    """Write a block where its page says."""
    path = folder / block.file
    path.parent.mkdir(parents=True, exist_ok=True)
    if block.below is None:
        path.write_text((path.read_text() + "\n\n" if path.exists() else "") + block.text)
        return
    lines = path.read_text().splitlines()
    (index,) = (number for number, line in enumerate(lines) if line.strip().startswith(block.below))
    following = lines[index + 1]
    indent = following[: len(following) - len(following.lstrip())]
    lines[index + 1 : index + 1] = [indent + line for line in block.text.splitlines()]
    path.write_text("\n".join(lines) + "\n")


def shell(command: str, folder: Path, check: bool = True) -> subprocess.CompletedProcess:
    """Run a command as a user with an active environment would, in the folder."""
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(folder / "src"),
    }
    result = subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True)
    if check and result.returncode:
        raise AssertionError(f"{command} ended with {result.returncode}:\n{result.stdout}\n{result.stderr}")
    return result


def work_through(page: str, folder: Path, changed: Callable[[str], str] = str) -> dict[str, str]:
    """Do what a page says; returns what each command, as printed, wrote."""
    outputs = {}
    for block in blocks(page):
        if block.language == "bash":
            outputs[block.text.strip()] = shell(changed(block.text.strip()), folder).stdout
        elif block.file:
            put(block, folder)
    return outputs


def read(path: Path) -> dict:
    return json.loads(path.read_text())


# A loss, an optimiser, a dataset, a network, a metric, a table, a figure and a claim


@dataclass(frozen=True)
class Extended:
    """A copy of the repository with the new parts, the study of them and of the README's loss run."""

    folder: Path
    outputs: dict[str, str]

    @property
    def workflow(self) -> Workflow:
        """The study."""
        config = configuration.load([self.folder / "config" / "mine.yaml", self.folder / "poly1.yaml"])
        return Workflow(self.folder, config, self.folder)

    def run(self, loss: str) -> Path:
        """The folder of a run."""
        return self.workflow.found(f"runs/mine/{loss}/width0.5/epochs30/seed1/*")

    def table(self, name: str) -> pd.DataFrame:
        """A table of the experiment."""
        return pd.read_csv(self.workflow.results / "tables" / "mine" / f"{name}.csv")

    def planned_after(self, file: str, old: str, new: str) -> dict[str, int]:
        """What would run after an edit of a file of the library, which is taken back."""
        path = self.folder / "src/equal_losses" / file
        before = path.read_text()
        edit(path, old, new)
        planned = self.workflow.planned()
        path.write_text(before)
        return planned


@pytest.fixture(scope="module")
def extended(tmp_path_factory) -> Extended:
    folder = copied_repository(tmp_path_factory.mktemp("extended"))
    (study,) = (block for block in blocks("README.md") if "kind: poly1" in block.text)
    experiment = {"losses": ["TAYLOR", "POLY1", "UNIFORM"]}
    overlay = {"experiments": {"mine": experiment}, "theory": {"losses": ["TAYLOR"]}}
    (folder / "poly1.yaml").write_text(yaml.safe_dump(yaml.safe_load(study.text) | overlay))
    outputs = work_through(
        "docs/extending.md", folder, lambda command: command.replace("config/mine.yaml", "config/mine.yaml poly1.yaml")
    )
    return Extended(folder, outputs)


@pytest.mark.parametrize("gap", [1, 200])
def test_the_new_loss_is_its_formula(extended, gap):
    spec = importlib.util.spec_from_file_location("taylor", extended.folder / "src/equal_losses/losses/taylor.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    logits = gap * torch.tensor([[2.0, 0.0, -1.0], [0.5, 1.0, 2.0]], dtype=torch.float64)
    labels = torch.tensor([0, 1])
    not_p = 1 - logits.softmax(dim=1).numpy()[[0, 1], labels]
    for reduction, total in (("mean", np.mean), ("sum", np.sum)):
        taylor = module.taylor(logits, labels, order=3, reduction=reduction)
        assert taylor.item() == pytest.approx(total(not_p + not_p**2 / 2 + not_p**3 / 3))


def test_the_loss_that_the_readme_shows_is_the_file():
    (shown,) = (block.text for block in blocks("README.md") if "def poly1(" in block.text)
    assert shown == (ROOT / "src/equal_losses/losses/poly1.py").read_text()


def test_the_new_parts_are_what_was_run(extended):
    settings = {loss: read(extended.run(loss) / "run.json")["settings"] for loss in ("TAYLOR", "POLY1", "UNIFORM")}
    assert settings["UNIFORM"]["loss"] == {"kind": "uniform", "penalty": 0.01, "reduction": "mean"}
    assert settings["UNIFORM"]["head"] == {"kind": "unbiased"}
    assert settings["TAYLOR"]["loss"] == {"kind": "taylor", "order": 3, "reduction": "mean"}
    assert settings["POLY1"]["loss"] == {"kind": "poly1", "epsilon": 1, "reduction": "mean"}
    assert settings["TAYLOR"]["optimizer"] == {"kind": "rmsprop", "alpha": 0.99}
    assert settings["TAYLOR"]["network"] == {"kind": "mlp", "depth": 3, "width": 0.5}
    finals = {loss: weights.load(extended.run(loss) / "final.safetensors")[0] for loss in settings}
    shapes = [tuple(tensor.shape) for tensor in finals["TAYLOR"].values() if tensor.ndim == 2]
    assert sorted(shapes) == [(3, 64), (64, 64), (64, 64), (64, 64)]
    weight = {loss: final["classifier.weight"] for loss, final in finals.items()}
    assert not torch.equal(weight["TAYLOR"], weight["POLY1"])
    assert "classifier.bias" not in finals["UNIFORM"]


def test_the_new_dataset_is_the_arrays(extended):
    dataset = extended.workflow.found("datasets/three_digits/*/manifest.json").parent
    manifest = read(dataset / "manifest.json")
    assert manifest["classes"] == ["0", "1", "2"]
    counts = {split: sum(counts) for split, counts in manifest["counts"].items()}
    assert counts == {"train": 320, "val": 80, "test": 137}
    assert set(read(dataset / "key.json")["settings"]["files"]) == set(manifest["sources"])
    source = load_digits(n_class=3)
    np.testing.assert_array_equal(np.load(dataset / "labels_test.npy"), source.target[400:])
    expected = np.rint(source.images[400:] / 16 * 255)
    np.testing.assert_array_equal(np.load(dataset / "images_test.npy")[..., 0], expected)


def test_the_new_metric_is_in_the_tables(extended):
    runs = extended.table("runs").set_index(["loss", "seed"])
    for loss in ("TAYLOR", "POLY1"):
        (features,) = extended.run(loss).glob("features/*/features.npz")
        with np.load(features) as arrays:
            (last,) = np.flatnonzero(arrays["snapshot"] == "30")
            weight = arrays["weight"][last]
        units = [row / np.sqrt(row @ row) for row in weight]
        angles = [units[0] @ units[1], units[0] @ units[2], units[1] @ units[2]]
        expected = sum(abs(cosine + 0.5) for cosine in angles) / 3
        assert runs.loc[(loss, 1), "equiangularity_weights"] == pytest.approx(expected)


def test_the_new_table_is_made_from_the_runs(extended):
    runs, angles = extended.table("runs"), extended.table("angles").set_index("loss")
    assert list(angles.index) == ["TAYLOR", "POLY1", "UNIFORM"]
    values = runs[runs["loss"] == "TAYLOR"]["equiangularity_weights"]
    assert angles.loc["TAYLOR", "mean"] == pytest.approx(values.mean())
    assert (angles.loc["TAYLOR", "lowest"], angles.loc["TAYLOR", "highest"]) == (values.min(), values.max())


def test_the_new_figure_is_drawn(extended):
    figures = extended.workflow.results / "figures" / "mine"
    drawn = {path.stem for path in figures.glob("*.p*")}
    assert drawn == {"nc_evolution", "classifier_angles"}
    assert (figures / "classifier_angles.pdf").read_bytes().startswith(b"%PDF")
    with Image.open(figures / "classifier_angles.png") as image:
        colors = {color for _, color in image.convert("RGB").getcolors(2**24)}
    assert {(0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)} <= colors  # one colour per loss


def test_the_new_claim_is_decided(extended):
    ledger = pd.read_csv(extended.workflow.results / "studies" / "mine" / "claims.csv")
    claim = ledger[ledger["name"] == "equal_angles"].set_index("subject")
    worst = extended.table("runs").groupby("loss")["equiangularity_weights"].max()
    for loss in ("TAYLOR", "POLY1"):
        assert claim.loc[loss, "numbers"].startswith(f"largest deviation {worst[loss]:.4f}")
        assert "0.2 or less from -1/(K-1)" in claim.loc[loss, "rule"]
    assert set(claim["verdict"]) <= {"supported", "not supported"}, "two seeds that fit their training data"


def test_the_theory_knows_the_new_loss(extended):
    (command,) = (command for command in extended.outputs if "contrastive" in command)
    assert json.loads(extended.outputs[command])["loss"] == "taylor"
    minima = pd.read_csv(extended.workflow.results / "studies" / "mine" / "theory" / "tables" / "minima.csv")
    assert set(minima["loss"]) == {"TAYLOR"}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("{kind: taylor, order: 0}", "losses.TAYLOR.order: 0; allowed: a whole number >= 1"),
        ("{kind: taylor, p: 1}", "losses.TAYLOR.p: unknown key; allowed: kind, order, reduction"),
    ],
)
def test_the_keys_of_the_new_loss_are_checked(extended, keys, message):
    wrong = yaml.safe_load((extended.folder / "config" / "mine.yaml").read_text())
    wrong["losses"]["TAYLOR"] = yaml.safe_load(keys)
    (extended.folder / "wrong.yaml").write_text(yaml.safe_dump(wrong))
    result = shell("equal-losses status wrong.yaml", extended.folder, check=False)
    assert (result.returncode, result.stderr) == (2, f"equal-losses: {message}\n")


SUMMARY = {"collect": 1, "table": 3, "align_features": 1, "figure": 2, "claims": 1, "page": 1, "all": 1}
THEORY = {"theory_tables": 1, "theory_figure": 8}


@pytest.mark.parametrize(
    ("file", "old", "new", "jobs"),
    [
        (
            *("losses/taylor.py", "/ i for", "/ (i * 1) for"),
            {"train": 2, "extract_features": 2, "nc_metrics": 2} | SUMMARY | THEORY,
        ),
        ("statistics/angles.py", '"mean"', '"median"', {"table": 1, "figure": 1, "page": 1, "all": 1}),
        ("claims/papyan2020.py", "worst <=", "worst <", {"claims": 1, "page": 1, "all": 1}),
    ],
)
def test_what_runs_again_is_what_the_page_says(extended, file, old, new, jobs):
    assert extended.planned_after(file, old, new) == jobs


def test_a_changed_metric_is_measured_again_and_nothing_is_trained(extended):
    planned = extended.planned_after("metrics/collapse.py", "+ 1 / (len(rows) - 1)", "- 1 / (len(rows) - 1)")
    assert planned["nc_metrics"] == 6 and not {"train", "extract_features"} & planned.keys()


def test_a_new_file_beside_the_others_runs_nothing_again(extended):
    edited = (extended.folder / "src/equal_losses/losses/taylor.py").read_text().replace("taylor", "another")
    (extended.folder / "src/equal_losses/losses/another.py").write_text(edited)
    assert extended.workflow.planned() == {}


# What runs again


def test_why_prints_what_the_page_shows(finished, tmp_path, capsys, monkeypatch):
    (shown,) = (block.text for block in blocks("docs/reruns.md") if "equal-losses why" in block.text)
    _, *shown = shown.replace("fashion/FL/width1/epochs200", "small/FL/width0.5/epochs7").splitlines()
    config = copy.deepcopy(finished.config)
    config["losses"]["FL"]["gamma"] = 2
    (tmp_path / "gamma2.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.chdir(finished.directory)
    assert main(["why", "results/runs/small/FL/width0.5/epochs7/seed1", str(tmp_path / "gamma2.yaml")]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [re.sub("[0-9a-f]{20}", "{key}", line) for line in printed] == [
        re.sub("[0-9a-f]{20}", "{key}", line) for line in shown
    ]


# One's own images and features


def write_photos(folder: Path) -> None:
    """Twelve images of each class, of one colour with noise; the shapes and modes of a collection from anywhere."""
    generator = np.random.default_rng(0)
    for label, name in enumerate(("cat", "dog", "horse")):
        (folder / name).mkdir(parents=True)
        for number in range(12):
            pixels = generator.integers(0, 80, (32 + 8 * (number % 2), 32, 3)).astype(np.uint8)
            pixels[..., label] += 150
            mode = "L" if number == 5 else "RGB"
            Image.fromarray(pixels).convert(mode).save(folder / name / f"{number:04}.png")


@pytest.fixture(scope="module")
def own_data(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """The page on one's own data, worked through; the long study is only planned."""
    folder = copied_repository(tmp_path_factory.mktemp("own"))
    write_photos(folder / "photos")
    return folder, work_through(
        "docs/your-data.md",
        folder,
        lambda command: f"{command} --dry-run" if command.endswith("--configfile photos.yaml") else command,
    )


def test_own_images_come_out_as_the_page_lists(own_data):
    folder, _ = own_data
    (listing,) = (block.text for block in blocks("docs/your-data.md") if block.text.startswith("results/"))
    patterns = [line.split()[0].replace("{key}", "*") for line in listing.splitlines()]
    found = {pattern: list(folder.glob(pattern)) for pattern in patterns}
    assert {pattern: len(paths) for pattern, paths in found.items()} == dict.fromkeys(patterns, 1)
    (manifest,) = found["results/datasets/photos/*/manifest.json"]
    assert read(manifest)["classes"] == ["cat", "dog", "horse"]
    assert sum(sum(counts) for counts in read(manifest)["counts"].values()) == 36
    assert read(manifest)["image_shape"] == [32, 32, 3]
    log = (manifest.parent / "prepare_dataset.log").read_text()
    assert "18" in log and "3" in log, log


def test_the_whole_study_of_own_images_is_planned(own_data):
    _, outputs = own_data
    (plan,) = (output for command, output in outputs.items() if "plan" in command)
    assert "photos" in plan
    (planned,) = (output for command, output in outputs.items() if command.endswith("--configfile photos.yaml"))
    assert re.search(r"^ +8  train$", planned, re.MULTILINE)
    assert "prepare dataset" not in planned


def test_own_features_give_the_numbers_that_the_page_explains(own_data):
    folder, outputs = own_data
    (output,) = (output for command, output in outputs.items() if command.startswith("equal-losses metrics"))
    metrics = json.loads(output)
    explained = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "your-data.md").read_text(), re.MULTILINE)
    assert explained == list(metrics)

    features, labels, weight = (np.load(folder / f"{name}.npy").astype(float) for name in ("F", "y", "W"))
    classes = len(weight)
    means = np.stack([features[labels == label].mean(axis=0) for label in range(classes)])
    centered = means - features.mean(axis=0)
    residuals = features - means[labels.astype(int)]
    within, between = residuals.T @ residuals / len(features), centered.T @ centered / classes
    assert metrics["nc1"] == pytest.approx(np.trace(within @ np.linalg.pinv(between, rcond=1e-10)) / classes, rel=1e-3)
    units = weight / np.linalg.norm(weight), centered / np.linalg.norm(centered)
    assert metrics["self_duality"] == pytest.approx(np.sum((units[0] - units[1]) ** 2), rel=1e-5)
    assert 0.01 < metrics["nc1"] < 0.1, "the page says about 0.03"


# A module of another workflow


@dataclass(frozen=True)
class Outer:
    """Another workflow, in a folder that has this repository beside its Snakefile."""

    folder: Path

    def snakemake(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        return shell(" ".join(["snakemake --cores 2", *arguments]), self.folder, check)

    def planned(self, *arguments: str) -> dict[str, int]:
        output = self.snakemake("--dry-run", *arguments).stdout
        return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", output, re.MULTILINE)}

    def with_prefix(self) -> None:
        """Say `prefix: "nc"` as the page does."""
        edit(self.folder / "Snakefile", '        config["study"]\n', '        config["study"]\n    prefix: "nc"\n')
        edit(self.folder / "Snakefile", '"results/tables', '"nc/results/tables')
        edit(self.folder / "Snakefile", '"results/figures', '"nc/results/figures')


@pytest.fixture
def outer(tmp_path) -> Outer:
    """The workflow of the page, before anything is run."""
    (tmp_path / "equal-losses").symlink_to(ROOT)
    for block in blocks("docs/module.md"):
        if block.file:
            put(block, tmp_path)
    return Outer(tmp_path)


def test_another_workflow_runs_a_study_and_its_own_rule(outer):
    (command,) = (block.text for block in blocks("docs/module.md") if block.language == "bash")
    shell(command, outer.folder)
    runs = pd.read_csv(outer.folder / "results" / "tables" / "digits" / "runs.csv")
    assert len(runs) == 2
    ranking = pd.read_csv(outer.folder / "ranking.csv").set_index("loss")
    assert ranking["accuracy_test"].is_monotonic_decreasing
    for loss in ("CE", "FL"):
        assert ranking.loc[loss, "accuracy_test"] == pytest.approx(runs[runs["loss"] == loss]["accuracy_test"].mean())
    figure = outer.folder / "results" / "figures" / "digits" / "nc_evolution.pdf"
    assert figure.read_bytes().startswith(b"%PDF")
    assert outer.planned() == {}, "again there is nothing to do"

    (outer.folder / "nc").mkdir()
    (outer.folder / "results").rename(outer.folder / "nc" / "results")
    outer.with_prefix()
    assert outer.planned() == {}, "what is there is taken under a prefix as well"


def test_without_the_profile_finished_runs_would_be_trained_again(study):
    triggers = ["--rerun-triggers", "mtime", "params", "input", "code", "software-env"]
    assert study.planned(*triggers)["train"] == 8


def test_under_a_prefix_files_are_below_it_and_warnings_are_given(outer):
    # A key of the other workflow is there twice, which is no business of this one.
    config = outer.folder / "config.yaml"
    config.write_text("samples: one\nsamples: two\n" + config.read_text())
    edit(config, "widths: [0.25]", "widths: [0.125]")
    outer.with_prefix()
    result = outer.snakemake("study_datasets")
    (dataset,) = outer.folder.glob("nc/results/datasets/digits/*")
    assert {"manifest.json", "prepare_dataset.log"} <= {path.name for path in dataset.iterdir()}
    assert not (outer.folder / "results").exists()
    assert "warning: experiments.digits.widths: 0.125 gives features of dimension 8" in result.stderr


def test_a_mistake_in_the_config_of_the_module_is_one_line_and_status_2(outer):
    edit(outer.folder / "config.yaml", "gamma: 3", "gamma: -1")
    result = outer.snakemake(check=False)
    assert result.returncode == 2
    lines = [line for line in result.stderr.splitlines() if not line.startswith("Using workflow specific profile")]
    assert lines == ["config: losses.FL.gamma: -1; allowed: a number >= 0 and <= 100"]


def test_without_a_config_the_module_is_the_demo(outer):
    edit(outer.folder / "Snakefile", '    config:\n        config["study"]\n', "")
    edit(outer.folder / "Snakefile", 'configfile: "config.yaml"\n', "")
    assert outer.planned("study_all")["study_train_stack"] == 4
