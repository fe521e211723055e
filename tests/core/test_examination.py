"""The doctor at work, in a small world without Postfix and Dovecot's help."""

from __future__ import annotations

import json

import pytest

from core import examination
from core.config import load
from core.doctor.checks import CHECKS
from core.doctor.model import Finding
from tests.core.commands.command_line import CommandLine
from tests.core.worlds import SmallWorld


@pytest.fixture
def line(small_world: SmallWorld) -> CommandLine:
    """No engine runs."""
    return CommandLine(small_world)


def states(findings: list[Finding]) -> dict[str, str]:
    """By check."""
    return {finding.check: finding.state for finding in findings}


def test_every_check_says_something_as_json(line: CommandLine) -> None:
    done = line("doctor", "--json")
    findings = json.loads(done.stdout)
    assert [finding["check"] for finding in findings] == [check.name for check in CHECKS]
    assert list(findings[0]) == ["check", "state", "found", "why", "fix", "docs"]
    assert all(finding["found"] and finding["why"] and finding["docs"] for finding in findings)
    assert done.returncode == int(any(finding["state"] == "fail" for finding in findings))
