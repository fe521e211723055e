"""``mailquota install`` and ``uninstall`` on the command line: what they print, refuse and ask."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailquota.core.commands.install.command import for_service, own_command
from mailquota.core.settings.config import load
from mailquota.core.settings.text import dump
from tests.core.commands.command_line import COMMAND, ROOT
from tests.core.worlds import SmallWorld
from tests.mailserver.fixture import private_namespace
from tests.mailserver.namespace import Namespace

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may apply")


class Bare:
    """A machine without systemd, with nothing of mailquota and an empty main.cf, whatever this one has."""

    def __init__(self, inside: Namespace, world: SmallWorld) -> None:
        self.inside = inside
        self._config = str(world.config)

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run ``mailquota WORDS`` on that machine."""
        return self.inside.run(
            [*COMMAND, "--config", self._config, *words], environ={"PYTHONPATH": str(ROOT / "packaging")}
        )


@pytest.fixture
def bare(small_world: SmallWorld) -> Iterator[Bare]:
    with private_namespace() as inside:
        inside.write("/etc/postfix/main.cf", "")
        yield Bare(inside, small_world)


def test_without_systemd_it_tells_how_to_start(bare: Bare) -> None:
    """And prints the rest as a script."""
    done = bare("install")
    assert done.returncode == 0
    assert "systemd does not run here" in done.stderr
    assert "@reboot root" in done.stdout
    assert "systemctl" not in done.stdout


def test_without_a_terminal_the_answer_is_no(bare: Bare, small_world: SmallWorld) -> None:
    """A group that is not there leaves something to do; it is not made."""
    small_world.settings["control"]["group"] = "mailquota-test"
    small_world.write_settings()
    done = bare("install", "--apply")
    assert done.returncode == 1
    assert "--yes" in done.stderr
    assert "run: groupadd --system mailquota-test" in done.stdout
    refused = bare("--read-only", "install", "--apply", "--yes")
    assert refused.returncode == 1
    assert "read-only" in refused.stderr
    assert "mailquota-test" not in bare.inside.path("/etc/group").read_text()


def test_uninstalling_what_is_not_there_does_nothing(bare: Bare) -> None:
    done = bare("uninstall", "--apply")
    assert (done.returncode, done.stdout) == (0, "")
    assert "nothing to take back" in done.stderr


def test_broken_settings_keep_nothing_from_being_taken_back(bare: Bare, small_world: SmallWorld) -> None:
    small_world.config.write_text("[policy\n")
    done = bare("uninstall", "--apply")
    assert done.returncode == 0
    assert "removing what the installation noted" in done.stderr


def test_it_starts_the_mailquota_that_was_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the link that leads to it, as that survives an upgrade; run as a module, by this Python."""
    (tmp_path / "venv").write_text("#!/bin/sh\n")
    (tmp_path / "venv").chmod(0o755)
    (tmp_path / "mailquota").symlink_to("venv")
    monkeypatch.setattr(sys, "argv", ["mailquota"])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert own_command() == (f"{tmp_path}/mailquota",)
    monkeypatch.setattr(sys, "argv", ["/somewhere/tui/command.py"])
    assert own_command() == (sys.executable, "-m", "mailquota")


def test_the_settings_hold_what_only_root_can_find_out(small_world: SmallWorld, tmp_path: Path) -> None:
    """The file loads to the same settings, and has no password."""
    small_world.settings["accounts"]["database"] = "mysql://mailserver:geheim@127.0.0.1/mailserver"
    small_world.write_settings()
    text = dump(for_service(small_world.load(), doveadm=False, follows=False))
    assert 'driver = "maildir"' in text
    assert "geheim" not in text
    (tmp_path / "written.toml").write_text(text)
    assert load(tmp_path / "written.toml", {}).settings.mailstore.driver == "maildir"


def test_a_service_that_can_ask_dovecot_follows_it(small_world: SmallWorld) -> None:
    """A driver that stands in the settings would outlive the Dovecot that it was found in."""
    small_world.settings["mailstore"].pop("driver", None)
    small_world.write_settings()
    assert 'driver = "auto"' in dump(for_service(small_world.load(), doveadm=True, follows=True))
    small_world.settings["mailstore"]["driver"] = "count"
    small_world.write_settings()
    assert 'driver = "count"' in dump(for_service(small_world.load(), doveadm=True, follows=True))
