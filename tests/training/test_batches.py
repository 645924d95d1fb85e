"""What a network is shown: a function of (seed, epoch), cropped, flipped and normalised."""

from __future__ import annotations

import pytest
import torch

from equal_losses.running.errors import InputError
from equal_losses.training.batches import DeviceImages, EpochRandomness, Normalization, stream

from .runs import CPU, run

# Of seed 1, at the first epoch of twelve images.
ORDER = [11, 5, 9, 6, 0, 7, 4, 3, 10, 8, 2, 1]
FLIPS = [1, 0, 0, 0, 1, 0, 1, 0, 1, 1, 1, 0]


def test_every_image_is_seen_once_per_epoch_in_an_order_of_its_own():
    first, again, second = (EpochRandomness(run(), epoch, 50, CPU).order.tolist() for epoch in (0, 0, 1))
    assert sorted(first) == list(range(50))
    assert first == again != second


def test_another_seed_has_another_order():
    assert EpochRandomness(run(), 0, 50, CPU).order.tolist() != EpochRandomness(run(seed=2), 0, 50, CPU).order.tolist()


def test_no_two_streams_are_the_same():
    assert len({stream(seed, number) for seed in range(20) for number in range(20)}) == 400


def test_crops_are_zero_padded_and_flips_mirror_image_by_image():
    images = torch.randint(1, 256, (200, 6, 5, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    randomness = EpochRandomness(run(crop_padding=2, flip=True), 3, 200, CPU)
    augmented = randomness.augmented(images[50:150], slice(50, 150))
    padded = torch.nn.functional.pad(images, (0, 0, 2, 2, 2, 2))
    seen = set()
    for position, result in zip(range(50, 150), augmented, strict=True):
        crops = {(top, left): padded[position, top : top + 6, left : left + 5] for top in range(5) for left in range(5)}
        matches = [(place, False) for place, crop in crops.items() if torch.equal(result, crop)]
        matches += [(place, True) for place, crop in crops.items() if torch.equal(result, crop.flip(1))]
        assert len(matches) == 1
        seen.add(matches[0])
    assert len(seen) > 30  # of 50 possible ones


def test_without_augmentation_images_stay_as_they_are():
    images = torch.randint(0, 256, (4, 6, 5, 3), dtype=torch.uint8)
    randomness = EpochRandomness(run(crop_padding=0, flip=False), 0, 4, CPU)
    assert randomness.augmented(images, slice(0, 4)) is images


def test_crops_and_flips_are_of_an_image_and_not_of_its_place_in_the_batch():
    images = torch.randint(0, 256, (100, 6, 5, 3), dtype=torch.uint8)
    randomness = EpochRandomness(run(crop_padding=2, flip=True), 0, 100, CPU)
    whole = randomness.augmented(images, slice(0, 100))
    parts = [randomness.augmented(images[part], part) for part in (slice(0, 30), slice(30, 100))]
    assert torch.equal(torch.cat(parts), whole)


def test_the_order_and_the_flips_of_a_seed_stay_what_they_are():
    """Whether images are cropped does not change them."""
    image = torch.tensor([0, 1], dtype=torch.uint8).view(1, 1, 2, 1).expand(12, -1, -1, -1)
    randomness = EpochRandomness(run(crop_padding=0), 0, 12, CPU)
    assert randomness.order.tolist() == ORDER
    assert randomness.augmented(image, slice(0, 12))[:, 0, 0, 0].tolist() == FLIPS
    assert EpochRandomness(run(crop_padding=4, flip=False), 0, 12, CPU).order.tolist() == ORDER


def test_on_the_cpu_images_are_mapped_and_not_copied(digits):
    images = DeviceImages.load(digits, "train", CPU)
    assert len(images) == len(digits.labels("train"))
    assert images.images.data_ptr() == digits.images("train").ctypes.data


def test_normalized_training_pixels_have_mean_0_and_deviation_1(digits):
    pixels = Normalization.of(run(), digits, CPU, "train")(torch.from_numpy(digits.images("train")))
    assert pixels.shape[1:] == (1, 8, 8)
    assert float(pixels.mean()) == pytest.approx(0, abs=1e-5)
    assert float(pixels.std()) == pytest.approx(1, abs=1e-4)


def test_channels_are_last_in_memory():
    pixels = Normalization([0.5] * 3, [0.5] * 3, CPU)(torch.zeros((2, 4, 4, 3), dtype=torch.uint8))
    assert pixels.is_contiguous(memory_format=torch.channels_last)


def test_a_channel_without_variation_is_centred():
    pixels = Normalization([0.5, 0.25], [0.0, 0.5], CPU)(torch.full((1, 2, 2, 2), 255, dtype=torch.uint8))
    torch.testing.assert_close(pixels[0, :, 0, 0], torch.tensor([0.5, 1.5]))


def test_normalization_constants_can_be_given_for_all_images_and_for_test_images_alone(digits):
    settings = run(normalization={"mean": [0.5], "std": [0.25]}, test_normalization={"mean": [0], "std": [1]})
    white = torch.full((1, 2, 2, 1), 255, dtype=torch.uint8)
    for split, value in (("train", 2.0), ("val", 2.0), ("test", 1.0)):
        pixels = Normalization.of(settings, digits, CPU, split)(white)
        torch.testing.assert_close(pixels, torch.full((1, 1, 2, 2), value))


@pytest.mark.parametrize("key", ["normalization", "test_normalization"])
def test_constants_for_another_number_of_channels_are_one_line(digits, key):
    settings = run(**{key: {"mean": [0], "std": [1, 1, 1]}})
    with pytest.raises(InputError, match=rf"^training\.{key}\.std: 3 values; expected 1, one per channel$"):
        Normalization.of(settings, digits, CPU, "test")
