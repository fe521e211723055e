"""Discovery and the doctor on a server with many accounts, without any settings, as an administrator runs them.

The server is the tutorial's with its files in Debian's places, mailquota in front of it and a mail log of some hundred
megabytes. The limits that Dovecot sees are asked for a sample; beside it stands what Dovecot itself takes to list its
users, and what Python takes to start.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence

from tests.benchmarks import mailboxes
from tests.mailserver.debian import DebianServer
from tests.mailserver.dovecot import VMAIL_UID
from tests.mailserver.process import wait_until
from tests.mailserver.recipes import Recipe

_RECIPES: tuple[Recipe, ...] = ("bullseye", "bookworm")
_LOG_LINES = 1_000_000
_COMMANDS = (
    ("mailquota", "--version"),
    ("mailquota", "config", "--json"),
    ("mailquota", "doctor", "--json"),
    ("doveadm", "user", "*"),
)


def measure(accounts: int, rounds: int) -> None:
    """Wall-clock seconds of each command, the median of the rounds and the slowest."""
    for recipe in _RECIPES:
        with DebianServer(recipe) as server:
            _fill(server, accounts)
            with server.popen(["mailquota", "--serve"]):
                wait_until(lambda server=server: server.mailquota("status").returncode == 0, 20)  # type: ignore[misc]
                _report(server, f"{recipe}, {accounts} accounts", rounds)
                server.run(["pkill", "-f", "[m]ailquota --serve"])


def _fill(server: DebianServer, accounts: int) -> None:
    users = mailboxes.addresses(accounts)
    server.add_users([(user, mailboxes.LIMIT) for user in users])
    mailboxes.make(str(server.path("/var/vmail/{domain}/{user}/Maildir")), users, (VMAIL_UID, VMAIL_UID))
    line = time.strftime("%b %e %H:%M:%S") + " mail postfix/qmgr[1]: 4D2A1178: from=<a@example.net>, size=4711, nrcpt=1"
    server.path("/var/log/mail.log").write_text(f"{line} (queue active) {'x' * 80}\n" * _LOG_LINES)


def _report(server: DebianServer, name: str, rounds: int) -> None:
    times = {command: [_timed(server, command) for _ in range(rounds)] for command in _COMMANDS}
    figures = (f"{' '.join(c)} {statistics.median(t):.2f} s (at most {max(t):.2f})" for c, t in times.items())
    print(f"{name}: {' · '.join(figures)}")
    for one in json.loads(server.mailquota("doctor", "--json").stdout):
        if one["state"] in {"fail", "warn"} or one["check"] in {"quota-limits", "mail-log"}:
            print(f"  {one['state']} {one['check']}: {one['found']}")


def _timed(server: DebianServer, command: Sequence[str]) -> float:
    started = time.perf_counter()
    server.run(command)
    return time.perf_counter() - started
