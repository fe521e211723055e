"""The same questions to us and to Dovecot's own policy service, about the same mailbox: the same answers.

We are asked first, as Dovecot repairs the file that it is asked about.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from mailquota.core.base.model import Account
from mailquota.core.mailboxes.mailstore import Mailstore
from mailquota.core.policy.decision import VerdictActions
from mailquota.core.servers.dovecot.folder_names import TrashNames
from tests.core.enforcing import Desk, open_desk
from tests.core.loops import run
from tests.core.policy.clients import Client, request
from tests.core.policy.test_recipient import NONE, OTHER, SAME
from tests.mailserver import MailServer
from tests.mailserver.dovecot import VMAIL_UID
from tests.mailserver.fixture import temporary_folder

pytestmark = pytest.mark.server

USER = "edge@example.org"
LIMIT = 5000
FULL = "452 4.2.2 Mailbox is full and cannot receive any more emails"
TROUBLE = "DEFER_IF_PERMIT"
MISSING = None


class Pair:
    """One mailbox, and both who answer for it. ``differences`` are what they disagreed on."""

    def __init__(self, server: MailServer, ours: Client, theirs: Client) -> None:
        self.maildir = server.maildir(USER)
        self.file = self.maildir / "maildirsize"
        self.differences: list[tuple[object, str, str]] = []
        self.answers: list[str] = []
        self._ours = ours
        self._theirs = theirs

    async def ask(self, label: object, question: bytes) -> None:
        """Both, one after the other."""
        answers = []
        for client in (self._ours, self._theirs):
            client.send(question)
            answers.append((await client.answer()).replace(TROUBLE + " Internal quota calculation error", TROUBLE))
        self.answers.append(answers[0])
        if answers[0] != answers[1]:
            self.differences.append((label, answers[0], answers[1]))

    def write(self, content: bytes | None, age: float = 0.0) -> None:
        """The maildirsize file."""
        if self.file.is_dir():
            self.file.rmdir()
        self.file.unlink(missing_ok=True)
        if content is not None:
            self.file.write_bytes(content)
            os.chown(self.file, VMAIL_UID, VMAIL_UID)
            os.utime(self.file, (time.time() - age,) * 2)

    def fill(self, *sizes: int) -> None:
        """Only these messages."""
        for path in [*(self.maildir / "cur").iterdir(), *(self.maildir / "new").iterdir()]:
            path.unlink()
        for number, size in enumerate(sizes):
            path = self.maildir / f"cur/180000000{number}.M1P1.mail:2,S"
            path.write_bytes(b"x" * size)
            os.chown(path, VMAIL_UID, VMAIL_UID)


@asynccontextmanager
async def both(server: MailServer, folder: Path) -> AsyncIterator[Pair]:
    store = Mailstore(server.mailstore, TrashNames(()))
    async with open_desk(folder, store) as desk:
        accounts(desk)
        theirs = await Client.connect(server.quota_status_socket)
        yield Pair(server, await desk.connect(), theirs)
        await theirs.close()


def accounts(desk: Desk) -> None:
    """As on the server; Dovecot's settings there are the tutorial's."""
    desk.accounts = {USER: Account(USER, LIMIT), "free@example.org": Account("free@example.org", None)}
    desk.read()
    desk.change(
        actions=VerdictActions(accept="DUNNO", over_quota=FULL, too_large=FULL, unknown="DUNNO", trouble=TROUBLE)
    )


Work = Callable[[Pair], Coroutine[Any, Any, None]]
Compare = Callable[[Work], list[str]]


@pytest.fixture
def compare(mailserver: MailServer) -> Iterator[Compare]:
    """Runs a coroutine function with a pair; our answers, after it is sure that they are Dovecot's."""
    mailserver.clear()
    mailserver.add_user(USER, quota=LIMIT)
    mailserver.add_user("free@example.org", quota=0)
    assert mailserver.deliver_lmtp(USER, 1000)[0] == 250

    async def main(work: Work, folder: Path) -> list[str]:
        async with both(mailserver, folder) as pair:
            await work(pair)
        assert pair.differences == []
        return pair.answers

    with temporary_folder() as folder:
        yield lambda work: run(main(work, folder))
    mailserver.clear()


SIZES: list[int | str | None] = [
    None, "", 0, 1, 2, 500, 501, 502, 1000, 3999, 4000, 4001, 4499, 4500, 4501, 5000, 5001, 100_000,
    "abc", "-1", "1e3", 2**63 - 1, 2**64 - 1, 2**64,
]  # fmt: skip


def test_use_and_size(compare: Compare) -> None:
    """Each size at each fill level."""

    async def work(pair: Pair) -> None:
        for used in (0, 1000, 4999, 5000, 5001, 6000):
            pair.write(f"{LIMIT}S\n{used} 1\n".encode())
            for size in SIZES:
                # always one: a request without would get the size of the one before from Dovecot
                await pair.ask((used, size), request(USER, 0 if size is None else size))

    answers = compare(work)
    assert set(answers) == {"DUNNO", FULL}


HOUR = 3600.0
FILES: list[tuple[bytes | None, float]] = [
    (MISSING, 0),
    (b"", 0),
    (b"hello world\nfoo\n", 0),
    (bytes(range(16)), 0),
    (b"5000S\n", 0),
    (b"5000S", 0),
    (b"5000S\n100 1", 0),
    (b"5000S\n-100 -1\n", 0),
    (b"5000S\n100 1\nxyz\n200 1\n", 0),
    (b"1000S\n100 1\n", 0),
    (b"5000S,0C\n100 1\n", 0),
    (b"5000S,10C\n100 1\n", 0),
    (b"5000S,abc\n4999 1\n", 0),
    (b"0S\n100 1\n", 0),
    (b"5000s\n9000 1\n", 0),
    (b"5000S\r\n9000 1\r\n", 0),
    (b"5000S\n9000 2\n", 0),
    (b"5000S\n9000 2\n", 14 * 60),
    (b"5000S\n9000 2\n", 16 * 60),
    (b"5000S\n5000 1\n4000 1\n", 0),
    (b"5000S\n10 1\n", 48 * HOUR),
    (b"5000S\n4000 1\n1000 1\n", HOUR),
    (b"5000S\n10000-1\n-5500+2\n", 0),
    (b"5000S\n4600 1\n9223372036854775807 1\n9223372036854775807 1\n", 20 * 60),
    (b"5000S\n-9223372036854775807 1\n-9223372036854775807 1\n", 0),
    (b"5000S\n" + b"10 1\n" * 400, 0),
    (b"5000S\n" + b"10 1\n" * 1100, 0),
]


@pytest.mark.parametrize("sizes", [(2000, 2000), (3000, 3000)], ids=["has room", "is full"])
def test_states_of_maildirsize(compare: Compare, sizes: tuple[int, int]) -> None:
    """Believed or counted over: the same use, as three sizes tell; nothing is written by us."""

    async def work(pair: Pair) -> None:
        pair.fill(*sizes)
        for content, age in FILES:
            for size in (1, 600, 1500):
                pair.write(content, age)
                await pair.ask((content and content[:30], age, size), request(USER, size))

    answers = compare(work)
    assert set(answers) == {"DUNNO", FULL}


def test_a_file_that_can_not_be_read(compare: Compare) -> None:
    """Where Dovecot defers, we say what the settings have for trouble; a dangling link is no file to both."""

    async def work(pair: Pair) -> None:
        pair.fill(3000, 3000)
        pair.write(MISSING)
        pair.file.mkdir()
        await pair.ask("directory", request(USER))
        pair.write(MISSING)
        pair.file.symlink_to("/nonexistent/maildirsize")
        await pair.ask("dangling", request(USER))

    assert compare(work) == [TROUBLE, FULL]


def test_recipients(compare: Compare) -> None:
    """Every spelling reaches the full mailbox at both or at none."""
    names = [name if isinstance(name, bytes) else name.encode() for name in (*SAME, *OTHER, *NONE)]

    async def work(pair: Pair) -> None:
        pair.write(b"5000S\n6000 1\n")
        for name in names:
            if len(name) < 1000:  # a very long one makes Dovecot's configuration process fail
                await pair.ask(name, b"protocol_state=RCPT\nsize=0\nrecipient=" + name + b"\n\n")

    assert compare(work).count(FULL) == len(SAME)


def test_requests(compare: Compare) -> None:
    """Odd requests about the full mailbox, and an unlimited one. END-OF-MESSAGE is decided by 2.4 and by us alone.

    What is no request at all gets DUNNO from Dovecot; here it ends its connection.
    """
    over = f"recipient={USER}\nsize=0\n"
    requests = [
        f"{over}\n", f"request=junk\n{over}\n", f"{over}recipient=nobody@x\n\n", f"=value\n{over}\n",
        *(f"protocol_state={state}\n{over}\n" for state in ("RCPT", "rcpt", "CONNECT", "MAIL", "DATA", "VRFY", "")),
        f"x={'y' * 10_000}\n{over}\n", "".join(f"attribute_{n}=value\n" for n in range(1000)) + f"{over}\n",
        "\n", f"no equals sign\n{over}\n", "recipient=\nsize=0\n\n", f"{over}\n".replace("\n", "\r\n"),
        "recipient=free@example.org\nsize=99999999999\n\n", "recipient=nobody@example.org\nsize=0\n\n",
    ]  # fmt: skip

    async def work(pair: Pair) -> None:
        pair.write(b"5000S\n6000 1\n")
        for text in requests:
            await pair.ask(text[:50], text.encode())

    assert compare(work).count(FULL) == 10
