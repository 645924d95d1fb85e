"""The command `check`: everything that is wrong with a study, a line each."""

from __future__ import annotations

import pytest

from equal_losses.commands.main import main
from equal_losses.running import gpus


def test_a_study_that_is_right_is_counted(folder):
    assert folder.command("check", folder.file) == ["small: 8 runs in 1 experiment; nothing is wrong"]


def test_every_mistake_is_a_line(folder, capsys):
    folder.config["losses"]["NA"] = {"kind": "cross_entropy"}
    folder.config["experiments"]["small"]["training"]["crop_padding"] = 1000
    assert main(["check", folder.file]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[:2] for line in lines] == [
        ["equal-losses", "losses"],
        ["equal-losses", "experiments.small.training.crop_padding"],
    ]


def test_overlays_are_part_of_the_study(folder):
    (folder.root / "overlay.yaml").write_text("losses: {FL: {gamma: -1}}\n")
    assert folder.refused("check", folder.file, "overlay.yaml").startswith("losses.FL.gamma: -1; ")


def test_what_is_allowed_but_unwise_is_a_warning(folder):
    folder.config["experiments"]["small"]["epochs"] = [1]
    warning, _ = folder.command("check", folder.file)
    assert warning.startswith("warning: experiments.small.epochs: 1 is too short for its decays")


@pytest.mark.parametrize(("root", "what"), [("nowhere", "no such folder"), (".", "no file of kind image_folder in it")])
def test_images_that_are_not_there_are_missed(folder, root, what):
    folder.config["datasets"]["digits"] = {"kind": "image_folder", "root": root, "size": 8, "test_fraction": 0.2}
    line = folder.refused("check", folder.file)
    assert line == f"datasets.digits.root: {root}: {what}; expected the folder that has the files"


def test_a_link_to_an_image_that_is_gone_is_named(folder):
    for name in ("a", "b"):
        (folder.root / "photos" / name).mkdir(parents=True)
    (folder.root / "photos" / "a" / "1.png").symlink_to("gone.png")
    folder.config["datasets"]["digits"] = {"kind": "image_folder", "root": "photos", "size": 8, "test_fraction": 0.2}
    line = folder.refused("check", folder.file)
    assert line == "photos/a/1.png: a link to a file that is not there; expected an image"


def test_a_gpu_that_the_study_insists_on_is_missed(folder, monkeypatch):
    monkeypatch.setattr(gpus, "visible_devices", lambda: [])
    folder.config["compute"] = {"device": "cuda"}
    assert folder.refused("check", folder.file).startswith("compute.device: cuda; no GPU is here; ")


def test_a_gpu_that_is_there_is_not_spoken_of(folder, monkeypatch):
    monkeypatch.setattr(gpus, "visible_devices", lambda: ["0"])
    folder.config["compute"] = {"device": "cuda"}
    assert folder.command("check", folder.file)[-1].endswith("nothing is wrong")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds NoneType"),
        ("- 1\n", "holds list"),
        ("a: &a [*a]\n", "a[0]: inside of itself"),
        ("\ta: 1\n", "not YAML: "),
    ],
)
def test_a_file_that_is_no_study_is_one_line(folder, content, message):
    (folder.root / "bad.yaml").write_text(content)
    assert folder.refused("check", "bad.yaml").startswith(f"bad.yaml: {message}")


def test_a_file_that_is_not_there_is_one_line(folder):
    assert folder.refused("check", "no.yaml") == "no.yaml: No such file or directory; expected a readable YAML file"
