"""Ports of tests that run side by side."""

from __future__ import annotations

import subprocess
import sys

from tests.mailserver.ports import free_port


def test_processes_never_share_a_port() -> None:
    """Each draws more than its block has; the other one lives meanwhile."""
    mine = {free_port() for _ in range(300)}
    code = "from tests.mailserver.ports import free_port; print(*(free_port() for _ in range(300)))"
    drawn = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    theirs = {int(port) for port in drawn.split()}
    assert len(mine) > 200
    assert len(theirs) > 200
    assert not mine & theirs
