"""What is measured: the private mail server with many accounts, and mailquota beside it on the same mailboxes."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks import mailboxes
from tests.mailserver.dovecot import VMAIL_UID
from tests.mailserver.server import MailServer

ROOT = Path(__file__).parent.parent.parent


def fill(server: MailServer, count: int) -> Path:
    """``count`` accounts with real Maildirs; a file with their addresses for the load generator."""
    users = mailboxes.addresses(count)
    server.add_users((user, mailboxes.LIMIT) for user in users)
    mailboxes.make(server.mailstore, users, (VMAIL_UID, VMAIL_UID))
    listing = server.folder / "users"
    listing.write_text("\n".join(users) + "\n")
    return listing


def write_settings(server: MailServer, *, doveadm: str = "auto") -> Path:
    """Settings for a mailquota beside the server."""
    folder = server.folder
    command = shlex.join(server.doveadm) if doveadm == "auto" else doveadm
    path = folder / "mailquota.toml"
    path.write_text(f"""
[accounts]
database = "{server.database_url}"
write_database = "{server.write_database_url}"
refresh = "1s"
[mailstore]
path = "{server.mailstore}"
doveadm = "{command}"
[policy]
listen = ["unix:{server.policy_socket}"]
[warnings]
thresholds = []
[control]
socket = "{folder}/control.sock"
group = ""
[state]
database = "sqlite:///{folder}/state.db"
""")
    return path


def wait_for(path: Path, seconds: float = 20.0) -> None:
    """Until somebody accepts on a unix socket."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except OSError:
                time.sleep(0.01)
            else:
                return
    raise TimeoutError(f"nobody answers on {path}")


@contextmanager
def process(*command: str, ready: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server of ours, until the end of the block."""
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            wait_for(ready)
            yield running
        finally:
            running.terminate()
            running.wait(10)


@contextmanager
def mailquota(settings: Path, ready: Path) -> Iterator[subprocess.Popen[bytes]]:
    """``mailquota --serve``."""
    with process(sys.executable, "-m", "mailquota", "--serve", "--config", str(settings), ready=ready) as running:
        yield running


def rss_mib(pid: int) -> float:
    """Resident memory of one process."""
    text = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in text.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def cpu_seconds(pid: int) -> float:
    """CPU time of one process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
