"""A private MariaDB with the tables and accounts of the ISPmail tutorial."""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pymysql
from pymysql.constants import CLIENT
from pymysql.cursors import DictCursor

from tests.mailserver.mail import connect
from tests.mailserver.ports import HOST, free_port
from tests.mailserver.process import START_SECONDS, Daemon, find_program, render

# Of the two database accounts.
DATABASE_PASSWORD = "ChangeMe"
# Of every mailbox, unless a test wants another one. The tutorial's scheme; hashed beforehand, since bcrypt is slow.
MAIL_PASSWORD = "summersun"
_MAIL_PASSWORD_HASH = "{BLF-CRYPT}$2y$05$0VeaA6HdQQn4feny5tiQtOJ7eE2UYTGCsWt72oqJezi1DIvMeDHeq"

Row = dict[str, Any]


class MariaDB(Daemon):
    """The database `mailserver`; `mailserver` may read it, `mailadmin` may change it, both over TCP.

    Durability is switched off: the data survive stop() and start(), not a power cut.
    """

    name = "mariadb"
    programs = ("mariadbd", "mariadb-install-db")
    host = HOST
    database = "mailserver"
    reader = "mailserver"
    writer = "mailadmin"
    password = DATABASE_PASSWORD
    schema = "schema.sql"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port = free_port()
        self._data = folder / "data"
        self._socket = folder / "root.sock"

    @property
    def url(self) -> str:
        """The reading account as in mailquota's settings, password included."""
        return f"mysql://{self.reader}:{self.password}@{self.host}:{self.port}/{self.database}"

    @property
    def write_url(self) -> str:
        """The writing account as in mailquota's settings, password included."""
        return f"mysql://{self.writer}:{self.password}@{self.host}:{self.port}/{self.database}"

    def prepare(self) -> None:
        # Root has no password, so nobody else may reach the socket.
        self.folder.chmod(0o700)
        if not (self._data / "mysql").exists():
            self._install()

    def _install(self) -> None:
        with self.log.open("ab") as log:
            done = subprocess.run(
                [
                    find_program("mariadb-install-db") or "mariadb-install-db",
                    *self._options(),
                    "--auth-root-authentication-method=normal",
                    "--skip-test-db",
                ],
                stdout=log,
                stderr=log,
                check=False,
            )
        if done.returncode:
            raise self.failed(f"mariadb-install-db ended with {done.returncode}")

    def _options(self) -> list[str]:
        user = ["--user=root"] if os.geteuid() == 0 else []
        return [
            "--no-defaults",
            *user,
            f"--datadir={self._data}",
            f"--tmpdir={self.folder}",  # temporary tables are named by process id, and namespaces have the same ones
            "--skip-name-resolve",
            "--character-set-server=utf8mb4",
            "--performance-schema=OFF",
            "--innodb-buffer-pool-size=32M",
            "--innodb-log-file-size=16M",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-doublewrite=OFF",
        ]

    def command(self) -> list[str]:
        return [
            find_program("mariadbd") or "mariadbd",
            *self._options(),
            f"--bind-address={self.host}",
            f"--port={self.port}",
            f"--socket={self._socket}",
            f"--pid-file={self.folder / 'mariadbd.pid'}",
            "--skip-log-bin",
            "--max-connections=300",
        ]

    def is_ready(self) -> bool:
        # Not by PyMySQL: it leaves its socket open when the server's is not there yet.
        try:
            with connect(self._socket) as client:
                return bool(client.recv(1))
        except OSError:
            return False

    def wait_ready(self, seconds: float = START_SECONDS) -> None:
        super().wait_ready(seconds)
        self._create_schema()

    def _create_schema(self) -> None:
        schema = render(self.schema, password=self.password)
        with self._connect_root(client_flag=CLIENT.MULTI_STATEMENTS) as connection, connection.cursor() as cursor:
            cursor.execute(schema)
            while cursor.nextset():
                pass

    def _connect_root(self, **options: Any) -> pymysql.Connection[DictCursor]:
        return pymysql.connect(
            unix_socket=str(self._socket), user="root", autocommit=True, cursorclass=DictCursor, **options
        )

    def connect(self, user: str | None = None) -> pymysql.Connection[DictCursor]:
        """A connection over TCP as `user` (default: the reading account), with autocommit."""
        return pymysql.connect(
            host=self.host,
            port=self.port,
            user=user or self.reader,
            password=self.password,
            database=self.database,
            autocommit=True,
            cursorclass=DictCursor,
        )

    def sql(self, statement: str, *parameters: object) -> list[Row]:
        """Run one statement as root in the database; `%s` stands for a parameter. Returns the rows, if any."""
        with self._connect_root(database=self.database) as connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return list(cursor.fetchall())

    def add_domain(self, domain: str) -> int:
        """The id of the domain's row, which is made if it is missing."""
        found = self.sql("SELECT id FROM virtual_domains WHERE name = %s", domain)
        if not found:
            self.sql("INSERT INTO virtual_domains (name) VALUES (%s)", domain)
            return self.add_domain(domain)
        return int(found[0]["id"])

    def add_user(self, email: str, quota: int = 0, password: str = MAIL_PASSWORD) -> None:
        """Add a mailbox, and its domain if need be. `quota` in bytes, 0 = unlimited."""
        self.add_users([(email, quota)], password)

    def add_users(self, users: Iterable[tuple[str, int]], password: str = MAIL_PASSWORD) -> None:
        """Add many (email, quota in bytes) at once: 10,000 take well under a second."""
        hashed = hash_password(password)
        rows = [(email, hashed, quota) for email, quota in users]
        self._insert("virtual_users (domain_id, email, password, quota) VALUES (%s, %s, %s, %s)", rows)

    def add_alias(self, source: str, destination: str) -> None:
        """Add one row to virtual_aliases, and the source's domain if need be; `@domain` is a catch-all."""
        self.add_aliases([(source, destination)])

    def add_aliases(self, aliases: Iterable[tuple[str, str]]) -> None:
        """Add many (source, destination) at once."""
        self._insert("virtual_aliases (domain_id, source, destination) VALUES (%s, %s, %s)", list(aliases))

    def _insert(self, into: str, rows: Sequence[tuple[object, ...]]) -> None:
        """Rows that begin with an address, of whose domain each gets the id."""
        domains = [str(row[0]).rpartition("@")[2].lower() for row in rows]
        with self._connect_root(database=self.database) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT name FROM virtual_domains")
            missing = set(domains) - {row["name"].lower() for row in cursor.fetchall()}
            cursor.executemany("INSERT INTO virtual_domains (name) VALUES (%s)", [(name,) for name in sorted(missing)])
            cursor.execute("SELECT id, name FROM virtual_domains")
            ids = {row["name"].lower(): row["id"] for row in cursor.fetchall()}
            rows = [(ids[domain], *row) for domain, row in zip(domains, rows, strict=True)]
            cursor.executemany(f"INSERT INTO {into}", rows)

    def set_quota(self, email: str, quota: int) -> None:
        """Change a limit as an administrator would by hand. `quota` in bytes, 0 = unlimited."""
        self.sql("UPDATE virtual_users SET quota = %s WHERE email = %s", quota, email)

    def clear(self) -> None:
        """Forget all domains, and with them (by the foreign keys) all users and aliases."""
        self.sql("DELETE FROM virtual_domains")


@functools.cache
def hash_password(password: str) -> str:
    """The password as the tutorial stores it: BLF-CRYPT, with the scheme in braces before it."""
    if password == MAIL_PASSWORD:
        return _MAIL_PASSWORD_HASH
    doveadm = [find_program("doveadm") or "doveadm", "pw", "-s", "BLF-CRYPT", "-r", "5", "-p", password]
    return subprocess.run(doveadm, check=True, capture_output=True, text=True).stdout.strip()
