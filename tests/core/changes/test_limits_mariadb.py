"""Temporary limits and undo with accounts and state in a real MariaDB, as several engines share them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from mailquota.core.engine.serve import Embedded
from tests.core.accounts.worlds import MariaWorld
from tests.core.changes.edits import entries, set_limits, undo
from tests.core.changes.test_temporary_limits import count_looks, later, two_engines
from tests.core.clients import until
from tests.core.engines import embedded, inner, measured
from tests.core.worlds import FREE, FULL, JOHN, LIMIT, SmallWorld
from tests.mailserver.mariadb import MariaDB

pytestmark = pytest.mark.server

STATE = "state_of_limits"


@pytest.fixture
def maria(small_world: SmallWorld, mariadb: MariaDB) -> Iterator[MariaWorld]:
    """Holds the accounts of the small world, whose settings lead there and to a state database beside it."""
    MariaWorld.prepare(mariadb)
    mariadb.sql(f"CREATE OR REPLACE DATABASE {STATE} CHARACTER SET utf8mb4")
    mariadb.sql(f"GRANT ALL ON {STATE}.* TO {MariaWorld.owner}@{mariadb.host}")
    with closing(MariaWorld(mariadb)) as world:
        world.execute("INSERT INTO virtual_domains (id, name) VALUES (1, 'example.org')")
        for address in (JOHN, FULL, FREE):
            world.add_user(address, 0 if address == FREE else LIMIT)
        small_world.settings["accounts"] |= {
            "database": url(mariadb, mariadb.reader, world.database),
            "write_database": url(mariadb, mariadb.writer, world.database),
        }
        small_world.settings["state"]["database"] = url(mariadb, MariaWorld.owner, STATE)
        small_world.write_settings()
        yield world
    mariadb.sql(f"DROP DATABASE {STATE}")


def url(server: MariaDB, user: str, database: str) -> str:
    return f"mysql://{user}:{server.password}@{server.host}:{server.port}/{database}"


@contextmanager
def engine_of(world: SmallWorld) -> Iterator[Embedded]:
    with embedded(world) as engine:
        yield measured(engine)


def test_a_limit_goes_back_and_an_edit_is_taken_back(small_world: SmallWorld, maria: MariaWorld) -> None:
    with engine_of(small_world) as engine:
        set_limits(engine, [JOHN, FREE], "20000", "1w")
        set_limits(engine, [JOHN], "30000")
        (again,) = undo(engine)
        assert (again.new_bytes, again.then_bytes) == (20_000, LIMIT)
        set_limits(engine, [JOHN, FULL], "5000")
        assert [result.address for result in undo(engine)] == [JOHN, FULL]
        set_limits(engine, [FULL], "5000")
        later(engine)
        until(lambda: maria.quotas() == {JOHN: LIMIT, FREE: 0, FULL: 5000}, "both are back")
        until(lambda: len(entries(engine)) == 11, "both are in the journal")
        ended = entries(engine)[9:]
        assert [(entry.address, entry.old, entry.new, entry.undoes) for entry in ended] == [
            (FREE, "20000", "unlimited", entries(engine)[1].id),
            (JOHN, "20000", "10000", entries(engine)[0].id),
        ]
        assert undo(engine)[0].new_bytes == LIMIT
        assert maria.quotas()[FULL] == LIMIT


def test_of_two_engines_one_ends_it_there(small_world: SmallWorld, maria: MariaWorld) -> None:
    addresses = [f"many{number}@example.org" for number in range(30)]
    for address in addresses:
        maria.add_user(address, LIMIT)
    with two_engines(small_world) as (one, other):
        set_limits(one, addresses, "20000", "1w")
        later(one)
        later(other)
        until(lambda: len(entries(one)) == 2 * len(addresses), "all have ended")
        until(lambda: inner(other).limits.changes.temporary.running() == {}, "the other one knows")
        ended = entries(one)[len(addresses) :]
    assert sorted(entry.address for entry in ended) == sorted(addresses)
    assert {(entry.old, entry.new) for entry in ended} == {("20000", "10000")}


def test_a_server_that_is_away_on_that_day_is_asked_again(
    small_world: SmallWorld, maria: MariaWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accounts and state are both gone with it."""
    monkeypatch.setattr("mailquota.core.changes.expiry._REST_SECONDS", 0.05)
    with engine_of(small_world) as engine:
        set_limits(engine, [JOHN], "20000", "1w")
        with maria.server_stopped():
            looks = count_looks(engine, monkeypatch)
            later(engine)
            until(lambda: len(looks) > 2, "it is tried more than once")
        until(lambda: maria.quotas()[JOHN] == LIMIT, "it is back")
        until(lambda: len(entries(engine)) == 2, "it is in the journal")


def test_texts_from_outside_are_cut_to_what_the_journal_holds(small_world: SmallWorld, maria: MariaWorld) -> None:
    """Otherwise a long reason would keep the edit out of the journal."""
    with engine_of(small_world) as engine:
        (done,) = set_limits(engine, [JOHN], "20000", reason="\N{SNOWMAN}" * 100_000)
        assert (done.remark, len(entries(engine)[0].reason)) == (None, 2000)
    assert maria.quotas()[JOHN] == 20_000
