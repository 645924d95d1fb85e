"""Your own images: which are found, and how images of every kind and size become one form."""

from __future__ import annotations

import shutil
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from equal_losses.datasets._image_files import read_images
from equal_losses.datasets.image_folder import files, image_folder

from . import tiny_datasets as tiny
from .errors import fails


def test_other_and_hidden_files_are_passed_over_in_silence(tmp_path, capsys):
    tiny.write_image_folder(tmp_path, ("dog", "cat"))
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    (tmp_path / "cat" / ".hidden.png").write_text("no image")
    for folder in (tmp_path / ".thumbnails", tmp_path / "cat" / ".thumbnails"):
        shutil.copytree(tmp_path / "dog", folder)
    images = image_folder(root=str(tmp_path), size=8)
    assert images.classes == ["cat", "dog"]
    assert images.train_images[:, 0, 0, :2].tolist() == [[1, 0], [1, 1], [1, 2], [0, 0], [0, 1], [0, 2]]
    assert files(str(tmp_path)) == [tmp_path / name / f"{number}.png" for name in ("cat", "dog") for number in range(3)]
    assert not capsys.readouterr().out


def test_images_in_folders_within_a_class_are_found(tmp_path):
    tiny.write_image_folder(tmp_path)
    (tmp_path / "cat" / "more").mkdir()
    shutil.copy(tmp_path / "dog" / "1.png", tmp_path / "cat" / "more" / "9.PNG")
    assert image_folder(root=str(tmp_path), size=8).train_images[3, 0, 0].tolist() == [1, 1, 0]
    assert tmp_path / "cat" / "more" / "9.PNG" in files(str(tmp_path))


def test_per_class_reads_only_what_it_takes(tmp_path):
    tiny.write_image_folder(tmp_path, count=4)
    (tmp_path / "cat" / "1.png").write_bytes(b"broken")
    images = image_folder(root=str(tmp_path), size=8, per_class=2)
    assert images.train_images[:, 0, 0, 1].tolist() == [0, 2, 0, 2]


@pytest.mark.parametrize(
    ("mode", "colour", "suffix", "rgb", "word"),
    [
        ("L", 100, "png", (100, 100, 100), "grey"),
        ("L", 100, "jpg", (100, 100, 100), "grey"),
        ("L", 100, "pgm", (100, 100, 100), "grey"),
        ("1", 1, "png", (255, 255, 255), "black and white"),
        ("I;16", 100 * 257 + 50, "png", (100, 100, 100), "grey"),
        ("I;16", 65535, "tif", (255, 255, 255), "grey"),
        ("RGBA", (10, 20, 30, 128), "png", (10, 20, 30), "RGBA"),
        ("LA", (100, 0), "png", (100, 100, 100), "grey with alpha"),
        ("CMYK", (0, 0, 0, 255), "jpg", (0, 0, 0), "CMYK"),
        ("P", 1, "png", (10, 20, 30), "palette"),
        ("P", 1, "gif", (10, 20, 30), "palette"),
    ],
)
def test_an_image_that_is_not_rgb_is_converted_and_that_is_said(tmp_path, capsys, mode, colour, suffix, rgb, word):
    tiny.write_image_folder(tmp_path, count=1)
    image = Image.new(mode, (8, 8), colour)
    if mode == "P":
        image.putpalette([0, 0, 0, 10, 20, 30])
    image.save(tmp_path / "cat" / f"1.{suffix}")
    images = image_folder(root=str(tmp_path), size=8)
    assert (images.train_images[1] == rgb).all()
    assert capsys.readouterr().out == f"{tmp_path}: 1 of 3 images converted to RGB (1 {word})\n"


def saved(path: Path, image: Image.Image | np.ndarray, **options) -> Path:
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return path


def test_a_transparent_palette_keeps_its_colours(tmp_path, recwarn):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    path = saved(tmp_path / "1.png", image, transparency=b"\x00\x80")
    assert (read_images([path], 8, "images") == (10, 20, 30)).all()
    assert not recwarn.list


def test_a_rotation_that_the_camera_noted_is_carried_out(tmp_path):
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[0] = 255  # the top row, which is at the right when turned by 90 degrees
    exif = Image.fromarray(pixels).getexif()
    exif[0x0112] = 6
    (turned,) = read_images([saved(tmp_path / "1.png", pixels, exif=exif)], 8, "images")
    assert (turned[:, -1] == 255).all()
    assert not turned[:, :-1].any()


def test_another_size_is_scaled_to_its_shorter_side_and_cut_in_the_middle(capsys):
    pixels = np.zeros((16, 48, 3), np.uint8)
    pixels[:, 16:32] = 200
    small = np.full((2, 3, 3), 7, np.uint8)
    same = np.zeros((8, 8, 3), np.uint8)
    images = read_images([pixels, pixels.swapaxes(0, 1), small, same], 8, "images")
    assert (images[0, :, 1:-1] == 200).all()
    assert (images[1, 1:-1] == 200).all()
    assert (images[2] == 7).all()
    assert capsys.readouterr().out == "images: 3 of 4 images resized to 8 x 8\n"


def test_resizing_smooths():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    assert (abs(read_images([stripes], 8, "stripes").astype(int) - 100) < 30).all()


def test_a_class_folder_without_images_is_named(tmp_path):
    tiny.write_image_folder(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").touch()
    with fails(f"{tmp_path / 'empty'}: no image; expected one or more, .bmp, .gif"):
        image_folder(root=str(tmp_path), size=8)


@pytest.mark.parametrize("names", [(), ("cat",)])
def test_fewer_than_two_classes_are_no_dataset(tmp_path, names):
    tiny.write_image_folder(tmp_path, names)
    with fails(f"{tmp_path}: {len(names)} class folders; expected two or more"):
        image_folder(root=str(tmp_path), size=8)


@pytest.mark.parametrize(("there", "missing"), [("train", "test"), ("test", "train")])
def test_one_part_without_the_other_is_named(tmp_path, there, missing):
    tiny.write_image_folder(tmp_path / there)
    with fails(f"{tmp_path / missing}: missing; expected train and test with class folders, or class folders alone"):
        image_folder(root=str(tmp_path), size=8)


@pytest.mark.parametrize("where", ["train", "test"])
def test_a_class_of_one_part_only_is_named(tmp_path, where):
    tiny.write_image_folder(tmp_path / "train")
    tiny.write_image_folder(tmp_path / "test")
    tiny.write_image_folder(tmp_path / where, ("emu",))
    with fails(f"class 'emu': only in {tmp_path / where}; expected the same class folders in train and test"):
        image_folder(root=str(tmp_path), size=8)


def written(image: Image.Image, file_format: str) -> bytes:
    file = BytesIO()
    image.save(file, file_format)
    return file.getvalue()


PNG = written(Image.effect_noise((8, 8), 90), "PNG")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (PNG[:40], "unreadable: "),
        (PNG[:-60], "unreadable: "),
        (
            written(Image.new("RGB", (8, 8)), "EPS"),
            "unreadable: no image that can be read; expected a whole BMP, GIF, ",
        ),
        (written(Image.new("F", (8, 8)), "TIFF"), "pixels are floating-point numbers; expected 8 or 16 bits"),
    ],
    ids=["head", "cut", "program", "floating point"],
)
def test_an_unreadable_image_is_named(tmp_path, content, message):
    path = tmp_path / "1.png"
    path.write_bytes(content)
    with fails(f"{path}: {message}"):
        read_images([path], 8, "images")


def test_an_image_of_absurd_size_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    path = saved(tmp_path / "1.png", Image.new("RGB", (8, 8)))
    with fails("unreadable: Image size (64 pixels) exceeds limit of 40 pixels"):
        read_images([path], 8, "images")
