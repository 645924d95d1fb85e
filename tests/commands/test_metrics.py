"""The command `metrics`."""

from __future__ import annotations

import json

import numpy as np
import pytest

from equal_losses.commands.main import main
from equal_losses.metrics.collapse import collapse_metrics


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    """Five features in four dimensions for each of three classes, near their class means, and a classifier."""
    rng = np.random.default_rng(0)
    means = rng.normal(size=(3, 4))
    labels = np.arange(15) % 3
    features = means[labels] + 0.1 * rng.normal(size=(15, 4))
    return {"features": features, "labels": labels, "weight": means, "bias": rng.normal(size=3)}


@pytest.fixture
def files(arrays, tmp_path) -> list[str]:
    """The command on files of these arrays, which are in the folder `tmp_path`; the bias is last."""
    arguments = ["metrics"]
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
        arguments += [f"--{name}", str(tmp_path / f"{name}.npy")]
    return arguments


def test_metrics_prints_every_metric_as_json(arrays, files, capsys):
    assert main(files) == 0
    assert json.loads(capsys.readouterr().out) == pytest.approx(collapse_metrics(**arrays))


def test_the_bias_may_be_left_out(arrays, files, capsys):
    assert main(files[:-2]) == 0
    expected = collapse_metrics(arrays["features"], arrays["labels"], arrays["weight"])
    assert json.loads(capsys.readouterr().out) == pytest.approx(expected)


def test_what_json_cannot_say_is_null(arrays, files, tmp_path, capsys):
    np.save(tmp_path / "features.npy", np.ones_like(arrays["features"]))
    assert main(files) == 0
    assert json.loads(capsys.readouterr().out)["nc1"] is None


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("features", None, "--features: {path}: No such file or directory; expected a readable .npy file"),
        ("labels", b"", "--labels: {path}: not a NumPy array; expected an .npy file of numbers"),
        ("weight", b"1 2 3", "--weight: {path}: not a NumPy array; expected an .npy file of numbers"),
        ("weight", np.array([{}], dtype=object), "--weight: {path}: not a NumPy array; expected an .npy file of numb"),
        ("labels", np.full(15, 7), "labels: 7 occurs; allowed: 0..2"),
        ("features", np.full((15, 4), np.nan), "features: a value is not finite"),
        ("bias", np.zeros(2), "bias: shape (2,); expected (3,)"),
    ],
)
def test_bad_input_is_one_line_and_status_2(files, tmp_path, capsys, name, content, message):
    path = tmp_path / f"{name}.npy"
    path.unlink()
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, content)
    assert main(files) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("equal-losses: " + message.format(path=path))
    assert output.err.count("\n") == 1
