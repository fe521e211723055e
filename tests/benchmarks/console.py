"""The console in a real pseudo terminal: time to the first table, from key to screen, bytes sent when idle, memory."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import statistics
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

from tests.benchmarks import load, local, worlds

_QUIET = 0.3  # seconds without output that count as drawn
_ARE_YOU_WELL, _WELL = b"\x1b[5n", b"\x1b[0n"


class Terminal:
    """A process on a pseudo terminal of its own."""

    def __init__(self, command: list[str], columns: int = 120, lines: int = 32) -> None:
        self.started = time.perf_counter()
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed is compiled
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=environment, cwd=worlds.ROOT, start_new_session=True
        )
        os.close(slave)

    def read(self, seconds: float) -> bytes:
        """What comes within a time; empty when nothing does."""
        ready, _, _ = select.select([self._master], [], [], seconds)
        data = os.read(self._master, 1 << 16) if ready else b""
        os.write(self._master, _WELL * data.count(_ARE_YOU_WELL))  # as terminals do; frames wait for it
        return data

    def read_until(self, text: bytes, seconds: float = 60.0) -> float:
        """Seconds since the start until a text came."""
        seen = b""
        while time.perf_counter() - self.started < seconds:
            seen = (seen + self.read(0.5))[-200_000:]
            if text in seen:
                return time.perf_counter() - self.started
        raise TimeoutError(text)

    def settle(self, seconds: float = 20.0) -> None:
        """Until nothing but the clock comes."""
        until = time.perf_counter() + seconds
        while time.perf_counter() < until and self.read(_QUIET):
            pass

    def press(self, key: bytes) -> float:
        """Milliseconds from a key to the first bytes of its effect."""
        while self.read(0.0):
            pass
        started = time.perf_counter()
        os.write(self._master, key)
        self.read(2.0)
        return (time.perf_counter() - started) * 1000

    def count(self, seconds: float) -> int:
        """Bytes that come within a time."""
        until, total = time.perf_counter() + seconds, 0
        while (left := until - time.perf_counter()) > 0:
            total += len(self.read(left))
        return total

    def end(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._master)


def _press(terminal: Terminal, keys: int) -> list[float]:
    """Milliseconds of so many keys, with a tenth of a second between them."""
    latencies = []
    for _ in range(keys // 4):
        for key in (b"j", b"j", b"k", b"\x1b[6~"):
            latencies.append(terminal.press(key))
            terminal.count(0.1)
    return latencies


def _pager(file: Path, keys: int) -> list[float]:
    """The same keys in ``less``, to compare with on the same machine."""
    terminal = Terminal(["less", str(file)])
    try:
        terminal.read_until(b"@d0")
        return _press(terminal, keys)
    finally:
        terminal.end()


def _figures(latencies: list[float]) -> str:
    return f"p50 {statistics.median(latencies):.1f} p95 {statistics.quantiles(latencies, n=20)[-1]:.1f} ms"


def measure(accounts: int, keys: int = 60) -> None:
    """An embedded console over so many accounts with real Maildirs."""
    with local.world(accounts) as world:
        command = [sys.executable, "-m", "mailquota", "--config", str(world.settings)]
        terminal = Terminal(command)
        try:
            first = terminal.read_until(b"@d0")
            cpu = worlds.cpu_seconds(terminal.process.pid)
            early = _press(terminal, keys)
            terminal.settle()
            time.sleep(1)
            latencies = _press(terminal, keys)
            idle = terminal.count(20.0) / 20
            memory = worlds.rss_mib(terminal.process.pid)
            pager = _pager(world.users, keys)
            beside = load.run(load.compile_generator(world.folder), world.policy_socket, world.users, 100, 4.0)
        finally:
            terminal.end()
        print(f"{accounts} accounts, embedded: first table {first:.2f} s ({cpu:.2f} s of CPU), memory {memory:.0f} MiB")
        print(
            f"  key to screen {_figures(latencies)}; from the first table on {_figures(early)}; less {_figures(pager)}"
        )
        print(f"  idle {idle:.0f} bytes/s")
        with worlds.mailquota(world.settings, world.policy_socket):
            time.sleep(3)
            alone = load.run(world.folder / "policyload", world.policy_socket, world.users, 100, 4.0)
        print(f"  answers at 100 connections: beside the console {beside.per_second:.0f}/s p99 {beside.p99:.1f} ms,")
        print(f"  headless {alone.per_second:.0f}/s p99 {alone.p99:.1f} ms: p99 {beside.p99 / alone.p99:.2f} x")


def start(accounts: int) -> None:
    """Headless: time to the first right answer, memory after the first round, ``list --json``."""
    with local.world(accounts) as world:
        began = time.perf_counter()
        with worlds.mailquota(world.settings, world.policy_socket) as process:
            answer = local.ask(world.policy_socket, world.addresses[0])
            ready = time.perf_counter() - began
            assert answer.startswith("action=452"), answer
            local.wait_measured(world, accounts)
            memory = worlds.rss_mib(process.pid)
            started = time.perf_counter()
            command = [sys.executable, "-m", "mailquota", "--config", str(world.settings), "list", "--json"]
            listing = subprocess.run(command, cwd=worlds.ROOT, capture_output=True, check=True).stdout
            took = time.perf_counter() - started
            print(
                f"{accounts} accounts, headless: first right answer after {ready:.2f} s, memory {memory:.0f} MiB, "
                f"list --json {took:.2f} s ({len(listing)} bytes)"
            )
