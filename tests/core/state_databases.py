"""State databases for the tests, in both kinds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mailquota.core.base.mysql import Target
from mailquota.core.history.database import StateDatabase
from mailquota.core.history.journal import Journal
from tests.mailserver.mariadb import MariaDB

NAME = "state_test"


@pytest.fixture
def sqlite_target(tmp_path: Path) -> Target:
    """A file in a folder that is not there yet."""
    return Target("sqlite", path=tmp_path / "state" / "state.db")


@pytest.fixture
def maria_target(mariadb: MariaDB) -> Iterator[Target]:
    """An empty database on the real server, and a user who owns it."""
    mariadb.sql(f"CREATE OR REPLACE DATABASE {NAME} CHARACTER SET utf8mb4")
    mariadb.sql(f"CREATE USER IF NOT EXISTS {NAME}@{mariadb.host} IDENTIFIED BY '{mariadb.password}'")
    mariadb.sql(f"GRANT ALL ON {NAME}.* TO {NAME}@{mariadb.host}")
    yield Target("mysql", ((mariadb.host, mariadb.port),), NAME, NAME, mariadb.password)
    mariadb.sql(f"DROP DATABASE {NAME}")


@pytest.fixture(params=["sqlite_target", pytest.param("maria_target", marks=pytest.mark.server)])
def target(request: pytest.FixtureRequest) -> Target:
    """One after the other: what follows must hold for both."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Target)
    return found


@pytest.fixture
def state(target: Target) -> Iterator[StateDatabase]:
    """Not opened yet."""
    with closing(StateDatabase(target)) as found:
        yield found


@pytest.fixture
def journal(state: StateDatabase) -> Journal:
    """In a state database of either kind."""
    return Journal(state)
