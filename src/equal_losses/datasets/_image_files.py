"""Photographs of any size in the usual formats, brought to one form."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from equal_losses.running.errors import InputError

# Named one by one, because Pillow also knows formats that are programs (EPS).
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_MODES = {"1": "black and white", "L": "grey", "I": "grey", "P": "palette", "LA": "grey with alpha"}


def read_images(sources: Sequence[Path | np.ndarray], size: int, name: object) -> np.ndarray:
    """N x size x size x 3, uint8.

    Everything becomes RGB: grey and palette images as they look, an alpha channel is dropped, 16 bits are rounded to 8.
    A rotation noted by the camera is carried out. Images of another size are scaled until the shorter side is `size`,
    and the middle is cut out. How many images that concerned is printed.

    Args:
        sources: image files, or images of any size that were read already (H x W x 3, uint8).
        size: pixels.
        name: what the printed lines call the images.

    Raises:
        InputError: the first file that is missing or unreadable.
    """
    images = np.empty((len(sources), size, size, 3), dtype=np.uint8)
    converted: Counter[str] = Counter()
    resized = 0
    for index, source in enumerate(sources):
        image, mode = (Image.fromarray(source), "RGB") if isinstance(source, np.ndarray) else _read(source)
        if mode != "RGB":
            converted[_MODES.get(mode.partition(";")[0], mode)] += 1
        if image.size != (size, size):
            resized += 1
            image = _fitted(image, size)
        images[index] = np.asarray(image)
    if converted:
        kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(converted.items()))
        print(f"{name}: {converted.total()} of {len(sources)} images converted to RGB ({kinds})")
    if resized:
        print(f"{name}: {resized} of {len(sources)} images resized to {size} x {size}")
    return images


def _read(path: Path) -> tuple[Image.Image, str]:
    """The image in RGB, and the mode that its file has."""
    try:
        with Image.open(path, formats=_FORMATS) as image:
            mode = image.mode
            if mode == "F":
                raise InputError(f"{path}: pixels are floating-point numbers; expected 8 or 16 bits")
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
        raise InputError(f"{path}: missing; expected an image file") from error
    except Exception as error:
        # Broken image files make their readers stumble in every way there is.
        reason = "no image that can be read" if isinstance(error, UnidentifiedImageError) else error
        expected = f"a whole {', '.join(_FORMATS)} file"
        raise InputError(f"{path}: unreadable: {' '.join(str(reason).split())}; expected {expected}") from error


def _fitted(image: Image.Image, size: int) -> Image.Image:
    """The middle of the image, scaled until its shorter side is `size`."""
    scale = size / min(image.size)
    width, height = (max(size, round(side * scale)) for side in image.size)
    left, top = (width - size) // 2, (height - size) // 2
    return image.resize((width, height), Image.Resampling.BILINEAR).crop((left, top, left + size, top + size))
