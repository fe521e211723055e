"""Eight that put mail into one mailbox, while it is recounted and its Trash emptied in a loop: nothing is lost.

Six deliver by LMTP, two append to Trash by IMAP. Every message has an id; what is gone at the end is what was reported
as removed, and it was in Trash. The figures that are recorded at the end are those of Dovecot's own count.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mailquota.core.control.messages import EmptyTrash, GetDetails, Recalc
from mailquota.core.control.results import Details, RecalcResult, TrashResult
from tests.core.clients import Console, until
from tests.mailserver.fixture import temporary_folder
from tests.mailserver.server import MailServer
from tests.real.beside import Mailquota, write_settings
from tests.truth.scale import count

pytestmark = [pytest.mark.server, pytest.mark.timeout(1200)]

LIMIT = 10**9
DELIVERERS, APPENDERS = 6, 2
_ID = re.compile(rb"^X-Number: (\S+)\r?$", re.MULTILINE)


class Mail:
    """What was put where. ``errors`` are those of the threads."""

    def __init__(self, server: MailServer, address: str, each: int) -> None:
        self.inbox: set[str] = set()
        self.trash: set[str] = set()
        self.errors: list[BaseException] = []
        self._server = server
        self._address = address
        self._each = each
        works = [self._deliver] * DELIVERERS + [self._append] * APPENDERS
        self._threads = [threading.Thread(target=self._run, args=(work, number)) for number, work in enumerate(works)]

    def __enter__(self) -> Mail:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join()

    @property
    def under_way(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def _run(self, work: Callable[[int], None], number: int) -> None:
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001 - the test looks at them
            self.errors.append(error)

    def _deliver(self, number: int) -> None:
        for turn in range(self._each):
            name = f"in-{number}-{turn}"
            body = "Hello.\r\n" * (turn % 50 + 1) + f"\r\nX-Number: {name}\r\n"
            code, text = self._server.deliver_lmtp(self._address, body=body)
            assert code == 250, text
            self.inbox.add(name)

    def _append(self, number: int) -> None:
        with self._server.imap(self._address) as imap:
            for turn in range(self._each):
                name = f"trash-{number}-{turn}"
                text = f"Subject: x\r\n\r\nX-Number: {name}\r\n" + "Bye.\r\n" * (turn % 30)
                assert imap.append("Trash", "", None, text.encode())[0] == "OK"
                self.trash.add(name)


def numbers(maildir: Path, folder: str) -> Counter[str]:
    """The ids of the messages that lie in a folder."""
    files = [path for part in ("new", "cur") for path in (maildir / folder / part).iterdir()]
    return Counter(match[1].decode() for path in files if (match := _ID.search(path.read_bytes())))


@pytest.fixture
def folder() -> Iterator[Path]:
    with temporary_folder() as path:
        yield path


def change(client: Console, address: str) -> tuple[int, set[str]]:
    """One recount and one emptying; the messages that went, and the methods."""
    (recounted,) = ask(client, Recalc(client.next_id(), [address]), list[RecalcResult])
    (emptied,) = ask(client, EmptyTrash(client.next_id(), [address]), list[TrashResult])
    assert (recounted.error, emptied.error) == (None, None)
    return emptied.messages, {str(recounted.method), emptied.method or ""} - {""}


def ask(client: Console, order: Any, answer: Any) -> Any:
    client.send(order)
    return client.answer(order.id, answer)


def settled(server: MailServer, address: str) -> tuple[int, int]:
    """KiB and messages as recorded, which a recount does not change."""
    recorded = server.doveadm_quota(address)
    server.run_doveadm("quota", "recalc", "-u", address)
    assert server.doveadm_quota(address) == recorded
    return recorded


@pytest.mark.parametrize("doveadm", [None, "off"], ids=["doveadm", "by ourselves"])
def test_nothing_is_lost(mailserver: MailServer, folder: Path, doveadm: str | None) -> None:
    address = f"stress-{'dove' if doveadm is None else 'own'}@stress.example"
    each = count(13, 250)
    mailserver.add_user(address, LIMIT)
    mailserver.run_doveadm("mailbox", "create", "-u", address, "Trash")
    maildir, removed, methods = mailserver.maildir(address), 0, set[str]()
    settings = write_settings(mailserver, folder, doveadm=doveadm)
    with Mailquota(settings, mailserver), Console(folder / "control.sock") as client:
        with Mail(mailserver, address, each) as mail:
            last = False
            while not last:
                last = not mail.under_way  # Dovecot's recount takes no lock: one beside a delivery may count it twice
                gone, used = change(client, address)
                removed, methods = removed + gone, methods | used
        assert mail.errors == []
        assert numbers(maildir, "") == Counter(mail.inbox)
        left = numbers(maildir, ".Trash")
        assert set(left) <= mail.trash
        assert sum(left.values()) + removed == len(mail.trash) == APPENDERS * each
        kib, messages = settled(mailserver, address)
        assert messages == DELIVERERS * each + sum(left.values())
        until(lambda: shown(client, address) == (kib, messages), "we show the same")
    print(f"{8 * each} messages, {removed} removed from Trash meanwhile, by {sorted(methods)}; no figure differs")


def shown(client: Console, address: str) -> tuple[int, int]:
    row = client.ask(lambda number: GetDetails(number, address), Details).row
    return -(-(row.used_bytes or 0) // 1024), row.messages or 0
