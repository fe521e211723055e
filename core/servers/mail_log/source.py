"""Where the mail log is, and reading it from its end backwards.

A log may have gigabytes, and what matters is its end. Files are read in blocks from the end until ``since``, or until
the allowance of bytes or time is used up; whoever asks is told how far back it went. A block is searched for the few
words that matter (``NEEDLES`` in core/servers/mail_log/lines.py), which is many times faster than looking at each line.
What was put aside of a file since ``since`` is read too; a packed one from its start, so that it counts whole or not at
all.

Where no file is, journald has the log: all that programs said under the facility "mail", whatever their units are
called.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from pathlib import Path
from typing import BinaryIO

import msgspec

from mailquota.core.base import programs
from mailquota.core.servers.mail_log.blocks import DAMAGED, is_packed, last_first, parts, telling_lines, unpacked
from mailquota.core.servers.mail_log.lines import LONGEST, NEEDLES, LogEvent, line_time, parse_entry, parse_line

MAIL_LOGS = ("/var/log/mail.log", "/var/log/maillog")  # Debian's and Red Hat's syslog
DAY = 86400.0
JOURNAL = "the journal of systemd"

_MOST_BYTES = 32 << 20
_MOST_EVENTS = 50_000
_MOST_ENTRIES = 20_000  # of the journal
_GREP = "|".join(re.escape(needle.decode()) for needle in NEEDLES)
_SECONDS = 0.6
_STAMPED = 5  # lines at the start of a block; one of them says when


class LogRead(msgspec.Struct):
    """``events`` newest first, back to ``since`` (seconds since the epoch); not ``complete``: there was more to read.

    ``fault`` says what could not be read, and is empty where all could; ``sources`` are those that were.
    """

    since: float
    sources: list[str] = []
    events: list[LogEvent] = []
    complete: bool = True
    fault: str = ""


class Span(msgspec.Struct, frozen=True):
    """From ``since`` to ``now``, in seconds since the epoch, in at most so many seconds of work and bytes of files."""

    now: float
    since: float
    seconds: float = _SECONDS
    most_bytes: int = _MOST_BYTES


class LogFiles(msgspec.Struct, frozen=True):
    """Where the two write, by their settings; what is not a path (``syslog``, empty) stands for the system's log."""

    postfix: tuple[str, ...] = MAIL_LOGS
    dovecot: tuple[str, ...] = ()


def last_day(now: float) -> Span:
    """The last 24 hours."""
    return Span(now, now - DAY)


def read_log(files: LogFiles, span: Span) -> LogRead:
    """What the log says of quota. Files that nobody has written into since the span began don't hide the journal."""
    allowance = _Allowance(time.monotonic() + span.seconds, span.most_bytes)
    paths = (*files.postfix, *files.dovecot)
    logs = {os.path.realpath(path): found for path in paths if (found := parts(path, span.since))}
    reads = [_read_files(log, span, allowance) for log in logs.values()]
    if not any(parts(path, span.since) for path in files.postfix):
        reads.insert(0, _instead(files.postfix, span))
    return _merged(reads)


def _instead(files: tuple[str, ...], span: Span) -> LogRead:
    """The journal; where there is none, an old file means that nothing was said."""
    read = read_journal(span)
    quiet = [path for path in files if path in parts(path, 0.0)]
    return LogRead(span.since, quiet) if read.fault and quiet else read


def _merged(reads: list[LogRead]) -> LogRead:
    read = LogRead(
        reads[0].since,  # Postfix's log: one of Dovecot's own may be new
        [source for each in reads for source in each.sources],
        sorted((event for each in reads for event in each.events), key=lambda event: -event.at),
        all(each.complete for each in reads),
        "; ".join(each.fault for each in reads if each.fault),
    )
    if not read.complete:
        read.since = max(each.since for each in reads)
    return read


class _Allowance:
    """What is left of time (to a moment of time.monotonic) and bytes, for all files together."""

    def __init__(self, until: float, most_bytes: int) -> None:
        self._until = until
        self._bytes = most_bytes

    def take(self, size: int) -> bool:
        """Whether there is more after so many bytes."""
        self._bytes -= size
        return self._bytes > 0 and time.monotonic() < self._until


def _read_files(files: list[str], span: Span, allowance: _Allowance) -> LogRead:
    """A log, and what was put aside of it."""
    read = LogRead(span.now)
    for file in files:
        try:
            with open(file, "rb") as handle:
                (_read_packed if is_packed(file) else _read_into)(read, handle, span, allowance)
            if read.complete or not is_packed(file):
                read.sources.append(file)
        except DAMAGED:
            read.fault = f"{file} is damaged"
        except OSError as error:
            read.fault = f"{file} can't be read: {error.strerror or error}{_group(file)}"
        if read.fault or not read.complete:
            break
    read.since = max(read.since, span.since)
    return read


def _group(path: str) -> str:
    try:
        return f" (root may, and the group {Path(path).group()})"
    except (OSError, KeyError):
        return ""


def _read_into(read: LogRead, file: BinaryIO, span: Span, allowance: _Allowance) -> None:
    for size, block in last_first(file):
        read.events += _events(block, span)
        read.since = _time_of(block, span.now) or read.since
        if read.since < span.since:
            return
        if not allowance.take(size) or len(read.events) > _MOST_EVENTS:
            read.complete = False
            return


def _read_packed(read: LogRead, file: BinaryIO, span: Span, allowance: _Allowance) -> None:
    """What there was time for would be the oldest of it, with a gap to what is newer."""
    events: list[LogEvent] = []
    since = read.since
    for size, block in unpacked(file):
        events += _events(block, span)
        since = min(since, _time_of(block, span.now) or since)
        if not allowance.take(size) or len(read.events) + len(events) > _MOST_EVENTS:
            read.complete = False
            return
    read.events += events
    read.since = since


def _events(block: bytes, span: Span) -> list[LogEvent]:
    found = (parse_line(line, span.now) for line in reversed(telling_lines(block)))
    return [event for event in found if event is not None and event.at >= span.since]


def _time_of(block: bytes, now: float) -> float | None:
    for line in block[: _STAMPED * LONGEST].split(b"\n", _STAMPED)[:_STAMPED]:
        if (at := line_time(line, now)) is not None:
            return at
    return None


def read_journal(span: Span) -> LogRead:
    """The same from the journal of systemd."""
    program = shutil.which("journalctl")
    if program is None:
        return LogRead(span.now, fault=f"there is no {' or '.join(MAIL_LOGS)}, and journalctl is not installed")
    command = [
        program, "--output=json", "--reverse", "--no-pager", f"--since=@{int(span.since)}", f"--lines={_MOST_ENTRIES}",
        "--output-fields=MESSAGE,SYSLOG_IDENTIFIER", "--case-sensitive=yes", f"--grep={_GREP}", "SYSLOG_FACILITY=2",
    ]  # fmt: skip
    try:
        heard = programs.listen(command, {**os.environ, "LC_ALL": "C"}, span.seconds)
    except OSError as error:
        return LogRead(span.now, fault=f"journalctl can't be run: {error.strerror or error}")
    if heard.code is not None and (fault := _journal_fault(heard.code, heard.err.decode(errors="replace"))):
        return LogRead(span.now, fault=fault)
    return _said_by_journal(heard.out, span, complete=heard.code is not None)


def _said_by_journal(out: bytes, span: Span, *, complete: bool) -> LogRead:
    lines = out.splitlines()
    read = LogRead(span.since, [JOURNAL], complete=complete and len(lines) < _MOST_ENTRIES)
    oldest = span.now
    for line in lines:
        at, event = parse_entry(line)
        oldest = oldest if at is None else at
        if event is not None:
            read.events.append(event)
    if not read.complete:
        read.since = oldest
    return read


def _journal_fault(code: int, err: str) -> str:
    """Without rights it ends with 1, or shows the caller's own entries and a hint; without a journal it ends with 0."""
    if "insufficient permissions" in err or "not seeing messages from other users" in err:
        return f"{JOURNAL} can't be read: that takes root, or the group systemd-journal or adm"
    if "No journal files" in err:
        return f"there is no {' or '.join(MAIL_LOGS)}, and {JOURNAL} is empty"
    last = err.strip().splitlines()[-1:]  # none, and 1, where nothing was found
    return f"journalctl ended with {code}: {last[0]}" if code and last else ""
