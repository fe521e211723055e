"""What this console knows of its engine: one object that all screens read. No I/O and no clock.

Theory of operation. ``take`` gets every event of the control protocol in order and keeps the newest state. Between two
drains it collects changes, merged: a row that changed five times counts once, a new snapshot replaces what came before
it, decisions are limited in number. So a screen that draws slowly gets fewer and larger changes, never a growing
backlog.

``state``: CONNECTING until there is a connection, LOADING until the first snapshot is complete, then LIVE. LOST comes
when the connection ends, or when nothing was heard for SILENT seconds. The rows of a lost engine stay, with their age.
An engine that is heard again is LOADING, until its snapshot is complete, or LIVE.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum

from mailquota.core.base.model import AccountRow
from mailquota.core.control.messages import Decisions, Delta, Event, Goodbye, Head, Snapshot, Welcome
from mailquota.core.control.results import DecisionRow, Status

SILENT = 5.0  # seconds without an event from an engine that sends one every second
KEPT_DECISIONS = 2000


class State(Enum):
    """The state of the connection to the engine."""

    CONNECTING = "connecting"
    LOADING = "loading"
    LIVE = "live"
    LOST = "lost"


@dataclass
class Changes:
    """What came since the last drain. A new ``snapshot`` comes before ``rows`` and ``removed``."""

    snapshot: list[AccountRow] | None = None
    rows: dict[str, AccountRow] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    state: bool = False

    def row(self, address: str) -> AccountRow | None:
        """The new row of an account; None if it did not change."""
        snapshot = (row for row in self.snapshot or () if row.address == address)
        return self.rows.get(address) or next(snapshot, None)


@dataclass
class Session:
    """What this console knows of its engine now: connection, status, newest decisions, and the changes since the last
    drain.

    Times are seconds since the epoch, for display.
    """

    welcome: Welcome | None = None
    state: State = State.CONNECTING
    reason: str = ""  # why the connection was lost or could not be made
    heard_at: float | None = None
    silent: float = 0.0  # seconds without an event, by a clock that never goes back
    status: Status | None = None
    decisions: deque[DecisionRow] = field(default_factory=lambda: deque(maxlen=KEPT_DECISIONS))
    received: int = 0  # number of all decisions so far, also of those that are not kept any more
    forgotten: int = 0  # as many of them are no longer valid: a replay jumped to another time
    skipped: int = 0  # decisions that the engine left out, as there were too many to show
    faults: int = 0  # number of checks that failed in the last examination of this server
    loaded: int = 0  # rows of the snapshot that is coming in
    expected: int = 0  # rows that it will have
    _whole: bool = False  # the snapshot of this connection is complete
    _parts: list[AccountRow] = field(default_factory=list)
    _changes: Changes = field(default_factory=Changes)

    def connected(self, welcome: Welcome, now: float) -> None:
        """A connection to an engine was made."""
        self.welcome, self.heard_at, self.silent = welcome, now, 0.0
        self._whole = False
        self._enter(State.LOADING)

    def lost(self, reason: str) -> None:
        """The connection ended, or could not be made, for this reason."""
        self.reason = reason
        self._enter(State.LOST if self.heard_at is not None else State.CONNECTING)

    def check_silence(self, seconds: float) -> None:
        """Nothing was heard for so many seconds. An engine that hangs counts as lost; it may come back on the same
        connection."""
        self.silent = seconds
        if self.state in {State.LIVE, State.LOADING} and seconds > SILENT:
            self.lost("the engine is silent")

    def take(self, event: Event, now: float) -> None:
        """Take one event of the engine, received at ``now``."""
        if isinstance(event, Goodbye):
            self.lost(event.reason)
            return
        self.heard_at, self.silent = now, 0.0
        if self.state is State.LOST:
            self._enter(State.LIVE if self._whole else State.LOADING)
        if isinstance(event, Snapshot):
            self._take_part(event)
        elif isinstance(event, Delta):
            self._take_delta(event)
        elif isinstance(event, Head):
            self.status = event.status
        elif isinstance(event, Decisions):
            self._take_decisions(event)

    def _take_decisions(self, event: Decisions) -> None:
        """Add decisions; from the backlog after a reconnect only those that are not known yet."""
        rows = event.rows
        if event.first:
            self.decisions.clear()
            self.forgotten = self.received
        if event.backlog and self.decisions:
            last = self.decisions[-1].at
            rows = [row for row in rows if row.at > last or (row.at == last and row not in self.decisions)]
        self.decisions.extend(rows)
        self.received += len(rows)
        self.skipped += event.skipped

    @property
    def mode(self) -> str:
        """``enforce`` or ``shadow``: the present mode, which a reload of the settings can change."""
        if self.status is not None:
            return self.status.mode
        return self.welcome.mode if self.welcome is not None else ""

    @property
    def urgent(self) -> bool:
        """Whether something came that is drawn whatever the pace is: a snapshot, or another state of the connection."""
        return self._changes.state or self._changes.snapshot is not None

    def drain(self) -> Changes:
        """All changes since the last drain. Those that come between the parts of a snapshot wait for its end."""
        changes = self._changes
        self._changes = Changes()
        if not self._whole:
            self._changes.rows, self._changes.removed = changes.rows, changes.removed
            changes.rows, changes.removed = {}, set()
        return changes

    def _enter(self, state: State) -> None:
        self.state = state
        self._changes.state = True

    def _take_part(self, part: Snapshot) -> None:
        if part.first:
            self._parts = []
            self._changes.rows, self._changes.removed = {}, set()
        self._parts += part.rows
        self.loaded, self.expected = len(self._parts), part.total
        if part.last:
            self._changes.snapshot, self._parts = self._parts, []
            self._whole = True
            self._enter(State.LIVE)

    def _take_delta(self, delta: Delta) -> None:
        rows, removed = self._changes.rows, self._changes.removed
        for address in delta.removed:
            rows.pop(address, None)
            removed.add(address)
        for row in delta.rows:
            removed.discard(row.address)
            rows[row.address] = row
