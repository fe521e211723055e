"""One generated configuration on the real Dovecot: started, its mail put in by IMAP and LMTP, and asked.

The folders are where Dovecot puts them. Everything it says of all users is asked by one ``doveadm -A`` each.
"""

from __future__ import annotations

import os
import re
import signal
import smtplib
import subprocess
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mailquota.core.servers.dovecot.mutf7 import encode
from tests.mailserver.dovecot import VMAIL_UID
from tests.mailserver.mail import Address, connect
from tests.mailserver.mariadb import MariaDB
from tests.mailserver.process import Daemon, find_program, session_members, wait_until
from tests.truth.configs.model import Account, Configuration, Step
from tests.truth.peers import FITS, FULL, LARGE, NOBODY, NOT_OURS, TROUBLE, Line

_SECONDS = 60
_LIBEXEC = "/usr/lib/dovecot"
_MAP = """user = {user}
password = {password}
hosts = 127.0.0.1:{port}
dbname = {database}
query = SELECT 1 FROM virtual_users WHERE email='%s'
"""


@dataclass(frozen=True)
class Figure:
    """By ``doveadm quota get``, of the first quota: KiB rounded up, None where Dovecot gives none."""

    used: int | None
    messages: int | None
    limit: int | None  # None: unlimited
    limit_messages: int | None


class Configured(Daemon):
    """Dovecot with these settings, in ``etc``, and a Postfix's settings that name the database."""

    name = "dovecot"
    programs = ("dovecot", "doveadm")

    def __init__(self, folder: Path, configuration: Configuration, database: MariaDB) -> None:
        super().__init__(folder)
        self.configuration = configuration
        self.mail_folder = folder / "vmail"
        self.etc = folder / "etc"
        self.postfix = folder / "postfix"
        self.queue = folder / "queue"
        self._database = database
        self.failures: list[str] = []  # steps that Dovecot refused

    # ---- files

    def prepare(self) -> None:
        for path in (self.mail_folder, self.etc, self.postfix, self.queue / "private"):
            path.mkdir(parents=True, exist_ok=True)
        os.chown(self.mail_folder, VMAIL_UID, VMAIL_UID)
        for name, text in self.configuration.files.items():
            (self.etc / name).write_text(self._filled(text))
        login = _MAP.format(
            user=self._database.reader, password=self._database.password, port=self._database.port,
            database=self._database.database,
        )  # fmt: skip
        (self.postfix / "mailboxes.cf").write_text(login)
        (self.postfix / "main.cf").write_text(
            f"queue_directory = {self.queue}\nvirtual_mailbox_maps = mysql:/etc/postfix/mailboxes.cf\n"
            "compatibility_level = 3.6\nrecipient_delimiter = +\n"
        )
        for file in self.postfix.iterdir():
            file.chmod(0o640)
            os.utime(file, (0, 0))  # else Postfix waits until the last edit is more than a second ago

    def _filled(self, text: str) -> str:
        values = {"FOLDER": self.folder, "VMAIL": self.mail_folder, "DBPORT": self._database.port,
                  "DATABASE": self._database.database, "USER": self._database.reader,
                  "PASSWORD": self._database.password}  # fmt: skip
        return re.sub("@([A-Z]+)@", lambda match: str(values[match[1]]), text)

    @property
    def _conf(self) -> str:
        return str(self.etc / "dovecot.conf")

    def command(self) -> list[str]:
        return [find_program("dovecot") or "dovecot", "-F", "-c", self._conf]

    def is_ready(self) -> bool:
        return (self.folder / "lmtp").exists() and (self.folder / "quota-status").exists() and self._auth_listens()

    def _auth_listens(self) -> bool:
        try:
            with connect(self.folder / "run/auth-userdb"):
                return True
        except OSError:
            return False

    def stop(self) -> None:
        """At once: nothing that it has is needed any more, and a polite end takes Dovecot a second."""
        if self.running:
            for pid in session_members(self.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        super().stop()

    # ---- mail

    def settle(self) -> None:
        """Rows, mail, and then the limits that depend on how much there is."""
        rows = self.configuration.accounts
        self._database.clear()
        self._database.add_users((account.address, account.limit) for account in rows)  # type: ignore[misc]
        with ThreadPoolExecutor() as side_by_side:
            list(side_by_side.map(self._take, rows))
        if self.configuration.stale:
            self._lay_stale_files()
        used = self.figures()
        for account in rows:
            figure = used.get(account.address.lower())
            if account.of_use is not None and figure is not None and figure.used:
                self._database.set_quota(account.address, figure.used * 1024 * 100 // account.of_use)

    def _take(self, account: Account) -> None:
        by_imap = [step for step in account.steps if step.what != "lmtp"]
        said = self._imap(account.address, by_imap) if by_imap else ""
        refused = re.findall(r"^(?:a\d+) (?:NO|BAD) .*$", said, re.MULTILINE)
        self.failures += [f"{account.address}: {line.strip()}" for line in refused if "ALREADYEXISTS" not in line]
        for step in account.steps:
            if step.what == "lmtp":
                self._deliver(account.address, step.size)

    def _imap(self, user: str, steps: Sequence[Step]) -> str:
        """What imap says to these commands, which are given all at once, of a user that is logged in."""
        said = b"".join(_command(number, step) for number, step in enumerate(steps)) + b"bye LOGOUT\r\n"
        command = [f"{_LIBEXEC}/imap", "-c", self._conf, "-u", user]
        done = subprocess.run(
            command, input=said, capture_output=True, timeout=_SECONDS, check=False, cwd="/",
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
        )  # fmt: skip
        text = done.stdout.decode(errors="replace")
        return text if "bye OK" in text else f"{text}a0 NO imap ended: {done.stderr.decode(errors='replace')[-300:]}\n"

    def _deliver(self, address: str, size: int) -> None:
        try:
            with smtplib.LMTP(str(self.folder / "lmtp"), local_hostname="client.example.net", timeout=_SECONDS) as lmtp:
                lmtp.sendmail("sender@example.net", [address], message(size).replace(b"\n", b"\r\n"))
        except (smtplib.SMTPException, UnicodeError) as error:
            self.failures.append(f"{address}: LMTP: {error}")

    def _lay_stale_files(self) -> None:
        """As the driver maildir left them, before it was changed for another one."""
        for path in self.mail_folder.rglob("cur"):
            file = path.parent / "maildirsize"
            if not path.parent.name.startswith("."):
                file.write_bytes(b"100000000S\n17 1\n")
                os.chown(file, VMAIL_UID, VMAIL_UID)

    # ---- what Dovecot says

    def doveadm(self, *words: str) -> str:
        """What a command prints, whatever it ends with."""
        command = [find_program("doveadm") or "doveadm", "-c", self._conf, "-f", "tab", *words]
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False, cwd="/")
        return done.stdout.decode(errors="replace")

    def figures(self) -> dict[str, Figure]:
        """By the address in lower case. A user whom Dovecot can't load has none."""
        table: dict[str, dict[str, tuple[int | None, int | None]]] = {}
        roots: dict[str, str] = {}
        for line in self.doveadm("quota", "get", "-A").splitlines()[1:]:
            user, root, kind, value, limit, *_ = line.split("\t")
            if roots.setdefault(user, root) == root:
                table.setdefault(user, {})[kind] = (_number(value), _number(limit))
        nothing = (None, None)
        return {
            user.lower(): Figure(*(values.get("STORAGE", nothing)[0], values.get("MESSAGE", nothing)[0]),
                                 *(values.get("STORAGE", nothing)[1], values.get("MESSAGE", nothing)[1]))
            for user, values in table.items()
        }  # fmt: skip

    def trash(self, names: Iterable[str]) -> dict[str, int]:
        """Messages in the folders of these names, by the address in lower case."""
        found: dict[str, int] = {}
        for line in self.doveadm("mailbox", "status", "-A", "messages", *names).splitlines()[1:]:
            user, _, messages = line.split("\t")
            found[user.lower()] = found.get(user.lower(), 0) + int(messages)
        return found

    def verdicts(self, asked: Iterable[tuple[str, int]]) -> list[str]:
        """accept, refuse, nobody or trouble, by quota-status, for each recipient and size."""
        place: Address = self.folder / "quota-status"
        answers = []
        for recipient, size in asked:
            with Line(place) as line:
                request = f"request=smtpd_access_policy\nprotocol_state=RCPT\nrecipient={recipient}\nsize={size}\n\n"
                try:
                    answers.append(_verdict(line.ask(request.encode())))
                except (EOFError, ConnectionError):  # it crashed
                    answers.append("trouble")
        return answers


def _verdict(answer: str) -> str:
    if answer.startswith(TROUBLE):
        return "trouble"
    if answer in {FULL, LARGE, ""}:  # the empty one is 2.4's known fault, which we never make
        return "refuse"
    # NOT_OURS: it takes the recipient for no address, as 2.3 does one with 8 bits, so the mail is left to Postfix, too.
    return {FITS: "accept", NOBODY: "nobody", NOT_OURS: "nobody"}.get(answer, answer)


def _number(text: str) -> int | None:
    return int(text) if text.lstrip("-").isdigit() and text != "-" else None


def message(size: int) -> bytes:
    """So many bytes with bare LF, which compress well."""
    head = b"From: sender@example.net\nSubject: generated\nMessage-ID: <x@example.net>\n\n"
    body = (b"the same words in each line, again and again\n" * (size // 45 + 1))[: max(0, size - len(head) - 1)]
    return head + body + b"\n"


def _command(number: int, step: Step) -> bytes:
    name = encode(step.folder).replace("\\", "\\\\").replace('"', '\\"').encode()
    if step.what == "create":
        return b'a%d CREATE "%b"\r\n' % (number, name)
    text = message(step.size).replace(b"\n", b"\r\n")
    return b'a%d APPEND "%b" {%d+}\r\n%b\r\n' % (number, name, len(text), text)


def started(server: Configured) -> bool:
    """Whether it accepts its settings and serves. False for settings that this Dovecot refuses."""
    server.launch()
    return wait_until(lambda: not server.running or server.is_ready(), 20) and server.running
