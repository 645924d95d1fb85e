"""The project around the code: versions in step, style, and what the interfaces promise."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from equal_losses import __version__
from equal_losses.study import kinds
from equal_losses.study.grid import Study
from tests.conftest import ROOT, said_to_snakemake
from tests.study.studies import PACKAGES

LIBRARY = ROOT / "src" / "equal_losses"


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


def test_the_library_knows_nothing_of_snakemake():
    for path in LIBRARY.rglob("*.py"):
        assert not re.search(r"^\s*(import|from) snakemake", path.read_text(), re.MULTILINE), path.name


def test_no_module_has_more_than_400_lines():
    assert [path.name for path in LIBRARY.rglob("*.py") if len(path.read_text().splitlines()) > 400] == []


def test_rules_are_scalar_and_have_few_lambdas():
    rules = "".join(path.read_text() for path in [ROOT / "Snakefile", *(ROOT / "workflow/rules").glob("*.smk")])
    assert rules.count("lambda") <= 20
    assert not re.search(r"^ +rule:|^ +name:", rules, re.MULTILINE), "no rule is made in a loop"


# A job pays for what it imports at every start. The scripts of jobs that only read tables, and of those that train or
# read images:
READ_TABLES = [
    "choose_candidate.py",
    "claims.py",
    "collect.py",
    "figure.py",
    "link.py",
    "nc_metrics.py",
    "page.py",
    "table.py",
]
USE_NETWORKS = [
    "extract_features.py",
    "train.py",
    "train_stack.py",
]


def imports_of(script: Path) -> str:
    """The import statements of a script, wherever they are in it."""
    nodes = [node for node in ast.walk(ast.parse(script.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)]
    return "\n".join(map(ast.unparse, nodes))


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
    arguments = ["--dry-run", "--quiet", "--cores=1", "-s", str(ROOT / "Snakefile")]
    without("torch", f"from snakemake.cli import main; main({arguments})", cwd=tmp_path)


@pytest.mark.parametrize("script", USE_NETWORKS)
def test_a_job_that_uses_a_network_does_not_import_pandas(script):
    without("pandas", imports_of(ROOT / "workflow" / "scripts" / script))


def test_an_extraction_does_not_import_the_compiler(small_config, digits_manifest, tmp_path):
    """It is half of what importing PyTorch takes."""
    settings = Study(small_config).experiments["small"].runs[0].measured_settings
    code = f"""
{imports_of(ROOT / "workflow" / "scripts" / "extract_features.py")}
from equal_losses.training.loop import build_network
settings, dataset = {settings!r}, PreparedDataset.open({str(digits_manifest)!r})
snapshot = ("0", 0, build_network(settings, dataset).state_dict())
compute = {{"device": "cpu", "threads": 1}}
target = Path({str(tmp_path / "features.npz")!r})
extraction.write_features(target, settings, dataset, [snapshot], augmented=True, compute=compute)
"""
    without("torch._dynamo", code)


def test_every_kind_says_what_it_is():
    for package in PACKAGES:
        assert kinds.kinds(package)
        for kind in kinds.kinds(package):
            assert kinds.caption(package, kind), f"{package}.{kind}"


def test_imports_go_downward_only():
    """In the order of the packages in pyproject.toml."""
    program = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([program], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


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


def snakemake_commands() -> list[str]:
    """Every call of Snakemake that a user is told or that the Makefile makes, without comments."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "Snakefile"]
    line = r"^(?:#  | )? *(snakemake -[^#\n]*?|snakemake \w+)(?:  .*)?$"
    told = [command for page in pages for command in re.findall(line, page.read_text(), re.MULTILINE)]
    made = subprocess.run(["make", "--dry-run", "demo"], cwd=ROOT, capture_output=True, text=True, check=True)
    inline = re.findall(r"or: (snakemake .*)", (ROOT / "README.md").read_text())
    return [*told, *inline, *re.findall(r"\S*snakemake -.*", made.stdout)]


@pytest.mark.parametrize("command", snakemake_commands())
def test_a_command_that_users_are_told_says_to_snakemake_what_it_says_to_them(command):
    """A study's file is a file, and what comes after it is no file."""
    said = said_to_snakemake(command)
    assert all(Path(file).suffix == ".yaml" for file in said.configfile or [])
    named = {"all", "claims", "datasets", "figures", "page", "partial", "theory"}
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
