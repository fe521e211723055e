"""What can't be done here at all, which the console says before a dialog opens."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from mailquota.core.base.errors import DatabaseError, MayNotWriteError
from mailquota.core.engine.abilities import Abilities


class Store:
    """An accounts database of which only the right to write is tried."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.tried = 0
        self.loop: asyncio.AbstractEventLoop | None = None
        self.once = asyncio.Event()

    def try_writing(self) -> bool:
        """As AccountStore has it."""
        self.tried += 1
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self.once.set)
        if self.error is not None:
            raise self.error
        return True


def abilities(
    store: Store, *, schema: str = "ispmail", set_query: str = "", driver: str = "maildir", doveadm: bool = True
) -> Abilities:
    """For these settings."""
    accounts = SimpleNamespace(schema=schema, set_query=set_query)
    config: Any = SimpleNamespace(settings=SimpleNamespace(accounts=accounts))
    found: Any = store
    return Abilities(lambda: config, lambda: found, lambda: driver, SimpleNamespace(by_doveadm=doveadm))


def test_an_account_that_may_only_read() -> None:
    """Is said with the database's own words, until it may write. While the database is away nothing new is known."""
    store = Store()
    checked = abilities(store)
    asyncio.run(checked.look())
    assert checked.limits_problem == ""
    store.error = MayNotWriteError("UPDATE command denied; set accounts.write_database")
    asyncio.run(checked.look())
    assert checked.limits_problem == "UPDATE command denied; set accounts.write_database"
    store.error = DatabaseError("connection refused")
    asyncio.run(checked.look())
    assert "denied" in checked.limits_problem
    store.error = None
    asyncio.run(checked.look())
    assert checked.limits_problem == ""


@pytest.mark.parametrize(("query", "words"), [("", "accounts.set_query is empty"), ("UPDATE x", "")])
def test_own_queries(query: str, words: str) -> None:
    """Nothing can be tried there; without a query to set limits none can be set."""
    store = Store()
    checked = abilities(store, schema="custom", set_query=query)
    asyncio.run(checked.look())
    assert words in checked.limits_problem
    assert bool(words) == bool(checked.limits_problem)
    assert store.tried == 0


@pytest.mark.parametrize(
    ("driver", "doveadm", "possible"), [("sql", False, False), ("sql", True, True), ("maildir", False, True)]
)
def test_recounts(driver: str, doveadm: bool, possible: bool) -> None:
    """Usage that Dovecot keeps in a database can only be counted anew by doveadm."""
    assert (abilities(Store(), driver=driver, doveadm=doveadm).recount_problem == "") == possible


def test_it_is_tried_once_the_accounts_were_read() -> None:
    """And not before: the database may not be known yet."""

    async def run() -> None:
        store, read = Store(), asyncio.Event()
        store.loop = asyncio.get_running_loop()
        task = asyncio.create_task(abilities(store).run(read))
        await asyncio.sleep(0)
        assert store.tried == 0
        read.set()
        await asyncio.wait_for(store.once.wait(), 10)
        task.cancel()

    asyncio.run(run())
