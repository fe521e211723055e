"""The demo world under a real engine: refusals are its answers, and its table follows the disk."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator

from mailquota.core.base.model import AccountRow, Level
from mailquota.core.demo.people import Person, Record
from mailquota.core.demo.traffic import Traffic
from mailquota.core.demo.world import World
from mailquota.core.engine.engine import Engine
from mailquota.core.engine.options import Options
from mailquota.core.settings.config import load
from tests.core.demo.figures import check_record, counted


@contextlib.asynccontextmanager
async def _engine(world: World) -> AsyncIterator[Engine]:
    config = load(world.config_path, {})
    engine = Engine(config, Options(load=lambda: config, demo=True))
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


def _row(engine: Engine, person: Person) -> AccountRow | None:
    entry = engine.ledger.get(person.address)
    return None if entry is None else engine.ledger.row(entry)


def _agrees(engine: Engine, world: World, person: Person) -> bool:
    row = _row(engine, person)
    if row is None:
        return False
    if person.record is Record.BROKEN:
        return row.level is Level.UNKNOWN
    return (row.used_bytes, row.messages) == counted(world, person)


async def _come_to_agree(engine: Engine, world: World) -> None:
    """Wait until the table says of everybody what a count says."""
    async with asyncio.timeout(60):
        while not all(_agrees(engine, world, person) for person in world.people):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def _live(world: World, steps: int) -> None:
    traffic = Traffic(world, world.policy_socket, random.Random(11))
    with contextlib.closing(traffic):
        async with _engine(world) as engine:
            await _come_to_agree(engine, world)
            assert {row.level for person in world.people if (row := _row(engine, person))} == set(Level)
            events = [await asyncio.to_thread(traffic.step) for _ in range(steps)]
            kinds = Counter(event.kind for event in events)
            status = engine.status()
            assert kinds["refused"] == status.refused > 0
            assert kinds["delivered"] == status.requests - status.refused > 0
            assert status.malformed == kinds["unanswered"] == 0
            assert {event.action for event in events if event.kind == "refused"} == {
                "452 4.2.2 Mailbox is full and cannot receive any more emails"
            }
            await _come_to_agree(engine, world)
        assert traffic.step().kind in {"unanswered", "tidied", "nothing"}
        async with _engine(world):
            assert "delivered" in {(await asyncio.to_thread(traffic.step)).kind for _ in range(50)}
    for person in world.people:
        check_record(world, person)


def test_a_living_world(world: World) -> None:
    """Mail comes in or is refused as the engine says, table and disk agree; the engine may be started anew."""
    asyncio.run(_live(world, 400))
    assert not world.policy_socket.exists()
    assert not world.control_socket.exists()
