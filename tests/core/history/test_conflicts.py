"""Engines that share a state database in MariaDB: what meets the work of another one is done again from its start."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pymysql
import pytest

from mailquota.core.base.mysql import Target
from mailquota.core.history import mysql
from mailquota.core.history.database import StateDatabase
from mailquota.core.history.samples import AccountUsage, Samples
from tests.core.conflicts import WAYS, A, B, Other, as_in_11_6
from tests.mailserver.mariadb import MariaDB

pytestmark = pytest.mark.server

NOW = 1_800_000_000.0


@pytest.fixture
def samples(maria_target: Target, mariadb: MariaDB, monkeypatch: pytest.MonkeyPatch) -> Iterator[Samples]:
    """A and B hold 1,000 bytes each."""
    monkeypatch.setattr(mysql, "_LOCK_SECONDS", 1)
    with as_in_11_6(mariadb), closing(StateDatabase(maria_target)) as state:
        samples = Samples(state)
        samples.write([AccountUsage(A, 1000, 1), AccountUsage(B, 1000, 1)], NOW - 3600)
        yield samples


def take(execute: Callable[..., int], address: str) -> None:
    """What the other one does."""
    numbers = "SELECT id FROM account WHERE address = %s"
    execute(f"UPDATE latest SET used = used + 1 WHERE account = ({numbers})", (address,))


@pytest.mark.parametrize("how", WAYS)
def test_it_is_done_again(samples: Samples, maria_target: Target, mariadb: MariaDB, how: str) -> None:
    """By what the other one left."""
    target, (host, port) = maria_target, maria_target.hosts[0]
    connection = pymysql.connect(
        host=host, port=port, user=target.user, password=target.password, database=target.database
    )
    figures = [AccountUsage(A, 5000, 2), AccountUsage(B, 6000, 2)]
    of_a, of_b = Other(mariadb, connection, take).meets(lambda: samples.write(figures, NOW), how)
    assert (of_a.old, of_b.old) == (1001 if how == "deadlock" else 1000, 1001)
    assert [samples.series(address, 0.0, NOW)[-1].used_bytes for address in (A, B)] == [5000, 6000]
