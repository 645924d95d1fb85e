"""Features of networks: what they are taken of."""

from __future__ import annotations

import numpy as np
import torch

from equal_losses.metrics.extraction import mapped_features
from equal_losses.study.grid import Study


def test_features_are_those_of_evaluation_by_the_normalisation_of_their_split(digits, small_config, tmp_path):
    plain = Study(small_config).experiments["small"].runs[0].measured_settings
    shifted = {**plain, "test_normalization": {"mean": [0.9], "std": [0.2]}}
    models = {"plain": (plain, None), "shifted": (shifted, None)}
    for split, same in (("train", True), ("test", False)):
        mapped = mapped_features(models, digits, split, tmp_path, device=torch.device("cpu"))
        for array in mapped.values():
            assert isinstance(array, np.memmap)
            assert (array.dtype, array.shape) == (np.float32, (len(digits.labels(split)), 16))
        assert np.array_equal(mapped["plain"], mapped["shifted"]) == same
