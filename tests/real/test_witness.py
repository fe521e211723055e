"""Dovecot as the witness: settings under which mailquota's own way gives other usage or limits than Dovecot's."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.core.clients import ask
from tests.mailserver.dovecot import VMAIL_UID
from tests.mailserver.fixture import require_mailserver, temporary_folder
from tests.mailserver.series import dovecot_series
from tests.mailserver.server import MailServer
from tests.real.beside import Mailquota, wait_until, write_settings

pytestmark = pytest.mark.server

JOHN, JANE, MARY = "john@witness.example", "jane@witness.example", "mary@witness.example"
LIMIT = 1_000_000
MAIL = 200_000
PATIENCE = 40.0  # seconds for a difference to be found and confirmed
OVERQUOTA = "452 4.2.2 Mailbox is full and cannot receive any more emails"

_ARCHIVE = {
    "2.3": "namespace archive {\n  prefix = Archive.\n  separator = .\n  location = maildir:~/Archive\n}\n",
    "2.4": "namespace archive {\n  prefix = Archive.\n  separator = .\n  mail_path = ~/Archive\n}\n",
}


@pytest.fixture(scope="module")
def server() -> Iterator[MailServer]:
    """A mail server whose Dovecot counts."""
    require_mailserver()
    with temporary_folder() as folder, MailServer(folder, driver="count") as started:
        yield started


@pytest.fixture(autouse=True)
def _three_people(server: MailServer) -> Iterator[None]:
    for address in (JOHN, JANE, MARY):
        server.add_user(address, quota=LIMIT)
        assert server.deliver_lmtp(address, MAIL)[0] == 250
    yield
    server.clear()


@contextmanager
def engine(server: MailServer, folder: Path, **mailstore: str) -> Iterator[Mailquota]:
    """A running mailquota, with these settings in [mailstore]."""
    settings = write_settings(server, folder)
    lines = "".join(f'{key} = "{value}"\n' for key, value in mailstore.items())
    settings.write_text(settings.read_text().replace("[mailstore]\n", f"[mailstore]\n{lines}"))
    with Mailquota(settings, server) as running:
        yield running


def witness(running: Mailquota) -> dict[str, Any]:
    found = running.json("status")["witness"]
    assert isinstance(found, dict)
    return found


def all_checked(running: Mailquota, state: str = "agrees") -> Callable[[], bool]:
    def checked() -> bool:
        found = witness(running)
        return (found["state"], found["checked"]) == (state, 3)

    return checked


def differing(running: Mailquota) -> list[str]:
    return sorted(row["address"] for row in running.json("list", "differs"))


def test_all_agree(server: MailServer, tmp_path: Path) -> None:
    with engine(server, tmp_path) as running:
        wait_until(all_checked(running), "all accounts were compared", PATIENCE)
        row = running.json("show", JOHN)
        assert (row["source"], row["witness_bytes"], row["why"]) == ("scan", None, None)
        assert row["verified_at"] is not None
        assert witness(running)["differing"] == 0
        assert differing(running) == []


def test_an_archive_in_a_namespace_of_its_own(server: MailServer, tmp_path: Path) -> None:
    """20 % in INBOX, 60 % in the archive, which is not below the Maildir: Dovecot says 80 %, and so does mailquota.

    With the driver ``auto`` Dovecot is asked for all usage there.
    """
    with server.dovecot.changed(lambda text: text + _ARCHIVE[dovecot_series() or "2.3"]):
        with server.imap(JOHN) as client:
            assert client.create("Archive.Old")[0] == "OK"
            client.select()
            for _ in range(3):
                assert client.copy("1", "Archive.Old")[0] == "OK"
        kib, messages = server.doveadm_quota(JOHN)
        assert (messages, kib > 750) == (4, True)
        with engine(server, tmp_path, driver="count") as running:
            wait_until(lambda: differing(running) == [JOHN], "the difference is found", PATIENCE)
            row = running.json("show", JOHN)
            assert (row["source"], row["messages"], -(-row["used_bytes"] // 1024)) == ("doveadm", 4, kib)
            assert row["witness_bytes"] == row["used_bytes"]
            assert "namespace archive" in row["why"]
            assert running.json("show", JANE)["source"] == "scan"
            assert (witness(running)["state"], witness(running)["differing"]) == ("differs", 1)
            assert ask(server.policy_socket, JOHN, 250_000) == "DUNNO"  # 80 % and the grace
            assert server.deliver_lmtp(JOHN, MAIL)[0] == 250
            wait_until(lambda: ask(server.policy_socket, JOHN, 100_000) == OVERQUOTA, "it is full", PATIENCE)
            (found,) = [
                each
                for each in json.loads(running.run("doctor", "--json", check=False).stdout)
                if each["check"] == "dovecot-agrees"
            ]
            assert (found["state"], JOHN in found["found"], "namespace archive" in found["found"]) == (
                "fail",
                True,
                True,
            )


def test_the_way_back(server: MailServer, tmp_path: Path) -> None:
    """The archive is gone: the fast way agrees again, once the account is recounted."""
    with server.dovecot.changed(lambda text: text + _ARCHIVE[dovecot_series() or "2.3"]):
        with server.imap(JOHN) as client:
            client.create("Archive.Old")
            client.select()
            client.copy("1", "Archive.Old")
        with engine(server, tmp_path, driver="count") as running:
            wait_until(lambda: differing(running) == [JOHN], "the difference is found", PATIENCE)
            shutil.rmtree(server.maildir(JOHN).parent / "Archive")
            running.run("recalc", JOHN)
            wait_until(lambda: differing(running) == [], "it agrees again", PATIENCE)
            assert running.json("show", JOHN)["source"] == "scan"


def test_a_wrong_figure_in_maildirsize(server: MailServer, tmp_path: Path) -> None:
    """Dovecot counts, the settings say maildirsize: what stands there is right for nobody, so all go by Dovecot."""
    for address in (JOHN, JANE, MARY):
        file = server.maildir(address) / "maildirsize"
        file.write_text(f"{LIMIT}S\n1234 1\n")
        shutil.chown(file, VMAIL_UID, VMAIL_UID)
    with engine(server, tmp_path, driver="maildir") as running:
        wait_until(lambda: differing(running) == sorted((JOHN, JANE, MARY)), "all differ", PATIENCE)
        kib, messages = server.doveadm_quota(JANE)
        row = running.json("show", JANE)
        assert (row["source"], row["messages"], -(-row["used_bytes"] // 1024)) == ("doveadm", messages, kib)
        server.add_user("new@witness.example", quota=LIMIT)
        assert server.deliver_lmtp("new@witness.example", MAIL)[0] == 250
        wait_until(lambda: running.json("show", "new@witness.example")["source"] == "doveadm", "a new one", PATIENCE)


def test_a_limit_that_the_user_query_changes(server: MailServer, tmp_path: Path) -> None:
    """Dovecot refuses at half of the limit that the database has: that is the limit."""
    with server.dovecot.changed(_halved(server)), engine(server, tmp_path) as running:
        wait_until(lambda: differing(running) == sorted((JOHN, JANE, MARY)), "the limits differ", PATIENCE)
        row = running.json("show", JOHN)
        assert row["limit_bytes"] == -(-LIMIT // 2048) * 1024
        assert (row["source"], row["witness_bytes"]) == ("scan", None)
        assert "the database has" in row["why"]
        assert ask(server.policy_socket, JOHN, 400_000) == OVERQUOTA
        running.run("set", JOHN, "+100K", "--yes")
        assert server.sql("SELECT quota FROM virtual_users WHERE email = %s", JOHN) == [{"quota": LIMIT + 102_400}]
        wait_until(
            lambda: running.json("show", JOHN)["limit_bytes"] == -(-(LIMIT + 102_400) // 2048) * 1024,
            "the edit is compared",
            PATIENCE,
        )


def test_a_limit_of_messages_that_dovecot_got_meanwhile(server: MailServer, tmp_path: Path) -> None:
    """mailquota read Dovecot's settings when it started: the witness tells the limit, and that it is gone again."""
    lines = "quota_message_count = 1" if dovecot_series() == "2.4" else "plugin {\n  quota_rule2 = *:messages=1\n}"
    with engine(server, tmp_path) as running:
        wait_until(all_checked(running), "all accounts were compared", PATIENCE)
        with server.dovecot.changed(lambda text: f"{text}\n{lines}\n"):
            running.run("recalc", JOHN)
            wait_until(lambda: differing(running) == [JOHN], "the limits differ", PATIENCE)
            row = running.json("show", JOHN)
            assert (row["limit_bytes"], row["limit_messages"], row["level"]) == (LIMIT, 1, "over")
            assert "Dovecot's limit of messages is 1" in row["why"]
            assert ask(server.policy_socket, JOHN, 1000) == OVERQUOTA
        running.run("recalc", JOHN)
        wait_until(lambda: differing(running) == [], "it agrees again", PATIENCE)
        assert running.json("show", JOHN)["limit_messages"] is None
        assert ask(server.policy_socket, JOHN, 1000) == "DUNNO"


def _halved(server: MailServer) -> Callable[[str], str]:
    """Settings of Dovecot with a user_query that gives half of each limit."""

    def change(text: str) -> str:
        if dovecot_series() == "2.4":
            return text.replace("concat(quota, 'B')", "concat(quota DIV 2, 'B')")
        own = server.dovecot.folder / "dovecot-sql.conf.ext"
        other = server.dovecot.folder / "halved.conf.ext"
        other.write_text(own.read_text().replace("'*:bytes=', quota)", "'*:bytes=', quota DIV 2)"))
        before, _, after = text.partition("userdb {")
        return f"{before}userdb {{{after.replace(str(own), str(other), 1)}"

    return change


def test_where_dovecot_is_away(server: MailServer, tmp_path: Path) -> None:
    """Answers and figures go on, and the state says so."""
    with engine(server, tmp_path, verify="1h") as running:
        wait_until(all_checked(running), "all accounts were compared", PATIENCE)
    settings = write_settings(server, tmp_path, doveadm="/bin/false")
    with Mailquota(settings, server) as running:
        wait_until(lambda: witness(running)["state"] == "away", "it is away", PATIENCE)
        assert running.json("show", JOHN)["source"] == "scan"
        assert ask(server.policy_socket, JOHN, 1000) == "DUNNO"


def test_off(server: MailServer, tmp_path: Path) -> None:
    with engine(server, tmp_path, verify="0s") as running:
        assert witness(running) == {"state": "off", "checked": 0, "differing": 0, "age_seconds": None}
