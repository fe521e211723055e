"""A small mail server without servers: accounts in SQLite, real Maildirs, and a settings file that leads to them."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from mailquota.core.accounts.sqlite import create
from mailquota.core.settings.config import Config, load
from tests.mailserver.fixture import temporary_folder

LIMIT = 10_000  # bytes
OVERQUOTA = "452 4.2.2 Mailbox is full and cannot receive any more emails"

JOHN = "john@example.org"  # 4,000 of 10,000 bytes
FULL = "full@example.org"  # 10,000 of 10,000
FREE = "free@example.org"  # unlimited, so without maildirsize
ANNA = "anna@example.com"  # 5,000 of 10,000, without maildirsize
TRASH = "trash@example.com"  # 9,000 of 10,000, a third of it in Trash

_numbers = itertools.count()


class SmallWorld:
    """``settings`` may be changed; ``write_settings`` puts them into the file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "mailquota.toml"
        self.database = folder / "accounts.db"
        self.mailstore = folder / "vmail"
        self.state = folder / "state.db"
        self.policy_socket = folder / "policy.sock"
        self.control_socket = folder / "control.sock"
        self.settings: dict[str, dict[str, object]] = {
            "accounts": {"database": f"sqlite:///{self.database}", "refresh": "0.1s"},
            "mailstore": {"path": f"{self.mailstore}/{{domain}}/{{user}}/Maildir", "doveadm": "off"},
            "policy": {"listen": [f"unix:{self.policy_socket}"], "socket_user": ""},
            "warnings": {"thresholds": []},
            "state": {"database": f"sqlite:///{self.state}"},
            "control": {"socket": str(self.control_socket), "group": ""},
        }
        self.mailstore.mkdir()
        create(self.database)
        self.write_settings()

    def write_settings(self) -> None:
        """Put ``settings`` into the file."""
        lines = []
        for section, keys in self.settings.items():
            lines += [f"[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items())]
        self.config.write_text("\n".join(lines) + "\n")

    def load(self) -> Config:
        """The settings as the product reads them."""
        return load(self.config, {})

    # ---- accounts

    def execute(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        """Do something to the accounts database, as an administrator elsewhere would."""
        with contextlib.closing(sqlite3.connect(self.database)) as connection, connection:
            connection.execute("PRAGMA synchronous = OFF")  # a world that is thrown away need not survive a power cut
            return connection.execute(sql, values).fetchall()

    def add_account(self, address: str, limit: int = LIMIT) -> None:
        """A row, no Maildir; a limit of 0 is unlimited."""
        domain = address.rpartition("@")[2]
        self.execute("INSERT OR IGNORE INTO virtual_domains (name) VALUES (?)", domain)
        self.execute(
            "INSERT INTO virtual_users (domain_id, email, quota)"
            " SELECT id, ?, ? FROM virtual_domains WHERE name = ?", address, limit, domain
        )  # fmt: skip

    def add_alias(self, source: str, destination: str) -> None:
        """A row of the alias table."""
        self.execute(
            "INSERT INTO virtual_aliases (domain_id, source, destination) SELECT id, ?, ? FROM virtual_domains LIMIT 1",
            source, destination,
        )  # fmt: skip

    def set_limit(self, address: str, limit: int) -> None:
        """An edit made elsewhere."""
        self.execute("UPDATE virtual_users SET quota = ? WHERE email = ?", limit, address)

    def limit_of(self, address: str) -> object:
        """The limit as the database has it."""
        return self.execute("SELECT quota FROM virtual_users WHERE email = ?", address)[0][0]

    def remove_account(self, address: str) -> None:
        """Delete the row; the Maildir stays."""
        self.execute("DELETE FROM virtual_users WHERE email = ?", address)

    # ---- mail

    def maildir(self, address: str) -> Path:
        """Where the mail of an account lies."""
        user, _, domain = address.rpartition("@")
        return self.mailstore / domain / user / "Maildir"

    def add_mailbox(self, address: str, sizes: Iterable[int], limit: int = LIMIT, *, file: bool = True) -> None:
        """An account with mails of these sizes, and with a maildirsize ``file`` where it is limited."""
        self.add_account(address, limit)
        sizes = list(sizes)
        maildir = self.maildir(address)
        for part in ("cur", "new", "tmp"):
            (maildir / part).mkdir(parents=True)
        for size in sizes:
            self.put_mail(address, size)
        if file and limit:
            (maildir / "maildirsize").write_text(f"{limit}S\n{sum(sizes)} {len(sizes)}\n")
        self.settle(address)

    def put_mail(self, address: str, size: int, folder: str = "") -> Path:
        """A mail that nothing records, as in a mailbox without maildirsize."""
        directory = self.maildir(address) / folder / "cur"
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{time.time():.0f}.M{next(_numbers)}P{os.getpid()}.host,S={size},W={size + 10}:2,S"
        path.write_bytes(b"")
        os.truncate(path, size)
        return path

    def deliver(self, address: str, size: int, folder: str = "") -> Path:
        """A delivery as Dovecot makes it: the mail first, then a line in maildirsize."""
        path = self.put_mail(address, size, folder)
        with (self.maildir(address) / "maildirsize").open("a") as file:
            file.write(f"{size} 1\n")
        return path

    def settle(self, address: str) -> None:
        """Make the directories older than the second within which a change can't be told by its time."""
        then = time.time() - 60
        for directory in self.maildir(address).rglob("*"):
            if directory.is_dir():
                os.utime(directory, (then, then))

    def recorded(self, address: str) -> str:
        """What the maildirsize file says."""
        return (self.maildir(address) / "maildirsize").read_text()


def fill(world: SmallWorld) -> None:
    """The accounts that are named above, and an alias to the first."""
    world.add_mailbox(JOHN, [1000] * 4)
    world.add_mailbox(FULL, [5000] * 2)
    world.add_mailbox(FREE, [700] * 3, 0)
    world.add_mailbox(ANNA, [2500] * 2, file=False)
    world.add_mailbox(TRASH, [2000] * 3)
    for _ in range(3):
        world.deliver(TRASH, 1000, ".Trash")
    world.settle(TRASH)
    world.add_alias("info@example.org", JOHN)


@pytest.fixture
def small_world() -> Iterator[SmallWorld]:
    """Five accounts of different kinds; the folder is short enough for unix sockets."""
    with temporary_folder() as folder:
        world = SmallWorld(folder)
        fill(world)
        yield world
