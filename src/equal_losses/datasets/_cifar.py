"""The files of CIFAR10 and CIFAR100: pickles, alone or in an archive."""

import gzip
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from equal_losses.datasets import _pickles
from equal_losses.datasets._downloads import fetch
from equal_losses.datasets._images import Images, chosen, folder_at
from equal_losses.running.errors import InputError


@dataclass(frozen=True)
class Cifar:
    """Where CIFAR10 and CIFAR100 differ."""

    classes: int
    archive: str
    folder: str  # in the archive
    train: tuple[str, ...]  # files in the folder, as `test` and `meta`
    test: str
    meta: str
    names_key: str  # of the class names in `meta`
    labels_key: str

    def files(self, root: str) -> list[Path]:
        """The batches and the class names, or the archive."""
        place = self._place(Path(root).expanduser())
        return sorted(path for path in (place, *(place / name for name in self._names)) if path.is_file())

    def read(self, root: str | None, per_class: int | None, test_per_class: int | None) -> Images:
        """All images, or balanced subsets."""
        if root is None:
            # torchvision knows where the archive is; its own loader would unpickle whatever it finds there.
            from torchvision import datasets

            published = getattr(datasets, f"CIFAR{self.classes}")
            place = fetch(f"cifar{self.classes}", self.archive, [published.url], published.tgz_md5)
        else:
            place = self._place(folder_at(root))
        contents = self._unpacked(place) if place.is_file() else self._loaded(place)
        for name in self._names:
            if name not in contents:
                raise InputError(f"{place / name}: missing; expected all files of CIFAR{self.classes}")

        classes = contents[self.meta].get(self.names_key)
        if not isinstance(classes, list) or list(map(type, classes)) != [str] * self.classes:
            raise InputError(
                f"{place / self.meta}: no {self.names_key} of the right form; expected {self.classes} names"
            )

        def part(names: tuple[str, ...], which: str, per_class: int | None) -> tuple[np.ndarray, np.ndarray]:
            batches = [self._batch(contents[name], place / name) for name in names]
            images, labels = map(np.concatenate, zip(*batches, strict=True))
            indices = chosen(labels, classes, per_class, place, which)
            # An image is 1,024 bytes of red, as many of green and as many of blue.
            return np.ascontiguousarray(images[indices].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), labels[indices]

        return Images(*part(self.train, "training", per_class), *part((self.test,), "test", test_per_class), classes)

    @property
    def _names(self) -> tuple[str, ...]:
        return (*self.train, self.test, self.meta)

    def _place(self, root: Path) -> Path:
        """The archive or the folder to read."""
        if (root / self.folder).is_dir():
            return root / self.folder
        archive = root / self.archive
        return archive if archive.is_file() and not (root / self.meta).is_file() else root

    def _loaded(self, folder: Path) -> dict[str, dict]:
        paths = [folder / name for name in self._names]
        return {path.name: _pickles.load(path.read_bytes(), path) for path in paths if path.is_file()}

    def _unpacked(self, archive: Path) -> dict[str, dict]:
        """The files of an archive, read without unpacking it to disk."""
        contents = {}
        try:
            with gzip.open(archive) as content, tarfile.open(fileobj=content, mode="r:") as members:
                for member in members:
                    folder, _, name = member.name.rpartition("/")
                    if member.isfile() and folder == self.folder and name in self._names:
                        contents[name] = _pickles.load(members.extractfile(member).read(), archive / name)
                while content.read(2**20):  # gzip's own checksum comes last
                    pass
        except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(f"{archive}: truncated or no .tar.gz archive: {error}; expected the whole file") from error
        return contents

    def _batch(self, batch: dict, where: Path) -> tuple[np.ndarray, np.ndarray]:
        """Images (N x 3072, uint8) and labels (N, int64) of a file."""
        images, labels = batch.get("data"), _pickles.integers(batch.get(self.labels_key))
        if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape[1:] != (3072,):
            raise InputError(f"{where}: no data of the right form; expected an N x 3072 array of bytes")
        if labels is None or len(labels) != len(images):
            raise InputError(f"{where}: no {self.labels_key} of the right form; expected {len(images)} whole numbers")
        return images, labels
