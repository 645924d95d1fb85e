"""The command `clean`."""

from __future__ import annotations

import pytest
import yaml

from equal_losses.commands.main import main
from equal_losses.study import listing


def clean(folder, *arguments: str) -> dict[str, float]:
    """Sizes in MB by the result that the command lists, but for the total."""
    *lines, _ = folder.command("clean", *(arguments or [folder.file]), "--directory", str(folder.root))
    return {line.split("MB  ")[1]: float(line.split(" MB")[0]) for line in lines}


def there(folder) -> set[str]:
    """Every file of the results."""
    files = (path for path in (folder.root / "results").rglob("*") if path.is_file())
    return {str(path.relative_to(folder.root)) for path in files}


@pytest.fixture
def superseded(folder):
    """The path of a run that another gamma left behind, beside the one that is wanted."""
    folder.config["losses"]["FL"]["gamma"] = 1
    step = folder.of_run(loss="FL")
    folder.make(step, "run.json", "best.safetensors")
    folder.config["losses"]["FL"]["gamma"] = 3
    folder.make(folder.of_run(loss="FL"), "run.json", "best.safetensors")
    return step.path


def record_size(folder, path: str) -> int:
    return (folder.root / path / "key.json").stat().st_size


def test_what_no_study_needs_is_listed_with_its_size(folder, superseded):
    size = 2000 + record_size(folder, superseded)
    first, total = folder.command("clean", folder.file)
    assert first == f"{size / 1e6:12,.3f} MB  {superseded}"
    assert total == f"{size / 1e6:12,.3f} MB  that no study needs; --yes removes them"


def test_nothing_is_removed_unless_it_is_said(folder, superseded):
    before = there(folder)
    clean(folder)
    assert there(folder) == before


def test_what_is_listed_is_removed_and_nothing_else(folder, superseded):
    before = there(folder)
    *_, total = folder.command("clean", folder.file, "--yes")
    assert before - there(folder) == {f"{superseded}/{name}" for name in ("run.json", "best.safetensors", "key.json")}
    assert not (folder.root / superseded).exists()
    assert total.endswith(" MB  removed")


def test_there_may_be_nothing_to_remove(folder):
    folder.make(folder.of_run(), "run.json")
    assert folder.command("clean", folder.file) == ["nothing that no study needs"]


def test_where_there_are_no_results_there_is_nothing_to_remove(folder):
    assert folder.command("clean", folder.file, "--yes") == ["nothing that no study needs"]


def test_what_any_of_the_studies_needs_is_kept(folder, superseded):
    other = folder.root / "other.yaml"
    folder.config["losses"]["FL"]["gamma"] = 1
    other.write_text(yaml.safe_dump(folder.config))
    folder.config["losses"]["FL"]["gamma"] = 3
    assert clean(folder, str(other)).keys() == {folder.of_run(loss="FL").path}
    assert clean(folder, folder.file, str(other)) == {}


def test_files_joined_by_a_plus_are_one_study(folder, superseded):
    overlay = folder.root / "overlay.yaml"
    overlay.write_text("losses: {FL: {gamma: 1}}\n")
    assert clean(folder, f"{folder.file}+{overlay}").keys() == {folder.of_run(loss="FL").path}
    assert clean(folder, folder.file, f"{folder.file}+{overlay}") == {}


def test_what_is_inside_of_a_folder_that_is_listed_is_not_listed_again(folder, superseded):
    folder.config["losses"]["FL"]["gamma"] = 1
    for part, name in (("features", "features.npz"), ("metrics", ".csv")):
        folder.make(folder.of_run(part, loss="FL"), name)
    folder.config["losses"]["FL"]["gamma"] = 3
    assert clean(folder).keys() == {superseded}
    assert clean(folder)[superseded] >= 0.004


def test_what_is_superseded_inside_of_a_run_that_is_needed_goes_alone(folder):
    kept = folder.make(folder.of_run(), "run.json")
    step = folder.of_run("features")
    features = folder.make(step, "features.npz")
    folder.config["experiments"]["small"]["augmented_features"] = True
    assert clean(folder, folder.file, "--yes").keys() == {step.path}
    assert kept.exists() and not features.exists()


def test_a_result_of_several_files_with_the_name_of_its_key_is_listed_once_and_goes_whole(folder):
    folder.make(folder.of_run(), "run.json")
    step = folder.of_run("metrics")
    table = folder.make(step, ".csv", ingredients={**step.ingredients, "settings": {"other": 1}})
    table.with_suffix(".log").write_text("a log")
    ((name, _),) = clean(folder, folder.file, "--yes").items()
    assert name == str(table.relative_to(folder.root).with_suffix(""))
    assert [*table.parent.iterdir()] == []


def test_every_sort_of_keyed_result_is_found(folder):
    steps = folder.steps
    run = next(iter(steps.study.experiments["small"].runs))
    old = {"settings": "old", "code": {}, "inputs": {}}
    made = [
        folder.make(steps.dataset("digits"), "manifest.json", ingredients=old).parent,
        folder.make(steps.run(run), "run.json", ingredients=old).parent,
    ]
    for place in ("trunks/small/CE/width0.25/seed1/to1", "stacks/small/stack1/width0.25/epochs3", "tuning/small/CE/x"):
        made.append(folder.root / "results" / place / ("0" * 20))
        made[-1].mkdir(parents=True)
    assert clean(folder).keys() == {str(path.relative_to(folder.root)) for path in made}


def test_everything_that_a_study_needs_is_kept(folder):
    for step in folder.steps.by_path.values():
        folder.make(step, "file" if step.is_keyed else ".csv")
    assert clean(folder) == {}


def test_everything_that_a_tuned_study_needs_is_kept(tuned):
    for step in tuned.steps.by_path.values():
        tuned.make(step, "file" if step.is_keyed else ".csv")
    assert clean(tuned) == {}


def test_tables_figures_and_pages_of_what_no_study_has_go(folder):
    folder.config["name"] = "digits"
    kept = {"results/tables/small/runs.csv", "results/figures/small/overview.pdf", "results/studies/digits/report.html"}
    for path in kept | {path.replace("small", "old").replace("digits", "old") for path in kept}:
        (folder.root / path).parent.mkdir(parents=True, exist_ok=True)
        (folder.root / path).write_text("")
    listed = {"results/tables/old", "results/figures/old", "results/studies/old"}
    assert clean(folder, folder.file, "--yes").keys() == listed
    assert there(folder) == kept


def test_downloads_listings_of_local_files_and_the_index_of_studies_are_kept(folder):
    for path in (f"downloads/mnist/{'0' * 20}", f"datasets/digits/files.{'0' * 20}.json", "studies/index.html"):
        (folder.root / "results" / path).parent.mkdir(parents=True)
        (folder.root / "results" / path).write_text("")
    assert clean(folder) == {}


def test_what_an_interrupted_training_goes_on_from_is_kept(folder):
    (folder.root / folder.of_run().path / "unfinished").mkdir(parents=True)
    assert clean(folder) == {}


@pytest.mark.parametrize("name", [".final.123.safetensors", ".DS_Store"])
def test_hidden_files_among_the_results_are_passed_over(folder, superseded, name):
    (folder.root / folder.of_run(loss="FL").path / name).write_text("")
    assert clean(folder).keys() == {superseded}


@pytest.fixture
def photos(folder):
    """A run on images of the folder `photos` beside the results."""
    image = folder.root / "photos" / "cat" / "1.png"
    image.parent.mkdir(parents=True)
    image.touch()
    folder.config["datasets"]["digits"] = {"kind": "image_folder", "root": "photos", "size": 8, "test_fraction": 0.5}
    folder.make(folder.of_run(), "run.json")


def test_runs_on_local_images_are_kept_from_wherever_the_command_is_given(
    folder, photos, tmp_path_factory, monkeypatch
):
    assert clean(folder) == {}
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert clean(folder) == {}


def test_runs_on_images_that_are_not_there_for_the_moment_are_kept(folder, photos):
    study = folder.steps.study
    listing.save(study, folder.root, listing.found(study))
    (folder.root / "photos").rename(folder.root / "photos on a disk that is not mounted")
    assert clean(folder) == {}


@pytest.mark.parametrize("study", ["nowhere.yaml", "{file}+nowhere.yaml"])
def test_a_study_that_is_not_there_is_one_line_and_nothing_is_removed(folder, superseded, study):
    before = there(folder)
    line = folder.refused("clean", study.format(file=folder.file), "--yes")
    assert line == "nowhere.yaml: No such file or directory; expected a readable YAML file"
    assert there(folder) == before


def test_a_folder_that_is_not_there_is_one_line(folder):
    assert folder.refused("clean", folder.file, "--directory", "nowhere") == (
        "--directory: nowhere: no such folder; expected the one that has results/"
    )


def test_a_study_is_to_be_named():
    with pytest.raises(SystemExit) as raised:
        main(["clean", "--yes"])
    assert raised.value.code == 2


def test_size_counts_every_file_of_a_folder(folder, superseded):
    inside = folder.root / superseded / "unfinished" / "state.safetensors"
    inside.parent.mkdir()
    inside.write_bytes(bytes(5_000_000))
    assert clean(folder)[superseded] == pytest.approx(5.002 + record_size(folder, superseded) / 1e6, abs=0.001)
