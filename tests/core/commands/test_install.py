"""``mailquota install`` and ``uninstall`` on the command line: what they print, refuse and ask."""

from __future__ import annotations

import grp
import os
import sys
from pathlib import Path

import pytest

from core.commands.install import for_service, own_command
from core.config import load
from core.config_text import dump
from tests.core.commands.command_line import CommandLine
from tests.core.worlds import SmallWorld

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may apply")


def test_without_systemd_it_tells_how_to_start(small_world: SmallWorld) -> None:
    """And prints the rest as a script; the machine of these tests runs none."""
    if Path("/run/systemd/system").is_dir():
        pytest.skip("systemd runs here")
    done = CommandLine(small_world)("install")
    assert done.returncode == 0
    assert "systemd does not run here" in done.stderr
    assert "@reboot root" in done.stdout
    assert "systemctl" not in done.stdout


def test_without_a_terminal_the_answer_is_no(small_world: SmallWorld) -> None:
    """A group that is not there leaves something to do; it is not made."""
    if Path("/run/systemd/system").is_dir():
        pytest.skip("systemd runs here")
    small_world.settings["control"]["group"] = "mailquota-test"
    small_world.write_settings()
    done = CommandLine(small_world)("install", "--apply")
    assert done.returncode == 1
    assert "--yes" in done.stderr
    assert "run: groupadd --system mailquota-test" in done.stdout
    refused = CommandLine(small_world)("--read-only", "install", "--apply", "--yes")
    assert refused.returncode == 1
    assert "read-only" in refused.stderr
    assert "mailquota-test" not in {group.gr_name for group in grp.getgrall()}


def test_uninstalling_what_is_not_there_does_nothing(small_world: SmallWorld) -> None:
    done = CommandLine(small_world)("uninstall", "--apply")
    assert (done.returncode, done.stdout) == (0, "")
    assert "nothing to take back" in done.stderr


def test_broken_settings_keep_nothing_from_being_taken_back(small_world: SmallWorld) -> None:
    small_world.config.write_text("[policy\n")
    done = CommandLine(small_world)("uninstall", "--apply")
    assert done.returncode == 0
    assert "going by what the installation noted" in done.stderr


def test_it_starts_the_mailquota_that_was_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the link that leads to it, as that survives an upgrade; run as a module, by this Python."""
    (tmp_path / "venv").write_text("#!/bin/sh\n")
    (tmp_path / "venv").chmod(0o755)
    (tmp_path / "mailquota").symlink_to("venv")
    monkeypatch.setattr(sys, "argv", ["mailquota"])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert own_command() == (f"{tmp_path}/mailquota",)
    monkeypatch.setattr(sys, "argv", ["/somewhere/tui/command.py"])
    assert own_command() == (sys.executable, "-m", "tui.command")


def test_the_settings_hold_what_only_root_can_find_out(small_world: SmallWorld, tmp_path: Path) -> None:
    """And load again to the same; no password is in them."""
    small_world.settings["accounts"]["database"] = "mysql://mailserver:geheim@127.0.0.1/mailserver"
    small_world.write_settings()
    text = dump(for_service(small_world.load(), doveadm=True))
    assert 'driver = "maildir"' in text
    assert "geheim" not in text
    (tmp_path / "written.toml").write_text(text)
    assert load(tmp_path / "written.toml", {}).settings.mailstore.driver == "maildir"
