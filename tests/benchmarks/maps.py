"""A map of another type asked at many different recipients a second: what all others wait for their answers.

Rates and latencies are those of one run each: without such load, with a map that answers at once, and with one that
takes 200 ms for each key. "Others" are requests for accounts, one after the other on ten connections.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path

from tests.benchmarks import mailboxes, worlds
from tests.mailserver.fixture import temporary_folder
from tests.mailserver.server import MailServer
from tests.mailserver.socketmap import Socketmap

RATE = 1000  # different recipients a second
_OTHERS = 10
_CONNECTIONS = 200  # for the recipients that a map is asked about
_SLOW = 0.2


def measure(accounts: int, seconds: float) -> None:
    """All three, in turn."""
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        server = stack.enter_context(MailServer(folder))
        worlds.fill(server, accounts)
        users = mailboxes.addresses(accounts)
        socketmap = stack.enter_context(closing(Socketmap()))
        os.environ["MAIL_CONFIG"] = str(server.postfix.config)
        own = f"mysql:{server.postfix.config}/mysql-email2email.cf"
        server.postfix.settings["virtual_alias_maps"] = f"{own}, {socketmap.name}"
        server.postfix.stop()
        server.postfix.start()
        stack.enter_context(worlds.mailquota(worlds.write_settings(server), server.policy_socket))
        time.sleep(2)  # until the accounts are measured
        print(
            f"{'map':<28}{'recipients/s':>14}{'keys asked':>12}{'others/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}"
        )
        for name, rate, delay in (("not asked", 0, 0.0), ("at once", RATE, 0.0), ("200 ms a key", RATE, _SLOW)):
            socketmap.delay, before = delay, socketmap.asked
            asked, took = asyncio.run(_run(server.policy_socket, users, rate, seconds))
            cuts = statistics.quantiles(took, n=100)
            print(
                f"{name:<28}{asked / seconds:>14.0f}{socketmap.asked - before:>12}{len(took) / seconds:>10.0f}"
                f"{cuts[49] * 1000:>9.2f}{cuts[98] * 1000:>9.2f}{max(took) * 1000:>9.1f}"
            )


class _Load:
    """Two kinds of clients of the policy socket, until a time of perf_counter."""

    def __init__(self, socket: Path, users: list[str], seconds: float) -> None:
        self._socket = socket
        self._users = users
        self._until = time.perf_counter() + seconds
        self._numbers = count(time.time_ns())
        self._pace = asyncio.Semaphore(0)
        self.took: list[float] = []  # seconds of each of the others
        self.asked = 0  # different recipients

    async def others(self, number: int) -> None:
        reader, writer = await asyncio.open_unix_connection(str(self._socket))
        for turn in count(number):
            started = time.perf_counter()
            if started > self._until:
                break
            await _ask(reader, writer, self._users[turn * 7 % len(self._users)])
            self.took.append(time.perf_counter() - started)
            await asyncio.sleep(0.005)
        writer.close()

    async def different(self) -> None:
        reader, writer = await asyncio.open_unix_connection(str(self._socket))
        while True:
            await self._pace.acquire()
            if time.perf_counter() > self._until:
                break
            await _ask(reader, writer, f"u{next(self._numbers)}@example.org")
            self.asked += 1
        writer.close()

    async def clock(self, rate: int) -> None:
        while (left := self._until - time.perf_counter()) > 0:
            for _ in range(rate // 100):
                self._pace.release()
            await asyncio.sleep(min(left, 0.01))
        for _ in range(_CONNECTIONS):
            self._pace.release()


async def _run(socket: Path, users: list[str], rate: int, seconds: float) -> tuple[int, list[float]]:
    """How many different recipients were asked about, and how long each of the others took, in seconds."""
    load = _Load(socket, users, seconds)
    clients = [*(load.others(number) for number in range(_OTHERS)), *(load.different() for _ in range(_CONNECTIONS))]
    await asyncio.gather(*clients, load.clock(rate))
    return load.asked, load.took


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, recipient: str) -> None:
    writer.write(f"request=smtpd_access_policy\nprotocol_state=RCPT\nrecipient={recipient}\nsize=1000\n\n".encode())
    await reader.readuntil(b"\n\n")
