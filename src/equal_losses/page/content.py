"""What the page of a study shows, as the settings of its step."""

from collections.abc import Iterable

from equal_losses.study import kinds
from equal_losses.study.keys import PAGE_TABLES, PAGE_TEMPLATES, Steps
from equal_losses.study.step import Step

# The tables that the page's charts are drawn from.
_CHARTED = {"runs", "trajectories"}


def add_to(steps: Steps) -> None:
    """Put the page among the steps; it is above them, because it shows what they make."""
    page = step(steps)
    steps.by_path[page.path] = page


def step(steps: Steps) -> Step:
    """The step of the page."""
    sections = [
        {
            "name": name,
            "tables": list(PAGE_TABLES),
            "figures": [
                {**figure, "charted": set(kinds.arguments("figures.experiment", figure["name"])) <= _CHARTED}
                for figure in _captioned("figures.experiment", experiment.config["figures"])
            ],
            "runs": len(experiment.runs),
            "missing": experiment.missing,
        }
        for name, experiment in steps.study.experiments.items()
    ]
    theory = _captioned("figures.theory", (figure.settings["figure"] for figure in steps.theory_figures))
    return steps.page({"templates": PAGE_TEMPLATES, "sections": sections, "theory": theory})


def _captioned(package: str, figures: Iterable[str]) -> list[dict]:
    return [{"name": name, "caption": kinds.caption(package, name)} for name in figures]
