"""Dovecot's own databases: which are logged in to and how, and what is said of them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from mailquota.core.base.endpoints import MYSQL_SOCKET
from mailquota.core.base.mysql import Target
from mailquota.core.base.programs import ProgramResult
from mailquota.core.doctor.dovecot.facts import SqlLogin
from mailquota.core.doctor.dovecot.probe_databases import log_in_to
from mailquota.core.doctor.host.facts import DatabaseFacts, HostFacts
from mailquota.core.doctor.model import Facts, Finding
from tests.core.accounts.hosts import FakeHost
from tests.core.doctor.dovecot.dovecots import (
    BULLSEYE,
    JOHN,
    SQL_FILE,
    TRIXIE,
    Outside,
    facts,
    healthy,
    our_settings,
    say,
)
from tests.core.doctor.healthy import outcome

FILE = "/etc/dovecot/dovecot-sql.conf.ext"
NO_USERS = {f"user {JOHN}": ProgramResult("", "Error: Auth USER lookup failed", 75, "doveadm ended with 75")}


def found(server: Outside) -> tuple[SqlLogin, ...]:
    return server.gather({JOHN: 100000}).databases


def told(server: Outside, check: str = "dovecot-database") -> Finding:
    return say(check, server.gather({JOHN: 100000}))


def sql_file(connect: str, driver: str = "mysql") -> Outside:
    server = healthy(BULLSEYE)
    server.files[FILE] = SQL_FILE.replace("host=127.0.0.1 dbname=mailserver user=mailserver password=geheim", connect)
    server.files[FILE] = server.files[FILE].replace("driver = mysql", f"driver = {driver}")
    return server


@pytest.mark.parametrize(("name", "host"), [(BULLSEYE, "127.0.0.1:3306"), (TRIXIE, "127.0.0.1:3306")])
def test_a_database_is_logged_in_to_once(name: str, host: str) -> None:
    """Though the passwords of users are in it as well as their limits."""
    server = healthy(name)
    finding = told(server)
    assert server.logins == [host]
    assert (finding.state, finding.found) == (
        "ok", "logged in as Dovecot does: mysql://mailserver@127.0.0.1:3306/mailserver"
    )  # fmt: skip


def test_one_that_is_away() -> None:
    """That Dovecot looks nobody up has its cause there; without an answer of Dovecot's own socket it has not."""
    server = healthy(BULLSEYE)
    server.away["127.0.0.1"] = "Connection refused"
    server.answers |= NO_USERS
    for check in ("dovecot-database", "dovecot-answers"):
        assert told(server, check).state == "fail"
        assert "127.0.0.1:3306: Connection refused" in told(server, check).found
    assert "mariadb start" in told(server).fix
    server.answers |= {f"user {JOHN}": ProgramResult("", "", 75, "connect(/run/x) failed: Connection refused")}
    assert "3306" not in told(server, "dovecot-answers").found


def test_dovecot_knows_better_where_it_looks_users_up() -> None:
    """By a certificate, say, that mailquota does not have."""
    server = healthy(BULLSEYE)
    server.away["127.0.0.1"] = "Access denied"
    assert told(server).state == "skip"
    assert told(server).found.startswith("Dovecot looks users up, but its login was refused to mailquota")
    assert told(server, "dovecot-answers").state == "ok"


def test_one_that_is_the_accounts_database_is_named_once() -> None:
    """The defaults of the settings have the same address; a database elsewhere is a finding of its own."""
    server = healthy(BULLSEYE)
    server.away["127.0.0.1"] = "Connection refused"
    for port, state in (("3306", "skip"), ("3307", "fail")):
        server.files[FILE] = SQL_FILE.replace("host=127.0.0.1", f"host=127.0.0.1 port={port}")
        down = HostFacts(database=DatabaseFacts(known=True, fault="accounts database …: Connection refused"))
        known = Facts(config=our_settings(), dovecot=server.gather({}), host=down)
        assert outcome("dovecot-database", known).state == state


def test_one_host_of_two() -> None:
    server = sql_file("host=a host=b dbname=d user=u password=geheim")
    server.away["b"] = "timed out"
    assert server.gather({JOHN: 1}).databases == (
        SqlLogin(origin=FILE, url="mysql://u@a:3306,b:3306/d", answering=1, failures=(("b:3306", "timed out"),)),
    )
    assert (told(server).state, "b:3306: timed out" in told(server).found) == ("warn", True)


def test_hosts_that_say_nothing_keep_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes the connection and is silent is given up, another one is not tried any more."""
    monkeypatch.setattr("mailquota.core.doctor.dovecot.probe_databases._SECONDS", 0.1)
    monkeypatch.setattr("mailquota.core.doctor.dovecot.probe_databases._IN_ALL", 0.05)
    with FakeHost() as silent:
        server = sql_file(f"host=127.0.0.1 host=127.0.0.2 port={silent.address[1]} dbname=d user=u password=geheim")
        server.log_in = log_in_to  # type: ignore[method-assign]
        (login,) = found(server)
        assert [why for _, why in login.failures] == [
            "no answer within 0.1 s", "not tried, as other logins took too long"
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("away", "failures"),
    [
        ((), ()),
        (("localhost",), ()),
        ((MYSQL_SOCKET,), ()),
        ((MYSQL_SOCKET, "localhost"), ((MYSQL_SOCKET, "gone"), ("localhost:3306", "gone"))),
    ],
)
def test_localhost_is_one_host(away: tuple[str, ...], failures: tuple[tuple[str, str], ...]) -> None:
    """By its socket, or by its port."""
    server = sql_file("host=localhost dbname=d user=u password=geheim")
    server.away = dict.fromkeys(away, "gone")
    (login,) = found(server)
    assert (login.failures, login.answering > 0) == (failures, not failures)


def test_a_file_of_sqlite(tmp_path: Path) -> None:
    """It is opened, and not made."""
    server = sql_file(f"{tmp_path}/users.db", "sqlite")
    (login,) = found(server)
    assert login.url == f"sqlite:///{tmp_path}/users.db"
    for name, text in (("none.db", "unable to open"), ("garbage.db", "not a database")):
        (tmp_path / "garbage.db").write_bytes(b"garbage" * 100)
        assert text in log_in_to(Target("sqlite", path=tmp_path / name))
    assert not (tmp_path / "none.db").exists()
    sqlite3.connect(tmp_path / "users.db").close()
    assert log_in_to(Target("sqlite", path=tmp_path / "users.db")) == ""


def test_what_can_not_be_logged_in_to() -> None:
    """A file that can't be read, a database that mailquota has no driver for, a password in no file; or none at all."""
    server = healthy(BULLSEYE)
    del server.files[FILE]
    assert (told(server).state, "Permission denied" in told(server).found) == ("skip", True)
    assert told(sql_file("host=a", "pgsql")).found.endswith(
        "the driver pgsql is not covered, only mysql and sqlite are"
    )
    server = healthy(TRIXIE)
    del server.files["/etc/dovecot/dovecot.conf"]
    assert told(server).state == "skip"
    assert server.logins == []
    plain = facts(BULLSEYE, lambda text: text.replace("driver = sql", "driver = passwd-file"))
    assert say("dovecot-database", plain).found == "Dovecot looks users up in no SQL database"
