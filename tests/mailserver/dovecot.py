"""A private Dovecot of the ISPmail tutorial, 2.3 or 2.4 as installed: LMTP, IMAP, quota-status and doveadm."""

from __future__ import annotations

import imaplib
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Literal

from tests.mailserver.mail import SENDER, TIMEOUT, build_message, greets, send_lmtp
from tests.mailserver.mariadb import MAIL_PASSWORD, MariaDB
from tests.mailserver.ports import HOST, free_port
from tests.mailserver.process import Daemon, find_program, render
from tests.mailserver.series import dovecot_series

# The tutorial's vmail. Dovecot takes the number as it is, no such user need exist.
VMAIL_UID = 5000

Driver = Literal["maildir", "count"]


class Dovecot(Daemon):
    """Mailboxes under `mail_folder`, users from `database`, unix sockets in `sockets`.

    `driver` and `tuned` take effect at the next start. `tuned` gives quota-status four processes and an
    authentication cache, the fastest form that was measured, instead of the tutorial's one process.
    """

    name = "dovecot"
    programs = ("dovecot", "doveadm")
    _QUOTA: ClassVar[dict[Driver, str]] = {
        "maildir": "quota = maildir:User quota",
        # Without vsizes the count driver refuses to load.
        "count": "quota = count:User quota\n  quota_vsizes = yes",
    }

    def __init__(
        self,
        folder: Path,
        database: MariaDB,
        mail_folder: Path,
        sockets: Path,
        *,
        driver: Driver = "maildir",
        tuned: bool = False,
    ) -> None:
        super().__init__(folder)
        self.database = database
        self.mail_folder = mail_folder
        self.driver = driver
        self.tuned = tuned
        self.imap_port = free_port()
        self.quota_status_port = free_port()
        self.lmtp_socket = sockets / "dovecot-lmtp"
        self.quota_status_socket = sockets / "quota-status"
        self.config = folder / "dovecot.conf"
        self._change: Callable[[str], str] = str
        self._change_sql: Callable[[str], str] = str

    @property
    def doveadm(self) -> list[str]:
        """The start of every doveadm command line for this instance."""
        return [find_program("doveadm") or "doveadm", "-c", str(self.config)]

    def prepare(self) -> None:
        self.lmtp_socket.parent.mkdir(parents=True, exist_ok=True)
        self.mail_folder.mkdir(parents=True, exist_ok=True)
        os.chown(self.mail_folder, VMAIL_UID, VMAIL_UID)
        self._write_config()
        if dovecot_series() != "2.4":  # which has it in its one file
            sql = self.folder / "dovecot-sql.conf.ext"
            render("dovecot-sql.conf.in", sql, **self._values())
            sql.write_text(self._change_sql(sql.read_text()))

    def _write_config(self) -> None:
        more: dict[str, object]
        if dovecot_series() == "2.4":
            name, more = "dovecot-2.4.conf.in", {"driver": self.driver}
        else:
            name, more = "dovecot.conf.in", {"quota": self._QUOTA[self.driver]}
        processes = "process_min_avail = 4\n  client_limit = 125"
        render(
            name,
            self.config,
            auth_cache="auth_cache_size = 10M" if self.tuned else "",
            quota_status_processes=processes if self.tuned else "",
            **self._values(),
            **more,
        )
        self.config.write_text(self._change(self.config.read_text()))

    def _values(self) -> dict[str, object]:
        """What stands in the files of both series."""
        return {
            "folder": self.folder,
            "log": self.log,
            "uid": VMAIL_UID,
            "sockets": self.lmtp_socket.parent,
            "imap_port": self.imap_port,
            "quota_status_port": self.quota_status_port,
            "port": self.database.port,
            "database": self.database.database,
            "user": self.database.reader,
            "password": self.database.password,
            "vmail": self.mail_folder,
        }

    @contextmanager
    def changed(self, change: Callable[[str], str], sql: Callable[[str], str] = str) -> Iterator[None]:
        """Started anew with settings that `change` made of its own, for the length of a `with` block.

        `sql` makes those of 2.3's file for its user database; 2.4 has all in one file.
        """
        try:
            self._restart(change, sql)
            yield
        finally:
            self._restart(str, str)

    def _restart(self, change: Callable[[str], str], sql: Callable[[str], str]) -> None:
        self.stop()
        self._change, self._change_sql = change, sql
        self.start()

    def command(self) -> list[str]:
        return [find_program("dovecot") or "dovecot", "-F", "-c", str(self.config)]

    def is_ready(self) -> bool:
        return greets(self.lmtp_socket)

    def run_doveadm(self, *arguments: str) -> str:
        """What a doveadm command prints. Raises ServerFailedError when it exits with anything but 0."""
        done = subprocess.run([*self.doveadm, *arguments], capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise self.failed(f"doveadm {' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def quota(self, user: str) -> tuple[int, int]:
        """(KiB rounded up, messages) of one user, by `doveadm quota get`; the file has bytes, this has not."""
        table = self.run_doveadm("-f", "tab", "quota", "get", "-u", user)
        values = {columns[1]: int(columns[2]) for columns in map(_columns, table.splitlines()[1:])}
        return values["STORAGE"], values["MESSAGE"]

    def move_to_trash(self, user: str, messages: str) -> None:
        """Messages of INBOX, such as "1:2", also out of a full mailbox: its owner can't copy them there.

        By the owner's MOVE where that does it. 2.4 refuses it in a full mailbox, and counts it wrong with the driver
        maildir, so it is done and counted by doveadm.
        """
        with self.imap(user) as client:
            client.create("Trash")
            if dovecot_series() != "2.4":
                client.select("INBOX")
                assert client.uid("MOVE", messages, "Trash")[0] == "OK"
                return
        self.run_doveadm("-o", "quota_enforce=no", "move", "-u", user, "Trash", "mailbox", "INBOX", messages)
        self.run_doveadm("quota", "recalc", "-u", user)

    def deliver_lmtp(self, to: str, size: int | None = None, body: str = "Hello.\r\n") -> tuple[int, str]:
        """Hand a message to Dovecot past Postfix; the reply as (code, text). `size` as in build_message."""
        return send_lmtp(self.lmtp_socket, build_message(to, SENDER, size, body), to, SENDER)

    def imap(self, user: str, password: str = MAIL_PASSWORD) -> imaplib.IMAP4:
        """A logged-in connection; as a context manager it logs out at the end."""
        client = imaplib.IMAP4(HOST, self.imap_port, TIMEOUT)
        try:
            client.login(user, password)
        except BaseException:
            client.shutdown()
            raise
        return client


def _columns(line: str) -> list[str]:
    return line.split("\t")
