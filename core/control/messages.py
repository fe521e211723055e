"""The control protocol: every message between an engine and its clients. Pure.

A client opens with Hello and gets Welcome or Goodbye. Requests carry an ``id`` that their Progress, Reply or Failed
repeats; everything else flows unasked to those who subscribed: a Snapshot in parts, then Delta, Head and Decisions as
they happen. The messages of both directions are two tagged unions, so a peer can't send what is not listed here.
"""

from __future__ import annotations

import msgspec

from mailquota.core.base.model import AccountRow
from mailquota.core.control.results import DecisionRow, Status

VERSION = 1
SNAPSHOT_PART = 500  # rows a message; small, so that a large snapshot never holds the loop for long


# ---- client → engine


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """First message. ``origin`` says where the operator sits (sudo user, ssh peer), for the journal."""

    version: int
    client: str
    origin: str = ""
    read_only: bool = False


class Subscribe(msgspec.Struct, frozen=True, tag="subscribe"):
    """Send a Snapshot now and Delta, Head and Decisions from now on."""


class Watch(msgspec.Struct, frozen=True, tag="watch"):
    """The accounts on this client's screen: measured each second while they are there."""

    addresses: list[str]


class GetAccounts(msgspec.Struct, frozen=True, tag="accounts"):
    """All rows once, as Snapshot parts, then Reply(None).

    Just after a start it is put off until everybody was measured once, at most for ``patience`` seconds.
    """

    id: int
    patience: float = 1.5


class GetDetails(msgspec.Struct, frozen=True, tag="details"):
    """One account with its folders and aliases → Details."""

    id: int
    address: str


class GetStatus(msgspec.Struct, frozen=True, tag="status"):
    """→ Status."""

    id: int


class GetRefusals(msgspec.Struct, frozen=True, tag="refusals"):
    """The ``most`` accounts that were refused mail most often within the last day → Refusals."""

    id: int
    most: int = 50


class GetReport(msgspec.Struct, frozen=True, tag="report"):
    """What a switch from quota-status changes → Report."""

    id: int


class SetLimit(msgspec.Struct, frozen=True, tag="set"):
    """Edit limits → list[SetResult]. ``size`` is in the size language, relative forms included; bytes are whole.

    ``dry_run`` says what would be written; whether the database takes it only the writing shows. ``until`` is when
    the limit goes back by itself, in RFC 3339: the client has read the date, as its time zone is that of whoever typed.
    """

    id: int
    addresses: list[str]
    size: str
    reason: str = ""
    until: str = ""
    dry_run: bool = False


class Recalc(msgspec.Struct, frozen=True, tag="recalc"):
    """Recount → list[RecalcResult], with Progress for each account; ``everybody`` needs no addresses."""

    id: int
    addresses: list[str]
    everybody: bool = False


class EmptyTrash(msgspec.Struct, frozen=True, tag="empty_trash"):
    """Remove the messages in Trash that arrived there over ``older_than`` seconds ago → list[TrashResult]."""

    id: int
    addresses: list[str]
    older_than: float | None = None
    dry_run: bool = False


class GetJournal(msgspec.Struct, frozen=True, tag="journal"):
    """The newest ``most`` changes since a time, of one ``address`` if it is given → list[JournalRow], newest first."""

    id: int
    address: str = ""
    since: float = 0.0
    most: int = 1000


class Undo(msgspec.Struct, frozen=True, tag="undo"):
    """Take back journal entry ``entry``, or the newest edit of limits (all that it set) → list[SetResult]."""

    id: int
    entry: int | None = None
    reason: str = ""


class Warn(msgspec.Struct, frozen=True, tag="warn"):
    """Send warnings now → list[WarnResult]. ``mark`` is a percentage like "95", "below", or "" (its present state).

    ``source``: "dovecot" is merged with what was sent before, "operator" with what was sent just now, "again"
    with nothing.
    """

    id: int
    addresses: list[str]
    mark: str = ""
    source: str = "operator"


class TrialWarning(msgspec.Struct, frozen=True, tag="test_warning"):
    """Send the warning that ``address`` would get to ``to`` instead, marked as a test → WarnResult."""

    id: int
    address: str
    mark: str
    to: str


class PreviewWarning(msgspec.Struct, frozen=True, tag="preview"):
    """→ Preview."""

    id: int
    address: str
    mark: str = ""


class GetWarnings(msgspec.Struct, frozen=True, tag="warnings"):
    """The newest ``most`` warnings, of one ``address`` if it is given → list[WarningRow], newest first."""

    id: int
    address: str = ""
    most: int = 500


class Explain(msgspec.Struct, frozen=True, tag="explain"):
    """The answer that Postfix would get → Explanation. Never counted as a request."""

    id: int
    address: str
    size: int = 0


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Stop request ``target`` after the account that is being worked on; its Reply holds what was done."""

    id: int
    target: int


class Reload(msgspec.Struct, frozen=True, tag="reload"):
    """Read settings and accounts again, as SIGHUP does → once the new ones hold, str | None: what needs a restart."""

    id: int


class HandOver(msgspec.Struct, frozen=True, tag="hand_over"):
    """Start another engine and give it the open sockets → Reply(pid).

    The engine in a console takes this from its console alone, which ends by it; a detached engine follows.
    """

    id: int


Order = (
    Hello | Subscribe | Watch | GetAccounts | GetDetails | GetStatus | GetJournal | GetRefusals | GetReport | SetLimit
    | Recalc | EmptyTrash | Undo | Warn | TrialWarning | PreviewWarning | GetWarnings | Explain | Cancel | Reload
    | HandOver
)  # fmt: skip

Request = (
    GetAccounts | GetDetails | GetStatus | GetJournal | GetRefusals | GetReport | SetLimit | Recalc | EmptyTrash
    | Undo | Warn | TrialWarning | PreviewWarning | GetWarnings | Explain | Cancel | Reload | HandOver
)  # fmt: skip


# ---- engine → client


class Welcome(msgspec.Struct, frozen=True, tag="welcome"):
    """The engine is there. ``may_change`` is false for those who may only look."""

    version: int
    engine: str
    host: str
    pid: int
    mode: str
    may_change: bool
    demo: bool = False


class Goodbye(msgspec.Struct, frozen=True, tag="goodbye"):
    """The engine ends this connection, and why."""

    reason: str


class Snapshot(msgspec.Struct, frozen=True, tag="snapshot"):
    """A part of all rows; ``total`` over all parts. The first part has ``first`` and replaces what was known."""

    rows: list[AccountRow]
    total: int
    first: bool
    last: bool


class Delta(msgspec.Struct, frozen=True, tag="delta"):
    """Rows that changed or came, and addresses that are gone."""

    rows: list[AccountRow]
    removed: list[str]


class Head(msgspec.Struct, frozen=True, tag="head"):
    """Each second."""

    at: float
    status: Status


class Decisions(msgspec.Struct, frozen=True, tag="decisions"):
    """Newest last; ``skipped`` were answered but are not shown, under load.

    ``backlog``: from before the Subscribe; after a reconnect some of them may be known.
    """

    rows: list[DecisionRow]
    skipped: int = 0
    backlog: bool = False


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """Request ``id`` has done ``done`` of ``total`` accounts."""

    id: int
    done: int
    total: int
    note: str = ""


class Reply(msgspec.Struct, frozen=True, tag="reply"):
    """Request ``id`` is done; ``result`` is msgpack of the type that the request names."""

    id: int
    result: msgspec.Raw


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """Request ``id`` failed as a whole; ``exit_code`` is the command line's."""

    id: int
    exit_code: int
    message: str


Event = Welcome | Goodbye | Snapshot | Delta | Head | Decisions | Progress | Reply | Failed
