"""A private Dovecot 2.4 with its users in a file and ours in SQLite."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from mailquota.core.accounts.sqlite import create
from tests.mailserver.dovecot import VMAIL_UID
from tests.mailserver.fixture import require_servers, temporary_folder
from tests.mailserver.mail import Address, connect
from tests.mailserver.ports import HOST, free_port
from tests.mailserver.process import Daemon, find_program, wait_until
from tests.truth.peers import FITS, FULL, NOBODY

_CONFIG = """
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
instance_name = {folder}
hostname = mail.example.org
postmaster_address = postmaster@example.org
protocols = imap
listen = 127.0.0.1
ssl = no
auth_allow_cleartext = yes
mail_driver = maildir
mail_home = {folder}/vmail/%{{user | domain}}/%{{user | username}}
mail_path = ~/Maildir
mail_uid = {uid}
mail_gid = {uid}
first_valid_uid = {uid}
mail_plugins {{
  quota = yes
}}
namespace inbox {{
  inbox = yes
  mailbox Trash {{
    special_use = \\Trash
  }}
}}
passdb passwd-file {{
  passwd_file_path = {folder}/users
}}
userdb passwd-file {{
  passwd_file_path = {folder}/users
}}
quota_storage_grace = {grace}
quota "User quota" {{
  driver = {driver}
  {more}
}}
{ignored}
quota_status_success = {fits}
quota_status_nouser = {nobody}
quota_status_overquota = "{full}"
service quota-status {{
  executable = quota-status -p postfix
  inet_listener quota-status {{
    port = {port}
  }}
}}
service imap-login {{
  inet_listener imap {{
    port = {imap_port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
"""


class Dovecot24(Daemon):
    """quota_status_toolarge is left at its default, which is the faulty one."""

    name = "dovecot24"
    programs = ("dovecot", "doveadm")
    grace = "10M"
    driver = "maildir"
    more = ""  # in the block of its quota

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.mail_folder = folder / "vmail"
        self.port = free_port()
        self.imap_port = free_port()
        self._config = folder / "dovecot.conf"

    @property
    def database_url(self) -> str:
        return f"sqlite:///{self.folder}/accounts.db"

    @property
    def doveadm(self) -> list[str]:
        return [find_program("doveadm") or "doveadm", "-c", str(self._config)]

    def prepare(self) -> None:
        self.mail_folder.mkdir(exist_ok=True)
        os.chown(self.mail_folder, VMAIL_UID, VMAIL_UID)
        (self.folder / "users").touch()
        self._write_config("dovecot.conf", "")

    def _write_config(self, name: str, ignored: str) -> None:
        text = _CONFIG.format(
            folder=self.folder, uid=VMAIL_UID, grace=self.grace, driver=self.driver, port=self.port, fits=FITS,
            imap_port=self.imap_port, nobody=NOBODY, full=FULL, ignored=ignored, more=self.more,
        )  # fmt: skip
        (self.folder / name).write_text(text)

    def command(self) -> list[str]:
        return [find_program("dovecot") or "dovecot", "-F", "-c", str(self._config)]

    def is_ready(self) -> bool:
        try:
            with connect(self.quota_status()):
                return True
        except OSError:
            return False

    def set_users(self, users: Iterable[tuple[str, int]]) -> None:
        """In Dovecot's file, which it looks at once in a second, and in a new database for us."""
        rows = list(users)
        lines = (f"{address}:{{PLAIN}}pw::::::userdb_quota_storage_size={limit}B\n" for address, limit in rows)
        (self.folder / "users").write_text("".join(lines))
        path = self.folder / "accounts.db"
        path.unlink(missing_ok=True)
        create(path)
        with closing(sqlite3.connect(path)) as connection, connection:
            domains = {address.partition("@")[2] for address, _ in rows}
            connection.executemany("INSERT INTO virtual_domains (name) VALUES (?)", [(name,) for name in domains])
            connection.executemany(
                "INSERT INTO virtual_users (domain_id, email, quota)"
                " SELECT id, ?, ? FROM virtual_domains WHERE name = ?",
                [(address, limit, address.partition("@")[2]) for address, limit in rows],
            )
        address, limit = rows[-1]
        assert wait_until(lambda: f"quota_storage_size\t{limit}B\n" in self.run("user", address), 10)

    def quota_status(self) -> Address:
        return (HOST, self.port)

    def run(self, *arguments: str) -> str:
        done = subprocess.run([*self.doveadm, *arguments], capture_output=True, timeout=600, check=False)
        return done.stdout.decode(errors="replace")

    def recalc_without(self, mailboxes: Iterable[str]) -> None:
        blocks = "\n".join(f'mailbox "{name}" {{\n  quota_ignore = yes\n}}' for name in mailboxes)
        self._write_config("without.conf", f"namespace inbox {{\n{blocks}\n}}")
        done = [*self.doveadm[:-1], str(self.folder / "without.conf"), "quota", "recalc", "-A"]
        subprocess.run(done, capture_output=True, timeout=600, check=False)


@contextmanager
def dovecot24(driver: str = "maildir", more: str = "") -> Iterator[Dovecot24]:
    """One that runs."""
    require_servers(*Dovecot24.programs)
    with temporary_folder() as folder:
        server = Dovecot24(folder / "dovecot")
        server.driver, server.more = driver, more
        with server:
            yield server
