"""RCPT commands a second through a real Postfix: with mailquota, quota-status, a service that does not look, and none.

As in a server's day, but without the mails: each of 20 SMTP sessions says MAIL, one RCPT and RSET, over and over, for
a random one of the accounts that have room. (Postfix ends a session with too many refusals, so full ones are left out.)
"""

from __future__ import annotations

import json
import random
import shutil
import statistics
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path

from tests.benchmarks import worlds
from tests.mailserver.fixture import temporary_folder
from tests.mailserver.mail import CLIENT, SENDER, connect
from tests.mailserver.postfix import MAILQUOTA_CHECK, NO_CHECK, QUOTA_STATUS_CHECK
from tests.mailserver.server import MailServer

SESSIONS = 20
CHECKS = {
    "no check": NO_CHECK,
    "DUNNO unseen": MAILQUOTA_CHECK.replace("private/mailquota", "private/bare"),
    "mailquota": MAILQUOTA_CHECK,
    "quota-status tuned": QUOTA_STATUS_CHECK,
}


class Session(threading.Thread):
    """One SMTP client; ``count`` RCPT commands were answered, ``refused`` of them not with 250."""

    def __init__(self, port: int, recipients: list[str], until: float) -> None:
        super().__init__(daemon=True)
        self.count = 0
        self.refused = 0
        self._recipients = recipients
        self._until = until
        self._client = connect(("127.0.0.1", port))
        self._replies = self._client.makefile("rb")

    def run(self) -> None:
        with closing(self._client):
            self._read()
            self._client.sendall(f"EHLO {CLIENT}\r\n".encode())
            while self._read()[3:4] == b"-":
                pass
            while time.monotonic() < self._until:
                self._ask(random.choice(self._recipients))

    def _ask(self, recipient: str) -> None:
        """In one packet, as PIPELINING allows; Postfix answers them one after the other."""
        self._client.sendall(f"MAIL FROM:<{SENDER}> SIZE=1000\r\nRCPT TO:<{recipient}>\r\nRSET\r\n".encode())
        _, answer, _ = self._read(), self._read(), self._read()
        self.count += 1
        self.refused += not answer.startswith(b"250")

    def _read(self) -> bytes:
        line = self._replies.readline()
        if not line:
            raise EOFError("Postfix ended the session")
        return line


def measure(accounts: int, rounds: int, seconds: float) -> None:
    """All of CHECKS in turn, and the ratios."""
    rates: dict[str, list[float]] = {name: [] for name in CHECKS}
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        server = stack.enter_context(MailServer(folder, tuned=True))
        worlds.fill(server, accounts)
        settings = _settings(server)
        stack.enter_context(worlds.mailquota(settings, server.policy_socket))
        bare = server.postfix.sockets / "bare"
        stack.enter_context(worlds.process(sys.executable, "-m", "tests.benchmarks.bare", str(bare), ready=bare))
        shutil.chown(bare, "postfix")
        fitting = _fitting(settings)
        for _ in range(rounds):
            for name, check in CHECKS.items():
                rates[name].append(_run(server, check, fitting, seconds))
    for name, found in rates.items():
        print(f"{name:<20}{statistics.median(found):>8.0f} RCPT/s ({min(found):.0f} to {max(found):.0f})")
    print()
    for name in CHECKS:
        for other in ("no check", "DUNNO unseen"):
            pairs = zip(rates[name], rates[other], strict=True)
            print(f"{name} : {other} = {statistics.median(a / b for a, b in pairs):.2f}")


def _settings(server: MailServer) -> Path:
    """Without reservations: thousands of mails that never arrive would fill the mailboxes."""
    path = worlds.write_settings(server)
    path.write_text(path.read_text().replace("[policy]", '[policy]\nreserve = "0s"'))
    return path


def _fitting(settings: Path) -> list[str]:
    """The accounts that take a mail."""
    program = [sys.executable, "-m", "mailquota", "--config", str(settings), "list", "<90%", "--json"]
    rows = json.loads(subprocess.run(program, capture_output=True, check=True).stdout)
    return [row["address"] for row in rows]


def _run(server: MailServer, check: str, recipients: list[str], seconds: float) -> float:
    """RCPT commands a second; the first second, in which each smtpd opens its maps, is not counted."""
    server.postfix.stop()
    server.postfix.policy = check
    server.postfix.start()
    _sessions(server, recipients, 1.0)
    return _sessions(server, recipients, seconds)


def _sessions(server: MailServer, recipients: list[str], seconds: float) -> float:
    started = time.monotonic()
    sessions = [Session(server.smtp_port, recipients, started + seconds) for _ in range(SESSIONS)]
    for session in sessions:
        session.start()
    for session in sessions:
        session.join()
    if any(session.refused for session in sessions):
        raise RuntimeError("a recipient that has room was refused")
    return sum(session.count for session in sessions) / (time.monotonic() - started)
