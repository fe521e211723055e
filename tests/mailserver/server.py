"""A whole private mail server in one folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from tests.mailserver.dovecot import Dovecot, Driver
from tests.mailserver.mariadb import MariaDB
from tests.mailserver.postfix import MAILQUOTA_CHECK, Postfix
from tests.mailserver.process import ServerFailedError

# sun_path holds 107 bytes; the longest socket below the folder is postfix/queue/private/quota-status.
LONGEST_FOLDER = 107 - len("/postfix/queue/private/quota-status")


class MailServer:
    """MariaDB, Dovecot and Postfix, each also usable alone as `.mariadb`, `.dovecot`, `.postfix`.

    Needs root: the three run as users of their own. The folder must be open to them (others may enter it and
    all folders above), and its path short enough for unix sockets.
    """

    def __init__(
        self, folder: Path, *, driver: Driver = "maildir", tuned: bool = False, policy: str = MAILQUOTA_CHECK
    ) -> None:
        self.folder = folder
        self.mail_folder = folder / "vmail"
        self.mariadb = MariaDB(folder / "mariadb")
        self.postfix = Postfix(folder / "postfix", self.mariadb, policy=policy)
        self.dovecot = Dovecot(
            folder / "dovecot",
            self.mariadb,
            self.mail_folder,
            self.postfix.sockets,
            driver=driver,
            tuned=tuned,
        )
        self.sql = self.mariadb.sql
        self.add_domain = self.mariadb.add_domain
        self.add_user = self.mariadb.add_user
        self.add_users = self.mariadb.add_users
        self.add_alias = self.mariadb.add_alias
        self.add_aliases = self.mariadb.add_aliases
        self.set_quota = self.mariadb.set_quota
        self.send_mail = self.postfix.send_mail
        self.wait_queue_empty = self.postfix.wait_queue_empty
        self.deliver_lmtp = self.dovecot.deliver_lmtp
        self.run_doveadm = self.dovecot.run_doveadm
        self.doveadm_quota = self.dovecot.quota
        self.imap = self.dovecot.imap
        self.move_to_trash = self.dovecot.move_to_trash

    @property
    def database_url(self) -> str:
        """As in mailquota's settings: the account that may only read."""
        return self.mariadb.url

    @property
    def write_database_url(self) -> str:
        """As in mailquota's settings: the account that may change limits."""
        return self.mariadb.write_url

    @property
    def mailstore(self) -> str:
        """As in mailquota's settings: the Maildir of an account, with {domain} and {user}."""
        return f"{self.mail_folder}/{{domain}}/{{user}}/Maildir"

    @property
    def policy_socket(self) -> Path:
        """Where Postfix asks mailquota; making it is mailquota's task."""
        return self.postfix.sockets / "mailquota"

    @property
    def quota_status_socket(self) -> Path:
        """Where Dovecot's own policy service answers."""
        return self.dovecot.quota_status_socket

    @property
    def lmtp_socket(self) -> Path:
        """Where Dovecot takes mail in."""
        return self.dovecot.lmtp_socket

    @property
    def smtp_port(self) -> int:
        return self.postfix.smtp_port

    @property
    def imap_port(self) -> int:
        return self.dovecot.imap_port

    @property
    def doveadm(self) -> list[str]:
        return self.dovecot.doveadm

    def maildir(self, user: str) -> Path:
        """The Maildir of an address; it exists only once Dovecot had something to put there."""
        name, _, domain = user.rpartition("@")
        return Path(self.mailstore.format(domain=domain, user=name))

    def start(self) -> None:
        """Start all that do not run yet, side by side. Raises ServerFailedError, and leaves nothing running."""
        self.folder.mkdir(parents=True, exist_ok=True)
        check_folder(self.folder)
        servers = (self.mariadb, self.postfix, self.dovecot)
        try:
            for server in servers:
                server.launch()
            for server in servers:
                server.wait_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop all three; mail and database stay in the folder for the next start."""
        self.postfix.stop()
        self.dovecot.stop()
        self.mariadb.stop()

    @contextmanager
    def database_stopped(self) -> Iterator[None]:
        """No database for the length of a `with` block; after it the others are as new.

        They would remember: Postfix spares a host that failed for 60 s (451 4.3.0 all that time), and Dovecot's first
        answer after the gap may be "no such user".
        """
        try:
            with self.mariadb.stopped():
                yield
        finally:
            self.postfix.stop()
            self.dovecot.stop()
            self.start()

    def clear(self) -> None:
        """Forget all domains, users, aliases and their mail."""
        self.mariadb.clear()
        for domain in self.mail_folder.iterdir():
            shutil.rmtree(domain)

    def facts(self) -> dict[str, str]:
        """What somebody needs to try things by hand."""
        return {
            "folder": str(self.folder),
            "database": self.database_url,
            "write_database": self.write_database_url,
            "mailstore": self.mailstore,
            "policy_socket": str(self.policy_socket),
            "quota_status_socket": str(self.quota_status_socket),
            "quota_status_port": str(self.dovecot.quota_status_port),
            "lmtp_socket": str(self.lmtp_socket),
            "smtp_port": str(self.smtp_port),
            "imap_port": str(self.imap_port),
            "doveadm": " ".join(self.doveadm),
            "logs": " ".join(str(server.log) for server in (self.mariadb, self.dovecot, self.postfix)),
            "processes": " ".join(str(server.pid) for server in (self.mariadb, self.dovecot, self.postfix)),
        }

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def check_folder(folder: Path) -> None:
    """Raise ServerFailedError when the servers' own users could not work in the folder."""
    if len(str(folder)) > LONGEST_FOLDER:
        raise ServerFailedError(f"{folder} is too long for unix sockets: at most {LONGEST_FOLDER} bytes")
    for part in (folder, *folder.parents):
        if not part.stat().st_mode & 0o001:
            raise ServerFailedError(f"{part} is closed to the users of the servers: chmod o+x")
