"""A mailquota beside a Dovecot with other settings than the recipe's, and what both of them say."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterator
from typing import Any

from mailquota.core.settings.config import DiscoveredSettings
from mailquota.core.settings.discover import discover
from tests.mailserver.fixture import temporary_folder
from tests.mailserver.mail import ask_policy
from tests.mailserver.server import MailServer
from tests.real.beside import Mailquota, wait_until, write_settings

Change = Callable[[str], str]


def replacing(*pairs: tuple[str, str]) -> Change:
    """A change of settings: each text in place of another one, which has to be there."""

    def change(text: str) -> str:
        for old, new in pairs:
            assert old in text, old
            text = text.replace(old, new, 1)
        return text

    return change


def adding(lines: str) -> Change:
    return lambda text: f"{text}\n{lines}\n"


class Beside:
    """Both, side by side."""

    def __init__(self, server: MailServer, mailquota: Mailquota) -> None:
        self.server = server
        self.mailquota = mailquota

    def row(self, address: str) -> dict[str, Any]:
        (row,) = self.mailquota.json("list", address)
        assert isinstance(row, dict)
        return row

    def shows(self, address: str) -> dict[str, Any]:
        """The row, once it has Dovecot's figures: KiB, rounded up, and messages."""
        true = self.server.doveadm_quota(address)

        def same() -> bool:
            row = self.row(address)
            return row["used_bytes"] is not None and (-(-row["used_bytes"] // 1024), row["messages"]) == true

        try:
            wait_until(same, "Dovecot's figures")
        except TimeoutError as error:
            raise AssertionError(f"Dovecot has {true}, mailquota {self.row(address)}") from error
        return self.row(address)

    def answers_as_dovecot(self, address: str, *sizes: int) -> list[str]:
        """The answers to mails of these sizes, which are quota-status's."""
        true = [ask_policy(self.server.quota_status_socket, address, size) for size in sizes]

        def ours() -> list[str]:
            return [ask_policy(self.server.policy_socket, address, size) for size in sizes]

        wait_until(lambda: ours() == true, f"quota-status's answers {true}; here {ours()}")
        return true


@contextlib.contextmanager
def beside(server: MailServer, conf: Change = str, sql: Change = str, *, path: str = "") -> Iterator[Beside]:
    """With these settings of Dovecot, and mailquota with ``driver = "auto"``; no user has mail yet."""
    with server.dovecot.changed(conf, sql), temporary_folder() as folder:
        server.clear()
        settings = write_settings(server, folder, more='reserve = "0s"')
        if path:
            settings.write_text(settings.read_text().replace(server.mailstore, path))
        yield Beside(server, Mailquota(settings, server))
    server.clear()


@contextlib.contextmanager
def running(box: Beside) -> Iterator[Beside]:
    with box.mailquota:
        wait_until(lambda: box.mailquota.json("list"), "the accounts are read")
        yield box


def found(server: MailServer) -> DiscoveredSettings:
    """What mailquota finds where the settings file has no [mailstore]."""
    return discover(shlex.join(server.doveadm))


def remarks(server: MailServer) -> str:
    return "; ".join(fault for fault in found(server).faults if fault.startswith("mailstore"))


def save(server: MailServer, address: str, *mailboxes: str, size: int = 200_000) -> None:
    """A message in each of these mailboxes, which are made where they are missing."""
    for mailbox in mailboxes:
        assert server.deliver_lmtp(address, size)[0] == 250
        if mailbox != "INBOX":
            with contextlib.suppress(Exception):
                server.run_doveadm("mailbox", "create", "-u", address, mailbox)
            server.run_doveadm("move", "-u", address, mailbox, "mailbox", "INBOX", "1:*")
    server.run_doveadm("quota", "recalc", "-u", address)
