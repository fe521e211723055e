"""The two sides: a Dovecot whose answers tell every verdict apart, and a mailquota that serves beside it."""

from __future__ import annotations

import json
import re
import shlex
import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from tests.mailserver.dovecot import Dovecot, Driver
from tests.mailserver.fixture import temporary_folder
from tests.mailserver.mail import Address, connect
from tests.mailserver.mariadb import MariaDB
from tests.real.beside import COMMAND, ROOT, wait_until
from tests.truth.trees import TRASH_READABLE as TRASH

FITS, NOBODY, NOT_OURS = "DUNNO it fits", "DUNNO nobody", "DUNNO"
FULL, LARGE = "452 4.2.2 Mailbox is full", "552 5.2.3 Too large for it"
TROUBLE = "DEFER_IF_PERMIT"
GRACE = "10%"


class Peer(Protocol):
    """A Dovecot with its users and their mail."""

    mail_folder: Path

    @property
    def driver(self) -> str:
        """That of its quota, ``maildir`` or ``count``."""

    @property
    def database_url(self) -> str:
        """As in our settings."""

    @property
    def doveadm(self) -> list[str]:
        """The start of a command line."""

    def set_users(self, users: Iterable[tuple[str, int]]) -> None:
        """These alone, each with its limit in bytes, 0 = unlimited."""

    def quota_status(self) -> Address:
        """Where its policy service answers."""

    def run(self, *arguments: str) -> str:
        """What a doveadm command prints, whatever it ends with."""

    def recalc_without(self, mailboxes: Iterable[str]) -> None:
        """Recount everybody as if mailboxes of these names (with ``*``) did not count."""


class Dovecot23(Dovecot):
    """The tutorial's, with the texts above, and a grace. Its own MariaDB has the users."""

    grace = GRACE

    def _write_config(self) -> None:
        super()._write_config()
        text = self.config.read_text()
        for name, answer in (("success", FITS), ("nouser", NOBODY), ("overquota", f'"{FULL}"')):
            text = re.sub(rf"quota_status_{name} = .*", f"quota_status_{name} = {answer}", text)
        more = f'  quota_status_toolarge = "{LARGE}"\n  quota_grace = {self.grace.replace("%", "%%")}\n'
        self.config.write_text(text.replace("plugin {\n", f"plugin {{\n{more}", 1))

    @property
    def database_url(self) -> str:
        return self.database.url

    def set_users(self, users: Iterable[tuple[str, int]]) -> None:
        self.database.clear()
        self.database.add_users(users)

    def quota_status(self) -> Address:
        return ("127.0.0.1", self.quota_status_port)

    def run(self, *arguments: str) -> str:
        done = subprocess.run([*self.doveadm, *arguments], capture_output=True, timeout=300, check=False)
        return done.stdout.decode(errors="replace")

    def recalc_without(self, mailboxes: Iterable[str]) -> None:
        rules = (f"plugin/quota_rule{number}={name}:ignore" for number, name in enumerate(mailboxes, 2))
        self.run(*(word for rule in rules for word in ("-o", rule)), "quota", "recalc", "-A")


@contextmanager
def dovecot23(driver: Driver = "maildir", grace: str = GRACE) -> Iterator[Dovecot23]:
    """One that runs, in a folder of its own."""
    with temporary_folder() as folder, ExitStack() as stack:
        database = stack.enter_context(MariaDB(folder / "mariadb"))
        dovecot = Dovecot23(folder / "dovecot", database, folder / "vmail", folder / "sockets", driver=driver)
        dovecot.grace = grace
        yield stack.enter_context(dovecot)


class Ours:
    """``mailquota --serve`` for the users and the mail of a peer, without what is ours alone."""

    def __init__(self, peer: Peer, folder: Path, grace: str, doveadm: str = "") -> None:
        self.policy_socket = folder / "policy.sock"
        self._settings = folder / "mailquota.toml"
        self._settings.write_text(f"""
[accounts]
database = "{peer.database_url}"
refresh = "200ms"
[mailstore]
path = "{peer.mail_folder}/{{domain}}/{{user}}/Maildir"
driver = "{peer.driver}"
trash = ["\\\\Trash", {json.dumps(TRASH)[1:-1]}]
doveadm = "{doveadm or shlex.join(peer.doveadm)}"
verify = "0s"
[policy]
listen = ["unix:{self.policy_socket}"]
socket_user = ""
success = "{FITS}"
nouser = "{NOBODY}"
overquota = "{FULL}"
toolarge = "{LARGE}"
trouble = "{TROUBLE}"
grace = "{grace}"
exempt = []
aliases = false
reserve = "0s"
[warnings]
thresholds = []
[control]
socket = "{folder}/control.sock"
group = ""
[state]
database = "sqlite:///{folder}/state.db"
""")

    def command(self, *words: str) -> list[str]:
        """With these settings."""
        return [*COMMAND, "--config", str(self._settings), *words]

    def json(self, *words: str) -> Any:
        """The document that a command prints."""
        done = subprocess.run(self.command(*words, "--json"), cwd=ROOT, capture_output=True, check=True, timeout=300)
        return json.loads(done.stdout)

    @contextmanager
    def serving(self, accounts: int) -> Iterator[Ours]:
        """Once so many accounts are known and were measured."""
        running = subprocess.Popen(self.command("--serve"), cwd=ROOT, stderr=subprocess.DEVNULL)
        try:
            wait_until(self.policy_socket.exists, "mailquota listens")
            wait_until(lambda: self.json("status")["accounts"] >= accounts, f"{accounts} accounts are read", 60)
            yield self
        finally:
            running.terminate()
            running.wait(10)


@contextmanager
def ours(peer: Peer, accounts: int, grace: str = GRACE) -> Iterator[Ours]:
    """A mailquota that serves."""
    with temporary_folder() as folder, Ours(peer, folder, grace).serving(accounts) as running:
        yield running


class Line:
    """One kept connection to a policy server."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._socket: socket.socket | None = None
        self._received = b""

    def ask(self, request: bytes) -> str:
        """The answer, "" for an empty one. EOFError where the connection is closed instead."""
        if self._socket is None:
            self._socket, self._received = connect(self._address), b""
        self._socket.sendall(request)
        return self.read()

    def read(self) -> str:
        """The next answer."""
        assert self._socket is not None
        while b"\n\n" not in self._received:
            part = self._socket.recv(65536)
            if not part:
                self.close()
                raise EOFError
            self._received += part
        answer, _, self._received = self._received.partition(b"\n\n")
        return answer.decode().removeprefix("action=")

    def close(self) -> None:
        """Go."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
