from pathlib import Path

import numpy as np

from equal_losses.datasets._images import Images, chosen, folder_at
from equal_losses.running.errors import InputError

CHANNELS = 3
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


def image_folder(*, root: str, size: int, per_class: int | None = None, test_per_class: int | None = None) -> Images:
    """Your own images, RGB, in one folder per class, whose name is the folder's.

    The class folders are in `root/train` and `root/test`, or in `root` itself; then there is no test part, and
    `test_fraction` takes one. Images are found by their suffix (`SUFFIXES`), in folders within folders too, and sorted
    by their path; hidden files and folders and other files are passed over. They become RGB of `size` x `size` pixels
    as `_image_files.read_images` says.

    Without a test part `per_class` chooses before the split.
    """
    folder = folder_at(root)
    parts = _parts(folder)
    for part in parts:
        if not part.is_dir():
            raise InputError(f"{part}: missing; expected train and test with class folders, or class folders alone")
    names = [[path.name for path in _class_folders(part)] for part in parts]
    classes = names[0]
    if len(classes) < 2:
        raise InputError(f"{parts[0]}: {len(classes)} class folders; expected two or more")
    for name in sorted({*classes} ^ {*names[-1]}):
        where = parts[0] if name in classes else parts[-1]
        raise InputError(f"class {name!r}: only in {where}; expected the same class folders in train and test")
    train = _read(parts[0], classes, size, per_class, "training")
    if len(parts) == 2:
        test = _read(parts[1], classes, size, test_per_class, "test")
    elif test_per_class is None:
        test = None, None
    else:
        raise InputError(f"test_per_class: {test_per_class}; {folder} has no folder test; expected null")
    return Images(*train, *test, classes)


def files(root: str) -> list[Path]:
    """All images of all classes; `per_class` and `test_per_class` read some of them."""
    parts = _parts(Path(root).expanduser())
    return sorted(path for part in parts for folder in _class_folders(part) for path in _images(folder))


def _parts(folder: Path) -> list[Path]:
    """The folders train and test if one of them is there, and otherwise the folder itself."""
    parts = [folder / "train", folder / "test"]
    return parts if any(part.is_dir() for part in parts) else [folder]


def _class_folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.is_dir() and not path.name.startswith("."))


def _images(folder: Path) -> list[Path]:
    """All images of a class, sorted."""
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and (path.is_file() or path.is_symlink())
    )
    for path in found:
        if not path.exists():
            raise InputError(f"{path}: a link to a file that is not there; expected an image")
    return found


def _read(
    folder: Path, classes: list[str], size: int, per_class: int | None, which: str
) -> tuple[np.ndarray, np.ndarray]:
    from equal_losses.datasets._image_files import read_images

    of_class = [_images(folder / name) for name in classes]
    for name, found in zip(classes, of_class, strict=True):
        if not found:
            raise InputError(f"{folder / name}: no image; expected one or more, {', '.join(SUFFIXES)}")
    paths = [path for found in of_class for path in found]
    labels = np.repeat(np.arange(len(classes)), [len(found) for found in of_class])
    indices = chosen(labels, classes, per_class, folder, which)
    return read_images([paths[index] for index in indices], size, folder), labels[indices]
