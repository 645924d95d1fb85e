"""What the page's charts are drawn from: the library that draws in the browser, and an experiment's numbers."""

import math
from functools import cache

import pandas as pd
import vl_convert

from equal_losses.figures.style import loss_styles

METRICS = {
    "nc1": "NC1, variability collapse",
    "nc2": "NC2, simplex ETF",
    "nc3": "NC3, self-duality",
    "nc2_centered": "NC2, W centered",
    "nc3_centered": "NC3, W centered",
}
TRAJECTORIES = {
    **METRICS,
    "accuracy_train": "training accuracy",
    "accuracy_val": "validation accuracy",
    "accuracy_test": "test accuracy",
}
RUNS = {
    "accuracy_test": "test accuracy, best on validation data",
    "final_accuracy_test": "test accuracy, at the end",
    "final_accuracy_train": "training accuracy, at the end",
    **METRICS,
}

_RUN = ["loss", "width", "epochs", "seed"]
# Matplotlib's names for lines, as lengths of strokes and gaps.
_DASHES = {"-": [], "--": [6, 3], "-.": [6, 3, 1, 3], ":": [1, 3]}


@cache
def library() -> str:
    """Vega-Embed with Vega and Vega-Lite, as JavaScript to be put inside a script of a page."""
    return vl_convert.javascript_bundle().replace("</script", "<\\/script")


def data(runs: pd.DataFrame, trajectories: pd.DataFrame) -> dict:
    """The numbers of an experiment, as lists, to five digits; missing ones are None.

    Args:
        runs, trajectories: its tables.
    """
    return {
        "losses": [
            {"name": loss, "color": style["color"], "dash": _dash(style["linestyle"])}
            for loss, style in loss_styles(dict.fromkeys(runs["loss"])).items()
        ],
        "trajectories": _columns(trajectories, [*_RUN, "epoch", *TRAJECTORIES]),
        "heatmap": _columns(runs, [*_RUN, *RUNS]),
    }


def _columns(table: pd.DataFrame, names: list[str]) -> dict[str, list]:
    return {name: [_short(value) for value in table[name].tolist()] for name in names}


def _short(value: object) -> object:
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value


def _dash(linestyle: str | tuple) -> list[int]:
    return list(linestyle[1]) if isinstance(linestyle, tuple) else _DASHES[linestyle]
