"""Errors as users see them."""

from __future__ import annotations

import re

import pytest

from equal_losses.running.errors import InputError


def fails(message: str):
    """Expect an InputError of one line that has `message`, word for word."""
    return pytest.raises(InputError, match=rf"^[^\n]*{re.escape(message)}[^\n]*$")
