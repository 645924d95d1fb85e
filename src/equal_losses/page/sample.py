"""A few training images of each class, as pictures for a page."""

import base64
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from equal_losses.datasets.prepared import PreparedDataset

# A page shows no more classes, nor images of each, nor larger ones.
CLASSES, IMAGES, PIXELS = 20, 8, 48


@dataclass(frozen=True)
class Strip:
    """Images of a class, side by side.

    Attributes:
        name: of the class.
        images: how many.
        uri: a PNG, as a data URI.
        size: width and height in pixels.
    """

    name: str
    images: int
    uri: str
    size: tuple[int, int]


def strips(dataset: PreparedDataset) -> list[Strip]:
    """The first training images of each class; of more than `CLASSES` classes, the first ones."""
    labels = dataset.labels("train")
    found = []
    for label, name in enumerate(dataset.manifest["classes"][:CLASSES]):
        chosen = dataset.images("train")[np.flatnonzero(labels == label)[:IMAGES]]
        picture = Image.fromarray(_side_by_side(chosen))
        if picture.height > PIXELS:
            picture = picture.resize((round(picture.width * PIXELS / picture.height), PIXELS))
        file = BytesIO()
        picture.save(file, format="PNG", optimize=True)
        uri = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
        found.append(Strip(name, len(chosen), uri, picture.size))
    return found


def _side_by_side(images: np.ndarray) -> np.ndarray:
    """N x H x W x C images as one of H x (...) x 4 with transparent gaps; of other than three channels, the first."""
    count, height, width, channels = images.shape
    colors = images if channels == 3 else np.repeat(images[..., :1], 3, axis=3)
    framed = np.zeros((count, height, width + max(1, width // 12), 4), np.uint8)
    framed[:, :, :width, :3], framed[:, :, :width, 3] = colors, 255
    return np.concatenate(list(framed), axis=1)
