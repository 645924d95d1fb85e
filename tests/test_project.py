"""The project around the code: versions in step, style, and what the interfaces promise."""

from __future__ import annotations

import ast
import html
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pandas as pd
import pytest
import yaml
from neural_collapse import __version__, configuration
from neural_collapse.provenance import Codebase
from neural_collapse.study import Study

from .conftest import ROOT, said_to_snakemake


def name_of(requirement: str) -> str:
    return re.split(r"[<>=~!; \[]", requirement, maxsplit=1)[0].lower().replace("_", "-")


@pytest.fixture(scope="module")
def locked() -> dict[str, str]:
    """Exact versions by package."""
    lines = (ROOT / "envs" / "requirements.lock").read_text().splitlines()
    pins = [line.split(";")[0].strip().split("==") for line in lines if line and not line.startswith("#")]
    assert all(len(pin) == 2 for pin in pins), "every line of the lock is an exact version"
    return {name_of(name): version for name, version in pins}


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_conda_environment_is_in_step_with_the_lock(locked, project):
    environment = yaml.safe_load((ROOT / "envs" / "environment.yaml").read_text())
    pins = dict(pin.split("==") for pin in environment["dependencies"][-1]["pip"])
    assert {name_of(name): version for name, version in pins.items()} == {
        name: locked[name] for name in map(name_of, pins)
    }
    needed = project["dependencies"] + project["optional-dependencies"]["slurm"]
    assert {name_of(name) for name in pins} == {name_of(requirement) for requirement in needed}


def test_the_lock_has_every_dependency(locked, project):
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    assert {name_of(requirement) for group in groups for requirement in group} <= set(locked)


def test_the_citation_has_this_version_and_the_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()  # what the format requires
    assert citation["version"] == __version__
    (paper,) = citation["references"]
    assert {"type", "title", "authors"} <= paper.keys()
    assert paper["title"] == "Are All Losses Created Equal: A Neural Collapse Perspective"
    assert paper["authors"][0] == {"family-names": "Zhou", "given-names": "Jinxin"}
    assert paper["year"] == 2022
    assert [identifier["value"] for identifier in paper["identifiers"]] == ["arXiv:2210.02192"]
    assert paper["url"] == "https://arxiv.org/abs/2210.02192"
    readme = (ROOT / "README.md").read_text()
    assert paper["title"] in readme.split("## Cite")[1]
    assert paper["url"] in readme.split("## Cite")[1]


def test_the_library_imports_only_downward():
    """Each module may import those on the floors below its own."""
    floors = [
        {"errors"},
        {"files", "losses", "networks", "decisions", "schedule", "plotstyle", "provenance", "tuning", "devices"},
        {"metrics", "equivalence", "ufm", "closed_form", "contrastive", "alignment", "safe_pickle", "stacking"},
        {"image_files", "downloads"},
        {"datasets"},
        {"preparation", "weights", "tables", "configuration", "jobs"},
        {"theory", "theory_tables", "theory_figures", "figures", "claims"},
        {"training", "study", "theory_runs", "page"},
        {"checkpoints"},
        {"features", "runs", "cost", "status", "theory_cli"},
        {"cli"},
    ]
    floor_of = {module: floor for floor, modules in enumerate(floors) for module in modules}
    files_floor = floor_of["files"]
    library = ROOT / "workflow" / "neural_collapse"
    for path in library.glob("*.py"):
        if path.stem == "__init__":
            continue
        used = set(re.findall(r"^\s*from \.(\w+) import", path.read_text(), re.MULTILINE))
        for names in re.findall(r"^\s*from \. import ([\w, ]+\w)", path.read_text(), re.MULTILINE):
            used |= set(names.split(", ")) - {"__version__"}
        for module in used:
            below = floor_of[module] < floor_of[path.stem] or (module == "files" and floor_of[path.stem] == files_floor)
            assert below, f"{path.stem} imports {module}"


def test_the_library_knows_nothing_of_snakemake():
    for path in (ROOT / "workflow" / "neural_collapse").glob("*.py"):
        assert not re.search(r"^\s*(import|from) snakemake", path.read_text(), re.MULTILINE), path.name


# A job pays for what it imports at every start. The scripts of jobs that only read tables, and of those that train or
# read images:
READ_TABLES = [
    "adopt_candidate.py",
    "choose_weight_decay.py",
    "claims.py",
    "collect.py",
    "evidence.py",
    "explorer.py",
    "figure.py",
    "nc_metrics.py",
    "page.py",
    "theory_figure.py",
    "theory_tables.py",
]
USE_NETWORKS = ["extract_features.py", "train.py", "train_stem.py"]


def imports_of(script: Path) -> str:
    """The import statements of a script, wherever they stand in it, but for what is for type checkers alone."""
    nodes = [node for node in ast.walk(ast.parse(script.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)]
    return "\n".join(ast.unparse(node) for node in nodes if getattr(node, "module", "") != "snakemake.script")


# Not `sys.modules[package] = None`: SciPy takes what stands there for the package.
REFUSAL = """
import sys

class Refusal:
    def find_spec(self, name, path=None, target=None):
        if name == {package!r}:
            raise ImportError(name)

sys.meta_path.insert(0, Refusal())
"""


def without(package: str, code: str, **options) -> None:
    """Run code in a process in which a package cannot be imported."""
    code = REFUSAL.format(package=package) + code
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, **options)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("script", READ_TABLES)
def test_a_job_that_only_reads_tables_does_not_import_torch(script):
    without("torch", imports_of(ROOT / "workflow" / "scripts" / script))


def test_the_jobs_that_only_read_tables_are_those_beside_the_scheduler():
    rules = "".join(path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk"))
    bodies = re.split(r"^ *(?:use )?rule\b", rules, flags=re.MULTILINE)
    local = [body for body in bodies if "localrule: True" in body]
    assert {script for body in local for script in re.findall(r"scripts/(\w+\.py)", body)} == set(READ_TABLES)


def test_the_workflow_starts_without_torch(tmp_path):
    arguments = ["all", "theory", "report", "--dry-run", "--quiet", "--cores=1", "-s", str(ROOT / "Snakefile")]
    without("torch", f"from snakemake.cli import main; main({arguments})", cwd=tmp_path)


@pytest.mark.parametrize("script", USE_NETWORKS)
def test_a_job_that_uses_a_network_does_not_import_pandas(script):
    without("pandas", imports_of(ROOT / "workflow" / "scripts" / script))


def test_an_extraction_does_not_import_the_compiler(small_run, digits, tmp_path):
    """It is half of what importing PyTorch takes."""
    code = f"""
{imports_of(ROOT / "workflow" / "scripts" / "extract_features.py")}
from neural_collapse import weights
settings, dataset = {small_run().settings!r}, PreparedDataset.open({str(digits.directory / "manifest.json")!r})
final = Path({str(tmp_path / "final.safetensors")!r})
with training.reproducible(1):
    weights.save(final, training.build_network(settings, dataset).state_dict(), {{"epoch": "0"}})
    features.extract(settings, dataset, {{"final": final}}, device=training.resolve_device("cpu"), augmented=True)
"""
    without("torch._dynamo", code)


def test_every_public_function_says_what_it_is():
    for module in ("losses", "networks", "datasets", "figures"):
        code = f"import neural_collapse.{module} as m; import inspect, sys; " + (
            f"sys.exit(any(not inspect.getdoc(getattr(m, n)) for n in {sorted(Codebase().functions(module))}))"
        )
        subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["snakefmt", "--check", "Snakefile", "workflow/rules"],
        ["snakemake", "--lint"],
    ],
    ids=" ".join,
)
def test_style(command):
    result = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_schema_documents_every_key_with_a_type():
    schema = yaml.safe_load((ROOT / "config" / "schema.yaml").read_text())

    def check(part: dict, where: str) -> None:
        assert {"type", "enum", "$ref"} & set(part), where
        for key, child in part.get("properties", {}).items():
            check(child, f"{where}.{key}")

    check(schema, "schema")
    check(schema["$defs"]["experiment"], "experiment")


STUDIES = ROOT / "docs" / "studies"


def block(name: str) -> str:
    """What stands in the README between the markers of a name."""
    return (
        (ROOT / "README.md").read_text().split(f"<!-- {name}: begin -->")[1].split(f"<!-- {name}: end -->")[0].strip()
    )


@pytest.mark.parametrize("study", ["demo", "fashion"])
def test_the_readme_prints_what_a_kept_study_measured(study):
    runs = pd.read_csv(STUDIES / study / "runs.csv")
    largest = runs[(runs["width"] == runs["width"].max()) & (runs["epochs"] == runs["epochs"].max())]
    columns = {
        "training accuracy": "final_accuracy_train",
        "test accuracy": "accuracy_test",
        "NC1": "nc1",
        "NC2": "nc2",
        "NC3": "nc3",
        "NC2 centered": "nc2_centered",
        "NC3 centered": "nc3_centered",
    }
    means = largest.groupby("loss", sort=False)[list(columns.values())].mean()
    rows = [["loss", *columns], ["---"] * (len(columns) + 1)]
    for loss, row in means.iterrows():
        rows.append([loss, *(f"{value:.2%}" if "accuracy" in name else f"{value:.4f}" for name, value in row.items())])
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    setting, _, printed = block(f"{study} table").partition("\n\n")
    assert printed == table
    assert setting.endswith(f"{runs['epochs'].max()} epochs, mean over {runs['seed'].nunique()} seeds.")


def test_the_readme_prints_the_verdicts_of_the_kept_studies():
    printed = {line.split(" | ")[0].removeprefix("| "): line for line in block("verdicts").splitlines()[2:]}
    for column, study in enumerate(["fashion", "demo"], start=1):
        ledger = pd.read_csv(STUDIES / study / "claims.csv")
        trained = ledger[ledger["experiment"] == study]
        assert set(printed) == set(trained["claim"])
        for claim, rows in trained.groupby("claim"):
            cell = printed[claim].removesuffix(" |").split(" | ")[column]
            if len(rows) == 1:
                assert cell == rows["verdict"].iloc[0]
            else:
                said = dict(part.split(": ") for part in cell.split("; "))
                assert said == {verdict: ", ".join(part["subject"]) for verdict, part in rows.groupby("verdict")}


def test_the_readme_is_as_the_script_that_keeps_studies_leaves_it():
    code = (
        "import sys; sys.path.insert(0, 'docs'); import keep; "
        "text = keep.README.read_text(); sys.exit(keep.renewed(text) != text)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize("study", ["demo", "fashion"])
def test_a_kept_study_is_whole_and_of_the_study_that_is_shipped(study):
    config = Study(configuration.load([ROOT / "config" / f"{study}.yaml"]))
    (experiment,) = config.experiments.values()
    kept = json.loads((STUDIES / study / "run.json").read_text())
    points = {(run["loss"], run["width"], run["epochs"], run["seed"]) for run in kept}
    assert points == {(run.loss, run.width, run.epochs, run.seed) for run in experiment.runs}
    settings = {run.directory.as_posix(): run.settings for run in experiment.runs}
    for run in kept:
        again = config.run(study, run["loss"], f"{run['width']:g}", str(run["epochs"]), str(run["seed"]))
        current = settings[again.directory.as_posix()]
        assert run["settings"] == {key: current[key] for key in run["settings"]}
    page = (STUDIES / study / "report.html").read_text()
    for claim in pd.read_csv(STUDIES / study / "claims.csv")["numbers"]:
        assert html.escape(claim, quote=False).replace("'", "&#39;") in page


def snakemake_commands() -> list[str]:
    """Every call of Snakemake that a user is told or that the Makefile makes, without comments."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "Snakefile"]
    line = r"^(?:#  | )? *(snakemake -[^#\n]*?|snakemake \w+)(?:  .*)?$"
    told = [command for page in pages for command in re.findall(line, page.read_text(), re.MULTILINE)]
    made = subprocess.run(["make", "--dry-run", "demo", "report"], cwd=ROOT, capture_output=True, text=True, check=True)
    inline = re.findall(r"or: (snakemake .*)", (ROOT / "README.md").read_text())
    return [*told, *inline, *re.findall(r"\S*snakemake -.*", made.stdout)]


@pytest.mark.parametrize("command", snakemake_commands())
def test_a_command_that_users_are_told_says_to_snakemake_what_it_says_to_them(command):
    """A study's file is a file, and what stands behind it is no file more."""
    said = said_to_snakemake(command)
    assert all(Path(file).suffix == ".yaml" for file in said.configfile or [])
    named = {"all", "datasets", "figures", "report", "theory"}
    assert all(target in named or target.startswith("results/") for target in said.targets)


def anchors(page: Path) -> set[str]:
    """The anchors that a Markdown page's headings have on the web."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "page",
    [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text()):
        name, _, anchor = target.partition("#")
        path = page.parent / name if name else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target


def test_the_page_on_performance_is_what_the_benchmarks_measured():
    code = (
        "import sys; sys.path.insert(0, 'benchmarks'); import write_page; "
        "sys.exit(write_page.page() != write_page.PAGE.read_text(encoding='utf-8'))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_every_benchmark_is_run_and_shown():
    scripts = {path.stem for path in (ROOT / "benchmarks").glob("*.py")} - {"harness", "write_page"}
    called = subprocess.run(["make", "--dry-run", "bench"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(re.search(r"for name in (.*?);", called)[1].split()) == scripts
    assert {path.stem for path in (ROOT / "benchmarks" / "measured").glob("*.json")} == scripts


def test_the_readme_links_to_every_page():
    linked = set(re.findall(r"\]\((docs/\w[\w-]*\.md)", (ROOT / "README.md").read_text()))
    assert linked == {str(page.relative_to(ROOT)) for page in (ROOT / "docs").glob("*.md")}
