"""A world without servers: SQLite accounts and real Maildirs, for what needs no peer beside it."""

from __future__ import annotations

import json
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from mailquota.core.accounts.sqlite import create
from tests.benchmarks import mailboxes, worlds
from tests.mailserver.fixture import temporary_folder


@dataclass(frozen=True)
class World:
    """Where things are."""

    folder: Path
    settings: Path
    policy_socket: Path
    users: Path
    addresses: list[str]


@contextmanager
def world(accounts: int) -> Iterator[World]:
    """Made in a temporary folder, removed afterwards."""
    with temporary_folder() as folder:
        addresses = mailboxes.addresses(accounts)
        _fill_database(folder / "accounts.db", addresses)
        mailboxes.make(f"{folder}/vmail/{{domain}}/{{user}}/Maildir", addresses)
        (folder / "users").write_text("\n".join(addresses) + "\n")
        settings = folder / "mailquota.toml"
        settings.write_text(f"""
[accounts]
database = "sqlite:///{folder}/accounts.db"
[mailstore]
path = "{folder}/vmail/{{domain}}/{{user}}/Maildir"
doveadm = "off"
[policy]
listen = ["unix:{folder}/policy.sock"]
socket_user = ""
[warnings]
thresholds = []
[control]
socket = "{folder}/control.sock"
group = ""
[state]
database = "sqlite:///{folder}/state.db"
""")
        yield World(folder, settings, folder / "policy.sock", folder / "users", addresses)


def _fill_database(path: Path, addresses: list[str]) -> None:
    create(path)
    domains = {name: number for number, name in enumerate(sorted({a.rpartition("@")[2] for a in addresses}), 1)}
    rows = [(domains[a.rpartition("@")[2]], a, "x", mailboxes.LIMIT) for a in addresses]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "INSERT INTO virtual_domains (id, name) VALUES (?, ?)", [(n, d) for d, n in domains.items()]
        )
        connection.executemany(
            "INSERT INTO virtual_users (domain_id, email, password, quota) VALUES (?, ?, ?, ?)", rows
        )


def ask(path: Path, recipient: str) -> str:
    """One policy request."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(
            f"request=smtpd_access_policy\nprotocol_state=RCPT\nrecipient={recipient}\nsize=1000\n\n".encode()
        )
        return client.recv(4096).decode()


def wait_measured(world: World, accounts: int, seconds: float = 120.0) -> None:
    """Until the first round is over: no account at the end of the list is unknown."""
    command = [sys.executable, "-m", "mailquota", "--config", str(world.settings), "list", "unknown", "--json"]
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done = subprocess.run(command, cwd=worlds.ROOT, capture_output=True, check=True)
        if not json.loads(done.stdout):
            return
        time.sleep(0.5)
    raise TimeoutError(f"{accounts} accounts were not measured within {seconds:g} s")
