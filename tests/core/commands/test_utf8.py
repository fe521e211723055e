"""A locale whose encoding is not UTF-8."""

from __future__ import annotations

import os
import sys

import pytest

from mailquota.core.commands.utf8 import start_in_utf8
from tests.core.commands.command_line import CommandLine

ADDRESS = "jürgen@example.org"
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def test_its_mailbox_is_found(alone: CommandLine) -> None:
    """By the name that Dovecot gave it."""
    alone.world.add_mailbox(ADDRESS, [3000])
    done = alone("show", ADDRESS, env=ASCII)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1  2.9 KiB" in done.stdout


def test_arguments_are_handed_on_in_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a Latin-1 terminal meant them; bytes that are no text stay. What is printed is in the encoding of before."""
    started = []
    monkeypatch.setattr(os, "execve", lambda *words: started.append(words))
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "iso8859-1")
    monkeypatch.setattr(sys, "orig_argv", ["python", "-P", "-m", "mailquota", "show", "jürgen", "\udcff"])
    monkeypatch.delenv("PYTHONIOENCODING", raising=False)
    start_in_utf8()
    ((program, words, environment),) = started
    assert program == sys.executable
    assert words == [sys.executable, "-X", "utf8", b"-P", b"-m", b"mailquota", b"show", "jürgen".encode(), b"\xff"]
    assert environment["PYTHONIOENCODING"] == sys.stdout.encoding
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "utf-8")
    start_in_utf8()
    assert len(started) == 1
