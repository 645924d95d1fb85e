"""The command line."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from neural_collapse.cli import main
from neural_collapse.metrics import collapse_metrics

from .test_metrics import clustered


@pytest.fixture
def arrays(tmp_path):
    """Arguments of `metrics` for files of features, labels, weight and bias, and the arrays."""
    data = dict(zip(("features", "labels", "weight", "bias"), clustered(3, 4, 5), strict=True))
    arguments = ["metrics"]
    for name, array in data.items():
        np.save(tmp_path / f"{name}.npy", array)
        arguments += [f"--{name}", str(tmp_path / f"{name}.npy")]
    return arguments, data, tmp_path


def test_metrics_prints_every_metric_as_json(arrays, capsys):
    arguments, data, _ = arrays
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out) == pytest.approx(collapse_metrics(**data))


def test_the_bias_may_be_left_out(arrays, capsys):
    arguments, data, _ = arrays
    assert main(arguments[:-2]) == 0
    expected = collapse_metrics(data["features"], data["labels"], data["weight"])
    assert json.loads(capsys.readouterr().out) == pytest.approx(expected)


def test_metrics_needs_no_pytorch(arrays):
    arguments, _, _ = arrays
    code = "import sys; from neural_collapse.cli import main; main(sys.argv[1:]); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, stdout=subprocess.DEVNULL)


def test_what_json_cannot_say_is_null(arrays, capsys):
    arguments, data, folder = arrays
    np.save(folder / "features.npy", np.ones_like(data["features"]))
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["nc1"] is None


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("features", None, "--features: {path}: No such file or directory; allowed: a readable .npy file"),
        ("labels", b"", "--labels: {path}: "),
        ("weight", b"1 2 3", "--weight: {path}: not a NumPy array; allowed: an .npy file of numbers"),
        ("labels", np.full(15, 7), "labels: 7 occurs; allowed: 0..2"),
        ("features", np.full((15, 4), np.nan), "features: a value is not finite"),
        ("bias", np.zeros(2), "bias: shape (2,); allowed: (3,)"),
    ],
)
def test_bad_input_is_one_line_and_status_2(arrays, capsys, name, content, message):
    arguments, _, folder = arrays
    path = folder / f"{name}.npy"
    path.unlink()
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, content)
    assert main(arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("neural-collapse: " + message.format(path=path))
    assert output.err.count("\n") == 1
