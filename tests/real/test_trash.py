"""Trash by special use and by the names in the settings, its sub-folders, and its age by the time of arrival there."""

from __future__ import annotations

import imaplib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.mailserver.fixture import temporary_folder
from tests.mailserver.server import MailServer
from tests.real.beside import Mailquota, wait_until, write_settings

pytestmark = pytest.mark.server

LIMIT = 10**8
METHODS = pytest.mark.parametrize("doveadm", [None, "off"], ids=["doveadm", "by ourselves"])
# as a client of each user names it; what is not Trash begins the same
FOLDERS = {"english": ["Trash", "Trash.2024", "Trash.2024.May"], "german": ["Papierkorb", "Papierkorb.Alt"],
           "outlook": ["Deleted Items", "Deleted Items.x"]}  # fmt: skip
NOT_TRASH = ["Trashcan", "Sent", "Papierkorb-alt", "Archive.Trash"]


@pytest.fixture
def folder() -> Iterator[Path]:
    with temporary_folder() as path:
        yield path


def fill(server: MailServer, address: str, folders: list[str]) -> None:
    """A message in INBOX and one in each of the folders, as a mail client copies it."""
    server.add_user(address, LIMIT)
    assert server.deliver_lmtp(address, 3000)[0] == 250
    with server.imap(address) as imap:
        imap.select("INBOX")
        for name in folders:
            imap.create(f'"{name}"')
            assert imap.copy("1", f'"{name}"')[0] == "OK"


def recount(server: MailServer, address: str) -> tuple[int, int]:
    """What is recorded; Dovecot's own count says the same."""
    recorded = server.doveadm_quota(address)
    server.run_doveadm("quota", "recalc", "-u", address)
    assert server.doveadm_quota(address) == recorded
    return recorded


@METHODS
def test_each_user_has_another_name_for_it(mailserver: MailServer, folder: Path, doveadm: str | None) -> None:
    """All of it goes, sub-folders included, and nothing else; the figures are right afterwards."""
    domain = f"trash-{'dove' if doveadm is None else 'own'}.example"
    addresses = {f"{name}@{domain}": folders for name, folders in FOLDERS.items()}
    for address, folders in addresses.items():
        fill(mailserver, address, [*folders, *NOT_TRASH])
    with Mailquota(write_settings(mailserver, folder, doveadm=doveadm), mailserver) as mailquota:
        results = {row["address"]: row for row in mailquota.json("empty-trash", *addresses, "--yes")}
        for address, folders in addresses.items():
            result = results[address]
            assert (result["error"], sorted(result["folders"]), result["messages"]) == (None, folders, len(folders))
            assert recount(mailserver, address)[1] == 1 + len(NOT_TRASH)
            row = mailquota.json("show", address)
            assert (row["messages"], row["trash_bytes"]) == (1 + len(NOT_TRASH), 0)


@METHODS
def test_age_is_the_time_in_trash(mailserver: MailServer, folder: Path, doveadm: str | None) -> None:
    """An old message that was thrown away just now stays; so a date in its header, name and INBOX counts nothing."""
    address = f"age-{'dove' if doveadm is None else 'own'}@trash.example"
    fill(mailserver, address, ["Trash"])
    for path in (mailserver.maildir(address) / ".Trash").glob("*/*,S=*"):
        os.utime(path, (10**9, 10**9))
    arrived = time.time()
    with Mailquota(write_settings(mailserver, folder, doveadm=doveadm), mailserver) as mailquota:
        assert _emptied(mailquota, address, "1h") == 0
        wait_until(lambda: time.time() > arrived + 3, "it is older than two seconds")
        assert mailserver.deliver_lmtp(address, 2000)[0] == 250
        with mailserver.imap(address) as imap:
            imap.select("INBOX")
            imap.copy("2", "Trash")
        assert _emptied(mailquota, address, "2s") == 1
        assert recount(mailserver, address)[1] == 3


def _emptied(mailquota: Mailquota, address: str, age: str) -> int:
    (result,) = mailquota.json("empty-trash", address, "--older-than", age, "--yes")
    assert result["error"] is None
    messages: int = result["messages"]
    return messages


@METHODS
def test_a_client_that_idles_sees_expunge(mailserver: MailServer, folder: Path, doveadm: str | None) -> None:
    """In Trash, which it has open; the numbers of what is left stay right."""
    address = f"idle-{'dove' if doveadm is None else 'own'}@trash.example"
    fill(mailserver, address, ["Trash"])
    with (
        Mailquota(write_settings(mailserver, folder, doveadm=doveadm), mailserver) as mailquota,
        mailserver.imap(address) as imap,
    ):
        assert imap.select("Trash")[1] == [b"1"]
        idling = Idle(imap)
        assert _emptied_now(mailquota, address) == 1
        assert "* 1 EXPUNGE" in idling.lines()
        assert imap.search(None, "ALL")[1] == [b""]


def _emptied_now(mailquota: Mailquota, address: str) -> Any:
    return mailquota.json("empty-trash", address, "--yes")[0]["messages"]


class Idle:
    """RFC 2177, which imaplib can't: what the server says, until it told of a message that went."""

    def __init__(self, imap: imaplib.IMAP4) -> None:
        self._imap = imap
        self._lines: list[str] = []
        imap.send(b"idle IDLE\r\n")
        assert imap.readline().startswith(b"+")
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while not self._lines or not self._lines[-1].startswith("idle "):
            self._lines.append(self._imap.readline().decode().strip())
            if self._lines[-1].endswith("EXPUNGE"):
                self._imap.send(b"DONE\r\n")

    def lines(self) -> list[str]:
        """All of them."""
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self._lines
