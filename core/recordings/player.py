"""Plays a recording to a console over the control protocol, as an engine would: read-only, and steered by ``Steer``.

It runs on the loop of the console, and reads the recording in threads. Four times a second it sends the answers of the
time that has passed; accounts, journal and warnings follow at the end of each recorded period, some ten seconds. A
jump begins at the last whole table before its time, and sends everything anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any

from ..base.errors import MailquotaError, NoSuchAccountError, ProtocolError
from ..base.threads import in_thread
from ..base.version import build, version
from ..control.client import Client
from ..control.framing import OrderReader, Refused, encode, encode_result
from ..control.messages import (
    REPLAY_PACES,
    SNAPSHOT_PART,
    VERSION,
    Decisions,
    Delta,
    Event,
    Failed,
    GetAccounts,
    GetDetails,
    GetJournal,
    GetRefusals,
    GetStatus,
    GetWarnings,
    Head,
    Hello,
    Reply,
    Request,
    Snapshot,
    Steer,
    Subscribe,
    Welcome,
)
from ..control.results import Details, ReplayState
from .position import Position
from .reading import Recording

_TICK = 0.25
_HEAD_TICKS = 4
_SHORT = 900.0  # seconds; a step of at most so many goes on, and shows what happens on the way
_SHOWN = 20  # refusals, changes and warnings on a card
NO_CHANGE = "this is a replay: it shows what was recorded, and changes nothing"


class Player:
    """``place`` is where the replay begins, in seconds. ``steady`` gives seconds of a clock that never goes back."""

    def __init__(self, recording: Recording, place: float = 0.0, steady: Callable[[], float] = time.monotonic) -> None:
        self._recording = recording
        self._steady = steady
        self._place = place
        self._pace, self._paused = REPLAY_PACES[0], False
        self._position = Position(recording)
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy = asyncio.Lock()
        self._reached = False

    def now(self) -> float:
        """The time that is shown, in seconds since the epoch."""
        return self._recording.time_at(self._place)

    async def connect(self) -> tuple[Client, Welcome]:
        """A connection for the console; the replay goes on from where it is."""
        if not self._reached:
            await self._jump(self._place)
            self._start(self._run())
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_unix_connection(sock=theirs)
        self._start(self._serve(reader, writer))
        return await Client.adopt(ours, "console", read_only=True)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End the replay."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def state(self) -> ReplayState:
        """For the console."""
        first, last = self._recording.time_at(0.0), self._recording.time_at(self._recording.length)
        return ReplayState(
            at=self.now(), first=first, last=last, paused=self._paused, pace=self._pace,
            ended=self._place >= self._recording.length, remark=self._recording.remark,
        )  # fmt: skip

    # ---- time

    async def _run(self) -> None:
        ticks, before = 0, self._steady()
        while True:
            await asyncio.sleep(_TICK)
            ticks += 1
            now = self._steady()
            passed, before = now - before, now
            async with self._busy:
                if not self._paused:
                    await self._play(passed * self._pace)
                if ticks % _HEAD_TICKS == 0:
                    self._send_head()

    async def _play(self, seconds: float) -> None:
        try:
            await self._go_on(seconds)
        except OSError as error:
            self._paused = True
            self._recording.remark = f"the recording can't be read: {error.strerror or error}"

    async def _go_on(self, seconds: float) -> None:
        """Show what comes next; the end is a pause."""
        place = min(self._place + seconds, self._recording.length)
        while not await self._position.go_on(place):
            self._send_new()
        self._place = place
        self._send_new()
        if place >= self._recording.length:
            self._paused = True

    async def _jump(self, place: float) -> None:
        self._place = min(max(place, 0.0), self._recording.length)
        self._position = await in_thread(lambda: Position.at(self._recording, self._place))
        self._reached = True

    # ---- clients

    def _send(self, event: Event) -> None:
        frame = encode(event)
        for writer in self._writers:
            writer.write(frame)

    def _send_head(self) -> None:
        status = self._position.scene.status
        if status is not None:
            self._send(Head(self.now(), status))

    def _send_new(self) -> None:
        answers, rows, removed = self._position.take_news()
        if answers:
            self._send(Decisions(answers))
        if rows or removed:
            self._send(Delta(rows, removed))

    async def _send_all(self) -> None:
        """Everything that is known at this time."""
        scene = self._position.scene
        self._position.take_news()
        self._send_head()
        self._send(Decisions(list(scene.decisions), first=True))
        rows = list(scene.rows.values())
        for start in range(0, max(1, len(rows)), SNAPSHOT_PART):
            part = rows[start : start + SNAPSHOT_PART]
            self._send(Snapshot(part, len(rows), start == 0, start + SNAPSHOT_PART >= len(rows)))
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        orders = OrderReader()
        try:
            while data := await reader.read(65536):
                for order in orders.feed(data):
                    if isinstance(order, Hello):
                        writer.write(encode(self._welcome()))
                    elif isinstance(order, Subscribe):
                        async with self._busy:
                            self._writers.append(writer)
                            await self._send_all()
                    elif isinstance(order, Refused):
                        writer.write(encode(Failed(order.id, 2, order.reason)))
                    elif isinstance(order, Request):
                        writer.write(encode(await self._answer(order)))
        except (OSError, ProtocolError):
            pass
        finally:
            with contextlib.suppress(ValueError):
                self._writers.remove(writer)
            writer.close()

    def _welcome(self) -> Welcome:
        status = self._position.scene.status
        host, mode = (status.host, status.mode) if status is not None else ("", "")
        return Welcome(VERSION, version(), host, os.getpid(), mode, may_change=False, build=build(), replay=True)

    async def _answer(self, order: Request) -> Event:
        try:
            async with self._busy:
                return Reply(order.id, encode_result(await self._do(order)))
        except MailquotaError as error:
            return Failed(order.id, error.exit_code, str(error))
        except OSError as error:
            return Failed(order.id, 1, f"the recording can't be read: {error.strerror or error}")

    async def _do(self, order: Request) -> object:
        if isinstance(order, Steer):
            await self._steer(order)
            return self.state
        if isinstance(order, GetAccounts):
            await self._send_all()
            return None
        return self._look_up(order)

    def _look_up(self, order: Request) -> object:
        scene = self._position.scene
        match order:
            case GetStatus():
                return scene.status
            case GetJournal(address=address, since=since, most=most):
                return scene.entries(address, since, most)
            case GetWarnings(address=address, most=most):
                return scene.sent(address, most)
            case GetRefusals(most=most):
                return scene.refused(most, self.now())
            case GetDetails(address=address):
                return self._details(address)
        raise MailquotaError(NO_CHANGE)

    async def _steer(self, order: Steer) -> None:
        if order.paused is not None:
            self._paused = order.paused and self._place < self._recording.length
        if order.pace is not None:
            self._pace = min(max(order.pace, REPLAY_PACES[0]), REPLAY_PACES[-1])
        place = self._place + order.by if order.to is None else self._recording.place_of(order.to)
        if place == self._place:
            return
        if self._place < place <= self._place + _SHORT:
            await self._go_on(place - self._place)
        else:
            await self._jump(place)
            await self._send_all()
        self._send_head()
        self._paused = self._paused or order.stop

    def _details(self, address: str) -> Details:
        scene = self._position.scene
        row = scene.rows.get(address)
        if row is None:
            raise NoSuchAccountError(address)
        return Details(
            row=row,
            folders=[],
            aliases=[],
            refusals=scene.refusals_of(address, _SHOWN),
            changes=scene.entries(address, 0.0, _SHOWN),
            warnings=scene.sent(address, _SHOWN),
            missing="not recorded",
        )
