"""The table of use, in either kind of database."""

from __future__ import annotations

import pytest

from mailquota.core.accounts.usage_table import TABLES, UsageTable
from mailquota.core.base.errors import DatabaseError
from tests.core.accounts.test_store_contract import ODD_ADDRESSES, UNKNOWN
from tests.core.accounts.worlds import World

JOHN = "john@example.org"


def make(world: World, table: str = "quota2") -> UsageTable:
    """As the documentation of Dovecot and PostfixAdmin has it."""
    world.execute(
        f"CREATE TABLE {table} (username VARCHAR(100) NOT NULL PRIMARY KEY,"
        " bytes BIGINT NOT NULL DEFAULT 0, messages INTEGER NOT NULL DEFAULT 0)"
    )
    return world.usage()


def put(world: World, username: object, used: object, messages: object = 1, table: str = "quota2") -> None:
    world.execute(f"INSERT INTO {table} (username, bytes, messages) VALUES (%s, %s, %s)", username, used, messages)


@pytest.mark.parametrize("table", TABLES)
def test_reads_each_of_the_known_tables(world: World, table: str) -> None:
    usage = make(world, table)
    put(world, JOHN, 5_000_000_000, 3, table)
    put(world, "jane@example.org", 0, 0, table)
    assert sorted(usage.everybody()) == [("jane@example.org", 0, 0), (JOHN, 5_000_000_000, 3)]
    assert usage.one(JOHN) == (JOHN, 5_000_000_000, 3)


def test_follows_what_is_written(world: World) -> None:
    usage = make(world)
    assert usage.one(JOHN) is None
    put(world, JOHN, 1)
    assert usage.one(JOHN) == (JOHN, 1, 1)
    world.execute("UPDATE quota2 SET bytes = 2")
    assert [row.used for row in usage.everybody()] == [2]


def test_rows_that_make_no_sense_are_left_out(world: World) -> None:
    usage = make(world)
    put(world, JOHN, -1)
    put(world, "jane@example.org", 5, -1)
    put(world, "no address", 5)
    put(world, "anna@example.org", 7)
    assert list(usage.everybody()) == [("anna@example.org", 7, 1)]
    assert usage.one(JOHN) is None


def test_addresses_are_data(world: World) -> None:
    usage = make(world)
    for number, address in enumerate(ODD_ADDRESSES):
        put(world, address, number)
    for number, address in enumerate(ODD_ADDRESSES):
        assert usage.one(address) == (address, number, 1)
    assert [usage.one(address) for address in UNKNOWN] == [None] * len(UNKNOWN)


def test_another_table_of_that_name_is_not_it(world: World) -> None:
    """PostfixAdmin's old table ``quota`` has other columns."""
    world.execute("CREATE TABLE quota (username VARCHAR(100), path VARCHAR(100), current BIGINT)")
    usage = world.usage()
    with pytest.raises(DatabaseError, match="username, bytes and messages"):
        usage.one(JOHN)
    make(world)
    put(world, JOHN, 1)
    assert usage.one(JOHN) == (JOHN, 1, 1)
    world.execute("DROP TABLE quota2")
    with pytest.raises(DatabaseError):
        usage.one(JOHN)
    make(world, "used_quota")
    assert usage.one(JOHN) is None
