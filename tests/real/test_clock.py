"""A clock that is set back by a day while the engine runs, as NTP or a wrong hardware clock may do it.

The engine gets its time of day from a function of ours that reads by how much it is wrong from a file. What it has of
a mailbox must not be taken for young because of that: the next decision goes by what the mailbox holds now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.core.clients import ask
from tests.mailserver.fixture import temporary_folder
from tests.mailserver.server import MailServer
from tests.real.beside import Mailquota, wait_until, write_settings

pytestmark = pytest.mark.server

USER = "back@clock.example"
LIMIT = 100_000
TURNED = """
import os, time
_file, _time = os.environ["TURNED"], time.time
def turned():
    with open(_file) as file:
        return _time() + float(file.read())
time.time = turned
"""


@pytest.fixture
def turn(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[float], object]]:
    """Turns the clock of what is started from here, by so many seconds."""
    with temporary_folder() as folder:
        (folder / "sitecustomize.py").write_text(TURNED)
        file = folder / "seconds"
        file.write_text("0")
        monkeypatch.setenv("TURNED", str(file))
        monkeypatch.setenv("PYTHONPATH", str(folder))
        yield lambda seconds: file.write_text(f"{seconds}")


def settings(server: MailServer, folder: Path, driver: str) -> Path:
    """With a driver that keeps figures for a while."""
    path = write_settings(server, folder, more='reserve = "0s"')
    path.write_text(path.read_text().replace("[mailstore]", f'[mailstore]\ndriver = "{driver}"'))
    return path


@pytest.fixture
def table(mailserver: MailServer) -> Iterator[Callable[[int], object]]:
    """The table in which Dovecot's dict quota keeps use; writes what the mailbox holds."""
    name = f"{mailserver.mariadb.database}.quota2"
    mailserver.sql(
        f"CREATE TABLE {name} (username VARCHAR(100) PRIMARY KEY, bytes BIGINT NOT NULL, messages INT NOT NULL)"
    )
    yield lambda used: mailserver.sql(f"REPLACE INTO {name} VALUES ('{USER}', {used}, 1)")
    mailserver.sql(f"DROP TABLE {name}")
    mailserver.clear()


@pytest.mark.parametrize("driver", ["doveadm", "sql"])
def test_decisions_follow_a_mailbox_though_the_clock_is_set_back(
    mailserver: MailServer,
    table: Callable[[int], object],
    turn: Callable[[float], object],
    driver: str,
) -> None:
    """Before, and after each of two steps back; `show` and `list` follow as well."""
    mailserver.add_user(USER, quota=LIMIT)
    held = 0

    def deliver(size: int) -> None:
        nonlocal held
        assert mailserver.deliver_lmtp(USER, size)[0] == 250
        held = mailserver.doveadm_quota(USER)[0] * 1024
        table(held)

    def refused() -> bool:
        return ask(mailserver.policy_socket, USER, 30_000).startswith("452")

    deliver(10_000)
    with temporary_folder() as folder, Mailquota(settings(mailserver, folder, driver), mailserver) as mailquota:
        wait_until(lambda: mailquota.json("list", USER)[0]["used_bytes"] == held, "it is measured")
        assert not refused()
        turn(-86_400)
        deliver(80_000)
        wait_until(refused, "the decision goes by what is there now")
        assert mailquota.json("show", USER)["used_bytes"] // 1024 == held // 1024
        turn(-172_800)
        deliver(5000)
        wait_until(lambda: mailquota.json("list", USER)[0]["used_bytes"] // 1024 == held // 1024, "rounds go on", 60)
