"""A private Postfix 3.7 of the ISPmail tutorial, whose policy check asks mailquota."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import ClassVar

from tests.mailserver.mail import SENDER, build_message, greets, send_smtp
from tests.mailserver.mariadb import MariaDB
from tests.mailserver.ports import HOST, free_port
from tests.mailserver.process import Daemon, render, wait_until

# As a server's main.cf should have it: while nobody serves the socket, mail is accepted (after a second's wait).
MAILQUOTA_CHECK = "check_policy_service { unix:private/mailquota, timeout=10s, default_action=DUNNO }"
# The tutorial's own.
QUOTA_STATUS_CHECK = "check_policy_service unix:private/quota-status"
NO_CHECK = ""

_MASTER = Path("/usr/lib/postfix/sbin/master")
# postfix-files(5): folder of the queue directory -> mode. All but pid belong to Postfix's user.
_OWN_FOLDERS = ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved")
_SHARED_FOLDERS = {"maildrop": 0o730, "public": 0o2710}
# The way of a message, in this order.
_QUEUES = ("maildrop", "incoming", "active", "deferred")


class Postfix(Daemon):
    """SMTP on 127.0.0.1; mail for the database's users goes to Dovecot, all other mail bounces.

    `policy`, the last entry of smtpd_recipient_restrictions, and `settings`, which replace those of the tutorial, take
    effect at the next start.
    """

    name = "postfix"
    programs = ("postfix", "postqueue")
    _MAPS: ClassVar[dict[str, str]] = {
        "mysql-virtual-mailbox-domains": "SELECT 1 FROM virtual_domains WHERE name='%s'",
        "mysql-virtual-mailbox-maps": "SELECT 1 FROM virtual_users WHERE email='%s'",
        "mysql-virtual-alias-maps": "SELECT destination FROM virtual_aliases WHERE source='%s'",
        # Every mailbox is its own alias, so that a catch-all does not swallow its mail.
        "mysql-email2email": "SELECT email FROM virtual_users WHERE email='%s'",
    }

    def __init__(self, folder: Path, database: MariaDB, *, policy: str = MAILQUOTA_CHECK) -> None:
        super().__init__(folder)
        self.database = database
        self.policy = policy
        self.settings: dict[str, str] = {}
        self.smtp_port = free_port()
        self.queue = folder / "queue"
        self.sockets = self.queue / "private"
        self.config = folder / "etc"
        self._data = folder / "data"

    def prepare(self) -> None:
        self.config.mkdir(exist_ok=True)
        self._make_folders()
        self._write_maps()
        render(
            "main.cf.in",
            self.config / "main.cf",
            queue=self.queue,
            data=self._data,
            log=self.log,
            folder=self.folder,
            policy=self.policy,
        )
        main = self.config / "main.cf"
        kept = [line for line in main.read_text().splitlines() if line.partition("=")[0].strip() not in self.settings]
        main.write_text("\n".join([*kept, *(f"{name} = {value}" for name, value in self.settings.items()), ""]))
        render("master.cf.in", self.config / "master.cf", smtp_port=self.smtp_port)
        # Postfix finds its mysql client by this file; Debian keeps it with the configuration.
        shutil.copy("/etc/postfix/dynamicmaps.cf", self.config)
        # Postfix naps until the last edit of main.cf is more than a second old, lest it reads half of it.
        for file in self.config.iterdir():
            os.utime(file, (0, 0))

    def _make_folders(self) -> None:
        self.queue.mkdir(exist_ok=True)
        (self.queue / "pid").mkdir(exist_ok=True)
        for folder in (self._data, *(self.queue / name for name in _OWN_FOLDERS)):
            _make_folder(folder, 0o700, group=None)
        for name, mode in _SHARED_FOLDERS.items():
            _make_folder(self.queue / name, mode, group="postdrop")

    def _write_maps(self) -> None:
        login = (
            f"user = {self.database.reader}\npassword = {self.database.password}\n"
            f"hosts = inet:{self.database.host}:{self.database.port}\ndbname = {self.database.database}\n"
        )
        for name, query in self._MAPS.items():
            (self.config / f"{name}.cf").write_text(f"{login}query = {query}\n")

    def command(self) -> list[str]:
        # Not `postfix start-fg`: its checks compare everything with the system's instance, and take their time.
        return [str(_MASTER), "-c", str(self.config)]

    def is_ready(self) -> bool:
        return greets((HOST, self.smtp_port))

    def send_mail(
        self,
        to: str,
        *,
        size: int | None = None,
        body: str = "Hello.\r\n",
        from_: str = SENDER,
        announce_size: bool = False,
    ) -> tuple[int, str]:
        """Send one message; the first refusal or the final reply, as (code, text).

        `size` is that of the whole message with CRLF line ends. `announce_size`: say SIZE= in MAIL FROM.
        """
        return send_smtp(self.smtp_port, build_message(to, from_, size, body), to, from_, announce_size)

    def queued(self) -> list[Path]:
        """The files of all messages that are under way or deferred."""
        return [file for name in _QUEUES for file in (self.queue / name).rglob("*") if file.is_file()]

    def wait_queue_empty(self, seconds: float = 20.0) -> None:
        """Wait until every accepted message was delivered or bounced. Raises ServerFailedError with the log."""
        # Twice: a bounce enters the first queue just before its message leaves the last.
        if not wait_until(lambda: not self.queued() and not self.queued(), seconds):
            raise self.failed(f"still queued after {seconds:.0f} s: {self.queued()}")


def _make_folder(folder: Path, mode: int, group: str | None) -> None:
    folder.mkdir(exist_ok=True)
    shutil.chown(folder, "postfix", group or -1)
    folder.chmod(mode)
