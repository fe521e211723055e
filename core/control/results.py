"""What requests of the control protocol answer with. Pure; sizes in bytes, times in seconds since the epoch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from ..base.errors import MailquotaError
from ..base.model import AccountRow, Forecast, Point, Trend, rfc3339

MESSAGES = "messages"  # the kind of a journal entry on a limit of messages; one on a limit of bytes is "limit"
_NUMBER = re.compile(r"-?[0-9]{1,30}")


class SetResult(msgspec.Struct, frozen=True):
    """One edited limit, in bytes; None is unlimited. ``used_bytes`` is the usage when the limit was set.

    ``journal_id`` is the entry of the journal, None where nothing was written.
    """

    address: str
    old_bytes: int | None
    new_bytes: int | None
    used_bytes: int | None = None
    journal_id: int | None = None
    error: str | None = None
    code: int = 0  # exit code of the error
    remark: str | None = None  # what went wrong although it was done
    until: float | None = None  # of a temporary limit: when it ends, and what the limit is then
    then_bytes: int | None = None
    old_messages: int | None = None  # limits of messages; None is none
    new_messages: int | None = None
    messages: int | None = None  # how many there were; None: not known, or that limit was not set


class UndoPlan(msgspec.Struct, frozen=True):
    """An edit that may be taken back, all its entries of the journal, newest first; and the result for each account."""

    edit: list[JournalRow]
    results: list[SetResult]


class RecalcResult(msgspec.Struct, frozen=True):
    """One recount: usage as recorded before and as counted, and by which method it was recorded."""

    address: str
    before_bytes: int | None
    after_bytes: int | None
    before_messages: int | None
    after_messages: int | None
    method: str | None
    error: str | None = None
    code: int = 0  # exit code of the error
    remark: str | None = None  # what went wrong although it was done


class TrashResult(msgspec.Struct, frozen=True):
    """What was removed from one Trash, or would be by a dry run. ``oldest`` and ``newest``: when they came to Trash."""

    address: str
    folders: list[str]
    messages: int
    bytes: int
    oldest: float | None
    newest: float | None
    method: str | None
    error: str | None = None
    code: int = 0  # exit code of the error
    remark: str | None = None  # what went wrong although it was done


class Target(msgspec.Struct, frozen=True):
    """An address that mail for the recipient ends at, and the aliases on the way. ``kind``: mailbox, external, unknown
    or loop. ``maps`` are Postfix's maps that made each step of ``via``; empty where those are not known.
    """

    address: str
    kind: str
    limit_bytes: int | None
    used_bytes: int | None
    grace_bytes: int | None
    fits: bool
    via: list[str]
    maps: list[str] = []
    limit_messages: int | None = None
    messages: int | None = None


class Explanation(msgspec.Struct, frozen=True):
    """The decision on a recipient, and each address that its mail ends at. ``action`` is the text after ``action=``.

    ``lost_copies`` are full mailboxes that Postfix sends a copy to (always_bcc, recipient_bcc_maps).
    """

    recipient: str
    size: int
    targets: list[Target]
    verdict: str
    action: str
    why: str
    lost_copies: list[str] = []


class Folder(msgspec.Struct, frozen=True):
    """One folder of a mailbox; ``name`` is decoded from modified UTF-7."""

    name: str
    messages: int
    bytes: int
    trash: bool = False


class DecisionRow(msgspec.Struct, frozen=True, array_like=True):
    """One answered request. ``micros`` is from the request read to the answer written."""

    at: float
    verdict: str  # accept, over_quota, too_large, unknown, trouble, exempt, other
    recipient: str
    mailbox: str  # the accounts that its mail ends in, "" for none
    sender: str
    client: str
    size: int
    micros: int
    missed: list[str] = []  # accounts among them that can't take it, though it was accepted for others
    shadow: bool = False  # the answer was DUNNO, whatever the verdict
    origin: str = "engine"  # log: read from the mail log; then a verdict may be "bounced", by the mailstore


class RefusedAccount(msgspec.Struct, frozen=True, array_like=True):
    """How often mail to an account was refused (in shadow mode: would have been), and the sender of the last one."""

    address: str
    last_hour: int
    last_day: int
    at: float
    sender: str


class Refusals(msgspec.Struct, frozen=True):
    """The accounts with most refusals, most first. ``total`` counts all with refusals; counted from ``since`` on."""

    since: float
    accounts: list[RefusedAccount]
    total: int


class Disagreement(msgspec.Struct, frozen=True, array_like=True):
    """A request that quota-status answers otherwise: its action in ``theirs``, mailquota's verdict and reason."""

    at: float
    recipient: str
    size: int
    verdict: str
    theirs: str
    why: str


class Report(msgspec.Struct, frozen=True):
    """The accounts with most refusals, and the requests that quota-status answers otherwise, newest last."""

    refusals: Refusals
    compared: int
    not_compared: int
    disagreed: int  # of which those below are the newest
    disagreements: list[Disagreement]
    problem: str = ""  # why nothing can be compared now


class JournalRow(msgspec.Struct, frozen=True):
    """One change as the journal has it, with the keys of the JSON output; times in seconds since the epoch.

    ``old`` and ``new`` are texts: of a limit its bytes or "unlimited", of other kinds a number of bytes or a name.
    ``until`` is when a temporary limit ends, ``undoes`` the number of the entry that this one takes back.
    """

    id: int
    at: float
    operator: str
    origin: str
    kind: str  # limit, messages, unclear, not-made, recalc, trash, warning, jump, start, stop
    address: str
    old: str | None
    new: str | None
    reason: str
    until: float | None
    undoes: int | None

    @property
    def who(self) -> str:
        """The operator, with the origin in parentheses where there is one."""
        return f"{self.operator} ({self.origin})" if self.origin else self.operator


def rest_of(rows: Sequence[JournalRow], without: Sequence[str]) -> list[JournalRow]:
    """The entries of an edit but those of some accounts. Raises MailquotaError where one has none, or none is left."""
    known = {row.address for row in rows}
    if wrong := [address for address in without if address not in known]:
        raise MailquotaError(f"{wrong[0]} is not among the accounts of that edit; nothing was changed")
    rest = [row for row in rows if row.address not in without]
    if not rest:
        raise MailquotaError("all accounts of that edit are left out; nothing was changed")
    return rest


def change_json(row: JournalRow) -> dict[str, Any]:
    """An entry for --json: sizes are integers; null is unlimited, or a value that the entry does not have."""
    return msgspec.structs.asdict(row) | {
        "at": rfc3339(row.at),
        "until": rfc3339(row.until),
        "old": _json_value(row.old),
        "new": _json_value(row.new),
    }


def _json_value(value: str | None) -> int | str | None:
    if value is None or value == "unlimited":
        return None
    return int(value) if _NUMBER.fullmatch(value) else value


class WarningRow(msgspec.Struct, frozen=True, array_like=True):
    """One warning to the owner of a mailbox: its threshold, usage and limit when it became due, and its delivery."""

    id: int
    at: float  # when it became due
    address: str
    mark: str  # "80%", "50M" (left), "below" (there is room again), "test"
    percent: float | None
    used_bytes: int | None
    limit_bytes: int | None
    state: str  # queued, sent, failed, dropped
    source: str  # state (a threshold was passed), dovecot, operator
    attempts: int = 0
    next_try: float | None = None
    sent_at: float | None = None
    method: str | None = None  # dovecot-lda, doveadm, maildir, sendmail
    error: str | None = None


class ReplayState(msgspec.Struct, frozen=True):
    """Where a replay is. ``pace`` is in seconds of the recording per second, ``remark`` says what can't be read."""

    at: float
    first: float
    last: float
    paused: bool
    pace: float
    ended: bool
    remark: str = ""


class WarnResult(msgspec.Struct, frozen=True):
    """What became of an order to warn. ``state``: sent, queued (quiet hours, too many a minute), merged (with an
    earlier warning), failed.
    """

    address: str
    mark: str
    state: str
    method: str | None = None
    error: str | None = None
    code: int = 0  # exit code of the error
    remark: str | None = None  # what went wrong although it was done


class Preview(msgspec.Struct, frozen=True):
    """A warning as it would be sent at this moment; ``remark`` says why a template of the settings is not used."""

    subject: str
    text: str
    html: str
    language: str
    remark: str | None = None


class Details(msgspec.Struct, frozen=True):
    """Everything about one account."""

    row: AccountRow
    folders: list[Folder]
    aliases: list[str]
    refusals: list[DecisionRow]
    changes: list[JournalRow] = []  # newest first
    remark: str | None = None  # why there is less than everything
    warnings: list[WarningRow] = []  # newest first
    points: list[Point] = []  # oldest first
    limits: list[tuple[float, int | None]] = []  # from when on which limit held, oldest first
    trend: Trend | None = None
    forecast: Forecast | None = None
    missing: str = ""  # why folders, aliases and points are not known


class DatabaseState(msgspec.Struct, frozen=True):
    """The accounts database. ``state`` is ok, stale (the last known limits are in use) or down (never read).

    ``age_seconds``: since it was last found as the limits in use, None where it never was. ``message`` is the error.
    """

    state: str
    age_seconds: float | None
    message: str = ""


WITNESS_STATES = ("agrees", "differs", "away", "off")


class WitnessStatus(msgspec.Struct, frozen=True):
    """Dovecot's own usage and limits beside ours. ``state`` is agrees, differs, away (it can't be asked) or off.

    ``checked`` and ``differing`` are numbers of accounts; ``age_seconds``: since Dovecot last answered, None if never.
    """

    state: str = "off"
    checked: int = 0
    differing: int = 0
    age_seconds: float | None = None


class DiskState(msgspec.Struct, frozen=True):
    """Space on the file system of the mailstore, in bytes; None where it does not answer."""

    path: str
    free_bytes: int | None
    total_bytes: int | None
    percent: float | None


class Status(msgspec.Struct, frozen=True):
    """The state of an engine: first what ``mailquota status --json`` prints, then what the console shows besides."""

    mode: str
    uptime_seconds: float
    requests: int
    refused: int
    would_refuse: int
    trouble: int
    malformed: int
    answers_per_second: float
    p50_us: int | None
    p99_us: int | None
    connections: int
    accounts: int
    over: int
    near: int
    database: DatabaseState
    disk: DiskState
    rss_bytes: int
    cpu_percent: float
    listen: list[str]
    # for the console alone
    refused_last_hour: int = 0
    counted_since: float | None = None  # since when requests are counted; a hand-over goes on counting
    used_bytes: int = 0
    granted_bytes: int = 0
    if_full_bytes: int = 0  # what all limits would still let in
    measured: int = 0  # accounts whose usage is known
    pid: int = 0
    host: str = ""
    # with policy.compare_with: answers compared with quota-status's, how many differed, how many could not be compared
    compared: int = 0
    disagreed: int = 0
    not_compared: int = 0
    compare_problem: str = ""  # why nothing can be compared now
    unrecorded: int = 0  # changes that are not in the journal, as it could not be written
    state_problem: str = ""  # why the state database can't be used; "" while it can
    policy: dict[str, Any] = {}  # the settings [policy] in force
    driver: str = ""  # by which the usage is measured; what auto stands for was decided when the engine started
    warnings_queued: int = 0
    warnings_failed: int = 0  # given up, within the last days
    witness: WitnessStatus = WitnessStatus()
    witness_remark: str = ""  # why Dovecot can't be asked, or about which accounts it does not answer
    witness_examples: dict[str, str] = {}  # some accounts that differ, and how
    maps_problem: str = ""  # maps of Postfix that can't be asked, or that the accounts database contradicts
    maps_late: int = 0  # recipients judged by what was known, as a map did not answer in time
    mailstore_problem: str = ""  # why mailboxes are not where they should be; "" while they are
    limits_problem: str = ""  # why no limit can be edited here, as the database account may only read
    recount_problem: str = ""  # why no mailbox can be recounted here
    recording_problem: str = ""  # why nothing can be recorded; "" while it can, or is switched off
    restarts: dict[str, int] = {}  # parts of the engine that died and were started again, and how often
    unreadable: int = 0  # mailboxes that their own owners made unreadable
