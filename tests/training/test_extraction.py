"""Features of trained networks: what evaluation sees, at each snapshot of a run alone and of a run in a stack."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from equal_losses.metrics import BEST
from equal_losses.metrics.extraction import mapped_features, snapshots_of_run, write_features
from equal_losses.running import weights
from equal_losses.running.sources import ROOT
from equal_losses.training.state import TrainingState

from .jobs import COMPUTE
from .runs import CPU, run, states_of


@pytest.fixture(scope="module")
def states(digits) -> list[TrainingState]:
    """A run of three epochs, before and after each."""
    return states_of(run(), digits, until=3)


def extracted(digits, states: list[TrainingState], augmented: bool = False, **changes) -> dict[str, np.ndarray]:
    snapshots = [(str(state.epoch), state.epoch, state.weights) for state in states]
    with TemporaryDirectory() as folder:
        path = Path(folder, "features.npz")
        write_features(path, run(**changes), digits, snapshots, augmented=augmented, compute=COMPUTE)
        with np.load(path) as arrays:
            return dict(arrays)


def test_extraction_sees_what_evaluation_sees(digits, states):
    arrays = extracted(digits, states[1:])
    assert arrays["epoch"].tolist() == [1, 2, 3]
    assert arrays["accuracy_val"].tolist() == [row["val_accuracy"] for row in states[-1].history]
    assert arrays["class_means"].shape == (3, 10, 16)
    assert np.array_equal(arrays["class_counts"][0], digits.manifest["counts"]["train"])


def test_under_a_head_of_cosines_the_classifier_has_rows_of_norm_1_and_no_bias(digits):
    head = {"kind": "cosine", "scale": 10}
    states = states_of(run(head=head), digits, until=2)[1:]
    arrays = extracted(digits, states, head=head)
    assert arrays["accuracy_val"].tolist() == [row["val_accuracy"] for row in states[-1].history]
    np.testing.assert_allclose(np.linalg.norm(arrays["weight"], axis=2), 1, rtol=1e-6)
    assert not arrays["bias"].any()


def test_augmented_features_differ_and_are_the_same_each_time(digits, states):
    plain, augmented, again = (extracted(digits, states[1:2], flag)["class_means"] for flag in (False, True, True))
    assert not np.allclose(plain, augmented)
    assert np.array_equal(augmented, again)


@pytest.fixture
def files(tmp_path, states):
    """What a run leaves, and the same as the second run of a stack."""
    best = states[1]
    weights.save(tmp_path / "best", best.weights, {"epoch": "1"})
    snapshots = {f"{epoch}/{name}": each for epoch in (0, 3) for name, each in states[epoch].weights.items()}
    weights.save(tmp_path / "alone", snapshots, {})
    stacked = {}
    for name, tensor in snapshots.items():
        epoch, _, rest = name.partition("/")
        stacked |= {f"{epoch}/0/{rest}": tensor * 0, f"{epoch}/1/{rest}": tensor}
    weights.save(tmp_path / "stacked", stacked, {})
    return tmp_path


@pytest.mark.parametrize(("name", "member"), [("alone", ""), ("stacked", "1/")])
def test_the_snapshots_of_a_run_are_in_order_with_the_best_model_last(files, states, name, member):
    found = list(snapshots_of_run(files / name, files / "best", [3, 0], member))
    assert [(label, epoch) for label, epoch, _ in found] == [("0", 0), ("3", 3), (BEST, 1)]
    for (_, epoch, tensors), state in zip(found, (states[0], states[3], states[1]), strict=True):
        assert all((tensors[key] == tensor).all() for key, tensor in state.weights.items()), epoch


def test_features_are_those_of_the_snapshots_on_disk(files, digits, states):
    snapshots = snapshots_of_run(files / "alone", files / "best", [0, 3])
    write_features(files / "features.npz", run(), digits, snapshots, augmented=False, compute=COMPUTE)
    expected = extracted(digits, [states[0], states[3], states[1]])
    with np.load(files / "features.npz") as found:
        assert set(found) == set(expected)
        assert found["snapshot"].tolist() == ["0", "3", BEST]
        assert np.array_equal(found["class_means"], expected["class_means"])


def test_features_are_those_of_evaluation_by_the_normalisation_of_their_split(digits, tmp_path):
    shifted = run(test_normalization={"mean": [0.9], "std": [0.2]})
    models = {"plain": (run(), None), "shifted": (shifted, None)}
    for split, same in (("train", True), ("test", False)):
        mapped = mapped_features(models, digits, split, tmp_path, device=CPU)
        for array in mapped.values():
            assert isinstance(array, np.memmap)
            assert (array.dtype, array.shape) == (np.float32, (len(digits.labels(split)), 16))
        assert np.array_equal(mapped["plain"], mapped["shifted"]) == same


def test_trained_features_are_those_of_the_file_of_the_weights(files, digits, tmp_path):
    models = {"untrained": (run(), None), "trained": (run(), files / "best")}
    mapped = mapped_features(models, digits, "test", tmp_path, device=CPU)
    assert not np.allclose(mapped["untrained"], mapped["trained"])


def test_an_extraction_does_not_import_the_compiler(files, data):
    """It is half of what importing PyTorch takes."""
    code = f"""
import sys
from pathlib import Path
from equal_losses.datasets.prepared import PreparedDataset
from equal_losses.metrics import extraction
dataset = PreparedDataset.open({str(data.files[0])!r})
snapshots = extraction.snapshots_of_run(Path("alone"), Path("best"), [0])
extraction.write_features("features.npz", {run()!r}, dataset, snapshots, augmented=True, compute={COMPUTE!r})
sys.exit("torch._dynamo" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], cwd=files, env={"PYTHONPATH": str(ROOT / "src")}, check=True)
