"""One accounts database for a test, in either kind, and the hand that edits it behind the store's back."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pymysql
from pymysql.cursors import Cursor

from mailquota.core.accounts.from_settings import open_store
from mailquota.core.accounts.sqlite import create
from mailquota.core.accounts.store import AccountStore, Queries, Schema
from mailquota.core.accounts.usage_table import UsageTable, open_usage_table
from mailquota.core.base.mysql import Target
from tests.mailserver.mariadb import MariaDB

Rows = list[tuple[object, ...]]


class World(ABC):
    """A database with the tables of ISPmail, empty."""

    # Tables that take any row, as somebody's grown database may.
    loose_users: str
    trigger_refuses: str
    trigger_halves: str

    def __init__(self, target: Target, write_target: Target) -> None:
        self.target = target
        self.write_target = write_target
        self._stores: list[AccountStore | UsageTable] = []

    @abstractmethod
    def execute(self, sql: str, *values: object) -> Rows:
        """Run a statement as the administrator; ``%s`` stands for a value."""

    @abstractmethod
    def transaction(self, sql: str, *values: object) -> AbstractContextManager[None]:
        """The statement is run at the start of the block and committed at its end."""

    def store(
        self, schema: Schema = "ispmail", queries: Queries | None = None, write_target: Target | None = None
    ) -> AccountStore:
        """A store of this database, closed at the end of the test."""
        store = open_store(self.target, schema=schema, write_target=write_target or self.write_target, queries=queries)
        self._stores.append(store)
        return store

    def usage(self) -> UsageTable:
        """The table of use in this database, closed at the end of the test."""
        usage = open_usage_table(self.target)
        self._stores.append(usage)
        return usage

    def close(self) -> None:
        """Close all stores."""
        for store in self._stores:
            store.close()

    def loosen(self) -> None:
        """Put a table of users in place that takes any row."""
        self.execute("DROP TABLE virtual_users")
        self.execute(self.loose_users)

    def add_user(self, email: object, quota: object = 0) -> None:
        """Add a mailbox, quota as it is in the database."""
        self.execute(
            "INSERT INTO virtual_users (domain_id, email, password, quota) VALUES (1, %s, '', %s)", email, quota
        )

    def add_alias(self, source: object, destination: object) -> None:
        """Add a row of the alias table."""
        self.execute(
            "INSERT INTO virtual_aliases (domain_id, source, destination) VALUES (1, %s, %s)", source, destination
        )

    def quotas(self) -> dict[object, object]:
        """The table of users as it is: email and quota."""
        return {row[0]: row[1] for row in self.execute("SELECT email, quota FROM virtual_users")}


class SqliteWorld(World):
    """A file as the embedded default has it."""

    loose_users = "CREATE TABLE virtual_users (id INTEGER PRIMARY KEY, domain_id INTEGER, email, password, quota)"
    trigger_refuses = (
        "CREATE TRIGGER refuse BEFORE UPDATE ON virtual_users WHEN OLD.email = 'b@example.org'"
        " BEGIN SELECT RAISE(ABORT, 'not this one'); END"
    )
    trigger_halves = (
        "CREATE TRIGGER halve AFTER UPDATE ON virtual_users"
        " BEGIN UPDATE virtual_users SET quota = NEW.quota / 2 WHERE id = NEW.id; END"
    )

    def __init__(self, path: Path) -> None:
        create(path)
        target = Target("sqlite", path=path)
        super().__init__(target, target)
        self._connection = sqlite3.connect(path, isolation_level=None)
        self.execute("INSERT INTO virtual_domains (id, name) VALUES (1, 'example.org')")

    def execute(self, sql: str, *values: object) -> Rows:
        return self._connection.execute(sql.replace("%s", "?"), values).fetchall()

    @contextmanager
    def transaction(self, sql: str, *values: object) -> Iterator[None]:
        self.execute("BEGIN")
        self.execute(sql, *values)
        yield
        self.execute("COMMIT")

    def close(self) -> None:
        super().close()
        self._connection.close()


class MariaWorld(World):
    """A database of its own in the shared server, so that tests may change its tables."""

    database = "accounts_test"
    owner = "accounts_owner"
    loose_users = (
        "CREATE TABLE virtual_users (id INT AUTO_INCREMENT PRIMARY KEY, domain_id INT,"
        " email VARBINARY(4000), password TEXT, quota BIGINT)"
    )
    trigger_refuses = (
        "CREATE TRIGGER refuse BEFORE UPDATE ON virtual_users FOR EACH ROW"
        " IF OLD.email = 'b@example.org' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not this one'; END IF"
    )
    trigger_halves = "CREATE TRIGGER halve BEFORE UPDATE ON virtual_users FOR EACH ROW SET NEW.quota = NEW.quota DIV 2"

    def __init__(self, server: MariaDB) -> None:
        self.server = server
        super().__init__(self._target(server.reader), self._target(server.writer))
        self._owner = self.connect()
        self.execute(f"CREATE OR REPLACE DATABASE {self.database} CHARACTER SET utf8mb4")
        self._owner.select_db(self.database)
        for table in ("virtual_domains", "virtual_users", "virtual_aliases"):
            self.execute(f"CREATE TABLE {table} LIKE {server.database}.{table}")

    @classmethod
    def prepare(cls, server: MariaDB) -> None:
        """Give the owner, reader and writer their rights; once for a server, as rights outlive the database."""
        server.sql(f"CREATE USER IF NOT EXISTS {cls.owner}@{server.host} IDENTIFIED BY '{server.password}'")
        server.sql(f"GRANT SELECT ON {server.database}.* TO {cls.owner}@{server.host}")
        for user, rights in ((cls.owner, "ALL"), (server.reader, "SELECT"), (server.writer, "SELECT, UPDATE")):
            server.sql(f"GRANT {rights} ON {cls.database}.* TO {user}@{server.host}")

    def _target(self, user: str) -> Target:
        return Target("mysql", ((self.server.host, self.server.port),), self.database, user, self.server.password)

    def connect(self) -> pymysql.Connection[Cursor]:
        """A connection of the database's owner, who may do everything in it."""
        return pymysql.connect(
            host=self.server.host,
            port=self.server.port,
            user=self.owner,
            password=self.server.password,
            autocommit=True,
            ssl_disabled=True,
        )

    @contextmanager
    def server_stopped(self) -> Iterator[None]:
        """The server is down for the length of the block."""
        self._owner.close()
        with self.server.stopped():
            yield
        self._owner = self.connect()
        self._owner.select_db(self.database)

    def execute(self, sql: str, *values: object) -> Rows:
        with self._owner.cursor() as cursor:
            cursor.execute(sql, values or None)
            return list(cursor.fetchall())

    @contextmanager
    def transaction(self, sql: str, *values: object) -> Iterator[None]:
        self._owner.begin()
        self.execute(sql, *values)
        yield
        self._owner.commit()

    def close(self) -> None:
        super().close()
        self.execute(f"DROP DATABASE {self.database}")
        self._owner.close()
