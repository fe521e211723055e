"""Parses one line of a mail log: refusals, bounces, and errors of Postfix and Dovecot about quota. Pure.

A client chooses part of the text of a line: its HELO name, sender and recipient. So no pattern is searched for in the
middle of a line: each is anchored where the message of Postfix or Dovecot begins, and reaches to its end or to a part
that a client can't write. An address is taken only where it has no blank, quote or angle bracket, by which it could
imitate other fields of the line; no mailbox has such an address. Characters that do not print are escaped here, once
for all users of these texts.

Times are read as rsyslog, Postfix's own log file, Dovecot's own log file and the journal write them. One without a zone
is in that of this machine, one without a year in the last twelve months.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Literal

import msgspec

from ...base.text import visible

LONGEST = 8192  # bytes of a line; no syslog daemon writes longer ones
# Each line that is an event has one of these, and few others have: they are searched for before a line is parsed.
NEEDLES = (
    b".2.2 <", b".2.3 <", b"dsn=4.2.2", b"dsn=5.2.2", b"problem talking to server ", b" has empty value",
    b"Out of memory", b"failed to map segment", b"Failed to get quota", b"Failed to initialize quota",
    b"quota check failed", b"quota-warning", b"Cached message size",
)  # fmt: skip

Kind = Literal[
    "refused",  # at RCPT or END-OF-MESSAGE, by any policy service
    "bounced",  # accepted, then refused by Dovecot at delivery: the sender gets a bounce
    "deferred",  # accepted, then refused by Dovecot with a temporary error: the mail waits in Postfix's queue
    "policy-trouble",  # a policy service did not answer
    "empty-answer",  # a policy service gave an empty answer, which Postfix takes as permit
    "out-of-memory",  # a process of Dovecot reached its vsz_limit
    "quota-error",  # Dovecot can't find out usage or limit
    "warning-error",  # a quota warning of Dovecot's own could not be sent
]

MAIL_UNITS = ("postfix@-.service", "postfix.service", "dovecot.service")  # of systemd, on Debian
_LAST_SYSTEM_USER = 999  # SYS_UID_MAX of login.defs(5); a person's number is higher
_LONGEST_UID = 10  # digits of 32 bits
_DAY = 86400.0
_MONTHS = {
    "Jan": 1, "Feb": 2, "Mar": 3, "Apr": 4, "May": 5, "Jun": 6, "Jul": 7, "Aug": 8, "Sep": 9, "Oct": 10, "Nov": 11,
    "Dec": 12,
}  # fmt: skip
_TEXT_MOST = 300  # characters
_PATHS_MOST = 500  # characters of a text that holds a path

_STAMP = re.compile(
    r"([A-Z][a-z]{2} [ 0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9]"
    r"|[0-9]{4}-[01][0-9]-[0-3][0-9][T ][0-9:]{8}(?:[.,][0-9]{1,9})?(?:Z|[+-][0-9]{2}:?[0-9]{2})?) "
)
_SYSLOG = re.compile(r"[^\s:]+ ([\w./-]+)(?:\[[0-9]+\])?: ", re.ASCII)
_DOVECOT = re.compile(
    r"([a-z][\w-]*)(?:\(([^()\s]*)\))?(?:\([^()\s]*\)|<[^<>\s]*>)*: (?:Error|Fatal|Panic): (.*)", re.ASCII
)

_ADDRESS = r"[^<>\"\s]+"
_REFUSED = re.compile(
    r"(?:NOQUEUE|[0-9A-Za-z]+): reject: (?:RCPT|END-OF-MESSAGE) from ([^\s\[]+\[[^\]\s]+\])(?::[0-9]+)?: "
    rf"([45][0-9]{{2}} [45]\.2\.[23]) <{_ADDRESS}>: [\w -]+ rejected: (.*)"
)
_ENVELOPE = re.compile(rf"({_ADDRESS})> proto=\w+(?: helo=<[^<>\s]*>)?(?: [\w-]+=<[^<>\s]*>)*")
_PROBLEM = re.compile(r"warning: problem talking to server (\S+): (.*)")
_EMPTY = re.compile(
    r"warning: access table (.+) entry  has empty value"
)  # for an access map there is a key between the two blanks
_DELIVERY = re.compile(
    rf"[0-9A-Za-z]+: to=<({_ADDRESS})>, (?:orig_to=<({_ADDRESS})>, )?relay=[^,\s]+, (?:conn_use=[0-9]+, )?"
    r"delay=[0-9.]+, delays=[0-9./]+, dsn=[45]\.2\.2, status=(bounced|deferred) \((.*)\)"
)
_MEMORY = re.compile(
    r"master: service\([\w-]+\): child [0-9]+ returned error [0-9]+"
    r" \(Out of memory \(service ([\w-]+) \{ vsz_limit=([0-9]+ ?[kMGT]?B?) \}.*"
)
_STACK = re.compile(r"data stack: Out of memory when allocating .*|.*: failed to map segment from shared object")
_CALCULATION = re.compile(
    r"(?:lmtp-server: conn \S+ \[[0-9]+\]: rcpt \S+: )?(?:quota: |quota check failed: )?(Failed to get quota .*)"
    r"|(?:[\w ]+ initialization failed: )?(Failed to initialize quota: .*)"
    # The first of three lines. (?>…) takes the first place and tries no other: what a user chooses stands in a line of
    # 8 KB, and trying each place with each other one would take seconds.
    r"|(?:lmtp-server: conn \S+ \[[0-9]+\]: rcpt \S+: )?Mailbox (?>.*?: UID[ =][0-9]+: (?=read\(/))"
    r"(read\(/(?>.*?\) failed: Cached message size ).* \(read reason=mail stream\))"
)
_WARNING = re.compile(
    r"(?:quota[\w -]*: quota_warning \S+: execute|program) unix:\S*: net_connect_unix\(\S*quota-warning\) failed: .*"
)
_SCRIPT = re.compile(r"execvp\(.*|master: service\([\w-]+\): child [0-9]+ (?:returned error (?!84 )|killed with ).*")
_NOT_POLICY = frozenset({"private/tlsmgr", "private/anvil", "private/rewrite", "private/proxymap", "private/verify"})


class LogEvent(msgspec.Struct, frozen=True):
    """An event of the mail log. ``at`` is in seconds since the epoch.

    ``subject`` is the address of the mailbox; of policy-trouble and empty-answer the policy service, of out-of-memory
    Dovecot's service. It is empty where the line names none. ``text`` is the reason, of out-of-memory the user.
    ``alias`` is the recipient before alias expansion, where that differs; ``limit`` is the vsz_limit.
    """

    at: float
    kind: Kind
    subject: str
    text: str
    sender: str = ""
    client: str = ""
    alias: str = ""
    limit: str = ""


def parse_line(line: bytes, now: float) -> LogEvent | None:
    """The event in a line of a log file, None for any other line. ``now`` gives the year where the line has none."""
    if len(line) > LONGEST:
        return None
    text = line.decode(errors="replace").rstrip("\r\n")
    stamp = _STAMP.match(text)
    at = moment(stamp[1], now) if stamp else None
    if stamp is None or at is None:
        return None
    rest = text[stamp.end() :]
    syslog = _SYSLOG.match(rest)
    if syslog is None:  # Dovecot's own log file has neither host nor program
        return parse_message("dovecot", rest, at)
    return parse_message(syslog[1], rest[syslog.end() :], at)


def line_time(line: bytes, now: float) -> float | None:
    """The time of a line in seconds since the epoch; None where it begins with no time."""
    stamp = _STAMP.match(line[:64].decode(errors="replace"))
    return moment(stamp[1], now) if stamp else None


class _Entry(msgspec.Struct):
    """Fields of an entry of the journal (journalctl -o json). A message that is not UTF-8 is a list of its bytes."""

    MESSAGE: str | list[int] | None = None
    SYSLOG_IDENTIFIER: str | None = None
    uid: str = msgspec.field(name="_UID", default="")
    unit: str = msgspec.field(name="_SYSTEMD_UNIT", default="")
    at: str = msgspec.field(name="__REALTIME_TIMESTAMP", default="")


_ENTRY = msgspec.json.Decoder(_Entry)


def parse_entry(document: bytes) -> tuple[float | None, LogEvent | None]:
    """The time of an entry of the journal, in seconds since the epoch, and its event; None where there is none."""
    try:
        entry = _ENTRY.decode(document)
        at = int(entry.at) / 1_000_000
        message = (
            entry.MESSAGE if isinstance(entry.MESSAGE, str) else bytes(entry.MESSAGE or ()).decode(errors="replace")
        )
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError):  # the last for deep nesting
        return None, None
    if len(message) > LONGEST or not _is_trusted(entry):
        return at, None
    return at, parse_message(entry.SYSLOG_IDENTIFIER or "", message, at)


def _is_trusted(entry: _Entry) -> bool:
    """Whether root wrote the entry, or a process of the mail servers as a system user.

    journald writes these fields, so nobody can forge them. Any user can write a message that looks like Postfix's, and
    a program of his (in .forward) runs in the unit of Postfix.
    """
    if not (entry.uid.isascii() and entry.uid.isdigit() and len(entry.uid) <= _LONGEST_UID):
        return not entry.uid  # of the kernel, or of a journal that was imported; journalctl is asked for root and units
    return entry.uid == "0" or (entry.unit in MAIL_UNITS and int(entry.uid) <= _LAST_SYSTEM_USER)


def parse_message(program: str, message: str, at: float) -> LogEvent | None:
    """The event in a message of ``program`` (``postfix/smtpd``, ``dovecot``); None for any other message."""
    reader = _READERS.get(program.rpartition("/")[2])
    return reader(message, at) if reader else None


@lru_cache(maxsize=4096)  # many lines have the same time
def moment(stamp: str, now: float) -> float | None:
    """The time that a line begins with, in seconds since the epoch; None for one that does not exist."""
    try:
        if stamp[0].isdigit():
            return datetime.fromisoformat(stamp).timestamp()
        clock = int(stamp[7:9]), int(stamp[10:12]), int(stamp[13:15])
        day = _MONTHS[stamp[:3]], int(stamp[4:6])
        year = time.localtime(now).tm_year
        found = time.mktime((year, *day, *clock, 0, 0, -1))
        return found if found <= now + _DAY else time.mktime((year - 1, *day, *clock, 0, 0, -1))
    except (ValueError, KeyError, OverflowError):
        return None


def _text(text: str, most: int = _TEXT_MOST) -> str:
    return visible(text[:most])


def _smtpd(message: str, at: float) -> LogEvent | None:
    if match := _PROBLEM.fullmatch(message):
        return (
            None
            if match[1] in _NOT_POLICY
            else LogEvent(at, "policy-trouble", subject=_text(match[1]), text=_text(match[2]))
        )
    if match := _EMPTY.fullmatch(message):
        return LogEvent(at, "empty-answer", subject=_text(match[1]), text="")
    return _refusal(message, at)


def _refusal(message: str, at: float) -> LogEvent | None:
    """``…: 452 4.2.2 <R>: Recipient address rejected: TEXT; from=<S> to=<R> proto=ESMTP helo=<H>``.

    It is cut at the first ``from`` and the last ``to``, because a client may put anything into S, while R and H have no
    angle bracket.
    """
    reply, _, envelope = message.partition("; from=<")
    sender, _, rest = envelope.rpartition("> to=<")
    refused, recipient = _REFUSED.fullmatch(reply), _ENVELOPE.fullmatch(rest)
    if refused is None or recipient is None:
        return None
    client, code, text = refused.groups()
    return LogEvent(
        at,
        "refused",
        subject=visible(recipient[1]),
        text=_text(f"{code} {text}"),
        sender=_text(sender),
        client=_text(client),
    )


def _delivery(message: str, at: float) -> LogEvent | None:
    match = _DELIVERY.fullmatch(message)
    if match is None:
        return None
    kind: Kind = "bounced" if match[3] == "bounced" else "deferred"
    return LogEvent(at, kind, subject=visible(match[1]), text=_text(match[4]), alias=visible(match[2] or ""))


def _dovecot(message: str, at: float) -> LogEvent | None:
    match = _DOVECOT.fullmatch(message)
    if match is None:
        return None
    service, user, text = match[1], match[2] or "", match[3]
    user = "" if user.isdigit() else visible(user)  # a number in these brackets is that of a process
    if memory := _MEMORY.fullmatch(text):
        return LogEvent(at, "out-of-memory", subject=memory[1], text=user, limit=memory[2])
    if _STACK.fullmatch(text):
        return LogEvent(at, "out-of-memory", subject=service, text=user)
    if _WARNING.fullmatch(text) or (service == "quota-warning" and _SCRIPT.fullmatch(text)):
        return LogEvent(at, "warning-error", subject=user, text=_text(text))
    if calculation := _CALCULATION.fullmatch(text):
        text = _text(calculation[1] or calculation[2] or calculation[3], _PATHS_MOST)
        return LogEvent(at, "quota-error", subject=user, text=text)
    return None


_READERS: dict[str, Callable[[str, float], LogEvent | None]] = {
    "smtpd": _smtpd,
    "dovecot": _dovecot,
    **dict.fromkeys(("lmtp", "virtual", "pipe", "local"), _delivery),  # not smtp: mailboxes of other servers
}
