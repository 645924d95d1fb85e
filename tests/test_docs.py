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
import shutil
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
from neural_collapse import configuration, weights
from PIL import Image
from sklearn.datasets import load_digits

from .conftest import ROOT, Workflow


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
        place = re.search(r"\b[Ii]n `([^`]+)`(?:, below `([^`]+)`)?.*:$", above, re.DOTALL)
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
        "PYTHONPATH": str(folder / "workflow"),
    }
    result = subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True)
    if check and result.returncode:
        raise AssertionError(f"{command} ended with {result.returncode}:\n{result.stdout}\n{result.stderr}")
    return result


def work_through(page: str, folder: Path, changed: Callable[[str], str] = str) -> dict[str, str]:
    """Do what a page says; answers what each command, as printed, wrote."""
    outputs = {}
    for block in blocks(page):
        if block.language == "bash":
            outputs[block.text.strip()] = shell(changed(block.text.strip()), folder).stdout
        elif block.file:
            put(block, folder)
    return outputs


def repository(folder: Path) -> Path:
    """A copy of the repository that may be edited."""
    for name in ("config", "envs", "profiles", "workflow"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Snakefile", folder)
    return folder


def read(path: Path) -> dict:
    return json.loads(path.read_text())


# A loss, a dataset, a network, a metric and a figure


@dataclass(frozen=True)
class Extended:
    """A copy of the repository with the five new parts and the README's loss, the study of all of them run."""

    folder: Path
    outputs: dict[str, str]

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def run(self, loss: str) -> Path:
        return self.results / "runs" / "mine" / loss / "width0.5" / "epochs5" / "seed1"

    def planned(self, *arguments: str) -> dict[str, int]:
        config = configuration.load([self.folder / "config" / "mine.yaml", self.folder / "poly.yaml"])
        return Workflow(self.folder, config, self.folder).planned(*arguments)


@pytest.fixture(scope="module")
def extended(tmp_path_factory) -> Extended:
    folder = repository(tmp_path_factory.mktemp("extended"))
    readme = blocks("README.md")
    (poly,) = (block for block in readme if "def poly(" in block.text)
    (study,) = (block for block in readme if "kind: poly" in block.text)
    put(poly, folder)
    overlay = yaml.safe_load(study.text) | {"experiments": {"mine": {"losses": ["GCE", "POLY"]}}}
    (folder / "poly.yaml").write_text(yaml.safe_dump(overlay))

    def changed(command: str) -> str:
        with_poly = command.replace("config/mine.yaml", "config/mine.yaml poly.yaml")
        return with_poly + " --dry-run" if "--forcerun" in command else with_poly

    return Extended(folder, work_through("docs/extending.md", folder, changed))


def test_the_new_losses_are_their_formulas(extended):
    path = extended.folder / "workflow" / "neural_collapse" / "losses.py"
    spec = importlib.util.spec_from_file_location("extended_losses", path)
    losses = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(losses)
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.25, 3.0]], dtype=torch.float64)
    labels = torch.tensor([0, 1])
    odds = np.exp(logits.numpy())
    p = (odds / odds.sum(axis=1, keepdims=True))[[0, 1], labels]
    for reduction, total in (("mean", np.mean), ("sum", np.sum)):
        gce = losses.gce(logits, labels, q=0.5, reduction=reduction)
        assert gce.item() == pytest.approx(total((1 - p**0.5) / 0.5))
        poly = losses.poly(logits, labels, epsilon=1, reduction=reduction)
        assert poly.item() == pytest.approx(total(-np.log(p) + (1 - p)))


def test_the_new_parts_are_what_was_run(extended):
    settings = {loss: read(extended.run(loss) / "run.json")["settings"] for loss in ("GCE", "POLY")}
    assert settings["GCE"]["loss"] == {"kind": "gce", "q": 0.5, "reduction": "mean"}
    assert settings["POLY"]["loss"] == {"kind": "poly", "epsilon": 1, "reduction": "mean"}
    assert settings["GCE"]["network"] == {"kind": "mlp", "depth": 3, "width": 0.5}
    finals = {loss: weights.load(extended.run(loss) / "final.safetensors")[0] for loss in settings}
    shapes = [tuple(tensor.shape) for tensor in finals["GCE"].values() if tensor.ndim == 2]
    assert sorted(shapes) == [(3, 64), (64, 64), (64, 64), (64, 64)]
    assert not torch.equal(*(final["classifier.weight"] for final in finals.values()))


def test_the_new_dataset_is_the_archive(extended):
    dataset = extended.results / "datasets" / "three_digits"
    manifest = read(dataset / "manifest.json")
    assert manifest["classes"] == ["0", "1", "2"]
    assert {split: sum(counts) for split, counts in manifest["counts"].items()} == {
        "train": 320,
        "val": 80,
        "test": 137,
    }
    source = load_digits(n_class=3)
    np.testing.assert_array_equal(np.load(dataset / "labels_test.npy"), source.target[400:])
    expected = np.rint(source.images[400:] / 16 * 255)
    np.testing.assert_array_equal(np.load(dataset / "images_test.npy")[..., 0], expected)


def test_the_new_metric_is_in_the_tables(extended):
    runs = pd.read_csv(extended.results / "tables" / "mine" / "runs.csv").set_index("loss")
    for loss in ("GCE", "POLY"):
        with np.load(extended.run(loss) / "features.npz") as arrays:
            (last,) = np.flatnonzero(arrays["snapshot"] == "5")
            weight = arrays["weight"][last]
        units = [row / np.sqrt(row @ row) for row in weight]
        angles = [units[0] @ units[1], units[0] @ units[2], units[1] @ units[2]]
        expected = sum(abs(cosine + 0.5) for cosine in angles) / 3
        assert runs.loc[loss, "equiangularity_weights"] == pytest.approx(expected)


def test_the_new_figure_is_drawn(extended):
    figures = extended.results / "figures" / "mine"
    names = {f"{name}.{suffix}" for name in ("nc_evolution", "classifier_angles") for suffix in ("pdf", "png")}
    assert {path.name for path in figures.iterdir()} == names
    assert (figures / "classifier_angles.pdf").read_bytes().startswith(b"%PDF")
    with Image.open(figures / "classifier_angles.png") as image:
        drawn = {color for _, color in image.convert("RGB").getcolors(2**24)}
    assert {(0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)} <= drawn  # a colour a loss


def test_the_theory_knows_the_new_loss(extended):
    (command,) = (command for command in extended.outputs if "contrastive" in command)
    assert json.loads(extended.outputs[command])["loss"] == "gce"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("{kind: gce, q: 2}", "config: losses.GCE.q: 2; allowed: a number > 0 and <= 1"),
        ("{kind: gce, p: 1}", "config: losses.GCE.p: unknown key; allowed: kind, q, reduction"),
    ],
)
def test_the_keys_of_the_new_loss_are_checked(extended, tmp_path, keys, message):
    wrong = yaml.safe_load((extended.folder / "config" / "mine.yaml").read_text())
    wrong["losses"]["GCE"] = yaml.safe_load(keys)
    result = Workflow(tmp_path, wrong, extended.folder).run("--dry-run", check=False)
    assert result.returncode == 2
    assert message in result.stderr.splitlines()


def test_what_runs_again_is_what_the_page_says(extended):
    with open(extended.folder / "workflow" / "neural_collapse" / "losses.py", "a") as file:
        file.write("\n\ndef another(logits, labels, *, reduction='mean'):\n    return cross_entropy(logits, labels)\n")
    assert extended.planned() == {}
    summary = {"collect": 1, "figure": 2, "all": 1}
    library = extended.folder / "workflow" / "neural_collapse"
    every_run = {"train": 2, "extract_features": 2, "nc_metrics": 2}
    for module, old, new, jobs in (
        ("losses", "-torch.expm1(q * log_p) / q", "-torch.expm1(q * log_p)", dict.fromkeys(every_run, 1) | summary),
        ("metrics", "+ 1 / (len(rows) - 1)", "- 1 / (len(rows) - 1)", {"nc_metrics": 2} | summary),
        ("metrics", "accuracy=correct / samples", "accuracy=correct / len(labels)", every_run | summary),
    ):
        path = library / f"{module}.py"
        text = path.read_text()
        assert text.count(old) == 1
        path.write_text(text.replace(old, new))
        assert extended.planned() == jobs
        path.write_text(text)
    (forced,) = (output for command, output in extended.outputs.items() if "--forcerun" in command)
    counts = dict(re.findall(r"^(\w+) +(\d+)$", forced, re.MULTILINE))
    assert counts == {"total": "11", "prepare_dataset": "1"} | {
        rule: str(count) for rule, count in (every_run | summary).items()
    }


# One's own images and features


def write_photos(folder: Path) -> None:
    """Twelve images a class, of one colour with noise; the shapes and modes of a collection from anywhere."""
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
    folder = repository(tmp_path_factory.mktemp("own"))
    write_photos(folder / "photos")
    (whole,) = (block.text.strip() for block in blocks("docs/your-data.md") if block.text.endswith("photos.yaml\n"))
    return folder, work_through(
        "docs/your-data.md", folder, lambda command: f"{command} --dry-run" if command == whole else command
    )


def test_own_images_come_out_as_the_page_lists(own_data):
    folder, _ = own_data
    (listing,) = (block.text for block in blocks("docs/your-data.md") if block.text.startswith("results/"))
    paths = [line.split()[0] for line in listing.splitlines()]
    assert len(paths) == 10
    for path in paths:
        assert (folder / path).is_file(), path
    manifest = read(folder / "results/datasets/photos/manifest.json")
    assert manifest["classes"] == ["cat", "dog", "horse"]
    assert sum(sum(counts) for counts in manifest["counts"].values()) == 36
    assert manifest["image_shape"] == [32, 32, 3]
    log = (folder / "results/logs/prepare_dataset/photos.log").read_text()
    assert "18" in log and "3" in log, log


def test_the_whole_study_of_own_images_is_planned(own_data):
    _, outputs = own_data
    (plan,) = (output for command, output in outputs.items() if "plan" in command)
    assert "photos" in plan
    (planned,) = (output for command, output in outputs.items() if command.endswith("--configfile photos.yaml"))
    assert re.search(r"^train +8$", planned, re.MULTILINE)
    assert not re.search(r"^prepare_dataset", planned, re.MULTILINE)


def test_own_features_give_the_numbers_that_the_page_explains(own_data):
    folder, outputs = own_data
    (output,) = (output for command, output in outputs.items() if command.startswith("neural-collapse metrics"))
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

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.folder / name).read_text()
        assert text.count(old) == 1
        (self.folder / name).write_text(text.replace(old, new))


def written_outer(folder: Path) -> Outer:
    """The workflow of the page, before anything is run."""
    (folder / "neural-collapse").symlink_to(ROOT)
    for block in blocks("docs/module.md"):
        if block.file:
            put(block, folder)
    return Outer(folder)


@pytest.fixture
def outer(tmp_path) -> Outer:
    return written_outer(tmp_path)


@pytest.fixture(scope="module")
def finished_outer(tmp_path_factory) -> Outer:
    """The workflow of the page, run as the page says. Tests leave it as they found it."""
    outer = written_outer(tmp_path_factory.mktemp("outer"))
    (command,) = (block.text for block in blocks("docs/module.md") if block.language == "bash")
    shell(command, outer.folder)
    return outer


def test_another_workflow_runs_a_study_and_its_own_rule(finished_outer):
    runs = pd.read_csv(finished_outer.folder / "results" / "tables" / "digits" / "runs.csv")
    assert len(runs) == 2
    ranking = pd.read_csv(finished_outer.folder / "ranking.csv").set_index("loss")
    assert ranking["accuracy_test"].is_monotonic_decreasing
    for loss in ("CE", "FL"):
        assert ranking.loc[loss, "accuracy_test"] == pytest.approx(runs[runs["loss"] == loss]["accuracy_test"].mean())
    figure = finished_outer.folder / "results" / "figures" / "digits" / "nc_evolution.pdf"
    assert figure.read_bytes().startswith(b"%PDF")


def test_another_workflow_again_has_nothing_to_do(finished_outer):
    assert finished_outer.planned() == {}


def test_without_the_profile_finished_runs_would_be_trained_again(finished):
    triggers = ["--rerun-triggers", "mtime", "params", "input", "code", "software-env"]
    assert finished.planned(*triggers)["train"] == 8
    assert finished.planned() == {}


def test_under_a_prefix_a_new_budget_trains_what_shares_its_stem_again(finished, outer):
    study = copy.deepcopy(finished.config)
    study["experiments"]["small"]["epochs"] = [3, 7, 9]
    (outer.folder / "config.yaml").write_text(yaml.safe_dump({"neural_collapse": study}))
    outer.edit("Snakefile", '"results/tables/digits/', '"results/tables/small/')
    shutil.copytree(finished.directory / "results", outer.folder / "results")
    shutil.rmtree(outer.folder / "results" / "tables")
    assert outer.planned("nc_figures", "--forcerun nc_collect")["nc_train"] == 4
    (outer.folder / "nc").mkdir()
    (outer.folder / "results").rename(outer.folder / "nc" / "results")
    outer.edit(
        "Snakefile", '        config["neural_collapse"]\n', '        config["neural_collapse"]\n    prefix: "nc"\n'
    )
    assert outer.planned("nc_figures", "--forcerun nc_collect")["nc_train"] == 12


def test_under_a_prefix_files_are_below_it_and_warnings_are_given(outer):
    # A key of the other workflow stands twice, which is no business of this one.
    config = outer.folder / "config.yaml"
    config.write_text("samples: one\nsamples: two\n" + config.read_text())
    outer.edit(
        "Snakefile", '        config["neural_collapse"]\n', '        config["neural_collapse"]\n    prefix: "nc"\n'
    )
    outer.edit("config.yaml", "widths: [0.25]", "widths: [0.125]")
    result = outer.snakemake("nc_datasets")
    assert (outer.folder / "nc/results/datasets/digits/manifest.json").exists()
    assert (outer.folder / "nc/results/logs/prepare_dataset/digits.log").exists()
    assert not (outer.folder / "results").exists()
    assert "not present in the Snakefile" not in result.stderr, "localrules by names that a module does not have"
    assert "warning: experiments.digits.widths: 0.125 gives features of dimension 8" in result.stderr


def test_a_mistake_in_the_module_s_config_is_one_line_and_status_2(outer):
    outer.edit("config.yaml", "gamma: 3", "gamma: -1")
    result = outer.snakemake(check=False)
    assert result.returncode == 2
    lines = [line for line in result.stderr.splitlines() if not line.startswith("Using workflow specific profile")]
    assert lines == ["config: losses.FL.gamma: -1; allowed: a number >= 0"]


def test_without_a_config_the_module_is_the_demo(outer):
    outer.edit("Snakefile", '    config:\n        config["neural_collapse"]\n', "")
    outer.edit("Snakefile", 'configfile: "config.yaml"\n', "")
    assert outer.planned("nc_all")["nc_train"] == 32
