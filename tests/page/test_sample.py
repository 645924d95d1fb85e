"""Pictures of training images."""

from __future__ import annotations

import base64
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from equal_losses.datasets.prepared import PreparedDataset
from equal_losses.page.sample import CLASSES, IMAGES, strips

from .pages import toy_images


def picture(strip) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(base64.b64decode(strip.uri.partition(",")[2]))))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_strip_has_the_images_of_its_class_side_by_side(tmp_path, channels):
    night, day = strips(PreparedDataset.open(toy_images(tmp_path, channels=channels)))
    assert (night.name, night.images, night.size) == ("night", IMAGES, (IMAGES * 7, 8))
    visible = picture(day)[..., 3] == 255
    assert visible.sum() == IMAGES * 8 * 6
    assert (picture(day)[visible][:, :3] == 255).all()
    assert (picture(night)[..., :3] == 0).all()


def test_of_many_classes_the_first_are_shown(tmp_path):
    names = tuple(f"class {number}" for number in range(CLASSES + 5))
    shown = strips(PreparedDataset.open(toy_images(tmp_path, names)))
    assert tuple(strip.name for strip in shown) == names[:CLASSES]
