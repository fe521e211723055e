"""Worlds for the tests of the accounts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.core.accounts.worlds import MariaWorld, SqliteWorld, World
from tests.mailserver.mariadb import MariaDB


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[SqliteWorld]:
    """An embedded accounts database."""
    with closing(SqliteWorld(tmp_path / "accounts.db")) as world:
        yield world


@pytest.fixture(scope="session")
def accounts_server(mariadb: MariaDB) -> MariaDB:
    """The real server, with the rights that a MariaWorld needs."""
    MariaWorld.prepare(mariadb)
    return mariadb


@pytest.fixture
def maria(accounts_server: MariaDB) -> Iterator[MariaWorld]:
    """An accounts database on the real server."""
    with closing(MariaWorld(accounts_server)) as world:
        yield world


@pytest.fixture(params=["sqlite", pytest.param("maria", marks=pytest.mark.server)])
def world(request: pytest.FixtureRequest) -> World:
    """One after the other: what follows must hold for both."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, World)
    return found
