"""The helper's doveadm and dovecot-lda, with a real Dovecot: the engine has a user of its own, and runs neither."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mailquota.core.control.messages import EmptyTrash, GetStatus, Recalc, Warn
from mailquota.core.control.results import RecalcResult, Status, TrashResult, WarnResult
from tests.core.clients import Console, PolicyClient, until
from tests.core.own_users import ENGINE_USER, TROUBLE, helping, serving
from tests.mailserver.dovecot import VMAIL_UID
from tests.mailserver.fixture import temporary_folder
from tests.mailserver.server import MailServer
from tests.real.test_trash import LIMIT, fill, recount

pytestmark = pytest.mark.server

HERS = "anna@helper.example"


@dataclass
class Beside:
    """Settings for an engine and a helper beside the server."""

    server: MailServer
    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "mailquota.toml"

    @property
    def control_socket(self) -> Path:
        return self.folder / "own" / "control"

    @property
    def policy_socket(self) -> Path:
        return self.folder / "own" / "policy"

    def write(self, driver: str, delivery: str) -> None:
        for name, user in (("own", ENGINE_USER), ("run", VMAIL_UID)):
            (self.folder / name).mkdir()
            os.chown(self.folder / name, user, user)
        self.config.write_text(f"""
[accounts]
database = "{self.server.database_url}"
[mailstore]
path = "{self.server.mailstore}"
driver = "{driver}"
doveadm = "{shlex.join(self.server.doveadm)}"
helper = "{self.folder}/run/helper.sock"
engine_user = "{ENGINE_USER}"
[policy]
listen = ["unix:{self.policy_socket}"]
socket_user = ""
trouble = "{TROUBLE}"
[warnings]
thresholds = []
delivery = "{delivery}"
[control]
socket = "{self.control_socket}"
group = ""
[state]
database = "sqlite:///{self.folder}/own/state.db"
""")


@pytest.fixture
def beside(mailserver: MailServer) -> Iterator[Beside]:
    with temporary_folder() as folder:
        yield Beside(mailserver, folder)


@pytest.mark.parametrize(("driver", "delivery"), [("maildir", "dovecot-lda"), ("doveadm", "doveadm")])
def test_dovecot_does_it_for_the_helper(beside: Beside, driver: str, delivery: str) -> None:
    server, hers = beside.server, HERS.replace("anna", f"anna-{driver}")
    fill(server, hers, ["Trash", "Sent"])
    beside.write(driver, delivery)
    (server.folder / "dovecot" / "dovecot.log").chmod(0o666)  # else its delivery refuses to run as the mail user
    with (
        helping(beside, VMAIL_UID),
        serving(beside, reads_all=True),
        PolicyClient(beside.policy_socket) as postfix,
        Console(beside.control_socket) as console,
    ):
        until(lambda: postfix.ask(hers, 1000) == "DUNNO", "it is measured", 60)
        (counted,) = console.ask(lambda number: Recalc(number, [hers]), list[RecalcResult])
        assert (counted.method, counted.error) == ("doveadm", None)
        before = recount(server, hers)
        assert counted.after_messages == before[1]
        (emptied,) = console.ask(lambda number: EmptyTrash(number, [hers]), list[TrashResult])
        assert (emptied.method, emptied.messages, emptied.error) == ("doveadm", 1, None)
        (warned,) = console.ask(lambda number: Warn(number, [hers], "80", "operator"), list[WarnResult])
        assert (warned.state, warned.error) == ("sent", None)
        assert recount(server, hers)[1] == before[1]
        status = console.ask(GetStatus, Status)
        assert (status.driver, status.mailstore_problem) == (driver, "")
        assert postfix.ask(hers, LIMIT * 10) != "DUNNO"
