"""A change of limits that meets somebody else's transaction is done again from its start, by what is there then."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from mailquota.core.accounts import mysql
from mailquota.core.accounts.store import LimitChange, LimitChangedError, Queries
from mailquota.core.base.errors import DatabaseError
from tests.core.accounts.worlds import MariaWorld
from tests.core.conflicts import WAYS, A, B, Other, as_in_11_6

pytestmark = pytest.mark.server

QUERIES = Queries(
    users_query="SELECT email, quota FROM virtual_users",
    set_query="UPDATE virtual_users SET quota = %(limit)s WHERE email = %(address)s",
)


@pytest.fixture
def world(maria: MariaWorld, monkeypatch: pytest.MonkeyPatch) -> Iterator[MariaWorld]:
    """A and B have 1,000 bytes each."""
    monkeypatch.setattr(mysql, "LOCK_SECONDS", 1)
    maria.execute("INSERT INTO virtual_domains (id, name) VALUES (1, 'example.org')")
    for address in (A, B):
        maria.add_user(address, 1000)
    with as_in_11_6(maria.server):
        yield maria


def take(execute: Callable[..., int], address: str) -> None:
    """What the other one does."""
    execute("UPDATE virtual_users SET quota = quota + 1 WHERE email = %s", (address,))


def other(world: MariaWorld) -> Other:
    connection = world.connect()
    connection.select_db(world.database)
    return Other(world.server, connection, take)


@pytest.mark.parametrize("schema", ["ispmail", "custom"])
@pytest.mark.parametrize("how", WAYS)
def test_it_is_done_again(world: MariaWorld, how: str, schema: str) -> None:
    """The old limits in its result are those that the other one left."""
    store = world.store("custom", QUERIES) if schema == "custom" else world.store()
    of_a, of_b = other(world).meets(lambda: store.set_limits([(A, 5000), (B, 6000)]), how)
    assert world.quotas() == {A: 5000, B: 6000}
    assert (of_a.error, of_b.error) == (None, None)
    assert (of_a.old, of_b.old) == (1001 if how == "deadlock" else 1000, 1001)


@pytest.mark.parametrize("how", WAYS)
def test_what_was_expected_is_looked_at_again(world: MariaWorld, how: str) -> None:
    """An edit that somebody else made meanwhile is not undone."""
    store = world.store("custom", QUERIES)
    changes = [LimitChange(A, 5000), LimitChange(B, 6000, 1000)]
    _, of_b = other(world).meets(lambda: store.set_limits(changes), how)
    assert isinstance(of_b.error, LimitChangedError)
    assert world.quotas() == {A: 5000, B: 1001}


def test_it_is_not_done_for_ever(world: MariaWorld) -> None:
    """Somebody else's transaction that goes on is told, and nothing is changed."""
    in_the_way = world.transaction("UPDATE virtual_users SET quota = 7 WHERE email = %s", B)
    with in_the_way, pytest.raises(DatabaseError, match="Lock wait timeout exceeded"):
        world.store().set_limits([(A, 5000), (B, 6000)])
    assert world.quotas() == {A: 1000, B: 7}
