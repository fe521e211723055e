"""The control protocol: every message between an engine and its clients. Pure.

A client opens with Hello and gets Welcome or Goodbye. Requests carry an ``id`` that their Progress, Reply or Failed
repeats. All other events are sent to clients that subscribed: a Snapshot in parts, then Delta, Head and Decisions as
they happen. The messages of each direction are one tagged union, so a peer can't send what is not listed here. Times
are seconds since the epoch, sizes bytes; the arrow → in a docstring names the type of the answer.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from ..base.model import AccountRow
from .results import DecisionRow, Status

VERSION = 1
Number = Annotated[int, msgspec.Meta(ge=0, le=2**53)]  # what is greater has no place in a database, nor in JSON
Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e11)]  # some 3000 years; neither infinite nor NaN
REPLAY_PACES = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)  # seconds of a recording in one second
SNAPSHOT_PART = 500  # rows in one message; few, so that a large snapshot never blocks the loop for long


# ---- client → engine


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """The first message. ``origin`` is for the journal: the user that called sudo, the host that came by ssh.

    ``read_only``: orders that change something are refused, whatever the user may do.
    """

    version: Number
    client: str
    origin: str = ""
    read_only: bool = False


class Subscribe(msgspec.Struct, frozen=True, tag="subscribe"):
    """Send a Snapshot now and Delta, Head and Decisions from now on."""


class Watch(msgspec.Struct, frozen=True, tag="watch"):
    """Measure these accounts each second, until the next Watch: those on the screen of this client."""

    addresses: list[str]


class GetAccounts(msgspec.Struct, frozen=True, tag="accounts"):
    """Send all rows once, as parts of a Snapshot → None.

    Just after its start an engine waits until all accounts were measured once, at most ``patience`` seconds.
    """

    id: Number
    patience: Seconds = 1.5


class GetDetails(msgspec.Struct, frozen=True, tag="details"):
    """Everything about one account → Details."""

    id: Number
    address: str


class GetFolder(msgspec.Struct, frozen=True, tag="folder"):
    """What is in one folder of a mailbox, by the name in Details → FolderContents."""

    id: Number
    address: str
    folder: str


class GetStatus(msgspec.Struct, frozen=True, tag="status"):
    """The state of the engine → Status."""

    id: Number


class GetRefusals(msgspec.Struct, frozen=True, tag="refusals"):
    """The ``most`` accounts that were refused mail most often within the last day → Refusals."""

    id: Number
    most: Number = 50


class GetReport(msgspec.Struct, frozen=True, tag="report"):
    """What changes when Postfix asks mailquota instead of Dovecot's quota-status → Report."""

    id: Number


class SetLimit(msgspec.Struct, frozen=True, tag="set"):
    """Edit limits → list[SetResult]. ``size`` is what the operator typed: "5G", "+1G", "unlimited", bytes.

    ``dry_run`` answers what would be written; whether the database accepts it is not tried. ``until`` is when the
    limit goes back by itself, in RFC 3339; the client makes it of the date that was typed, in its own time zone.
    """

    id: Number
    addresses: list[str]
    size: str
    reason: str = ""
    until: str = ""
    dry_run: bool = False


class SetMessages(msgspec.Struct, frozen=True, tag="set-messages"):
    """Edit limits of messages → list[SetResult]. ``limit`` is what the operator typed: "1000", "unlimited".

    ``dry_run`` as in SetLimit.
    """

    id: Number
    addresses: list[str]
    limit: str
    reason: str = ""
    dry_run: bool = False


class Recalc(msgspec.Struct, frozen=True, tag="recalc"):
    """Recount mailboxes → list[RecalcResult], with Progress for each. ``everybody``: all, whatever ``addresses`` is."""

    id: Number
    addresses: list[str]
    everybody: bool = False


class EmptyTrash(msgspec.Struct, frozen=True, tag="empty_trash"):
    """Remove messages that came to Trash over ``older_than`` seconds ago, all if None → list[TrashResult]."""

    id: Number
    addresses: list[str]
    older_than: Seconds | None = None
    dry_run: bool = False


class GetJournal(msgspec.Struct, frozen=True, tag="journal"):
    """The newest ``most`` journal entries since a time → list[JournalRow], newest first. ``address`` "": of all."""

    id: Number
    address: str = ""
    since: Seconds = 0.0
    most: Number = 1000


class Undo(msgspec.Struct, frozen=True, tag="undo"):
    """Take back journal entry ``entry``; None: all that the newest edit of limits set → list[SetResult].

    ``newest`` is the newest entry of the edit that is meant: nothing is changed if there is a newer edit by now.
    """

    id: Number
    entry: Number | None = None
    reason: str = ""
    newest: Number | None = None


class UndoPart(Undo, frozen=True, tag="undo_part"):
    """The same, but the accounts ``without`` keep their limits. An order of its own: an engine that does not know it
    must not take back all.
    """

    without: list[str] = []


class PlanUndo(msgspec.Struct, frozen=True, tag="plan_undo"):
    """What Undo with this ``entry`` would do → UndoPlan. An order of its own: an engine that does not know it must
    not take anything back.
    """

    id: Number
    entry: Number | None = None


class Warn(msgspec.Struct, frozen=True, tag="warn"):
    """Send warnings now → list[WarnResult]. ``mark`` is the threshold: a percentage like "95", "below" for room
    again, or "" for the one that the usage of now is at.

    ``source`` says which earlier warnings stand for this one, so that none is sent twice: with "dovecot" those of the
    threshold, with "operator" those of the last moments, with "again" none.
    """

    id: Number
    addresses: list[str]
    mark: str = ""
    source: str = "operator"


class TrialWarning(msgspec.Struct, frozen=True, tag="test_warning"):
    """Send the warning of ``address`` to the address ``to`` instead, labelled as a test → WarnResult."""

    id: Number
    address: str
    mark: str
    to: str


class PreviewWarning(msgspec.Struct, frozen=True, tag="preview"):
    """The warning that the owner of ``address`` would get → Preview. ``mark`` as in Warn."""

    id: Number
    address: str
    mark: str = ""


class GetWarnings(msgspec.Struct, frozen=True, tag="warnings"):
    """The newest ``most`` warnings → list[WarningRow], newest first. ``address`` "": of all accounts."""

    id: Number
    address: str = ""
    most: Number = 500


class Explain(msgspec.Struct, frozen=True, tag="explain"):
    """The answer that Postfix would get for a mail of ``size`` bytes → Explanation. Not counted as a request."""

    id: Number
    address: str
    size: Number = 0


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Stop request ``target`` after the account that it is at; its Reply has what was done until then."""

    id: Number
    target: Number


class Reload(msgspec.Struct, frozen=True, tag="reload"):
    """Read settings and accounts again, as SIGHUP does → str | None: which settings need a restart."""

    id: Number


class Steer(msgspec.Struct, frozen=True, tag="steer"):
    """Pause a replay (or go on), change its pace, go ``by`` seconds or ``to`` a time → ReplayState.

    ``pace`` is in seconds of the recording per second; None leaves pause or pace as it is. ``stop``: pause there. An
    engine that answers Postfix refuses it.
    """

    id: Number
    paused: bool | None = None
    pace: Seconds | None = None
    by: Annotated[float, msgspec.Meta(ge=-1e11, le=1e11)] = 0.0
    to: Seconds | None = None
    stop: bool = False


class HandOver(msgspec.Struct, frozen=True, tag="hand_over"):
    """Start another engine and give it the open sockets → int, its process id.

    The engine of a console takes this order from that console alone, and the console ends by it.
    """

    id: Number


Order = (
    Hello | Subscribe | Watch | GetAccounts | GetDetails | GetFolder | GetStatus | GetJournal | GetRefusals | GetReport
    | SetLimit | SetMessages | Recalc | EmptyTrash | Undo | UndoPart | PlanUndo | Warn | TrialWarning | PreviewWarning
    | GetWarnings | Explain | Cancel | Reload | Steer | HandOver
)  # fmt: skip

Request = (
    GetAccounts | GetDetails | GetFolder | GetStatus | GetJournal | GetRefusals | GetReport | SetLimit | SetMessages
    | Recalc | EmptyTrash | Undo | UndoPart | PlanUndo | Warn | TrialWarning | PreviewWarning | GetWarnings | Explain
    | Cancel | Reload | Steer | HandOver
)  # fmt: skip


# ---- engine → client


class Welcome(msgspec.Struct, frozen=True, tag="welcome"):
    """The answer to Hello. ``version`` is of the protocol, ``engine`` of mailquota; ``mode`` is enforce or shadow.

    ``may_change`` is false where orders that change something are refused, ``demo`` true in a throwaway world.
    ``build`` is the version and a number that differs between two builds of one version; "" before 0.2. ``replay``: it
    is no engine, but plays what one recorded.
    """

    version: int
    engine: str
    host: str
    pid: int
    mode: str
    may_change: bool
    demo: bool = False
    build: str = ""
    replay: bool = False


class Goodbye(msgspec.Struct, frozen=True, tag="goodbye"):
    """The last message before the engine closes the connection."""

    reason: str


class Snapshot(msgspec.Struct, frozen=True, tag="snapshot"):
    """A part of all rows. ``total`` counts the rows of all parts; ``first``: the client forgets the rows it had."""

    rows: list[AccountRow]
    total: int
    first: bool
    last: bool


class Delta(msgspec.Struct, frozen=True, tag="delta"):
    """Rows that are new or changed, and the addresses of accounts that are gone."""

    rows: list[AccountRow]
    removed: list[str]


class Head(msgspec.Struct, frozen=True, tag="head"):
    """The state of the engine, sent each second."""

    at: float
    status: Status


class Decisions(msgspec.Struct, frozen=True, tag="decisions"):
    """Answered requests, newest last. ``skipped`` counts those that are left out under load.

    ``backlog``: they are from before the Subscribe; after a reconnect the client may have some of them. ``first``: the
    client forgets those it had.
    """

    rows: list[DecisionRow]
    skipped: int = 0
    backlog: bool = False
    first: bool = False


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """Request ``id`` is done for ``done`` of ``total`` accounts; ``note`` is the address of the last one."""

    id: int
    done: int
    total: int
    note: str = ""


class Reply(msgspec.Struct, frozen=True, tag="reply"):
    """Request ``id`` is done; ``result`` is the msgpack of the type that the docstring of the request names."""

    id: int
    result: msgspec.Raw


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """Request ``id`` failed as a whole; ``exit_code`` is what a command ends with."""

    id: int
    exit_code: int
    message: str


Event = Welcome | Goodbye | Snapshot | Delta | Head | Decisions | Progress | Reply | Failed
