"""A mailstore on a file system of its own, in mounts of its own, with an engine that measures it and answers."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mailquota.core.base.socket_files import answers
from tests.core.clients import PolicyClient, until
from tests.core.worlds import LIMIT, SmallWorld
from tests.mailserver.fixture import private_namespace
from tests.mailserver.namespace import Inside, Namespace
from tests.mailserver.process import wait_until

ROOT = Path(__file__).parent.parent.parent
TROUBLE = "450 4.3.0 trouble"
SECONDS = 60.0
USED = 9 * LIMIT // 10
CLEAN = "echo > /etc/fstab"


class Machine:
    """A small world whose mailstore is mounted inside a namespace alone.

    The mail is made outside, in ``disk``, and bound or copied to where it is wanted inside.
    """

    def __init__(self, inside: Namespace, folder: Path) -> None:
        self.inside = inside
        self.world = SmallWorld(folder)
        self.disk = folder / "disk"
        self.store = self.world.mailstore
        self.world.settings["policy"]["trouble"] = TROUBLE
        self.world.settings["policy"]["grace"] = "0"
        # What is sent waits for the end of the quiet hours, so that mailboxes keep their usage.
        hour = time.localtime().tm_hour
        quiet = f"{hour:02}:00-{(hour + 12) % 24:02}:00"
        self.world.settings["warnings"] = {"thresholds": [80], "quiet_hours": quiet}
        self.world.settings["metrics"] = {"listen": ""}
        self.world.write_settings()
        self._engine: Inside | None = None

    def sh(self, script: str) -> str:
        """Run lines of a shell inside; $STORE is the mailstore, $DISK the folder with the mail."""
        return self.inside.check(["sh", "-ec", f"STORE={self.store} DISK={self.disk}\n{script}"])

    def fill(self, domains: tuple[str, ...], accounts: int, messages: int = 9) -> list[str]:
        """Accounts with mail of 90 percent, made where the mailstore's disk has them."""
        addresses = [f"user{number}@{domain}" for domain in domains for number in range(accounts)]
        for address in addresses:
            self.world.add_mailbox(address, [LIMIT // 10] * messages)
        self.store.rename(self.disk)
        self.store.mkdir()
        return addresses

    # ---- the engine

    def start(self, user: str | None = None) -> None:
        """Start it, as root or with the number of another user, and wait until it answers."""
        self._engine = self.inside.popen(
            [*become(user), sys.executable, "-m", "mailquota", "--serve", "--config", str(self.world.config)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, environ=environment(),
        )  # fmt: skip
        until(lambda: answers(str(self.world.control_socket)) and answers(str(self.world.policy_socket)), "it answers")

    def stop(self) -> None:
        """End it, as an administrator does."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                engine.wait(10)
            engine.kill()
            engine.wait(10)

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command inside."""
        argv = [sys.executable, "-m", "mailquota", "--config", str(self.world.config), *words]
        return self.inside.run(argv, environ=environment())

    def rows(self) -> dict[str, dict[str, Any]]:
        """What ``list`` has, by address."""
        done = self.command("list", "--json")
        assert done.returncode == 0, done.stderr
        return {row["address"]: row for row in json.loads(done.stdout)}

    def status(self) -> dict[str, Any]:
        """What ``status`` has."""
        found: dict[str, Any] = json.loads(self.command("status", "--json").stdout)
        return found

    def finding(self) -> dict[str, str]:
        """What the doctor says of the mailstore."""
        found: list[dict[str, str]] = json.loads(self.command("doctor", "--json").stdout)
        return next(one for one in found if one["check"] == "mailstore")

    def ask(self, address: str, size: int = 0) -> str:
        """The answer to Postfix."""
        with PolicyClient(self.world.policy_socket) as postfix:
            return postfix.ask(address, size)

    def wait(self, used: int | None, addresses: list[str]) -> dict[str, dict[str, Any]]:
        """The rows, once these accounts have this usage; None is unknown."""
        rows: dict[str, dict[str, Any]] = {}

        def reached() -> bool:
            rows.clear()
            rows.update(self.rows())
            return all(rows[address]["used_bytes"] == used for address in addresses)

        assert wait_until(reached, SECONDS), {address: rows[address] for address in addresses[:3]}
        return rows

    def notices(self) -> list[tuple[str, str]]:
        """Addresses and thresholds of all warnings that were due, and jumps of the journal as thresholds."""
        with contextlib.closing(sqlite3.connect(self.world.state)) as state:
            return state.execute(
                "SELECT address, mark FROM warning UNION ALL SELECT address, kind FROM journal WHERE kind = 'jump'"
            ).fetchall()

    def points(self, address: str) -> list[int]:
        """The usage that the history has of an account."""
        query = "SELECT used FROM sample JOIN account ON account.id = account WHERE address = ? ORDER BY slot"
        with contextlib.closing(sqlite3.connect(self.world.state)) as state:
            return [used for (used,) in state.execute(query, [address])]

    def remembered(self) -> list[str]:
        """The mount points that the engine wrote down."""
        file = self.world.folder / "mailstore.json"
        return [one["mount"][0] for one in json.loads(file.read_text())["file_systems"]] if file.exists() else []

    def assert_quiet(self, addresses: list[str]) -> None:
        """Each of them was warned once, nobody was told of room, and the history has the true usage alone."""
        assert sorted(self.notices()) == sorted((address, "80%") for address in addresses)
        assert {tuple(self.points(address)) for address in addresses} == {(USED,)}


def become(user: str | None) -> list[str]:
    """A command line that runs another one as this user."""
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []


def environment() -> dict[str, str]:
    """In which the product is found."""
    return {"PYTHONPATH": f"{ROOT}/packaging:{':'.join(path for path in sys.path if 'site-packages' in path)}"}


@contextlib.contextmanager
def machine() -> Iterator[Machine]:
    """A machine without an engine yet, and without a file system table."""
    with private_namespace() as inside, tempfile.TemporaryDirectory(prefix="mq-") as name:
        made = Machine(inside, Path(name))
        made.sh(CLEAN)
        try:
            yield made
        finally:
            made.stop()
