"""The examination for the console, in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailquota.core.base.errors import MailquotaError
from mailquota.core.commands.doctor_apart import examine_apart
from mailquota.core.doctor.examine import CHECKS


def test_the_findings_are_those_of_the_doctor(tmp_path: Path) -> None:
    """Of the settings file of the console."""
    settings = tmp_path / "mailquota.toml"
    settings.write_text(
        f'[accounts]\ndatabase = "sqlite:///{tmp_path}/none.db"\n[mailstore]\npath = "{tmp_path}/{{domain}}/{{user}}"\n'
        f'doveadm = "off"\n[control]\nsocket = "{tmp_path}/control.sock"\n'
        f'[state]\ndatabase = "sqlite:///{tmp_path}/state.db"\n'
    )
    findings = {finding.check: finding for finding in examine_apart(settings)}
    assert list(findings) == [check.name for check in CHECKS]
    assert any(f"{tmp_path}/none.db" in finding.found for finding in findings.values())


def test_the_reason_is_told_where_there_are_no_findings(tmp_path: Path) -> None:
    """As the command prints it."""
    settings = tmp_path / "mailquota.toml"
    settings.write_text("[nonsense]\n")
    with pytest.raises(MailquotaError, match="nonsense"):
        examine_apart(settings)
