"""Measuring many mailboxes: mailquota's rounds beside ``doveadm quota get -A``."""

from __future__ import annotations

import subprocess
import time
from contextlib import ExitStack

from mailquota.core.base.model import Account
from mailquota.core.mailboxes.driver import MaildirDriver
from mailquota.core.mailboxes.ledger import Entry
from mailquota.core.mailboxes.mailstore import Mailstore
from mailquota.core.mailboxes.measure import Measurement
from mailquota.core.mailboxes.rounds import measure_entry
from mailquota.core.servers.dovecot.folder_names import TrashNames
from tests.benchmarks import mailboxes, worlds
from tests.mailserver.fixture import temporary_folder
from tests.mailserver.server import MailServer


def measure(accounts: int, rounds: int) -> None:
    """First and later rounds over the same mailboxes, alternating with doveadm."""
    with ExitStack() as stack:
        server = stack.enter_context(MailServer(stack.enter_context(temporary_folder())))
        worlds.fill(server, accounts)
        store = Mailstore(server.mailstore, TrashNames(["Trash"]))
        for _ in range(rounds):
            entries = [Entry(Account(address, mailboxes.LIMIT)) for address in mailboxes.addresses(accounts)]
            doveadm = _doveadm(server)
            first, later = _round(store, entries), _round(store, entries)
            print(
                f"{accounts} accounts: doveadm quota get -A {doveadm:.2f} s · first round {first:.3f} s "
                f"({doveadm / first:.1f} x faster) · later round {later:.3f} s ({doveadm / later:.1f} x faster)"
            )


def _doveadm(server: MailServer) -> float:
    started = time.perf_counter()
    subprocess.run([*server.doveadm, "-f", "tab", "quota", "get", "-A"], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def _round(store: Mailstore, entries: list[Entry]) -> float:
    started = time.perf_counter()
    for entry in entries:
        result = measure_entry(MaildirDriver(store).measure, entry)
        assert isinstance(result.outcome, Measurement), result.outcome
        entry.known = result.outcome
    return time.perf_counter() - started
