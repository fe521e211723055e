"""An engine whose Dovecot changes its settings: figures follow at a reload, and after a while without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailquota.core.engine.following import DovecotFollower
from mailquota.core.engine.serve import Embedded
from tests.core.clients import until
from tests.core.engines import embedded, inner, measured, rows
from tests.core.worlds import JOHN, SmallWorld

HEAD = "# 2.3.19.1 (9b53102964): /etc/dovecot/dovecot.conf\nmail_location = maildir:/srv/%d/%n/Maildir\n"
MAILDIR = HEAD + "plugin {\n  quota = maildir:User quota\n}\n"
COUNT = HEAD + "plugin {\n  quota = count:User quota\n}\n"
WIDE = COUNT + "auth_username_chars = abcdefghijklmnopqrstuvwxyz.@'\n"
RULE = COUNT.replace("quota = ", "quota_rule2 = INBOX:ignore\n  quota = ")


@pytest.fixture
def doveconf(small_world: SmallWorld) -> Path:
    """The file with what doveconf prints. 10,000 bytes are recorded in four mails of 4,040 with CRLF."""
    said = small_world.folder / "said"
    said.write_text(MAILDIR)
    for name, text in (("doveconf", f"cat {said}"), ("doveadm", "exit 75")):
        program = small_world.folder / name
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
    small_world.settings["mailstore"] |= {"driver": "auto", "doveadm": f"{small_world.folder}/doveadm"}
    small_world.write_settings()
    (small_world.maildir(JOHN) / "maildirsize").write_text("10000S\n9000 4\n")
    return said


def test_a_reload_follows(small_world: SmallWorld, doveconf: Path) -> None:
    """From the record to a count, without a restart and without a remark that one is needed."""
    with embedded(small_world) as engine:
        measured(engine)
        assert (rows(engine)[JOHN].used_bytes, rows(engine)[JOHN].source) == (9000, "maildirsize")
        doveconf.write_text(COUNT)
        assert engine.call(inner(engine).reload()) is None
        until(lambda: rows(engine)[JOHN].used_bytes == 4040)
        assert (rows(engine)[JOHN].source, inner(engine).driver.name) == ("scan", "count")
        doveconf.write_text(MAILDIR)
        engine.call(inner(engine).reload())
        until(lambda: rows(engine)[JOHN].used_bytes == 9000)


def test_names_and_rules_follow(small_world: SmallWorld, doveconf: Path) -> None:
    """An account that this Dovecot takes only now; folders that count no more."""
    doveconf.write_text(COUNT)
    small_world.add_account("o'brien@example.org")
    with embedded(small_world) as engine:
        measured(engine)
        assert "takes no such user name" in (rows(engine)["o'brien@example.org"].why or "")
        doveconf.write_text(WIDE)
        engine.call(inner(engine).reload())
        until(lambda: rows(engine)["o'brien@example.org"].used_bytes == 0)
        doveconf.write_text(RULE)
        engine.call(inner(engine).reload())
        until(lambda: rows(engine)[JOHN].used_bytes == 0)
        until(lambda: rows(engine)["o'brien@example.org"].used_bytes is None)


def _follower(engine: Embedded) -> DovecotFollower:
    return inner(engine).follower


def test_by_itself(small_world: SmallWorld, doveconf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailquota.core.engine.following.EVERY", 0.05)
    with embedded(small_world) as engine:
        measured(engine)
        doveconf.write_text(COUNT)
        until(lambda: rows(engine)[JOHN].used_bytes == 4040)


@pytest.mark.parametrize("said", ["", "garbage {\n\x00", "# 2.3.19\nmail_loc", MAILDIR[:-4]])
def test_a_dovecot_that_says_nothing(small_world: SmallWorld, doveconf: Path, said: str) -> None:
    """While it is restarted, or fails, all stays as it is."""
    with embedded(small_world) as engine:
        measured(engine)
        doveconf.write_text(said)
        engine.call(_follower(engine).look())
        engine.call(inner(engine).reload())
        assert inner(engine).driver.name == "maildir"
        assert rows(engine)[JOHN].used_bytes == 9000


def test_a_driver_in_the_settings_stays(small_world: SmallWorld, doveconf: Path) -> None:
    small_world.settings["mailstore"]["driver"] = "maildir"
    small_world.write_settings()
    with embedded(small_world) as engine:
        measured(engine)
        doveconf.write_text(COUNT)
        engine.call(_follower(engine).look())
        assert (inner(engine).driver.name, rows(engine)[JOHN].used_bytes) == ("maildir", 9000)
