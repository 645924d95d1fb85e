"""Images as they lie on disks: IDX files, and photographs of any size in the usual formats."""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .errors import InputError

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")

# Named one by one, because Pillow also knows formats that are programs (EPS).
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_MODES = {"1": "black and white", "L": "grey", "I": "grey", "P": "palette", "LA": "grey with alpha"}


def read_idx(path: str | Path, dimensions: int) -> np.ndarray:
    """An array of bytes from an IDX file (LeCun, Cortes, Burges), plain or compressed (.gz).

    Args:
        path: the file.
        dimensions: 3 for images (N x H x W), 1 for labels (N).

    Raises:
        InputError: where the file is missing, not of that kind, or not as long as its head says.
    """
    path = Path(path)
    try:
        content = (gzip.open if path.suffix == ".gz" else open)(path, "rb")
        with content:
            head = content.read(4 + 4 * dimensions)
            body = content.read()
    except FileNotFoundError as error:
        raise InputError(f"{path}: missing; allowed: an IDX file, plain or .gz") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: truncated or not gzip: {error}; allowed: the whole file") from error
    # Two zeros, the type (8 is bytes), the number of dimensions; then the dimensions, most significant byte first.
    magic = bytes([0, 0, 8, dimensions])
    if head[:4] != magic:
        raise InputError(f"{path}: begins with {head[:4].hex()}; allowed: {magic.hex()}, an IDX file of bytes")
    if len(head) < 4 + 4 * dimensions:
        raise InputError(f"{path}: truncated in its head; allowed: the whole file")
    shape = tuple(np.frombuffer(head[4:], ">u4").tolist())
    expected = int(np.prod(shape, dtype=object))
    if len(body) != expected:
        size = " x ".join(map(str, shape))
        raise InputError(
            f"{path}: {len(body)} bytes of data; allowed: the {expected} of {size} that its head announces"
        )
    return np.frombuffer(body, np.uint8).reshape(shape)


def read_photographs(paths: Sequence[Path], size: int, name: object) -> np.ndarray:
    """N x size x size x 3, uint8.

    Everything becomes RGB: grey and palette images as they look, an alpha channel is dropped, 16 bits are rounded to 8.
    A rotation noted by the camera is carried out. Images of another size are scaled until the shorter side is `size`,
    and the middle is cut out. How many images that concerned is printed.

    Args:
        paths: image files.
        size: pixels.
        name: what the printed lines call the images.

    Raises:
        InputError: the first file that is missing or unreadable.
    """
    return _stacked((_read(path) for path in paths), len(paths), size, name)


def resized(images: np.ndarray, size: int, name: object) -> np.ndarray:
    """N x H x W x 3 images, uint8, brought to N x size x size x 3 like those of `read_photographs`."""
    from PIL import Image

    if images.shape[1:3] == (size, size):
        return images
    return _stacked(((Image.fromarray(image), "RGB") for image in images), len(images), size, name)


def _stacked(images: Iterable[tuple[Image.Image, str]], count: int, size: int, name: object) -> np.ndarray:
    stack = np.empty((count, size, size, 3), dtype=np.uint8)
    converted: Counter[str] = Counter()
    resizings = 0
    for index, (image, mode) in enumerate(images):
        if mode != "RGB":
            converted[_MODES.get(mode.partition(";")[0], mode)] += 1
        if image.size != (size, size):
            resizings += 1
            image = _fitted(image, size)
        stack[index] = np.asarray(image)
    if converted:
        kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(converted.items()))
        print(f"{name}: {converted.total()} of {count} images converted to RGB ({kinds})")
    if resizings:
        print(f"{name}: {resizings} of {count} images resized to {size} x {size}")
    return stack


def _read(path: Path) -> tuple[Image.Image, str]:
    """The image in RGB, and the mode in which it lies on the disk."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path, formats=_FORMATS) as image:
            mode = image.mode
            if mode == "F":
                raise InputError(f"{path}: pixels are floating-point numbers; allowed: 8 or 16 bits")
            upright = ImageOps.exif_transpose(image)
            if mode.startswith("I"):
                # Pillow would clip values above 255 instead of scaling them.
                grey = np.rint(np.clip(np.asarray(upright), 0, 65535) / 257)
                upright = Image.fromarray(grey.astype(np.uint8))
            elif "transparency" in upright.info:
                upright = upright.convert("RGBA")
            return upright.convert("RGB"), mode
    except (InputError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path}: missing; allowed: an image file") from error
    except Exception as error:
        # Broken image files make their readers stumble in every way there is.
        reason = "no image that can be read" if type(error).__name__ == "UnidentifiedImageError" else error
        formats = ", ".join(_FORMATS)
        raise InputError(
            f"{path}: unreadable: {' '.join(str(reason).split())}; allowed: a whole {formats} file"
        ) from error


def _fitted(image: Image.Image, size: int) -> Image.Image:
    from PIL import Image

    scale = size / min(image.size)
    width, height = (max(size, round(side * scale)) for side in image.size)
    left, top = (width - size) // 2, (height - size) // 2
    return image.resize((width, height), Image.Resampling.BILINEAR).crop((left, top, left + size, top + size))
