"""What is printed below a figure."""

from __future__ import annotations

import re

import pytest
from docutils.core import publish_parts

from equal_losses.study.kinds import caption, kinds

PACKAGES = ("figures.experiment", "figures.theory")


@pytest.mark.parametrize(("package", "kind"), [(package, kind) for package in PACKAGES for kind in kinds(package)])
def test_captions_are_restructured_text_and_set_as_in_print(package, kind):
    body = publish_parts(caption(package, kind), writer="html5", settings_overrides={"halt_level": 2})["body"]
    assert body
    assert not re.findall(r"NC\d|abs\(|phi|lambda|kappa| x |--|[<>]=|\w_\w", re.sub("<[^>]*>", "", body))


@pytest.mark.parametrize("kind", kinds("figures.theory"))
def test_captions_of_the_theory_say_what_is_computed(kind):
    assert "omputed" in caption("figures.theory", kind)
