"""ISPmail's tables as the recipe for Debian lenny had them, in a real MariaDB."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator

import pytest

from mailquota.core.accounts.from_settings import open_store
from mailquota.core.accounts.store import Queries
from mailquota.core.base.errors import DatabaseError
from mailquota.core.base.model import Account, Alias
from mailquota.core.base.mysql import Target, connect_any
from mailquota.core.settings import lenny
from tests.mailserver.fixture import require_servers, temporary_folder
from tests.mailserver.mariadb import MariaDB

pytestmark = pytest.mark.server

TABLES = """
CREATE TABLE virtual_domains (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(50) NOT NULL);
CREATE TABLE virtual_users (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, domain_id INT NOT NULL,
  user VARCHAR(40) NOT NULL, password VARCHAR(32) NOT NULL);
CREATE TABLE virtual_aliases (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, domain_id INT NOT NULL,
  source VARCHAR(40) NOT NULL, destination VARCHAR(80) NOT NULL);
CREATE VIEW view_users AS SELECT CONCAT(virtual_users.user, '@', virtual_domains.name) AS email,
  virtual_users.password FROM virtual_users LEFT JOIN virtual_domains ON virtual_users.domain_id = virtual_domains.id;
INSERT INTO virtual_domains VALUES (1, 'example.org'), (2, 'example.net');
INSERT INTO virtual_users VALUES (1, 1, 'john', ''), (2, 2, 'john', '');
INSERT INTO virtual_aliases VALUES (1, 1, 'info', 'john@example.org'), (2, 2, '', 'john@example.net');
"""


@pytest.fixture
def target() -> Iterator[Target]:
    require_servers(*MariaDB.programs, root=False)
    with temporary_folder() as folder, MariaDB(folder / "mariadb") as server:
        server.sql("CREATE DATABASE lenny CHARACTER SET utf8")
        server.sql("GRANT ALL ON lenny.* TO mailadmin@127.0.0.1")
        found = Target("mysql", ((server.host, server.port),), "lenny", server.writer, server.password)
        run(server, TABLES)
        yield found


def run(server: MariaDB, script: str) -> None:
    for statement in filter(None, map(str.strip, script.split(";"))):
        with server.connect(server.writer) as connection, connection.cursor() as cursor:
            cursor.execute("USE lenny")
            cursor.execute(statement)


def test_they_are_named_and_the_settings_that_are_told_read_and_write_them(target: Target) -> None:
    """With the column for limits that these tables never had."""
    with pytest.raises(DatabaseError, match=r"accounts\.schema has to be") as raised:
        open_store(target).read()
    assert raised.value.exit_code == 5
    assert "ALTER TABLE virtual_users ADD COLUMN quota BIGINT NOT NULL DEFAULT 0" in raised.value.advice
    accounts = tomllib.loads("\n".join(raised.value.advice).partition("[accounts]\n")[2])
    assert accounts == tomllib.loads(lenny.SETTINGS)["accounts"]
    queries = Queries(**{key: value for key, value in accounts.items() if key != "schema"})
    store = open_store(target, schema="custom", queries=queries)
    with pytest.raises(DatabaseError, match="quota"):
        store.read()
    add_column(target)
    found = store.read()
    assert sorted(found.accounts, key=lambda account: account.address) == [
        Account("john@example.net", None),
        Account("john@example.org", None),
    ]
    assert sorted(found.aliases, key=str) == [
        Alias("@example.net", "john@example.net"),
        Alias("info@example.org", "john@example.org"),
    ]
    assert store.set_limit("john@example.org", 5000) is None
    assert {account.address: account.limit for account in store.read().accounts} == {
        "john@example.org": 5000,
        "john@example.net": None,
    }
    store.close()


def add_column(target: Target) -> None:
    """As the advice says."""
    connection, _, _ = connect_any(target, 0)
    with connection.cursor() as cursor:
        cursor.execute(lenny.ADVICE[2])
    connection.close()
