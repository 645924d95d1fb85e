"""Sources of labelled images: one file per kind.

A dataset is a function that returns `Images` (see `_images`); its keywords are keys of the configuration. Keywords that
several have:

- `root`: a folder with the files, absolute or relative to the working directory. Nothing is downloaded then. Its files
  need not be the published ones (a cut or corrected version is welcome), so what is checked is their form: shapes,
  lengths, labels and classes, by which a truncated file is caught. Without `root` the files are downloaded to
  `results/downloads/<kind>`, and checked against the published MD5 sums at every use.
- `per_class`, `test_per_class`: a balanced subset of the training part or of the test part: that many images of each
  class. They are taken at even distances, from the first on, from the images of the class in the order of the source;
  chance plays no part.

It raises InputError where a file is missing, truncated, unreadable or not what it should be, or the download fails.

A new dataset is one file here, whose function has the file's name. Besides the function it may have

- `CLASSES` (K) and `SIZE` (images of the training part and of the test part, height, width, channels), literals that
  are read before anything is imported, where the dataset is always the same; or `CHANNELS` alone, where only they are;
- `files(root)`, where it reads local files: those under `root` that it reads, sorted, found by listing folders alone
  and without importing what decodes images. Files that are missing are left out.
"""

import importlib
from collections.abc import Callable
from pathlib import Path


def load(kind: str) -> Callable:
    """The function of a kind, which returns `Images`."""
    return getattr(importlib.import_module(f"{__name__}.{kind}"), kind)


def sizes(kind: str, root: Path) -> dict[str, int]:
    """The files under `root` that a kind reads: bytes by name, relative to `root`."""
    files = getattr(importlib.import_module(f"{__name__}.{kind}"), "files", lambda root: [])
    return {str(path.relative_to(root)): path.stat().st_size for path in files(str(root))}
