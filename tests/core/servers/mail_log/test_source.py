"""Where the log is found, and how far back it is read."""

from __future__ import annotations

import gzip
import os
import shlex
import time
import tracemalloc
from datetime import datetime
from pathlib import Path

import pytest

from mailquota.core.servers.mail_log import blocks
from mailquota.core.servers.mail_log.lines import MAIL_UNITS
from mailquota.core.servers.mail_log.source import JOURNAL, LogFiles, LogRead, Span, last_day, read_journal, read_log

DATA = Path(__file__).parents[3] / "data" / "log"
NOW = datetime.fromisoformat("2026-11-27T12:00:00").timestamp()  # in the zone of this machine
PATIENT = 30.0  # seconds; the machine may be busy
NEWS = "mail postfix/smtpd[1]: warning: problem talking to server private/mailquota: Connection refused"
NOISE = "mail postfix/smtpd[1]: connect from localhost[127.0.0.1]"


def stamped(at: float, text: str = NEWS) -> str:
    return f"{time.strftime('%b %e %H:%M:%S', time.localtime(at))} {text}\n"


def span(hours: float = 24.0, *, seconds: float = PATIENT, most_bytes: int = 1 << 30) -> Span:
    return Span(NOW, NOW - hours * 3600, seconds, most_bytes)


def written(path: Path, text: str, at: float = NOW) -> Path:
    path.write_text(text)
    os.utime(path, (at, at))
    return path


def read(path: Path, asked: Span) -> LogRead:
    return read_log(LogFiles((str(path),)), asked)


@pytest.fixture(autouse=True)
def no_journal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder for programs, and no program in it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr("mailquota.core.base.programs._MORE_PLACES", "")
    return folder


def journalctl(folder: Path, script: str) -> None:
    path = folder / "journalctl"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_reads_from_the_end(tmp_path: Path) -> None:
    """Newest first, nothing from before, across many blocks."""
    lines = [stamped(NOW - minutes * 60, NEWS if minutes % 60 == 0 else NOISE) for minutes in range(3 * 1440, -1, -1)]
    path = written(tmp_path / "mail.log", "".join(line * 10 for line in lines))
    found = read(path, span(3))
    assert found.complete
    assert [NOW - event.at for event in found.events[::10]] == [0, 3600, 7200, 10800]
    assert len(found.events) == 40
    assert (found.sources, found.since, found.fault) == ([str(path)], NOW - 3 * 3600, "")


@pytest.mark.parametrize("block", [1, 7, 100, 101, 4096])
def test_any_size_of_block_finds_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    """No line is lost or read twice where blocks meet."""
    whole = "".join(stamped(NOW - 60 + n, NEWS if n % 3 else NOISE) for n in range(30))
    path = written(tmp_path / "mail.log", whole)
    monkeypatch.setattr(blocks, "BLOCK", block)
    monkeypatch.setattr(blocks, "LONGEST", 10_000)
    assert [event.at for event in read(path, span()).events] == [NOW - 60 + n for n in range(29, -1, -1) if n % 3]


def test_a_line_that_is_being_written_waits(tmp_path: Path) -> None:
    """It may not be whole."""
    path = written(tmp_path / "mail.log", stamped(NOW - 5) + stamped(NOW)[:-1])
    assert [event.at for event in read(path, span()).events] == [NOW - 5]


def test_goes_on_in_the_file_that_was_put_aside(tmp_path: Path) -> None:
    """As logrotate names it; not where that is too old."""
    path = written(tmp_path / "mail.log", stamped(NOW - 60))
    written(tmp_path / "mail.log.1", stamped(NOW - 90000) + stamped(NOW - 7200))
    found = read(path, span())
    assert [NOW - event.at for event in found.events] == [60, 7200]
    assert (found.sources, found.since) == ([str(path), f"{path}.1"], NOW - 86400)
    written(tmp_path / "mail.log.1", stamped(NOW - 7200), NOW - 90000)
    assert len(read(path, span()).events) == 1


def packed(path: Path, text: str | bytes, at: float = NOW) -> Path:
    data = gzip.compress(text.encode() if isinstance(text, str) else text)
    path.write_bytes(data)
    os.utime(path, (at, at))
    return path


@pytest.mark.parametrize("name", [".1", ".1.gz", "-20261127", "-20261127.gz", ".20261127-000001.gz"])
@pytest.mark.parametrize("present", [True, False])
def test_a_log_that_was_just_put_aside(tmp_path: Path, name: str, present: bool) -> None:
    """By logrotate, with a number or a date, or by Postfix; the new one is empty, or not there yet."""
    path = tmp_path / "mail.log"
    if present:
        written(path, "")
    aside = tmp_path / f"mail.log{name}"
    (packed if name.endswith("gz") else written)(aside, stamped(NOW - 90000) + stamped(NOW - 7200) + stamped(NOW - 60))
    found = read(path, span())
    assert [NOW - event.at for event in found.events] == [60, 7200]
    assert (found.sources, found.since) == ([str(path)] * present + [str(aside)], NOW - 86400)
    assert (found.complete, found.fault) == (True, "")


def test_several_that_were_put_aside(tmp_path: Path) -> None:
    """Each once, newest first; none that is too old or something else."""
    path = written(tmp_path / "mail.log", stamped(NOW - 60))
    written(tmp_path / "mail.log.1", stamped(NOW - 7200), NOW - 7200)
    packed(tmp_path / "mail.log.1.gz", stamped(NOW - 7200), NOW - 7200)  # it is just being packed
    packed(tmp_path / "mail.log.2.gz", stamped(NOW - 80000), NOW - 80000)
    packed(tmp_path / "mail.log.3.gz", stamped(NOW - 90000), NOW - 90000)
    for name in ("mail.log.err", "mail.logs", "mail.log.1.bz2", "mail.log.1.gz.old", "mail.log2"):
        written(tmp_path / name, stamped(NOW))
    (tmp_path / "mail.log.4").mkdir()
    found = read(path, span())
    assert [NOW - event.at for event in found.events] == [60, 7200, 80000]
    assert found.sources == [str(path), f"{path}.1", f"{path}.2.gz"]


@pytest.mark.parametrize("block", [1, 7, 100, 4096])
def test_a_packed_log_in_any_size_of_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    """No line is lost or read twice where blocks meet; one without end is passed over."""
    lines = [stamped(NOW - 60 + n, NEWS if n % 3 else NOISE) for n in range(30)]
    lines[10] = stamped(NOW)[:-1] + "x" * 20_000 + "\n"
    packed(tmp_path / "mail.log.1.gz", "".join(lines))
    monkeypatch.setattr(blocks, "BLOCK", block)
    found = read(written(tmp_path / "mail.log", ""), span())
    assert [event.at for event in found.events] == [NOW - 60 + n for n in range(29, -1, -1) if n % 3 and n != 10]


def test_a_packed_log_that_is_too_long_does_not_count(tmp_path: Path) -> None:
    """Nor does it fill the memory, however little room it takes on the disk."""
    path = written(tmp_path / "mail.log", stamped(NOW - 60))
    bomb = tmp_path / "mail.log.1.gz"
    with gzip.open(bomb, "wb", compresslevel=1) as file:
        file.write(stamped(NOW - 7200).encode())
        for _ in range(64):
            file.write(bytes(1 << 20))
    os.utime(bomb, (NOW, NOW))
    tracemalloc.start()
    found = read(path, span(most_bytes=16 << 20))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert ([NOW - event.at for event in found.events], found.complete, found.since) == ([60], False, NOW - 60)
    assert most < 8 << 20


DAMAGES = {
    "cut": gzip.compress(stamped(NOW - 7200).encode() * 1000)[:-20],
    "other": b"no gzip at all",
    "broken": gzip.compress(b"")[:10] + b"\xff" * 100,
    "checksum": gzip.compress(stamped(NOW - 7200).encode())[:-8] + b"\0" * 8,
}


@pytest.mark.parametrize("data", DAMAGES.values(), ids=DAMAGES)
def test_a_packed_log_that_is_damaged_is_named(tmp_path: Path, data: bytes) -> None:
    """What is newer counts, back to where it is whole."""
    path = written(tmp_path / "mail.log", stamped(NOW - 60))
    (tmp_path / "mail.log.1.gz").write_bytes(data)
    os.utime(tmp_path / "mail.log.1.gz", (NOW, NOW))
    found = read(path, span())
    assert ([NOW - event.at for event in found.events], found.since) == ([60], NOW - 60)
    assert (found.fault, found.sources) == (f"{path}.1.gz is damaged", [str(path)])


def test_a_log_that_begins_later_says_so(tmp_path: Path) -> None:
    """Nobody knows what was before."""
    path = written(tmp_path / "mail.log", stamped(NOW - 7200, NOISE) + stamped(NOW - 60))
    found = read(path, span())
    assert (found.complete, found.since) == (True, NOW - 7200)


@pytest.mark.parametrize("few", [{"most_bytes": 1 << 20}, {"seconds": 0.0}])
def test_stops_early_and_says_so(tmp_path: Path, few: dict[str, float]) -> None:
    """After so many bytes or seconds, with how far it came."""
    lines = "".join(stamped(NOW - seconds, NOISE) for seconds in range(40_000, -1, -1))
    path = written(tmp_path / "mail.log", lines + stamped(NOW))
    found = read(path, Span(NOW, NOW - 86400, **{"seconds": PATIENT, **few}))  # type: ignore[arg-type]
    assert not found.complete
    assert NOW - 30_000 < found.since < NOW
    assert len(found.events) == 1


def test_a_line_without_end_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not kept in memory, not read, and what is before and after it is."""
    monkeypatch.setattr(blocks, "BLOCK", 4096)
    path = written(
        tmp_path / "mail.log", stamped(NOW - 9) + stamped(NOW)[:-1] + "x" * 200_000 + "\n" + stamped(NOW - 1)
    )
    assert [NOW - event.at for event in read(path, span()).events] == [1, 9]


def test_a_line_without_end_is_not_read_to_its_beginning(tmp_path: Path) -> None:
    """Its bytes count as those of any other."""
    path = written(tmp_path / "mail.log", stamped(NOW - 60) + "x" * (8 << 20) + "\n" + stamped(NOW))
    found = read(path, span(most_bytes=4 << 20))
    assert ([NOW - event.at for event in found.events], found.complete) == ([0], False)


def test_a_file_of_anything(tmp_path: Path) -> None:
    """No time in it, no line in it, nothing in it."""
    for number, data in enumerate((b"\0" * 100_000, b"", b"\n" * 100, b"\xff\n" * 1000)):
        path = tmp_path / f"{number}.log"
        path.write_bytes(data)
        os.utime(path, (NOW, NOW))
        found = read(path, span())
        assert (found.events, found.fault) == ([], "")


def test_a_file_without_rights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named, with who may."""
    path = written(tmp_path / "mail.log", stamped(NOW))

    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", denied)
    found = read(path, span())
    assert found.fault == f"{path} can't be read: Permission denied (root may, and the group {path.group()})"
    assert found.sources == []


def test_neither_file_nor_journal(tmp_path: Path) -> None:
    """ProgramResult, with the places that were looked at."""
    found = read_log(LogFiles(("/nowhere/mail.log", "/a\0b")), span())
    assert found.fault == "there is no /nowhere/mail.log or /a\\x00b, and journalctl is not installed"
    assert found.sources == []
    found = read_log(LogFiles(("", "syslog", str(tmp_path))), span())
    assert found.fault.endswith("and journalctl is not installed")
    assert found.sources == []


def test_journal_where_no_file_is_written(tmp_path: Path, no_journal: Path) -> None:
    """An old file hides nothing; Dovecot's own file is read besides."""
    journalctl(
        no_journal, f'echo "$@" > {tmp_path}/asked\nwhile read -r line; do echo "$line"; done < {DATA}/journal.json'
    )
    old = written(tmp_path / "mail.log", stamped(NOW - 90000), NOW - 90000)
    own = written(
        tmp_path / "dovecot.log", stamped(NOW, "imap(a@b): Panic: data stack: Out of memory when allocating 9 b")
    )
    found = read_log(LogFiles((str(old),), (str(own),)), span())
    assert {event.kind for event in found.events} == {"refused", "policy-trouble", "quota-error", "out-of-memory"}
    assert (found.sources, found.complete, found.since) == ([JOURNAL, str(own)], True, NOW - 86400)
    asked = shlex.split((tmp_path / "asked").read_text())
    assert {"SYSLOG_FACILITY=2", f"--since=@{int(NOW - 86400)}", "--output=json", "--reverse"} <= set(asked)
    root, units = " ".join(asked[asked.index("SYSLOG_FACILITY=2") :]).split(" + ")
    assert root == "SYSLOG_FACILITY=2 _UID=0"
    assert units.split() == ["SYSLOG_FACILITY=2", *(f"_SYSTEMD_UNIT={unit}" for unit in MAIL_UNITS)]


def test_a_quiet_file_and_no_journal(tmp_path: Path) -> None:
    """Nothing was said; that is no fault."""
    old = written(tmp_path / "mail.log", stamped(NOW - 90000), NOW - 90000)
    found = read(old, span())
    assert (found.sources, found.events, found.fault) == ([str(old)], [], "")


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        ("echo 'No journal files were opened due to insufficient permissions.' >&2; exit 1", "group systemd-journal"),
        ("echo 'Hint: You are currently not seeing messages from other users and the system.' >&2", "takes root"),
        ("echo 'No journal files were found.' >&2; echo '-- No entries --'", "is empty"),
        ("echo 'Failed to open: Bad message' >&2; exit 3", "journalctl ended with 3: Failed to open: Bad message"),
    ],
)
def test_journal_that_says_nothing(no_journal: Path, script: str, fault: str) -> None:
    """Why, in words."""
    journalctl(no_journal, script)
    found = read_journal(span())
    assert fault in found.fault
    assert found.sources == []


def test_journal_without_anything_of_interest(no_journal: Path) -> None:
    """It ends with 1, and that is no fault."""
    journalctl(no_journal, "echo '-- No entries --'; exit 1")
    found = read_journal(span())
    assert (found.events, found.fault, found.complete, found.since) == ([], "", True, NOW - 86400)


def test_journal_that_takes_too_long(no_journal: Path) -> None:
    """What it said until then counts, with how far that goes back."""
    journalctl(no_journal, f'while read -r line; do echo "$line"; done < {DATA}/journal.json\nexec /bin/sleep 60')
    found = read_journal(span(seconds=1.0))
    assert len(found.events) == 3
    assert (found.complete, found.since, found.fault) == (False, 1795751927.831736, "")


def test_a_day() -> None:
    """What is asked for otherwise."""
    assert (last_day(NOW).since, last_day(NOW).most_bytes) == (NOW - 86400, 32 << 20)
