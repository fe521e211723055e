"""Mail by maps of many types in random orders ends where we say, by the log of the real Postfix."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.core.clients import Console
from tests.mailserver.fixture import require_mailserver, temporary_folder
from tests.mailserver.server import MailServer
from tests.mailserver.socketmap import Socketmap
from tests.real.aliasing import compare, tables
from tests.real.beside import Mailquota, wait_until, write_settings
from tests.real.mapping import Maps
from tests.truth.scale import SEED, count, generate, report

pytestmark = [pytest.mark.server, pytest.mark.timeout(3600)]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    """One whose Postfix is that of this machine to mailquota."""
    require_mailserver()
    with temporary_folder() as folder, MailServer(folder / "s") as server:
        monkeypatch.setenv("MAIL_CONFIG", str(server.postfix.config))
        yield server


def restart(server: MailServer, **settings: str) -> None:
    """Postfix with other settings."""
    server.postfix.settings.update(settings)
    server.postfix.stop()
    server.postfix.start()


def test_mail_ends_where_we_say(server: MailServer) -> None:
    rounds = count(3, 60)
    cases = generate(tables(), rounds * 12, 14)
    differences, asked = [], 0
    with temporary_folder() as folder, closing(Socketmap()) as socketmap:
        for number in range(rounds):
            dice = random.Random(SEED + number)
            round_ = [table.named(at) for at, table in enumerate(cases[number * 12 : number * 12 + 12])]
            server.clear()
            server.add_users((user, 0) for table in round_ for user in table.users)
            maps = Maps(server, folder / f"m{number}", socketmap, dice)
            for table in round_:
                maps.spread(table.rows)
            maps.write()
            server.postfix.log.write_text("")
            restart(server)
            found = _compare(server, folder, round_)
            asked += sum(len(table.asked) for table in round_)
            differences += [f"{server.postfix.settings} {text}" for text in found]
    report("maps, Postfix", asked, differences)


def _compare(server: MailServer, folder: Path, round_: list) -> list[str]:  # type: ignore[type-arg]
    accounts = sum(len(table.users) for table in round_)
    with Mailquota(write_settings(server, folder), server) as mailquota:
        wait_until(lambda: mailquota.json("status")["accounts"] == accounts, "the accounts are read")
        with Console(folder / "control.sock") as console:
            return compare(server, console, round_)
