"""Sends events to the clients that subscribed: changes and decisions four times a second, the status once a second.

A frame is encoded once for all of them. Without a subscriber changes are dropped, as a client that subscribes later
gets a snapshot first. The recorder notes them in any case (core/engine/recorder.py).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from ..base import restarts
from ..control.framing import encode
from ..control.messages import SNAPSHOT_PART, Decisions, Delta, Head, Snapshot
from ..control.results import Status
from ..control.server import ControlConnection, ControlServer
from ..mailboxes.ledger import Entry, Ledger
from ..policy.log import DecisionLog

_TICK = 0.25
_DECISIONS_SHOWN = 25  # of those since the last tick
_UNREAD = 4 * 1024 * 1024  # a snapshot waits while so much of it is unread


class Publisher:
    """Sends the changes of ``ledger`` and ``decisions`` to subscribers of ``control``. Runs on the engine's loop."""

    def __init__(
        self,
        control: ControlServer,
        ledger: Ledger,
        decisions: DecisionLog,
        status: Callable[[], Status],
        changed: Callable[[dict[str, Entry], set[str]], None] = lambda _changed, _removed: None,
    ) -> None:
        self._changed = changed
        self._control = control
        self._ledger = ledger
        self._decisions = decisions
        self._status = status

    async def run(self) -> None:
        """Publish every quarter of a second, until cancelled."""
        ticks = 0
        while True:
            await asyncio.sleep(_TICK)
            ticks += 1
            try:
                self.publish()
                if ticks % 4 == 0:
                    self.publish_head()
            except Exception as error:  # noqa: BLE001 - an outer edge: one row must not end the publishing
                restarts.count("publisher", error)

    def publish(self) -> None:
        """Send the changes and decisions since the last call."""
        subscribers = self._control.subscribers
        changed, removed = self._ledger.take_changed()
        self._changed(changed, removed)
        if not subscribers:
            return
        rows = [self._ledger.row(entry) for entry in changed.values()]
        frames = [
            encode(Delta(rows[start : start + SNAPSHOT_PART], list(removed) if start == 0 else []))
            for start in range(0, max(len(rows), 1 if removed else 0), SNAPSHOT_PART)
        ]
        for connection in subscribers:
            for frame in frames:
                connection.send_frame(frame)
            self._publish_decisions(connection)

    def _publish_decisions(self, connection: ControlConnection) -> None:
        new, skipped = self._decisions.since(connection.decisions_seen, _DECISIONS_SHOWN)
        connection.decisions_seen = self._decisions.count
        if new:
            connection.send(Decisions(new, skipped))

    def publish_head(self) -> None:
        """Send the status."""
        subscribers = self._control.subscribers
        if subscribers:
            frame = encode(Head(time.time(), self._status()))
            for connection in subscribers:
                connection.send_frame(frame)

    async def subscribe(self, connection: ControlConnection) -> None:
        """Send the status, the newest decisions and a snapshot; changes from then on."""
        connection.send(Head(time.time(), self._status()))
        connection.decisions_seen = self._decisions.count
        for rows in self._decisions.backlog():
            connection.send(Decisions(rows, backlog=True))
            await asyncio.sleep(0)
        connection.subscribed = True  # only now, so that newer decisions don't come between older ones
        await self.snapshot(connection)

    async def snapshot(self, connection: ControlConnection) -> None:
        """Send all rows in parts, with other work of the loop in between. Rows that change meanwhile come again."""
        entries = list(self._ledger.entries.values())
        starts = range(0, max(len(entries), 1), SNAPSHOT_PART)
        for start in starts:
            part = entries[start : start + SNAPSHOT_PART]
            rows = [self._ledger.row(entry) for entry in part if self._ledger.get(entry.address) is entry]
            connection.send(Snapshot(rows, len(entries), start == 0, start == starts[-1]))
            await asyncio.sleep(0)
            while connection.unread > _UNREAD:  # noqa: ASYNC110 - a slow reader alone pays for this
                await asyncio.sleep(0.01)
