"""A mailbox for each test of the use."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.core.mailboxes.boxes import Box


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """An empty mailbox in a mailstore of its own."""
    return Box(tmp_path)
