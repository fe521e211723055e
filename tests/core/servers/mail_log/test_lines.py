"""Lines of real logs, and lines that strangers would like to be taken for them."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailquota.core.servers.mail_log.lines import (
    LONGEST,
    NEEDLES,
    LogEvent,
    line_time,
    moment,
    parse_entry,
    parse_line,
    parse_message,
)

DATA = Path(__file__).parents[3] / "data" / "log"
NOW = datetime.fromisoformat("2026-11-27T12:00:00").timestamp()  # in the zone of this machine
REFUSAL = (
    "NOQUEUE: reject: RCPT from mx.example.net[192.0.2.7]: 452 4.2.2 <full@example.org>: Recipient address rejected: "
    "Mailbox is full; from=<{sender}> to=<{to}> proto=ESMTP helo=<{helo}>"
)


def events(name: str) -> list[LogEvent]:
    return [event for line in (DATA / name).read_bytes().splitlines() if (event := parse_line(line, NOW))]


def refusal(sender: str = "s@example.net", to: str = "full@example.org", helo: str = "x") -> LogEvent | None:
    return parse_message("postfix/smtpd", REFUSAL.format(sender=sender, to=to, helo=helo), NOW)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("postfix-3.7.log", {"refused": 8, "bounced": 6, "deferred": 1, "policy-trouble": 10, "empty-answer": 1}),
        ("postfix-3.10.log", {"refused": 2, "bounced": 1, "policy-trouble": 2, "empty-answer": 1}),
        ("dovecot-2.3.log", {"quota-error": 10, "warning-error": 6, "out-of-memory": 4}),
        ("dovecot-2.4.log", {"quota-error": 3, "warning-error": 4, "out-of-memory": 3}),
    ],
)
def test_recorded_logs(name: str, counts: dict[str, int]) -> None:
    """Each kind as often as it was provoked."""
    assert Counter(event.kind for event in events(name)) == counts


@pytest.mark.parametrize("name", ["postfix-3.7.log", "postfix-3.10.log", "dovecot-2.3.log", "dovecot-2.4.log"])
def test_every_event_has_a_needle(name: str) -> None:
    """Only lines with one are looked at."""
    for line in (DATA / name).read_bytes().splitlines():
        assert parse_line(line, NOW) is None or any(needle in line for needle in NEEDLES)


def test_refusal_in_full() -> None:
    """Whom, who sent it, from where, what was said, when."""
    assert events("postfix-3.10.log")[0] == LogEvent(
        datetime.fromisoformat("2026-11-22T08:23:40").timestamp(),
        "refused",
        "full@example.org",
        "452 4.2.2 Mailbox is full and cannot receive any more emails",
        "sender@example.com",
        "localhost[127.0.0.1]",
    )


def test_every_reason_of_a_silent_service() -> None:
    """As Postfix 3.7 words it."""
    reasons = {event.text for event in events("postfix-3.7.log") if event.kind == "policy-trouble"}
    assert reasons == {
        "No such file or directory", "Connection refused", "Permission denied", "Connection timed out",
        "Application error",
    }  # fmt: skip


def test_memory_names_service_limit_and_user() -> None:
    """From the one line that has all three."""
    (event,) = [event for event in events("dovecot-2.3.log") if event.limit]
    assert (event.subject, event.limit, event.text) == ("imap", "24 MB", "john@example.org")


def test_bounce_of_an_alias() -> None:
    """The mailbox, and the address as typed."""
    said = (
        "C606C2FA01C: to=<john@example.org>, orig_to=<jack@example.org>, relay=m[private/dovecot-lmtp], conn_use=2, "
        "delay=0.08, delays=0.01/0.04/0.01/0.03, dsn=5.2.2, status=bounced (host m said: 552 5.2.2 full)"
    )
    event = parse_message("postfix/lmtp", said, NOW)
    assert event is not None
    assert (event.kind, event.subject, event.alias) == ("bounced", "john@example.org", "jack@example.org")
    assert parse_message("postfix/smtp", said, NOW) is None, "somebody else's mailbox"


@pytest.mark.parametrize(
    "event",
    [
        refusal(to='"a> to=<john@example.org"@example.net'),
        refusal(to='"x> to=<john@example.org> proto=ESMTP helo=<y"@example.net'),
        parse_message("postfix/smtpd", f"warning: {REFUSAL.format(sender='', to='john@example.org', helo='')}", NOW),
        parse_message("postfix/cleanup", REFUSAL.format(sender="", to="john@example.org", helo=""), NOW),
        parse_message("evil/postfix", REFUSAL.format(sender="", to="john@example.org", helo=""), NOW),
        parse_message(
            "postfix/smtpd",
            "NOQUEUE: reject: RCPT from x[192.0.2.7]: 554 5.7.1 <a: 452 4.2.2 <john@example.org>: Recipient address"
            " rejected: full; from=<> to=<john@example.org> x>: Relay access denied; from=<x@y> to=<john@example.org>"
            " proto=SMTP helo=<x>",
            NOW,
        ),
        parse_message("dovecot", "imap(john@example.org)<1><x>: Error: Mailbox quota: quota check failed", NOW),
        parse_message("dovecot", "imap-login: Info: x: quota check failed: Failed to get quota x", NOW),
    ],
)
def test_what_a_stranger_wrote_is_not_believed(event: LogEvent | None) -> None:
    """A fake in the recipient, in another program's line, in a folder's name."""
    assert event is None


@pytest.mark.parametrize("sender", ["> to=<john@example.org> proto=ESMTP helo=<x", '"; from=<a@b> to=<c@d"@e', ""])
def test_a_sender_may_say_what_he_likes(sender: str) -> None:
    """The recipient stays the one that Postfix refused."""
    event = refusal(sender)
    assert event is not None
    assert (event.subject, event.sender) == ("full@example.org", sender)


def test_nothing_steers_a_terminal() -> None:
    """Control characters are shown as their codes, and a text ends."""
    event = refusal("\x1b[2Jé\u202e" + "x" * 5000)
    assert event is not None
    assert event.sender.startswith("\\x1b[2Jé\\u202ex")
    assert len(event.sender) < 400


def test_an_endless_line_is_nothing() -> None:
    """Not even looked at."""
    line = f"Nov 27 03:53:12 mail postfix/smtpd[1]: {REFUSAL.format(sender='x' * LONGEST, to='a@b', helo='')}"
    assert parse_line(line.encode(), NOW) is None


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        ("Nov 27 03:53:12", "2026-11-27T03:53:12"),
        ("Nov  7 03:53:12", "2026-11-07T03:53:12"),
        ("Dec 31 23:59:59", "2025-12-31T23:59:59"),
        ("Nov 28 00:00:01", "2026-11-28T00:00:01"),  # a clock that is a little ahead
        ("2026-11-27T03:53:12.123456+01:00", "2026-11-27T03:53:12.123456+01:00"),
        ("2026-11-27T03:53:12Z", "2026-11-27T03:53:12+00:00"),
        ("2026-11-27 03:53:12", "2026-11-27T03:53:12"),
    ],
)
def test_times(stamp: str, expected: str) -> None:
    """Every form of syslog and of Dovecot; a year is added where it is missing."""
    assert line_time(f"{stamp} mail postfix/smtpd[1]: x".encode(), NOW) == datetime.fromisoformat(expected).timestamp()


@pytest.mark.parametrize("stamp", ["Nix 27 03:53:12", "2026-13-27T03:53:12Z", "2026-11-27T99:99:99Z", "x", "Nov 3x"])
def test_what_is_no_time(stamp: str) -> None:
    """Is None, not an error."""
    assert moment(stamp, NOW) is None


def test_journal() -> None:
    """Entries as journalctl prints them; one is not UTF-8, so its text comes as numbers."""
    found = [parse_entry(line) for line in (DATA / "journal.json").read_bytes().splitlines()]
    assert [event and (event.kind, event.subject) for _, event in found] == [
        None,
        ("quota-error", "full@example.org"),
        ("policy-trouble", "private/quota-status"),
        ("refused", "full@example.org"),
    ]
    assert [at for at, _ in found if at] == [1795751927.832182, 1795751927.832158, 1795751927.832127, 1795751927.831736]


def test_journal_with_bytes() -> None:
    """A refusal whose sender is not UTF-8."""
    said = REFUSAL.format(sender="\xff@x", to="full@example.org", helo="x").encode("latin-1")
    entry = {"MESSAGE": list(said), "SYSLOG_IDENTIFIER": "postfix/smtpd", "__REALTIME_TIMESTAMP": "1"}
    event = parse_entry(json.dumps(entry).encode())[1]
    assert event is not None
    assert event.sender == "�@x"


HOSTILE = (  # each part is what a user or a client chooses, as long as a line may be
    "postfix/smtpd[1]: NOQUEUE: reject: RCPT from {:[<7000}: 452 4.2.2 <a@b>: x rejected: y; from=<a> to=<b> proto=S",
    "postfix/smtpd[1]: NOQUEUE: reject: RCPT from {:a[<7000}: 452 4.2.2 <a@b>: x rejected: y; from=<a> to=<b> proto=S",
    "dovecot: imap(a@b)<1><x>: Error: Mailbox {: UID 1: read(/) failed: Cached message size <8000}",
    "dovecot: imap(a@b)<1><x>: Error: Mailbox {: UID 1: read(/<8000}",
    "dovecot: imap(a@b)<1><x>: Error: Mailbox {: UID=1: <8000} read(/x",
    "dovecot: imap{(a)<8000}: x",
    "dovecot: imap{<<a><8000}: x",
    "dovecot: imap(a@b)<1><x>: Error: {: failed to map segment <8000}",
    "dovecot: imap(a@b)<1><x>: Error: {quota: <8000}",
    "dovecot: imap(a@b)<1><x>: Error: program unix:{: net_connect_unix(<8000}",
    "dovecot: imap(a@b)<1><x>: Error: program unix:x: net_connect_unix({quota-warning<8000}",
    "dovecot: lmtp(a@b)<1><x>: Error: lmtp-server: conn {x [1]: rcpt x: <8000}",
    "postfix/lmtp[1]: 1A: to=<{a>, orig_to=<<7900}>, relay=x, delay=1, delays=1, dsn=5.2.2, status=bounced (x",
    "postfix/smtpd[1]: warning: access table {entry  has <8000}",
    "postfix/smtpd[1]: warning: problem talking to server {: <8000}",
)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.timeout(60)
def test_no_line_takes_longer_than_its_length(text: str) -> None:
    """A thousand lines: where the time grew with the square of the length, they would take several minutes."""
    at = text.index("{")
    before, rest = text[:at], text[at + 1 :]
    unit, _, more = rest.rpartition("}")[0].rpartition("<")[0], "", rest.rpartition("}")[2]
    line = f"2026-11-27T03:53:12Z mail {before}{unit * (7900 // len(unit))}{more}"[:8192].encode()
    for _ in range(1000):
        parse_line(line, NOW)


@pytest.mark.parametrize(
    ("uid", "unit", "counts"),
    [
        ("0", "postfix@-.service", True),
        ("0", "session-1.scope", True),
        ("104", "postfix@-.service", True),
        ("113", "dovecot.service", True),
        ("1000", "session-7.scope", False),
        ("1000", "user@1000.service", False),
        ("1000", "postfix@-.service", False),
        ("65534", "postfix@-.service", False),
        ("33", "apache2.service", False),
        ("1000", "", False),
    ],
)
def test_who_wrote_an_entry(uid: str, unit: str, counts: bool) -> None:
    """Root, or the mail servers as users of their own; not a program of a user that Postfix runs, as from .forward."""
    message = REFUSAL.format(sender="a@x", to="full@example.org", helo="x")
    entry = {"MESSAGE": message, "SYSLOG_IDENTIFIER": "postfix/smtpd", "__REALTIME_TIMESTAMP": "1"}
    written = entry | {"_UID": uid} | ({"_SYSTEMD_UNIT": unit} if unit else {})
    assert (parse_entry(json.dumps(written).encode())[1] is not None) == counts


@pytest.mark.parametrize(
    "document", [b"", b"{", b"[]", b'{"MESSAGE":[999],"__REALTIME_TIMESTAMP":"1"}', b'{"MESSAGE":null}', b"\xff"]
)
def test_what_is_no_entry(document: bytes) -> None:
    """Is nothing, not an error."""
    assert parse_entry(document)[1] is None


LINES = [line for path in sorted(DATA.glob("*.log")) for line in path.read_bytes().splitlines()]


@given(st.sampled_from(LINES), st.binary(max_size=40), st.integers(0, 400), st.integers(0, 40))
def test_any_bytes_are_no_error(line: bytes, put: bytes, at: int, cut: int) -> None:
    """Real lines with anything in their midst; what comes out can be printed."""
    event = parse_line(line[:at] + put + line[at + cut :], NOW)
    if event is not None:
        assert all(text.isprintable() for text in (event.subject, event.text, event.sender, event.client, event.alias))


@given(st.binary(max_size=300))
def test_bytes_alone_are_no_error(data: bytes) -> None:
    """Neither as a line nor as an entry."""
    assert parse_line(data, NOW) is None
    assert parse_entry(data)[1] is None
