"""What counts as the code of a step, and what does not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from equal_losses.running.sources import ROOT
from equal_losses.study.fingerprints import Codebase

SCRIPT = "workflow/scripts/probe.py"
PROBE = "src/equal_losses/statistics/probe.py"
OTHER = "src/equal_losses/claims/other.py"
PACKAGE = "src/equal_losses/statistics/__init__.py"

TRAIN, EXTRACT, METRICS, TABLES, FIGURE, PAGE = (
    f"workflow/scripts/{name}.py" for name in ("train", "extract_features", "nc_metrics", "collect", "figure", "page")
)
CROSS_ENTROPY, FOCAL, SMALL_RESNET, WIDE_RESNET = (
    f"src/equal_losses/{kind}.py"
    for kind in ("losses/cross_entropy", "losses/focal", "networks/small_resnet", "networks/wide_resnet50")
)
TEMPLATE = "workflow/report/page.html.jinja"


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the code of this repository; tests leave it as they found it."""
    folder = tmp_path_factory.mktemp("repository")
    for name in ("src", "workflow"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture
def write(tmp_path):
    """Writes a file of a small repository, which has a library of a few empty packages."""

    def write(path: str, text: str) -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)

    for package in ("", "statistics/", "claims/", "toys/", "running/"):
        write(f"src/equal_losses/{package}__init__.py", '"""A package."""\n')
    return write


@pytest.fixture
def code(tmp_path, write):
    """Returns the code of a step of these roots, as the small repository now is."""
    return lambda *roots: Codebase(tmp_path).code(*roots)


def changes(root: Path, path: str, old: str, new: str, *roots: str) -> bool:
    """Whether replacing a piece of a file changes the code of a step; the file is as before after that."""
    before, text = Codebase(root).code(*roots), (root / path).read_text()
    assert old in text
    (root / path).write_text(text.replace(old, new, 1))
    after = Codebase(root).code(*roots)
    (root / path).write_text(text)
    return after != before


# Whatever a module does when it is imported, or holds, counts.

STATEMENTS = {
    "assignment": ("X = 1", "X = 2"),
    "annotated assignment": ("X: int = 1", "X: int = 2"),
    "update": ("RC = {'size': 1}\nRC.update(size=2)", "RC = {'size': 1}\nRC.update(size=3)"),
    "in-place addition": ("X = [1]\nX += [2]", "X = [1]\nX += [3]"),
    "loop": ("X = []\nfor i in range(3):\n    X.append(i)", "X = []\nfor i in range(4):\n    X.append(i)"),
    "reverse": ("X = [1, 2]", "X = [1, 2]\nX.reverse()"),
    "order": ("X = [1]\nX.append(2)\nX.insert(0, 3)", "X = [1]\nX.insert(0, 3)\nX.append(2)"),
    "deletion": ("X = Y = 1", "X = Y = 1\ndel Y"),
    "function under if": ("if True:\n    def f(): return 1", "if True:\n    def f(): return 2"),
    "function under else": ("if 0: pass\nelse:\n    def f(): return 1", "if 0: pass\nelse:\n    def f(): return 2"),
    "function under try": (
        "try:\n    def f(): return 1\nexcept OSError: pass",
        "try:\n    def f(): return 2\nexcept OSError: pass",
    ),
    "function under with": ("with open('x'):\n    def f(): return 1", "with open('x'):\n    def f(): return 2"),
    "condition": ("if 1 > 0:\n    def f(): return 1", "if 1 < 0:\n    def f(): return 1"),
    "assignment after a class": ("class A: pass\nA.size = 1", "class A: pass\nA.size = 2"),
    "method": ("class A:\n    def f(self): return 1", "class A:\n    def f(self): return 2"),
    "class attribute": ("class A:\n    size = 1", "class A:\n    size = 2"),
    "base class": ("class A(list): pass", "class A(dict): pass"),
    "wrapped function": (
        "from functools import partial\ndef f(x): return x\nf = partial(f, 1)",
        "from functools import partial\ndef f(x): return -x\nf = partial(f, 1)",
    ),
    "decorator": ("def wrap(f): return f\ndef f(): return 1", "def wrap(f): return f\n@wrap\ndef f(): return 1"),
    "default": ("def f(x=1): return x", "def f(x=2): return x"),
    "lambda": ("f = lambda x: x", "f = lambda x: -x"),
    "closure": ("def f():\n    def g(): return 1\n    return g", "def f():\n    def g(): return 2\n    return g"),
    "async function": ("async def f(): return 1", "async def f(): return 2"),
    "text that is no docstring": ("X = 1\n'one'", "X = 1\n'two'"),
    "import": ("from math import sin as f", "from math import cos as f"),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after"), STATEMENTS.values(), ids=STATEMENTS)
def test_a_change_of_a_module_that_a_script_imports_counts(write, code, before, after):
    write(SCRIPT, "from equal_losses.statistics.probe import X\n")
    write(PROBE, f'"""A probe."""\n\n{before}\n')
    was = code(SCRIPT)
    write(PROBE, f'"""A probe."""\n\n{after}\n')
    assert code(SCRIPT) != was


# However a module is imported, it counts, with the packages that it is in.

IMPORTS = {
    "module": "import equal_losses.statistics.probe",
    "module as": "import equal_losses.statistics.probe as p",
    "several modules": "import json, equal_losses.statistics.probe as p, os",
    "from package": "from equal_losses.statistics import probe",
    "from package as": "from equal_losses.statistics import probe as p, tables",
    "from module": "from equal_losses.statistics.probe import X",
    "star of the module": "from equal_losses.statistics.probe import *",
    "star of the package": "from equal_losses.statistics import *",
    "in a function": "def f():\n    from equal_losses.statistics.probe import X",
    "in an async function": "async def f():\n    import equal_losses.statistics.probe",
    "in a method": "class A:\n    def f(self):\n        from equal_losses.statistics import probe",
    "in a class": "class A:\n    from equal_losses.statistics import probe",
    "under if": "if True:\n    import equal_losses.statistics.probe",
    "under try": "try:\n    import equal_losses.statistics.probe\nexcept ImportError:\n    pass",
    "in a job": "with job(snakemake) as task:\n    from equal_losses.statistics import probe",
    "getattr on the module": "from equal_losses.statistics import probe\nf = getattr(probe, 'X')",
    "getattr on the package": "import equal_losses.statistics.probe\nf = getattr(equal_losses.statistics, 'probe')",
}


@pytest.mark.parametrize("statement", IMPORTS.values(), ids=IMPORTS)
def test_an_imported_module_counts(write, code, statement):
    write(SCRIPT, f"{statement}\n")
    write(PROBE, "X = 1\n")
    assert {SCRIPT, PROBE, PACKAGE, "src/equal_losses/__init__.py"} <= code(SCRIPT).keys()


RELATIVE = {
    "module": "from ..statistics import probe",
    "name": "from ..statistics.probe import X",
    "star": "from ..statistics.probe import *",
    "in a function": "def f():\n    from ..statistics import probe",
}


@pytest.mark.parametrize("statement", RELATIVE.values(), ids=RELATIVE)
def test_a_relative_import_counts(write, code, statement):
    write(SCRIPT, "import equal_losses.claims.other\n")
    write(OTHER, f"{statement}\n")
    write(PROBE, "X = 1\n")
    assert {OTHER, PROBE, PACKAGE} <= code(SCRIPT).keys()


@pytest.mark.parametrize("statement", ["from . import probe", "from .probe import X"])
def test_a_relative_import_of_a_neighbour_counts(write, code, statement):
    write(SCRIPT, "import equal_losses.statistics.other\n")
    write("src/equal_losses/statistics/other.py", f"{statement}\n")
    write(PROBE, "X = 1\n")
    assert PROBE in code(SCRIPT)


@pytest.mark.parametrize("statement", ["from .probe import X", "from . import probe", "from ..claims.other import X"])
def test_what_a_package_imports_counts_for_all_that_import_from_it(write, code, statement):
    write(SCRIPT, "import equal_losses.toys.ball\n")
    write("src/equal_losses/toys/__init__.py", f"{statement}\n")
    write("src/equal_losses/toys/ball.py", "")
    write("src/equal_losses/toys/probe.py", "X = 1\n")
    write(OTHER, "X = 1\n")
    assert {"src/equal_losses/toys/probe.py", OTHER} & code(SCRIPT).keys()


def test_modules_that_import_each_other_count_both(write, code):
    write(SCRIPT, "import equal_losses.statistics.probe\n")
    write(PROBE, "import equal_losses.claims.other\n")
    write(OTHER, "import equal_losses.statistics.probe\n")
    assert {PROBE, OTHER} <= code(SCRIPT).keys()


def test_a_package_counts_where_it_is_a_kind_that_imports_nothing_of_it(write, code):
    """A kind is loaded by its package, which is run whether or not the kind imports from it."""
    write(SCRIPT, "from importlib import import_module\n")
    write("src/equal_losses/toys/__init__.py", "def load(kind): ...\n")
    write("src/equal_losses/toys/ball.py", "def ball(): ...\n")
    assert "src/equal_losses/toys/__init__.py" in code(SCRIPT, "src/equal_losses/toys/ball.py")


# What does not count


def test_what_is_not_imported_does_not_count(write, code):
    write(SCRIPT, "from equal_losses.statistics import tables\n")
    write(PROBE, "X = 1\n")
    assert PROBE not in code(SCRIPT)


def test_the_package_running_does_not_count(write, code):
    write(SCRIPT, "from equal_losses.running import files\nfrom equal_losses.running.files import *\n")
    write("src/equal_losses/running/files.py", "import equal_losses.statistics\n")
    assert code(SCRIPT).keys() <= {SCRIPT, "src/equal_losses/__init__.py"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return gamma * x", "return gamma*x  # Eq. (4)"),
        ("return gamma * x", "return (\n        gamma\n        * x\n    )"),
        ("x):\n", "x):\n\n"),
        ('"""The module."""', '"""Another module."""'),
        ('"""The module."""', ""),
        ('"""The class."""', '"""Another class."""'),
        ('"""The function."""', '"""Another function.\n\n    At length.\n    """'),
        ('"""The async one."""', "'''Another async one.'''"),
        ("'single'", '"single"'),
    ],
)  # fmt: skip
def test_comments_docstrings_and_layout_do_not_count(write, tmp_path, old, new):
    write(SCRIPT, "import equal_losses.statistics.probe\n")
    write(
        PROBE,
        '"""The module."""\n\n\nclass A:\n    """The class."""\n\n    name = \'single\'\n\n\n'
        'def focal(gamma, x):\n    """The function."""\n    return gamma * x\n\n\n'
        'async def wait():\n    """The async one."""\n',
    )
    assert not changes(tmp_path, PROBE, old, new, SCRIPT)


# The code of this repository


def test_a_kind_counts_for_those_alone_that_name_it(copy):
    edited = (FOCAL, "gamma * log_not_p", "2 * gamma * log_not_p")
    assert changes(copy, *edited, TRAIN, FOCAL, SMALL_RESNET)
    assert not changes(copy, *edited, TRAIN, CROSS_ENTROPY, SMALL_RESNET)
    assert not changes(copy, *edited, EXTRACT, SMALL_RESNET)


def test_a_helper_counts_for_all_that_import_it(copy):
    schedule = (
        "src/equal_losses/schedules/__init__.py",
        'training["learning_rate"] *',
        '2 * training["learning_rate"] *',
    )
    assert changes(copy, *schedule, TRAIN, CROSS_ENTROPY) and changes(copy, *schedule, TRAIN, FOCAL)
    crop = ("src/equal_losses/training/batches.py", "padding + 1, (2, count)", "padding, (2, count)")
    assert changes(copy, *crop, TRAIN)
    assert not changes(copy, *crop, METRICS)
    residual = ("src/equal_losses/networks/_torchvision.py", "stride=2", "stride=1")
    assert changes(copy, *residual, TRAIN, WIDE_RESNET)
    assert not changes(copy, *residual, TRAIN, SMALL_RESNET)


def test_the_reproducibility_of_a_training_counts(copy):
    edited = ("src/equal_losses/training/numerics.py", "set_flush_denormal(True)", "set_flush_denormal(False)")
    assert changes(copy, *edited, TRAIN)


def test_a_script_counts(copy):
    assert changes(
        copy,
        TRAIN,
        'read_json(task.inputs["choice"][0])["chosen"]',
        'read_json(task.inputs["choice"][0])["scores"][0]',
        TRAIN,
    )


def test_the_rules_of_claims_count(copy):
    edited = ("src/equal_losses/claims/zhou2022.py", "all(", "any(")
    assert changes(copy, *edited, "workflow/scripts/claims.py")
    assert not changes(copy, *edited, TABLES)


def test_what_a_step_does_not_use_does_not_count(copy):
    style = ("src/equal_losses/figures/style.py", "lines.linewidth", "lines.markersize")
    assert changes(copy, *style, FIGURE)
    assert not changes(copy, *style, TRAIN, FOCAL) and not changes(copy, *style, TABLES)
    metrics = ("src/equal_losses/metrics/collapse.py", "simplex_etf(len(matrix))", "2 * simplex_etf(len(matrix))")
    assert changes(copy, *metrics, METRICS)
    assert not changes(copy, *metrics, TRAIN)


@pytest.mark.parametrize("neutral", ["src/equal_losses/running", "src/equal_losses/training/stacking.py"])
def test_how_files_are_written_and_stacks_are_trained_do_not_count_for_a_run(copy, neutral):
    assert not [path for path in Codebase(copy).code(TRAIN, FOCAL, SMALL_RESNET) if path.startswith(neutral)]


def test_a_template_counts_for_the_page(copy):
    assert changes(copy, TEMPLATE, "<h1", "<h2", PAGE, TEMPLATE)
    assert not changes(copy, TEMPLATE, "<h1", "<h2", PAGE)
