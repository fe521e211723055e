"""The accounts database dies under load and comes back: answers go on by the last limits, then by the new ones."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mailquota.core.control.client import RequestFailedError
from mailquota.core.control.messages import GetStatus, SetLimit
from mailquota.core.control.results import SetResult, Status
from tests.core.clients import Console, PolicyClient, until
from tests.core.engines import serving
from tests.core.smtpds import Smtpds
from tests.core.worlds import ANNA, FREE, FULL, JOHN, LIMIT, OVERQUOTA, TRASH, SmallWorld
from tests.mailserver.fixture import require_servers, temporary_folder
from tests.mailserver.mariadb import MariaDB
from tests.truth.scale import count

pytestmark = pytest.mark.server

EXPECTED = {FULL: OVERQUOTA, JOHN: "DUNNO", FREE: "DUNNO"}


@pytest.fixture
def database(small_world: SmallWorld) -> Iterator[MariaDB]:
    """One of its own, with the accounts of the small world, which the settings name."""
    require_servers(*MariaDB.programs, root=False)
    with temporary_folder() as folder, MariaDB(folder / "mariadb") as server:
        durable(server)
        server.add_users([(address, 0 if address == FREE else LIMIT) for address in (JOHN, FULL, FREE, ANNA, TRASH)])
        small_world.settings["accounts"] |= {"database": server.url, "write_database": server.write_url}
        small_world.write_settings()
        yield server


def durable(server: MariaDB) -> None:
    """Until it is started anew; else a kill loses the last second."""
    server.sql("SET GLOBAL innodb_flush_log_at_trx_commit = 1")


@contextmanager
def reading(world: SmallWorld) -> Iterator[tuple[subprocess.Popen[str], Console]]:
    """An engine that has read the accounts, and a client of it."""
    with serving(world) as running, Console(world.control_socket) as client:
        until(lambda: state(client) == "ok", "the accounts are read")
        yield running, client


def state(client: Console) -> str:
    status: Status = client.ask(GetStatus, Status)
    return status.database.state


def edit(client: Console, address: str, size: str) -> SetResult:
    found: list[SetResult] = client.ask(lambda number: SetLimit(number, [address], size), list[SetResult])
    return found[0]


def kill(server: MariaDB) -> None:
    """Without a word."""
    os.kill(server.pid, signal.SIGKILL)
    until(lambda: not server.running, "it is dead")


@pytest.mark.timeout(600)
def test_killed_and_restarted_under_load(small_world: SmallWorld, database: MariaDB) -> None:
    with (
        reading(small_world) as (running, client),
        Smtpds(small_world.policy_socket, EXPECTED, 5) as smtpds,
    ):
        for _ in range(count(1, 10)):
            kill(database)
            until(lambda: state(client) == "stale", "the engine has noticed", 30)
            smtpds.wait_for(smtpds.answers + 500)
            with pytest.raises(RequestFailedError, match="accounts database"):
                edit(client, JOHN, "1000")
            database.start()
            durable(database)
            until(lambda: state(client) == "ok", "the engine has found it", 30)
            database.set_quota(TRASH, 500)
            with PolicyClient(small_world.policy_socket) as postfix:
                until(lambda: postfix.ask(TRASH) == OVERQUOTA, "an edit made elsewhere is enforced", 30)
                assert edit(client, TRASH, "1M").error is None
                assert postfix.ask(TRASH) == "DUNNO"
        smtpds.stop()
        assert (smtpds.wrong, smtpds.retries) == ([], 0)
        assert running.poll() is None


def test_hanging_under_load(small_world: SmallWorld, database: MariaDB) -> None:
    """It takes connections and says nothing, as a stopped process does; the end of the engine does not wait for it."""
    with reading(small_world) as (running, _), Smtpds(small_world.policy_socket, EXPECTED, 5) as smtpds:
        os.kill(database.pid, signal.SIGSTOP)
        try:
            smtpds.wait_for(smtpds.answers + 1000)
            smtpds.stop()
            running.terminate()
            try:
                running.wait(60)
            except subprocess.TimeoutExpired:
                pytest.fail("the engine waits for the database")
        finally:
            os.kill(database.pid, signal.SIGCONT)
        assert smtpds.wrong == []
