"""The page for readers: the answer, the charts, figures and tables, what it took, and how to run it again.

One HTML file that needs no network, and says the same without scripts; everything on it comes from files that the
workflow wrote. Beside all pages is one that compares the studies.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from equal_losses.claims.evidence import NOT_DECIDED, NOT_SUPPORTED, SUPPORTED
from equal_losses.claims.ledger import COLUMNS
from equal_losses.page import charts, verdicts
from equal_losses.page.answer import IN_PART, answers, sentence
from equal_losses.page.section import FigureImage, Section, cell, data_uri
from equal_losses.running.errors import InputError
from equal_losses.running.files import atomic_path
from equal_losses.running.words import count
from equal_losses.statistics import tables

# A sign for each verdict beside its word, so that neither colour nor sight is needed.
SIGNS = {SUPPORTED: "✓", NOT_SUPPORTED: "✗", NOT_DECIDED: "?", IN_PART: "±"}


def write(
    path: str | Path,
    *,
    templates: str | Path,
    sections: Iterable[Mapping],
    claims: str | Path,
    theory: Iterable[Mapping],
    command: str,
) -> None:
    """Write the page.

    Args:
        templates: folder of the templates in Jinja.
        sections: of each experiment its name, the paths of its tables (`keys.PAGE_TABLES`) by name, its figures in
            order, the paths of all runs' records, of the manifest of its dataset, and which runs are missing (see
            `Section.read`).
        claims: the ledger as CSV (see `claims.ledger`).
        theory: figures of the theory. As in an experiment, each is a name, the path of a PNG, which has a PDF beside
            it, and a caption in reStructuredText.
        command: how Snakemake is called on this study, without a target.

    Raises:
        InputError: where a table or a record is missing, cut off or something else.
    """
    ledger = tables.read(claims, COLUMNS)
    sections = [Section.read(**section) for section in sections]
    answered = answers(ledger, {section.name: section.equivalence for section in sections})
    _render(
        path,
        templates,
        "page.html.jinja",
        path=path,
        sections=sections,
        answers=answered,
        sentences={section.name: sentence(section.name, section.trained_on, answered) for section in sections},
        claims=claims,
        claims_uri=data_uri("text/csv", claims),
        ledger=[{name: cell(value) for name, value in row.items()} for row in ledger.to_dict("records")],
        rules=ledger.groupby("rule", sort=False)["claim"].unique().to_dict(),
        theory=[FigureImage(**figure) for figure in theory],
        command=command,
        charts=charts,
        data={section.name: section.chart_data for section in sections},
    )


def write_index(folder: str | Path, *, templates: str | Path) -> None:
    """Write `index.html`, which compares the verdicts of all studies in a folder that have a ledger that can be read.

    Args:
        folder: holds a folder of each study.
        templates: as in `write`.
    """
    folder, found = Path(folder), {}
    for path in sorted(folder.glob("*/claims.csv")):
        try:
            ledger = tables.read(path, COLUMNS)
        except InputError:
            continue  # a study that is being made again says so itself
        found |= {(path.parent.name, name): part for name, part in verdicts.ledgers(ledger).items()}
    studies = [
        {"study": study, "experiment": name, "seeds": count(int(ledger["seeds"].iloc[0]), "seed")}
        for (study, name), ledger in found.items()
    ]
    _render(folder / "index.html", templates, "index.html.jinja", studies=studies, claims=verdicts.compared(found))


def _render(target: str | Path, templates: str | Path, name: str, **content: object) -> None:
    environment = Environment(
        loader=FileSystemLoader(templates),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    text = environment.get_template(name).render(**content, signs=SIGNS)
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")
