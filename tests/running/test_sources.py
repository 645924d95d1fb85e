"""What of a source file counts, and that a job refuses code that is no longer what the workflow was started with."""

from __future__ import annotations

import pytest

from equal_losses.running import sources
from equal_losses.running.errors import InputError
from equal_losses.running.sources import check_code, source_hash

SOURCE = '''\
"""A loss."""

from torch import Tensor

SCALE = 2


class Loss:
    """A class."""

    reduction = "mean"


def loss(logits: Tensor, *, gamma: float = 1) -> Tensor:
    """The loss, Eq. (4)."""
    total = logits * gamma  # a product
    return total / SCALE


async def later():
    """Not yet."""
'''


@pytest.fixture
def hash_of(tmp_path):
    def hashed(text: str) -> str:
        path = tmp_path / "loss.py"
        path.write_text(text)
        return source_hash(path)

    return hashed


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""A loss."""', '"""Another sentence."""'),
        ('"""A loss."""\n', ""),
        ('"""A class."""', '"""A class of losses."""'),
        ('"""The loss, Eq. (4)."""', '"""The loss, Eq. (5).\n\n    At length.\n    """'),
        ('"""Not yet."""', '"""Soon."""'),
        ("# a product", "# of logits and gamma"),
        ("  # a product", ""),
        ("\n\n\ndef loss", "\n\n# Here it is.\n\ndef loss"),
        ("logits: Tensor, *, gamma", "\n    logits: Tensor,\n    *,\n    gamma"),
        ("logits * gamma", "(logits*gamma)"),
        ('"mean"', "'mean'"),
    ],
)
def test_comments_docstrings_and_layout_do_not_count(hash_of, old, new):
    assert old in SOURCE
    assert hash_of(SOURCE.replace(old, new)) == hash_of(SOURCE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("SCALE = 2", "SCALE = 3"),
        ("SCALE = 2", "SCALE = 2.0"),
        ("logits * gamma", "gamma * logits"),
        ("gamma: float = 1", "gamma: float = 2"),
        ("gamma: float", "gamma: int"),
        ('"mean"', '"sum"'),
        ("async def", "def"),
        ("from torch import Tensor", "from torch import Tensor\nimport numpy"),
        ("    total = ", "    'no docstring'\n    total = "),
    ],
)
def test_all_else_counts(hash_of, old, new):
    """The last one is a string after the docstring."""
    assert old in SOURCE
    assert hash_of(SOURCE.replace(old, new)) != hash_of(SOURCE)


def test_of_other_files_every_byte_counts(tmp_path):
    (tmp_path / "page.html.jinja").write_text("# a page")
    before = source_hash(tmp_path / "page.html.jinja")
    (tmp_path / "page.html.jinja").write_text("# a page ")
    assert source_hash(tmp_path / "page.html.jinja") != before


# Code that a job was told


@pytest.fixture
def code(tmp_path, monkeypatch) -> dict[str, str]:
    """Hashes of the code of a repository of one file."""
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "loss.py").write_text(SOURCE)
    return {"src/loss.py": source_hash(tmp_path / "src" / "loss.py")}


def test_code_that_is_as_it_was_but_for_comments_passes(code, tmp_path):
    check_code(code)
    (tmp_path / "src" / "loss.py").write_text(SOURCE.replace("# a product", "# of logits and gamma"))
    check_code(code)


@pytest.mark.parametrize(
    "content",
    [SOURCE.replace("SCALE = 2", "SCALE = 3"), None, SOURCE.replace("return", "return return")],
    ids=["changed", "removed", "half edited"],
)
def test_code_that_changed_is_refused_in_one_line(code, tmp_path, content):
    if content is None:
        (tmp_path / "src" / "loss.py").unlink()
    else:
        (tmp_path / "src" / "loss.py").write_text(content)
    with pytest.raises(InputError) as raised:
        check_code(code)
    assert str(raised.value) == "src/loss.py: changed since the workflow was started; run the same command again"
