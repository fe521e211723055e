"""A warning for a mailbox on a real Dovecot, and what Dovecot says of it before and afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from email.utils import make_msgid
from pathlib import Path

from mailquota.core.alerts.deliver import Deliverer
from mailquota.core.alerts.from_settings import make_deliverer
from mailquota.core.settings.config import load

LIMIT = 100_000
METHODS = ("dovecot-lda", "doveadm", "maildir")
FILLS = (60, 120)  # percent of the limit


def warning(address: str) -> tuple[bytes, str]:
    """A mail as it is sent, and its Message-ID."""
    message_id = make_msgid(domain="example.org")
    headers = (
        f"From: postmaster@example.org\nTo: {address}\nDate: Fri, 27 Nov 2026 01:00:00 +0000\n"
        f"Message-ID: {message_id}\nSubject: =?utf-8?q?Your_mailbox_is_=F0=9F=93=A6?=\nMIME-Version: 1.0\n"
        "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\nAuto-Submitted: auto-generated\n"
    )
    return f"{headers}\nGrüße\n\n{'It is full.' * 5}\nFrom here on it is not.\n".encode(), message_id


def deliverer(folder: Path, mailstore: str, doveadm: str, delivery: str) -> Deliverer:
    """By a settings file, as the product makes it."""
    path = folder / "deliver.toml"
    path.write_text(
        f'[accounts]\n[mailstore]\npath = "{mailstore}"\ndoveadm = "{doveadm}"\n[policy]\n'
        f'[warnings]\ndelivery = "{delivery}"\n'
    )
    return make_deliverer(load(path, {}))


@dataclass(frozen=True)
class Mailbox:
    """``doveadm`` gives what a doveadm command prints."""

    address: str
    maildir: Path
    doveadm: Callable[..., str]

    def figures(self) -> list[str]:
        """Dovecot's quota, by its record or its sum."""
        return self.doveadm("-f", "tab", "quota", "get", "-u", self.address).splitlines()[1:]

    def counted(self) -> int:
        """Bytes, exactly: by maildirsize where Dovecot keeps it, else by the sum of virtual sizes."""
        self.figures()
        file = self.maildir / "maildirsize"
        if file.exists():
            return sum(int(line.split()[0]) for line in file.read_text().splitlines()[1:])
        rows = self.doveadm("-f", "tab", "mailbox", "status", "-u", self.address, "vsize", "*").splitlines()[1:]
        return sum(int(row.split("\t")[1]) for row in rows)

    def weight(self, message: bytes) -> int:
        """What a message counts here."""
        return len(message) + (0 if (self.maildir / "maildirsize").exists() else message.count(b"\n"))

    def fetched(self, message_id: str) -> str:
        """The whole message as Dovecot gives it, with LF."""
        query = ("mailbox", "INBOX", "header", "Message-ID", message_id)
        text = self.doveadm("fetch", "-u", self.address, "text", *query)
        return text.replace("\r\n", "\n").removeprefix("text:\n").removesuffix("\f\n")

    def takes(self, tried: Deliverer, method: str, fill: int) -> None:
        """At ``fill`` percent a warning gets in once, is counted exactly, and is whole; a recount says the same."""
        assert abs(int(self.figures()[0].split("\t")[-1]) - fill) <= 2
        message, message_id = warning(self.address)
        after = self.counted() + self.weight(message)
        assert tried.was_delivered(self.address, message_id) is False
        assert tried.deliver(self.address, message) == method
        assert self.counted() == after
        said = self.figures()
        self.doveadm("quota", "recalc", "-u", self.address)
        assert (self.figures(), self.counted()) == (said, after)
        assert self.fetched(message_id).rstrip("\n") == message.decode().rstrip("\n")
        assert tried.was_delivered(self.address, message_id) is True
