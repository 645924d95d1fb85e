"""Names and sizes of the files that datasets are made from: what their keys know of files that are not ours.

They are found once, at the start of a workflow, and saved for its jobs, so that a job and the workflow speak of the
same key. A change that keeps every name and size is not noticed before the dataset is prepared anew.
"""

from collections.abc import Mapping
from pathlib import Path

from equal_losses import datasets
from equal_losses.running.files import read_json, write_json
from equal_losses.running.records import digest
from equal_losses.study.grid import Study
from equal_losses.study.paths import DATASET_LISTING

# Names of files, relative to the dataset's root, and their sizes in bytes.
Listing = Mapping[str, int]


def found(study: Study, directory: Path = Path()) -> dict[str, Listing]:
    """The files of each dataset that has a folder of its own.

    Args:
        directory: where the workflow runs. A folder that is not there for the moment has the files of the last time.
    """
    listings = saved(study, directory)
    for name in study.datasets:
        source = study.dataset_settings(name)["source"]
        if source.get("root") is None:
            continue
        folder = directory / Path(source["root"]).expanduser()
        if folder.exists() or name not in listings:
            listings[name] = datasets.sizes(source["kind"], folder)
    return listings


def save(study: Study, root: Path, listings: Mapping[str, Listing]) -> None:
    """Save listings below the folder `root` for the jobs of the workflow."""
    for name, listing in listings.items():
        write_json(_path(study, root, name), listing)


def saved(study: Study, root: Path) -> dict[str, Listing]:
    """The listings that were saved."""
    places = {name: _path(study, root, name) for name in study.datasets}
    return {name: read_json(path) for name, path in places.items() if path.exists()}


def _path(study: Study, root: Path, name: str) -> Path:
    return root / DATASET_LISTING.format(dataset=name, key=digest(study.dataset_settings(name)["source"]))
