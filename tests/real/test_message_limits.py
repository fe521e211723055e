"""Limits that Dovecot has from elsewhere than the column of the database: its own policy service answers as we do."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.mailserver import MailServer
from tests.mailserver.fixture import temporary_folder
from tests.mailserver.series import dovecot_series

pytestmark = pytest.mark.server

JOHN, JANE = "john@example.org", "jane@example.org"
LIMIT, KIB = 1_000_000, 1024
FULL = "452 4.2.2 Mailbox is full and cannot receive any more emails"
MODERN = dovecot_series() == "2.4"
OLD_RULE = "concat('*:bytes=', quota) AS quota_rule"
NEW_SIZE = "concat(quota, 'B') AS quota_storage_size"


class Place:
    """A Dovecot whose user query or settings were changed, and mailquota's commands beside it."""

    def __init__(self, server: MailServer, folder: Path) -> None:
        self.server = server
        self._config = folder / "mailquota.toml"
        self._config.write_text(
            f'[accounts]\ndatabase = "{server.database_url}"\nwrite_database = "{server.write_database_url}"\n'
            f'[mailstore]\npath = "{server.mailstore}"\ndoveadm = "{" ".join(server.doveadm)}"\n[policy]\n'
            f'[state]\ndatabase = "sqlite:///{folder}/state.db"\n[control]\nsocket = "{folder}/control.sock"\n'
        )

    def mailquota(self, *words: str) -> Any:
        """The JSON that a command prints; its exit code is not looked at."""
        done = subprocess.run(self.command(*words, "--json"), capture_output=True, text=True, timeout=60, check=False)
        return json.loads(done.stdout) if done.stdout else done.stderr

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "mailquota", "--config", str(self._config), *words]

    def row(self, address: str) -> dict[str, Any]:
        (found,) = self.mailquota("list", address)
        return dict(found)

    def answers(self, address: str, size: int = 9) -> tuple[str, str]:
        """Dovecot's answer, and ours."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.server.quota_status_socket))
            question = f"request=smtpd_access_policy\nprotocol_state=RCPT\nrecipient={address}\nsize={size}\n\n"
            client.sendall(question.encode())
            theirs = client.recv(1000).decode().strip().removeprefix("action=")
        return theirs, self.mailquota("explain", address, "--size", str(size))["action"]

    def deliver(self, address: str, count: int) -> None:
        for _ in range(count):
            assert self.server.deliver_lmtp(address, 1000)[0] == 250


Changed = Callable[..., Any]


@pytest.fixture
def place(mailserver: MailServer) -> Iterator[Changed]:
    """A place where these are changed: the field of the user query with the limit, and lines of the settings."""
    mailserver.clear()
    mariadb = mailserver.mariadb
    mariadb.sql("ALTER TABLE virtual_users MODIFY quota BIGINT UNSIGNED NULL, ADD COLUMN most INT")

    @contextmanager
    def made(field: str = "", lines: str = "") -> Iterator[Place]:
        folder = mailserver.dovecot.folder

        def change(text: str) -> str:
            if MODERN:
                return text.replace(NEW_SIZE, field or NEW_SIZE) + lines
            query = (folder / "dovecot-sql.conf.ext").read_text().replace(OLD_RULE, field or OLD_RULE)
            (folder / "changed.conf.ext").write_text(query)
            changed = text.replace(f"{folder}/dovecot-sql.conf.ext", f"{folder}/changed.conf.ext")
            return changed + (f"plugin {{\n{lines}\n}}\n" if lines else "")

        with mailserver.dovecot.changed(change), temporary_folder() as own:
            yield Place(mailserver, own)

    yield made
    mailserver.clear()
    mariadb.sql("ALTER TABLE virtual_users DROP COLUMN most, MODIFY quota BIGINT NOT NULL DEFAULT 0")


def test_a_limit_of_messages_in_the_query(place: Changed, mailserver: MailServer) -> None:
    """Three messages of three: over, refused, and the reason is told; with two it is as without it."""
    old, new = "concat('*:bytes=', quota, ':messages=3') AS quota_rule", f"{NEW_SIZE}, '3' AS quota_message_count"
    with place(new if MODERN else old) as here:
        mailserver.add_user(JOHN, LIMIT)
        here.deliver(JOHN, 2)
        assert here.answers(JOHN) == ("DUNNO", "DUNNO")
        here.deliver(JOHN, 1)
        assert here.answers(JOHN) == (FULL, FULL)
        assert here.answers(JOHN, LIMIT + 1) == (FULL, FULL)
        row = here.row(JOHN)
        assert (row["limit_messages"], row["messages"], row["level"]) == (3, 3, "over")
        assert row["source"] == "maildirsize", "its header has both limits, and is believed"
        assert "3 of 3 messages" in here.mailquota("explain", JOHN)["why"]
        assert "Dovecot takes none from a column" in str(here.mailquota("set", JOHN, "--messages", "9"))


def test_a_column_with_limits_of_messages(place: Changed, mailserver: MailServer) -> None:
    """It is read and set where Dovecot reads it, and Dovecot does by it at once."""
    old = "concat('*:bytes=', quota, ':messages=', ifnull(most, 0)) AS quota_rule"
    with place(f"{NEW_SIZE}, most AS quota_message_count" if MODERN else old) as here:
        mailserver.add_user(JOHN, LIMIT)
        here.deliver(JOHN, 2)
        assert here.row(JOHN)["limit_messages"] is None
        assert here.answers(JOHN) == ("DUNNO", "DUNNO")
        (done,) = here.mailquota("set", JOHN, "--messages", "2", "--yes")
        assert (done["old_messages"], done["new_messages"], done["error"]) == (None, 2, None)
        assert here.answers(JOHN) == (FULL, FULL)
        assert here.row(JOHN)["level"] == "over"
        assert here.mailquota("undo")[0]["new_messages"] is None
        assert here.answers(JOHN) == ("DUNNO", "DUNNO")
        mailserver.mariadb.sql("UPDATE virtual_users SET quota = 0, most = 2")
        assert here.row(JOHN)["limit_bytes"] is None
        assert here.answers(JOHN, 10**9) == (FULL, FULL)


def test_a_default_where_the_database_says_nothing(place: Changed, mailserver: MailServer) -> None:
    """NULL is the limit of Dovecot's settings; a row that says 0 is unlimited."""
    lines = "quota_storage_size = 500K\n" if MODERN else "quota_rule = *:storage=500K"
    with place(lines=lines) as here:
        mailserver.add_user(JOHN, LIMIT)
        mailserver.add_user(JANE, 0)
        mailserver.mariadb.sql("UPDATE virtual_users SET quota = NULL WHERE email = %s", JOHN)
        here.deliver(JOHN, 1)
        assert here.row(JOHN)["limit_bytes"] == 500 * KIB
        assert here.row(JANE)["limit_bytes"] is None
        assert here.answers(JANE, 10**9) == ("DUNNO", "DUNNO")
        (done,) = here.mailquota("set", JOHN, "x2")
        assert (done["old_bytes"], done["new_bytes"]) == (500 * KIB, 1000 * KIB)
        assert here.row(JOHN)["limit_bytes"] == 1000 * KIB


def test_a_limit_of_messages_in_the_settings(place: Changed, mailserver: MailServer) -> None:
    """It holds for all whose row gives none."""
    lines = "quota_message_count = 1\n" if MODERN else "quota_rule2 = *:messages=1"
    with place(lines=lines) as here:
        mailserver.add_user(JOHN, LIMIT)
        here.deliver(JOHN, 1)
        assert here.row(JOHN)["limit_messages"] == 1
        assert here.answers(JOHN) == (FULL, FULL)


def test_a_query_that_lost_its_field(place: Changed, mailserver: MailServer) -> None:
    """An edit says that Dovecot does not go by it."""
    with place("5000 AS uid") as here:
        mailserver.add_user(JOHN, LIMIT)
        done = subprocess.run(here.command("set", JOHN, "2M"), capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, "gives no limit from virtual_users.quota" in done.stderr) == (0, True)


def test_a_limit_that_no_column_should_hold(place: Changed, mailserver: MailServer) -> None:
    """The account is in the list, with the reason."""
    with place() as here:
        mailserver.add_user(JOHN, LIMIT)
        mailserver.mariadb.sql("UPDATE virtual_users SET quota = %s", 2**64 - 1)
        row = here.row(JOHN)
        assert (row["level"], str(2**64 - 1) in row["why"]) == ("unknown", True)
        assert here.mailquota("explain", JOHN)["verdict"] == "trouble"
