"""Finds the mail log of this server by the settings of Postfix and Dovecot, and reads it from its end backwards.

A log may have gigabytes, and its newest part is what matters. So files are read in blocks from the end, back to
``since`` or to a limit of time, of bytes, or of 50,000 events; the result says how far back it goes. A block is
searched for a few words (``NEEDLES`` in core/servers/mail_log/lines.py), which is many times faster than parsing each
line. Files that were rotated away after ``since`` are read too. A file packed by gzip can only be read from its start,
where its oldest lines are. Stopping in the middle would leave a gap to the newer lines, so it is used whole or not at
all.

The journal of systemd is read if none of Postfix's log files was written to in that time: at most 20,000 entries of the
facility "mail". Any user can write such entries, so only those of root and of the mail servers' units count.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import BinaryIO

import msgspec

from ...base import programs
from ...base.text import visible
from ..dovecot.conf import Block, config_file, dovecot_tool, parse_doveconf
from ..postfix.maps import parse_map_file
from .blocks import DAMAGED, is_packed, last_first, parts, telling_lines, unpacked
from .lines import LONGEST, MAIL_UNITS, NEEDLES, LogEvent, line_time, parse_entry, parse_line

MAIL_LOGS = ("/var/log/mail.log", "/var/log/maillog")  # Debian's and Red Hat's syslog
DAY = 86400.0
JOURNAL = "the journal of systemd"

_DOVECOT_LOGS = ("log_path", "info_log_path")
_DOVECOT_CONFIG = "/etc/dovecot/dovecot.conf"
_MOST_BYTES = 32 << 20
_MOST_EVENTS = 50_000
_MOST_ENTRIES = 20_000  # of the journal
_GREP = "|".join(re.escape(needle.decode()) for needle in NEEDLES)
_SECONDS = 0.6
_STAMPED = 5  # lines at the start of a block that are searched for a time; a line may lack one


class LogRead(msgspec.Struct):
    """What was read: ``events`` newest first, back to ``since`` (seconds since the epoch).

    ``complete`` is false where the limit of time, bytes or events was reached before the start of the span.
    ``sources`` are the files that were read; ``fault`` is the reason where one could not be read, else empty.
    """

    since: float
    sources: list[str] = []
    events: list[LogEvent] = []
    complete: bool = True
    fault: str = ""


class Span(msgspec.Struct, frozen=True):
    """What to read: from ``now`` back to ``since`` (seconds since the epoch), within a limit of time and bytes.

    ``seconds`` is the time for the files together, and again for the journal; ``most_bytes`` is for the files.
    """

    now: float
    since: float
    seconds: float = _SECONDS
    most_bytes: int = _MOST_BYTES


class LogFiles(msgspec.Struct, frozen=True):
    """The log files of Postfix and Dovecot. ``dovecot`` is empty where Dovecot writes to syslog, as by default."""

    postfix: tuple[str, ...] = MAIL_LOGS
    dovecot: tuple[str, ...] = ()


def last_day(now: float) -> Span:
    """The last 24 hours."""
    return Span(now, now - DAY)


def log_files(postfix: dict[str, str], dovecot: Block) -> LogFiles:
    """The files that the settings of Postfix and Dovecot name; MAIL_LOGS where Postfix writes to syslog."""
    own = postfix.get("maillog_file", "")
    logs = (dovecot.values.get(name, "") for name in _DOVECOT_LOGS)
    return LogFiles((own,) if own.startswith("/") else MAIL_LOGS, tuple(path for path in logs if path.startswith("/")))


def find_log(doveadm: str, run: programs.Run = programs.run) -> LogFiles:
    """The log files of this server, by postconf and doveconf. ``doveadm`` is the setting ``mailstore.doveadm``."""
    return log_files(ask_postfix(run), ask_dovecot(doveadm, run)[0])


def ask_postfix(run: programs.Run) -> dict[str, str]:
    """Postfix's ``maillog_file`` and ``config_directory``; empty where postconf can't be run."""
    return parse_map_file(run(["postconf", "maillog_file", "config_directory"]).out)


def ask_dovecot(doveadm: str, run: programs.Run) -> tuple[Block, str]:
    """Dovecot's settings by ``doveconf -n``, and the path of its main file, which the first line names."""
    text = run([*dovecot_tool(doveadm, "doveconf"), "-n"]).out
    return parse_doveconf(text), config_file(text) or _DOVECOT_CONFIG


def read_log(files: LogFiles, span: Span) -> LogRead:
    """Events about quota in the log files; in the journal where none of Postfix's files was written to in the span.

    Blocks for about ``span.seconds``. What can't be read is in ``fault``; nothing is raised.
    """
    left = _Remaining(time.monotonic() + span.seconds, span.most_bytes)
    paths = (*files.postfix, *files.dovecot)
    logs = {os.path.realpath(path): found for path in paths if (found := parts(path, span.since))}
    reads = [_read_files(log, span, left) for log in logs.values()]
    if not any(parts(path, span.since) for path in files.postfix):
        reads.insert(0, _instead(files.postfix, span))
    return _merged(reads)


def _instead(files: tuple[str, ...], span: Span) -> LogRead:
    """The journal. Where it can't be read but an old log file exists, nothing was logged in the span: no fault."""
    read = read_journal(span, files)
    quiet = [path for path in files if path in parts(path, 0.0)]
    return LogRead(span.since, quiet) if read.fault and quiet else read


def _merged(reads: list[LogRead]) -> LogRead:
    read = LogRead(
        since=reads[0].since,  # Postfix's log: a log file of Dovecot's own may have been set up only now
        sources=[source for each in reads for source in each.sources],
        events=sorted((event for each in reads for event in each.events), key=lambda event: -event.at),
        complete=all(each.complete for each in reads),
        fault="; ".join(each.fault for each in reads if each.fault),
    )
    if not read.complete:
        read.since = max(each.since for each in reads)
    return read


class _Remaining:
    """What is left of the limit of time (``until`` by time.monotonic) and bytes, for all files together."""

    def __init__(self, until: float, most_bytes: int) -> None:
        self._until = until
        self._bytes = most_bytes

    def take(self, size: int) -> bool:
        """Use up ``size`` bytes; whether time and bytes are left."""
        self._bytes -= size
        return self._bytes > 0 and time.monotonic() < self._until


def _read_files(files: list[str], span: Span, left: _Remaining) -> LogRead:
    """A log with its rotated files, newest first; it ends at the first file that can't be read to its end."""
    read = LogRead(span.now)
    for file in files:
        try:
            with open(file, "rb") as handle:
                (_read_packed if is_packed(file) else _read_into)(read, handle, span, left)
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


def _read_into(read: LogRead, file: BinaryIO, span: Span, left: _Remaining) -> None:
    for size, block in last_first(file):
        read.events += _events(block, span)
        read.since = _time_of(block, span.now) or read.since
        if read.since < span.since:
            return
        if not left.take(size) or len(read.events) > _MOST_EVENTS:
            read.complete = False
            return


def _read_packed(read: LogRead, file: BinaryIO, span: Span, left: _Remaining) -> None:
    """All events of a packed file, or none where the limit is reached: its oldest lines come first."""
    events: list[LogEvent] = []
    since = read.since
    for size, block in unpacked(file):
        events += _events(block, span)
        since = min(since, _time_of(block, span.now) or since)
        if not left.take(size) or len(read.events) + len(events) > _MOST_EVENTS:
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


def read_journal(span: Span, files: tuple[str, ...] = MAIL_LOGS) -> LogRead:
    """Events about quota in the journal of systemd, read by journalctl. Blocks for at most ``span.seconds``.

    ``files`` are Postfix's log files, which a fault names as missing.
    """
    missing = f"there is no {' or '.join(map(visible, files))}"
    program = programs.find("journalctl")
    if program is None:
        return LogRead(span.now, fault=f"{missing}, and journalctl is not installed")
    command = [
        program, "--output=json", "--reverse", "--no-pager", f"--since=@{int(span.since)}", f"--lines={_MOST_ENTRIES}",
        "--output-fields=MESSAGE,SYSLOG_IDENTIFIER,_UID,_SYSTEMD_UNIT",
        "--case-sensitive=yes", f"--grep={_GREP}",
        "SYSLOG_FACILITY=2", "_UID=0",
        "+", "SYSLOG_FACILITY=2", *(f"_SYSTEMD_UNIT={unit}" for unit in MAIL_UNITS),
    ]  # fmt: skip
    try:
        printed = programs.run_raw(command, {**os.environ, "LC_ALL": "C", "PATH": programs.search_path()}, span.seconds)
    except OSError as error:
        return LogRead(span.now, fault=f"journalctl can't be run: {error.strerror or error}")
    err = printed.err.decode(errors="replace")
    if printed.code is not None and (fault := _journal_fault(printed.code, err, missing)):
        return LogRead(span.now, fault=fault)
    return _read_of_entries(printed.out, span, complete=printed.code is not None)


def _read_of_entries(out: bytes, span: Span, *, complete: bool) -> LogRead:
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


def _journal_fault(code: int, err: str, missing: str) -> str:
    """Why journalctl could not show the log; empty where it could.

    Without the right to read it ends with 1, or shows the caller's own entries with a hint on stderr. Without a journal
    it ends with 0. Without a match it ends with 1 and prints nothing.
    """
    if "insufficient permissions" in err or "not seeing messages from other users" in err:
        return f"{JOURNAL} can't be read: that takes root, or the group systemd-journal or adm"
    if "No journal files" in err:
        return f"{missing}, and {JOURNAL} is empty"
    last = err.strip().splitlines()[-1:]
    return f"journalctl ended with {code}: {last[0]}" if code and last else ""
