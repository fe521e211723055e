"""A replay is an engine to its clients: it sends what was recorded, takes orders that steer it, and changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from mailquota.core.base.model import AccountRow
from mailquota.core.control.client import Client, RequestFailedError
from mailquota.core.control.messages import (
    Decisions,
    Delta,
    Event,
    GetDetails,
    GetJournal,
    GetRefusals,
    GetStatus,
    GetWarnings,
    Head,
    Recalc,
    SetLimit,
    Snapshot,
    Steer,
    Subscribe,
    Welcome,
)
from mailquota.core.control.results import (
    DecisionRow,
    Details,
    JournalRow,
    Refusals,
    ReplayState,
    SetResult,
    Status,
    WarningRow,
)
from mailquota.core.recordings import blocks
from mailquota.core.recordings.player import Player
from mailquota.core.recordings.reading import Recording, open_file
from tests.core.recordings.made import ANNA, JOHN, MIB, NIGHT, STATUS, night, write

SECONDS = 30.0


class Viewer:
    """A client that applies all it is sent, and orders one thing after the other."""

    def __init__(self, client: Client, player: Player, time: list[float]) -> None:
        self.rows: dict[str, AccountRow] = {}
        self.decisions: list[DecisionRow] = []
        self.heads: list[Head] = []
        self._client, self._player, self._time = client, player, time
        client.on_event = self._take

    def _take(self, event: Event) -> None:
        if isinstance(event, Snapshot):
            self.rows = {**({} if event.first else self.rows), **{row.address: row for row in event.rows}}
        elif isinstance(event, Delta):
            self.rows |= {row.address: row for row in event.rows}
            for address in event.removed:
                self.rows.pop(address, None)
        elif isinstance(event, Decisions):
            self.decisions = [*([] if event.first else self.decisions), *event.rows]
        elif isinstance(event, Head):
            self.heads.append(event)

    async def steer(self, **how: object) -> ReplayState:
        """An order to the replay."""
        return await self._client.request(Steer(self._client.next_id(), **how), ReplayState)  # type: ignore[arg-type]

    async def ask(self, order: Callable[[int], object], answer: object) -> object:
        return await self._client.request(order(self._client.next_id()), answer)  # type: ignore[arg-type]

    async def pass_time(self, seconds: float, until: Callable[[], object]) -> None:
        """Move the clock, and wait for what comes of it."""
        self._time[0] += seconds
        async with asyncio.timeout(SECONDS):
            while not until():  # noqa: ASYNC110 - a condition of any kind
                await asyncio.sleep(0.01)

    @property
    def used(self) -> int | None:
        """John's usage, in MiB."""
        used = self.rows[JOHN].used_bytes
        return None if used is None else used // MIB


def watch(recording: Recording, scene: Callable[[Viewer], Awaitable[None]], place: float = 0.0) -> Welcome:
    """A viewer of a replay, which is paused by nobody."""

    async def run() -> Welcome:
        time = [0.0]
        player = Player(recording, place, steady=lambda: time[0])
        client, welcome = await player.connect()
        viewer = Viewer(client, player, time)
        client.send(Subscribe())
        try:
            await viewer.pass_time(0.0, lambda: viewer.rows)
            await scene(viewer)
        finally:
            await client.close()
            await player.close()
        return welcome

    try:
        return asyncio.run(run())
    finally:
        recording.close()


def of(folder: Path, periods: int = 6) -> Recording:
    return open_file(str(write(folder, night(periods))))


def test_it_plays_as_time_passes(tmp_path: Path) -> None:
    """Answers at their time, usage at the end of each ten seconds."""

    async def scene(viewer: Viewer) -> None:
        assert (viewer.used, viewer.decisions) == (81, [])
        await viewer.pass_time(12.5, lambda: viewer.decisions)
        assert [row.at - NIGHT for row in viewer.decisions] == [12.0]
        assert viewer.used == 81
        await viewer.pass_time(8.0, lambda: viewer.used == 82)
        assert [row.verdict for row in viewer.decisions] == ["accept", "over_quota"]
        assert viewer.heads[-1].status == STATUS

    welcome = watch(of(tmp_path), scene)
    assert (welcome.replay, welcome.may_change, welcome.host) == (True, False, STATUS.host)


def test_a_pace_makes_it_faster_and_the_end_holds_it(tmp_path: Path) -> None:
    async def scene(viewer: Viewer) -> None:
        state = await viewer.steer(pace=10.0)
        assert (state.pace, state.first, state.last, state.ended) == (10.0, NIGHT, NIGHT + 60, False)
        await viewer.pass_time(2.0, lambda: viewer.used == 82)
        assert (await viewer.steer(pace=1e9)).pace == 300.0
        await viewer.pass_time(9.0, lambda: viewer.used == 86)
        state = await viewer.steer()
        assert (state.at, state.ended, state.paused) == (NIGHT + 60, True, True)
        assert len(viewer.decisions) == 10
        assert (await viewer.steer(paused=False)).paused is False or state.ended

    watch(of(tmp_path), scene)


def test_during_a_pause_nothing_moves_and_the_status_goes_on(tmp_path: Path) -> None:
    """The console would take silence for a lost engine."""

    async def scene(viewer: Viewer) -> None:
        assert (await viewer.steer(paused=True)).paused
        heads = len(viewer.heads)
        await viewer.pass_time(50.0, lambda: len(viewer.heads) > heads)
        assert (await viewer.steer()).at == NIGHT
        assert viewer.decisions == []
        await viewer.steer(paused=False)
        await viewer.pass_time(13.0, lambda: viewer.decisions)

    watch(of(tmp_path), scene)


def test_steps_and_jumps(tmp_path: Path) -> None:
    """Forward what lies between is shown; back everything is sent anew, as it was."""

    async def scene(viewer: Viewer) -> None:
        state = await viewer.steer(by=31.0, stop=True)
        assert (state.at, state.paused) == (NIGHT + 31, True)
        assert (viewer.used, len(viewer.decisions)) == (83, 4)
        state = await viewer.steer(by=-10.0)
        assert (state.at, viewer.used, len(viewer.decisions)) == (NIGHT + 21, 82, 2)
        state = await viewer.steer(to=NIGHT + 55)
        assert (state.at, viewer.used, len(viewer.decisions)) == (NIGHT + 55, 85, 10)
        state = await viewer.steer(to=NIGHT + 1e6)
        assert (state.at, state.ended, viewer.used) == (NIGHT + 60, True, 86)
        state = await viewer.steer(by=-1e9)
        assert (state.at, state.ended, viewer.used, viewer.decisions) == (NIGHT, False, 81, [])

    watch(of(tmp_path), scene)


def test_it_begins_where_it_is_asked_to(tmp_path: Path) -> None:
    async def scene(viewer: Viewer) -> None:
        assert (viewer.used, len(viewer.decisions)) == (82, 4)

    watch(of(tmp_path), scene, place=27.0)


def test_what_was_known_then_is_answered(tmp_path: Path) -> None:
    """Nothing from later: entries, warnings, refusals."""

    async def scene(viewer: Viewer) -> None:
        asked = viewer.ask
        assert await asked(GetJournal, list[JournalRow]) == []
        await viewer.steer(to=NIGHT + 35)
        entries = await asked(GetJournal, list[JournalRow])
        assert isinstance(entries, list)
        assert [row.reason for row in entries] == ["ticket 4711"]
        assert await asked(GetWarnings, list[WarningRow]) == []
        refusals = await asked(GetRefusals, Refusals)
        assert isinstance(refusals, Refusals)
        assert [(each.address, each.last_day) for each in refusals.accounts] == [(JOHN, 3)]
        await viewer.steer(to=NIGHT + 45)
        details = await asked(lambda number: GetDetails(number, JOHN), Details)
        assert isinstance(details, Details)
        assert (len(details.warnings), len(details.changes), len(details.refusals)) == (1, 1, 4)
        assert details.missing == "not recorded"
        assert await asked(GetStatus, Status) == STATUS
        with pytest.raises(RequestFailedError, match="no such account"):
            await asked(lambda number: GetDetails(number, "none@example.org"), Details)

    watch(of(tmp_path), scene)


@pytest.mark.parametrize("order", [lambda n: SetLimit(n, [JOHN], "1G"), lambda n: Recalc(n, [JOHN])])
def test_nothing_can_be_changed(tmp_path: Path, order: Callable[[int], object]) -> None:
    async def scene(viewer: Viewer) -> None:
        with pytest.raises(RequestFailedError, match="this is a replay: it shows what was recorded"):
            await viewer.ask(order, list[SetResult])

    watch(of(tmp_path), scene)


def test_accounts_that_went_and_came(tmp_path: Path) -> None:
    """Also where another file begins with another table."""
    from mailquota.core.recordings.periods import Period

    gone = Period(start=NIGHT + 10, end=NIGHT + 20, removed=[ANNA])
    path = write(tmp_path, [night()[0], gone])

    async def scene(viewer: Viewer) -> None:
        assert set(viewer.rows) == {JOHN, ANNA}
        await viewer.steer(by=20.0)
        assert set(viewer.rows) == {JOHN}
        await viewer.steer(by=-20.0)
        assert set(viewer.rows) == {JOHN, ANNA}

    watch(open_file(str(path)), scene)


def test_a_damaged_block_is_passed_over_and_said(tmp_path: Path) -> None:
    recording = of(tmp_path)
    (path,) = tmp_path.iterdir()
    with path.open("r+b") as file:
        file.seek(recording.blocks[2].offset + blocks.HEADER_SIZE)
        file.write(b"\xff\xff")

    async def scene(viewer: Viewer) -> None:
        state = await viewer.steer(by=45.0)
        assert (state.at, viewer.used) == (NIGHT + 45, 84)
        assert "damaged" in state.remark

    watch(recording, scene)


def test_a_file_that_can_not_be_read_any_more_holds_the_replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = of(tmp_path)

    async def scene(viewer: Viewer) -> None:
        def fails(_number: int) -> None:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(recording, "read", fails)
        with pytest.raises(RequestFailedError, match="Input/output error"):
            await viewer.steer(by=45.0)
        await viewer.pass_time(45.0, lambda: recording.remark)
        assert (await viewer.steer()).paused

    watch(recording, scene)
