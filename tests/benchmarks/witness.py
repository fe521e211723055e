"""Dovecot as the witness: how long all accounts take at first sight, and what the answers lose while it goes on.

Two engines on the same mailboxes, one that verifies without end and one that never does. Each is stopped while the
other one is measured, so that only its own work counts.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.benchmarks import load, worlds
from tests.benchmarks.load import Load
from tests.mailserver.fixture import temporary_folder
from tests.mailserver.server import MailServer

CONNECTIONS = (10, 100)
_MOST = 300.0  # seconds for all accounts at first sight


def measure(accounts: int, rounds: int, seconds: float) -> None:
    """First sight, then pairs of runs in turn."""
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        server = stack.enter_context(MailServer(folder))
        users = worlds.fill(server, accounts)
        program = load.compile_generator(folder)
        paths = {verify: _settings(server, verify) for verify in ("0s", "1s")}
        sockets = {verify: path.with_suffix(".policy") for verify, path in paths.items()}
        without = stack.enter_context(worlds.mailquota(paths["0s"], sockets["0s"]))
        begun = time.monotonic()
        verifying = stack.enter_context(worlds.mailquota(paths["1s"], sockets["1s"]))
        status = _all_checked(paths["1s"], accounts, begun)
        print(f"{accounts:,} accounts at first sight: {time.monotonic() - begun:.1f} s, {status}")
        pairs: dict[int, list[tuple[Load, Load]]] = {}
        for _ in range(rounds):
            for connections in CONNECTIONS:
                runs = []
                for verify, other in (("1s", without), ("0s", verifying)):
                    os.kill(other.pid, signal.SIGSTOP)
                    runs.append(load.run(program, sockets[verify], users, connections, seconds))
                    os.kill(other.pid, signal.SIGCONT)
                pairs.setdefault(connections, []).append((runs[0], runs[1]))
        _report(pairs)


def _settings(server: MailServer, verify: str) -> Path:
    text = worlds.write_settings(server).read_text()
    path = server.folder / f"verify-{verify}.toml"
    text = text.replace("[mailstore]\n", f'[mailstore]\nverify = "{verify}"\n')
    text = text.replace(str(server.policy_socket), str(path.with_suffix(".policy")))
    text = text.replace("control.sock", f"control-{verify}.sock").replace("state.db", f"state-{verify}.db")
    path.write_text(text)
    return path


def _all_checked(settings: Path, accounts: int, begun: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "mailquota", "--config", str(settings), "status", "--json"]
    while time.monotonic() - begun < _MOST:
        done = subprocess.run(command, cwd=worlds.ROOT, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            found: dict[str, Any] = json.loads(done.stdout)["witness"]
            if found["checked"] >= accounts:
                return found
        time.sleep(0.2)
    raise TimeoutError(f"not all accounts were verified within {_MOST:g} s")


def _report(pairs: dict[int, list[tuple[Load, Load]]]) -> None:
    for connections, runs in pairs.items():
        rate = statistics.median(one.per_second / two.per_second for one, two in runs)
        p99 = statistics.median(one.p99 / two.p99 for one, two in runs)
        middle = statistics.median(one.per_second for one, _ in runs)
        print(
            f"{connections} connections: {middle:,.0f} answers/s while verifying, {rate:.3f} x those without,"
            f" p99 {p99:.3f} x, worst {max(one.worst for one, _ in runs):.0f} ms"
        )
