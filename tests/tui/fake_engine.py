"""An engine that only pretends: it speaks the control protocol, keeps what it was told, and answers by script.

``python -m tests.tui.fake_engine`` shows the console on it, in this terminal.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import socket
import time
from collections.abc import Callable
from typing import Any

import msgspec

from mailquota.core.base.errors import UsageError
from mailquota.core.base.model import AccountRow
from mailquota.core.base.units import format_limit, parse_limit
from mailquota.core.control.client import Client, EngineGoneError
from mailquota.core.control.framing import OrderReader, Refused, encode, encode_result
from mailquota.core.control.messages import (
    SNAPSHOT_PART,
    VERSION,
    Cancel,
    Decisions,
    Delta,
    EmptyTrash,
    Event,
    Explain,
    Failed,
    GetDetails,
    GetFolder,
    GetJournal,
    GetRefusals,
    GetStatus,
    GetWarnings,
    Goodbye,
    HandOver,
    Head,
    Hello,
    Order,
    PlanUndo,
    PreviewWarning,
    Progress,
    Recalc,
    Reply,
    SetLimit,
    Snapshot,
    Subscribe,
    TrialWarning,
    Undo,
    UndoPart,
    Warn,
    Watch,
    Welcome,
)
from mailquota.core.control.results import (
    DecisionRow,
    Details,
    JournalRow,
    RecalcResult,
    Refusals,
    SetResult,
    TrashResult,
    UndoPlan,
    WarningRow,
    WarnResult,
)
from tests.tui import past, world


class FakeEngine:
    """``orders`` holds what came, without Hello and Watch, which have their own fields."""

    def __init__(self, rows: list[AccountRow], *, clock: Callable[[], float] = lambda: world.NOW) -> None:
        self.rows = {row.address: row for row in rows}
        self.clock = clock
        self.orders: list[Order] = []
        self.hello: Hello | None = None
        self.watched: list[str] = []
        self.welcome = Welcome(VERSION, "fake", "mail.example.org", os.getpid(), "enforce", may_change=True)
        self.backlog: list[DecisionRow] = []
        self.refusals = Refusals(world.NOW - 3600.0, [], 0)
        self.explanation = world.explanation()
        self.changes: list[JournalRow] = []  # in details
        self.remark: str | None = None  # about details
        self.remembers = False  # the use of months, and what became of it
        self.journal: list[JournalRow] = []  # newest first
        self.warnings: list[WarningRow] = []  # same
        self.preview = past.PREVIEW
        self.warned: dict[str, WarnResult] = {}  # by address, what an order to warn does; it is sent where none is here
        self.status_changes: dict[str, object] = {}
        self.failing: dict[type[Any], str] = {}  # order type → message
        self.holding: type[Any] | tuple[()] = ()  # orders that wait for ``held``
        self.failing_once: dict[type[Any], str] = {}
        self.drifts: dict[str, int] = {}  # address → what a recount finds more, in bytes
        self.row_errors: dict[str, str] = {}  # address → message
        self.away = ""  # why connecting fails
        self.held = asyncio.Event()  # recalculations wait for it after the first account
        self.held.set()
        self.snapshots = True
        self.changes_told = True  # else a console keeps the rows that it has
        self._writers: list[asyncio.StreamWriter] = []
        self._subscribed: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._cancelled: set[int] = set()

    # ---- connections

    async def connect(self) -> tuple[Client, Welcome]:
        """What the console is given."""
        if self.away:
            raise EngineGoneError(self.away)
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        self._spawn(self._serve(reader, writer))
        return await Client.adopt(theirs, "console")

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        orders = OrderReader()
        try:
            while data := await reader.read(1 << 16):
                for order in orders.feed(data):
                    assert not isinstance(order, Refused)
                    await self._take(order, writer)
        except OSError:
            pass
        finally:
            self._forget(writer)

    def _forget(self, writer: asyncio.StreamWriter) -> None:
        for known in (self._writers, self._subscribed):
            with contextlib.suppress(ValueError):
                known.remove(writer)
        writer.close()

    def drop(self, reason: str = "the engine stops") -> None:
        """End all connections."""
        for writer in list(self._writers):
            self._send(writer, Goodbye(reason))
            self._forget(writer)

    async def close(self) -> None:
        """End everything."""
        self.drop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ---- what it tells

    def _send(self, writer: asyncio.StreamWriter, event: Event) -> None:
        if not writer.is_closing():
            writer.write(encode(event))

    def tell(self, event: Event) -> None:
        """To all consoles."""
        for writer in list(self._subscribed):
            self._send(writer, event)

    def head(self) -> None:
        """The second's Head."""
        status = world.status(list(self.rows.values()), **{"mode": self.welcome.mode, **self.status_changes})
        self.tell(Head(self.clock(), status))

    def change(self, *rows: AccountRow, removed: tuple[str, ...] = ()) -> None:
        """Rows that changed or came, addresses that went."""
        for address in removed:
            self.rows.pop(address, None)
        self.rows.update({row.address: row for row in rows})
        if self.changes_told:
            self.tell(Delta(list(rows), list(removed)))

    def live(self, *, idle: bool = False) -> None:
        """From now on something happens each second, or nothing but time."""
        if not self._tasks:
            self._spawn(self._live(random.Random(1), idle=idle))

    async def _live(self, rng: random.Random, *, idle: bool) -> None:
        while True:
            await asyncio.sleep(1)
            rows, now = list(self.rows.values()), self.clock()
            if not idle:
                for row in rng.sample(rows, min(3, len(rows))):
                    grown = (row.used_bytes or 0) + rng.randrange(1 << 20)
                    self.change(msgspec.structs.replace(row, used_bytes=grown, measured_at=now))
                self.decide(*(world.decision(rng, rows, now) for _ in range(rng.randrange(3))))
                self.status_changes["answers_per_second"] = rng.uniform(35, 50)
            self.head()

    def decide(self, *rows: DecisionRow, skipped: int = 0) -> None:
        """New decisions."""
        self.tell(Decisions(list(rows), skipped))

    # ---- what it is told

    async def _take(self, order: Order, writer: asyncio.StreamWriter) -> None:
        if isinstance(order, Hello):
            self.hello = order
            self._send(writer, self.welcome)
        elif isinstance(order, Watch):
            self.watched = order.addresses
        elif isinstance(order, Cancel):
            self._cancelled.add(order.target)
            self._send(writer, Reply(order.id, encode_result(None)))
        elif isinstance(order, Subscribe):
            if self.backlog:
                self._send(writer, Decisions(self.backlog, backlog=True))
            self._subscribed.append(writer)
            if self.snapshots:
                self.snapshot(writer)
                self.head()
        else:
            self.orders.append(order)
            self._spawn(self._answer(order, writer))

    def snapshot(self, writer: asyncio.StreamWriter | None = None) -> None:
        """All rows, in parts."""
        rows = list(self.rows.values())
        starts = range(0, max(1, len(rows)), SNAPSHOT_PART)
        for start in starts:
            part = Snapshot(rows[start : start + SNAPSHOT_PART], len(rows), start == 0, start == starts[-1])
            for each in [writer] if writer is not None else self._subscribed:
                self._send(each, part)

    async def _answer(self, order: Any, writer: asyncio.StreamWriter) -> None:
        await self._hold(order)
        message = self.failing_once.pop(type(order), None) or self.failing.get(type(order)) or self._another_edit(order)
        if message is not None:
            self._send(writer, Failed(order.id, 1, message))
            return
        result: object = None
        if isinstance(order, SetLimit):
            result = [self._set(address, order) for address in order.addresses]
        elif isinstance(order, Recalc):
            result = await self._recalc(order, writer)
        elif isinstance(order, EmptyTrash):
            result = [self._empty(address, order) for address in order.addresses]
        elif isinstance(order, GetDetails):
            result = self._details(self.rows[order.address])
        elif isinstance(order, GetRefusals):
            result = self.refusals
        elif isinstance(order, Explain):
            result = msgspec.structs.replace(self.explanation, recipient=order.address, size=order.size)
        elif isinstance(order, GetStatus):
            result = world.status(list(self.rows.values()))
        elif isinstance(order, HandOver):
            result = 4711
        else:
            result = self._remembered(order)
        self._send(writer, Reply(order.id, encode_result(result)))

    def _details(self, row: AccountRow) -> Details:
        if self.remembers:
            return past.details(row, self.clock())
        return Details(row, world.folders(row), [f"alias-of-{row.address}"], [], self.changes, self.remark)

    def _remembered(self, order: Any) -> object:
        if isinstance(order, GetJournal):
            return self.journal[: order.most]
        if isinstance(order, GetWarnings):
            return self.warnings[: order.most]
        if isinstance(order, PreviewWarning):
            return self.preview
        if isinstance(order, GetFolder):
            return past.contents(self.rows[order.address], order.folder, self.clock())
        if isinstance(order, Warn | TrialWarning):
            return self._warnings_sent(order)
        assert isinstance(order, Undo | PlanUndo)
        edit, plans = self._undone(order.entry), isinstance(order, PlanUndo)
        out = order.without if isinstance(order, UndoPart) else ()
        results = [self._undo(row, dry_run=plans) for row in edit if row.address not in out]
        return UndoPlan(edit, results) if plans else results

    def _warnings_sent(self, order: Warn | TrialWarning) -> list[WarnResult] | WarnResult:
        if isinstance(order, TrialWarning):
            return self._warn(order.address, order.mark)
        return [self._warn(address, order.mark) for address in order.addresses]

    def _warn(self, address: str, mark: str) -> WarnResult:
        return self.warned.get(address, WarnResult(address, mark or "95", "sent", "dovecot-lda"))

    def _undone(self, entry: int | None) -> list[JournalRow]:
        undone = {row.undoes for row in self.journal}
        edits = [row for row in self.journal if row.kind == "limit" and row.undoes is None and row.id not in undone]
        if again := [row for row in self.journal if row.id == entry and row.undoes is not None]:
            return [row for row in self.journal if row.at == again[0].at and row.undoes is not None]
        return [row for row in edits if (row.at == edits[0].at if entry is None else row.id == entry)]

    async def _hold(self, order: Any) -> None:
        if isinstance(order, self.holding):
            await self.held.wait()

    def _another_edit(self, order: Any) -> str | None:
        if not isinstance(order, Undo) or order.newest in {None, *(row.id for row in self._undone(order.entry)[:1])}:
            return None
        return "another edit of limits came in between; nothing was changed"

    def _undo(self, row: JournalRow, *, dry_run: bool = False) -> SetResult:
        account = self.rows[row.address]
        if row.address in self.row_errors:
            return SetResult(row.address, account.limit_bytes, account.limit_bytes, error=self.row_errors[row.address])
        limit = None if row.old is None or row.old == "unlimited" else int(row.old)
        if row.new != ("unlimited" if account.limit_bytes is None else str(account.limit_bytes)):
            now = format_limit(account.limit_bytes)
            words = f"the limit of {row.address} is {now} by now, set by anna on 2026-07-01; nothing was changed"
            return SetResult(row.address, account.limit_bytes, account.limit_bytes, error=words)
        if dry_run:
            return SetResult(row.address, account.limit_bytes, limit, account.used_bytes)
        undoes = row.id if row.undoes is None else None
        number = self._note(row.address, row.new, row.old, undoes=undoes)
        self.change(msgspec.structs.replace(account, limit_bytes=limit))
        return SetResult(row.address, account.limit_bytes, limit, account.used_bytes, number)

    def _note(self, address: str, old: str | None, new: str | None, reason: str = "", **more: Any) -> int:
        """Into the journal."""
        number = max((row.id for row in self.journal), default=0) + 1
        values = {"until": None, "undoes": None, **more}
        self.journal.insert(
            0, JournalRow(number, self.clock(), "root", "console", "limit", address, old, new, reason, **values)
        )
        return number

    def _set(self, address: str, order: SetLimit) -> SetResult:
        row = self.rows[address]
        if address in self.row_errors:
            return SetResult(address, row.limit_bytes, row.limit_bytes, error=self.row_errors[address])
        try:
            new = parse_limit(order.size, row.limit_bytes, row.used_bytes)
        except UsageError as error:
            return SetResult(address, row.limit_bytes, row.limit_bytes, error=str(error))
        if not order.dry_run:
            old, after = ("unlimited" if limit is None else str(limit) for limit in (row.limit_bytes, new))
            self._note(address, old, after, order.reason)
            self.change(msgspec.structs.replace(row, limit_bytes=new))
        return SetResult(address, row.limit_bytes, new, row.used_bytes, 1)

    async def _recalc(self, order: Recalc, writer: asyncio.StreamWriter) -> list[RecalcResult]:
        results: list[RecalcResult] = []
        for number, address in enumerate(order.addresses, 1):
            row = self.rows[address]
            drift = self.drifts.get(address, -(5 << 20) if number % 2 else 0)
            after = None if row.used_bytes is None else row.used_bytes + drift
            error = self.row_errors.get(address)
            results.append(RecalcResult(address, row.used_bytes, after, row.messages, row.messages, "rewrite", error))
            self._send(writer, Progress(order.id, number, len(order.addresses), address))
            await self.held.wait()
            if order.id in self._cancelled:
                break
        return results

    def _empty(self, address: str, order: EmptyTrash) -> TrashResult:
        row = self.rows[address]
        if address in self.row_errors:
            return TrashResult(address, [], 0, 0, None, None, None, self.row_errors[address])
        messages, size = row.trash_messages or 0, row.trash_bytes or 0
        if order.older_than is not None:
            messages, size = messages // 2, size // 2
        if not order.dry_run:
            self.change(
                msgspec.structs.replace(
                    row,
                    used_bytes=(row.used_bytes or 0) - size,
                    trash_bytes=(row.trash_bytes or 0) - size,
                    trash_messages=(row.trash_messages or 0) - messages,
                )
            )
        now = self.clock()
        return TrashResult(address, ["Trash"], messages, size, now - 90 * 86400, now - 3600, "unlink")


def _options() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--accounts", type=int, default=1200)
    options.add_argument("--idle", action="store_true", help="nothing happens but time")
    options.add_argument("--attached", action="store_true")
    options.add_argument("--no-color", action="store_true")
    options.add_argument("--ascii", action="store_true")
    options.add_argument("--no-mouse", action="store_true")
    options.add_argument("--listen", metavar="PATH", help="only the engine, on this socket")
    options.add_argument("--connect", metavar="PATH", help="only the console, on that engine")
    return options.parse_args()


def main() -> None:
    """A console on a fake engine, to look at and to drive by hand or by tmux."""
    given = _options()
    now = time.time()
    engine = FakeEngine([] if given.connect else past.accounts(given.accounts, now), clock=time.time)
    engine.remembers, engine.journal, engine.warnings = True, past.journal(now), past.warnings(now)
    if given.listen:
        asyncio.run(_listen(engine, given.listen, idle=given.idle))
        return
    from mailquota.tui.app import run_console

    async def connect() -> tuple[Client, Welcome]:
        if given.connect:
            return await Client.connect(given.connect, "console")
        engine.live(idle=given.idle)
        return await engine.connect()

    embedded = not (given.attached or given.connect)
    looks = {"no_color": given.no_color, "ascii_only": given.ascii, "mouse": not given.no_mouse}
    print(run_console(connect, embedded=embedded, examine=past.findings, **looks))


async def _listen(engine: FakeEngine, path: str, *, idle: bool) -> None:
    server = await asyncio.start_unix_server(engine._serve, path)
    engine.live(idle=idle)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    main()
