"""Programs and files that hang, flood, end in the middle, or are no files at all."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from core import outside
from core.config import load
from core.discover import discover
from core.doctor.log_source import Span, read_journal
from core.doctor.probe_dovecot import gather
from core.errors import MailquotaError, SettingsError
from core.install.machine import Machine
from core.outside import Said, Text
from core.threads import within

HALF = "# 2.3.19 (b3ad6004dc): /etc/dovecot/dovecot.conf\nmail_location = maildir:/var/vmail/%d/%n\nplugin {\n"


def program(folder: Path, body: str, name: str = "fake") -> str:
    """A program with this body of a shell script."""
    file = folder / name
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)
    return str(file)


def test_a_program_that_hangs_is_waited_for_once(tmp_path: Path) -> None:
    """Later questions to it say the same at once; it is not even started."""
    fake = program(tmp_path, f'echo >> "{tmp_path}/starts"\nsleep 60')
    for words in ([fake, "-n"], [fake, "-h", "libexec_dir"]):
        assert outside.run(words, 0.5).fault == f"{fake} took longer than 0.5 s"
    assert (tmp_path / "starts").read_text() == "\n"


def test_a_child_that_keeps_the_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """Such as a script's ``sleep``."""
    began = time.monotonic()
    assert "took longer" in outside.run([program(tmp_path, "sleep 60 & echo hello")], 0.5).fault
    assert time.monotonic() - began < 30


def test_a_program_that_prints_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended, and what it said is not taken for an answer."""
    monkeypatch.setattr(outside, "MOST_PRINTED", 1 << 20)
    fake = program(tmp_path, "exec yes")
    assert outside.run([fake], 60) == Said(fault=f"{fake} printed more than 1 MiB")


@pytest.mark.parametrize(("body", "code"), [("kill -9 $$", -9), ("exit 89", 89)])
def test_how_a_program_ended(tmp_path: Path, body: str, code: int) -> None:
    """By a signal or of its own accord."""
    said = outside.run([program(tmp_path, f"echo out; echo err >&2; {body}")])
    assert (said.out, said.err, said.code) == ("out\n", "err\n", code)
    assert said.fault.endswith(f"ended with {code}: err")


@pytest.mark.parametrize("body", ["sleep 60", "exec yes", "sleep 60 & echo {}; wait"])
def test_a_journal_that_hangs_or_floods(tmp_path: Path, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it said until then, not complete."""
    monkeypatch.setattr(outside, "MOST_PRINTED", 1 << 20)
    program(tmp_path, body, "journalctl")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    began = time.monotonic()
    read = read_journal(Span(1000.0, 0.0, seconds=0.5))
    assert not read.complete
    assert not read.events
    assert time.monotonic() - began < 30


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    """A FIFO where a file is expected, by each who reads one."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert outside.read(str(fifo)) == Text(fault=f"{fifo} can't be read: it is a FIFO, not a file")
    assert "Is a directory" in outside.read(str(tmp_path)).fault
    assert "a device, not a file" in outside.read("/dev/zero").fault
    assert outside.read(os.devnull) == Text("")
    with pytest.raises(SettingsError, match="a FIFO, not a file"):
        load(fifo, {})
    with pytest.raises(MailquotaError, match="a FIFO, not a file"):
        Machine(tmp_path).read("/fifo")


def test_half_of_the_settings_is_no_answer() -> None:
    """Else "keeps no quota" would be told of a server whose quota stands in the other half."""

    def run(argv: object) -> Said:
        return Said(out=HALF, code=0)

    found = discover(run=run, read=lambda path: Text(fault=path))
    assert "mailstore.path: what doveconf printed ends in the middle" in found.faults
    assert not found.values.get("mailstore")
    assert gather(load(Path(os.devnull), {}), {}, run=run).fault == "what doveconf prints ends in the middle"


def test_within() -> None:
    """The result, the exception, or none in time."""
    assert within(5, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 // 0)
    with pytest.raises(TimeoutError, match="no answer within"):
        within(0.01, lambda: time.sleep(1))
