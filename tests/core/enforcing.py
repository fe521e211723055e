"""A policy server with all that decides behind it: ledger, enforcer, real Maildirs; no database, no engine."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from mailquota.core.base.exempt import Exempt
from mailquota.core.base.model import Account
from mailquota.core.base.units import parse_grace
from mailquota.core.mailboxes.driver import MaildirDriver
from mailquota.core.mailboxes.ledger import Entry, Ledger
from mailquota.core.mailboxes.mailstore import Mailstore
from mailquota.core.mailboxes.measure import measure
from mailquota.core.policy.answering import Enforcer
from mailquota.core.policy.decision import Rules, VerdictActions
from mailquota.core.policy.log import DecisionLog
from mailquota.core.policy.metrics import Metrics
from mailquota.core.policy.server import PolicyServer
from tests.core.loops import run
from tests.core.mailboxes.boxes import Box
from tests.core.policy.clients import Client, serving
from tests.mailserver.fixture import temporary_folder

FITS, FULL, LARGE = "DUNNO it fits", "452 4.2.2 Mailbox is full", "552 5.2.3 Too large for it"
NOBODY, TROUBLE, NOT_OURS = "DUNNO nobody", "DUNNO trouble", "DUNNO"
RULES = Rules(
    actions=VerdictActions(accept=FITS, over_quota=FULL, too_large=LARGE, unknown=NOBODY, trouble=TROUBLE),
    grace=parse_grace("10%"),
    delimiters="+",
    exempt=Exempt(["postmaster@*"]),
    shadow=False,
)


class Desk:
    """Accounts and their mailboxes, and who answers for them. Made on the loop."""

    def __init__(self, folder: Path, store: Mailstore | None = None) -> None:
        self.folder = folder
        self.path = folder / "policy"
        self.store = store or Box(folder, "nobody@nowhere.example").store
        self.accounts: dict[str, Account] = {}
        self.boxes: dict[str, Box] = {}
        self.ledger = Ledger(self.store.is_trash)
        self.driver = MaildirDriver(self.store, self.ledger.most_messages)
        self.metrics = Metrics()
        self.decisions = DecisionLog()
        self.enforcer = Enforcer(self.ledger, self.driver, RULES, self.metrics, self.decisions)
        self.server = PolicyServer(self.enforcer.ask, self.metrics)
        self.clients: list[Client] = []
        self.others: list[asyncio.Server] = []  # servers of other kinds, closed with the desk

    def add(
        self, name: str, used: int = 0, limit: int | None = 5000, *, file: bool = True, most: int | None = None
    ) -> Box:
        """An account at example.org with a mail of so many bytes, and with a maildirsize ``file``.

        ``most`` is its limit of messages.
        """
        address = f"{name}@example.org"
        box = self.boxes[name] = Box(self.folder, address)
        if used:
            box.put(used)
        box.settle()
        header = ",".join([f"{limit}S"] * (limit is not None) + [f"{most}C"] * (most is not None))
        if file and header:
            box.file.write_text(f"{header}\n{used} 1\n")
        self.accounts[address] = Account(address, limit, limit_messages=most)
        self.read()
        return box

    def read(self) -> None:
        """What the accounts database holds comes into the ledger."""
        self.ledger.set_accounts(self.accounts.values())

    def entry(self, name: str) -> Entry:
        return self.ledger.entries[f"{name}@example.org"]

    def measure(self, name: str) -> None:
        """As a round would."""
        entry = self.entry(name)
        known = measure(self.store, self.store.maildir(entry.address), entry.limit, entry.known, time.time())
        assert self.ledger.set_known(entry, entry.known, known, time.time())

    def change(self, **rules: object) -> None:
        """Other settings."""
        self.enforcer.set_rules(dataclasses.replace(self.enforcer.rules, **rules))  # type: ignore[arg-type]

    async def connect(self) -> Client:
        client = await Client.connect(self.path)
        self.clients.append(client)
        return client

    async def ask(self, name: str, size: int | str | None = None, state: str | None = "RCPT") -> str:
        """A question about an account at example.org, over a connection of its own."""
        client = await self.connect()
        return await client.ask(f"{name}@example.org", size, state)


@asynccontextmanager
async def open_desk(folder: Path, store: Mailstore | None = None, *, read: bool = True) -> AsyncIterator[Desk]:
    """A desk that answers within; ``read``: its accounts were read already, as few as they are."""
    desk = Desk(folder, store)
    if read:
        desk.enforcer.accounts_read()
    try:
        async with serving(desk.server, desk.path):
            yield desk
            await asyncio.gather(*(client.close() for client in desk.clients))
    finally:
        desk.enforcer.close()
        for other in desk.others:
            other.close()


def furnish(table: Desk) -> None:
    """Accounts of all kinds."""
    table.add("half", 1000)
    table.add("full", 5000)
    table.add("over", 6000)
    table.add("counted", 4999, file=False)
    table.add("free", 9_999_999, None)
    table.add("new", 0, file=False)
    table.add("postmaster", 6000)
    table.add("most", 1000, most=1)
    table.add("more", 1000, most=2)
    table.add("only", 9_999_999, None, most=1)
    table.add("some", 9_999_999, None, most=2, file=False)
    for address, enabled in (("o'hara@example.org", True), ("off@example.org", False)):
        table.accounts[address] = Account(address, 5000, enabled)
    table.read()


Work = Callable[[Desk], Coroutine[Any, Any, None]]
Open = Callable[..., None]  # of a Work, the name of a loop, and whether the accounts are read

HOURS = 10_000.0


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines of this process: however slow the machine is, only a step of the clock is too late."""
    for name in ("answering.DEADLINE", "answering.START_DEADLINE", "lookup.PROBE_PATIENCE", "lookup.COUNT_PATIENCE"):
        monkeypatch.setattr(f"mailquota.core.policy.{name}", HOURS)


@pytest.fixture
def desk(patient: None) -> Iterator[Open]:
    """Runs a coroutine function with a desk."""

    async def main(work: Work, folder: Path, read: bool) -> None:
        async with open_desk(folder, read=read) as table:
            await work(table)

    with temporary_folder() as folder:
        yield lambda work, loop="asyncio", read=True: run(main(work, folder, read), loop)
