"""The accounts database where Postfix says nothing of use: by Dovecot's settings, and what is told where it fails."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from mailquota.core.base import programs
from mailquota.core.base.endpoints import MYSQL_SOCKET
from mailquota.core.base.programs import ProgramResult
from mailquota.core.servers.dovecot.conf import config_file
from mailquota.core.servers.dovecot.sql import includes, other_unit, password_in, schema_of, sql_source_of_file
from mailquota.core.settings.config import load
from mailquota.core.settings.discover import discover
from mailquota.core.settings.passwords import read_password
from mailquota.core.settings.text import dump
from tests.core.recorded_server import Server

DATA = Path(__file__).parents[2] / "data"
BULLSEYE = (DATA / "dovecot-2.3/doveconf-n.ispmail-bullseye.txt").read_text()
TRIXIE = (DATA / "dovecot-2.4/doveconf-n.ispmail-trixie.txt").read_text()
NO_MAPS = "queue_directory = /var/spool/postfix\nvirtual_mailbox_maps =\n"
SQL_FILE = "/etc/dovecot/dovecot-sql.conf.ext"
SQL = """# as in the tutorial
driver = mysql
connect = host=127.0.0.1 dbname=mailserver user=mailserver password=Change=Me
user_query = SELECT email as user, concat('*:bytes=', quota) AS quota_rule, \\
  '/var/vmail/%d/%n' AS home, 5000 AS uid FROM virtual_users WHERE email='%u'
password_query = SELECT password FROM virtual_users WHERE email='%u'
"""
TRIXIE_FILES = {
    "/etc/dovecot/dovecot.conf": "!include conf.d/*.conf\n!include_try local.conf\n",
    "/etc/dovecot/conf.d/10-auth.conf": "#!include auth-system.conf.ext\n!include auth-sql.conf.ext\n",
    "/etc/dovecot/conf.d/10-mail.conf": "mail_driver = maildir\n",
    "/etc/dovecot/conf.d/auth-sql.conf.ext": "sql_driver = mysql\n\nmysql /var/run/mysqld/mysqld.sock {\n"
    "  user = mailserver\n  password = 'Change Me'\n  host = 127.0.0.1\n}\n",
}


def faults(server: Server, key: str) -> list[str]:
    """What was said about a setting."""
    return [fault.partition(": ")[2] for fault in server.found().faults if fault.startswith(f"{key}: ")]


def test_the_file_of_dovecot_23() -> None:
    """Its connect string, its query, and the file itself for the password."""
    server = Server(BULLSEYE, NO_MAPS, {SQL_FILE: SQL})
    found = server.found()
    assert found.values["accounts"] == {
        "database": "mysql://mailserver@127.0.0.1/mailserver",
        "password_file": SQL_FILE,
        "schema": "ispmail",
    }
    assert found.origins["accounts.database"] == f"{SQL_FILE} connect"
    assert found.values["mailstore"]["path"] == "/var/vmail/{domain}/{user}/Maildir"
    assert found.faults == ()
    assert "Change" not in repr(found)


def test_the_blocks_of_dovecot_24() -> None:
    """doveconf hides the password; the file that holds it is found by following the includes."""
    found = Server(TRIXIE, NO_MAPS, TRIXIE_FILES).found()
    assert found.values["accounts"] == {
        "database": "mysql://mailserver@127.0.0.1/mailserver",
        "password_file": "/etc/dovecot/conf.d/auth-sql.conf.ext",
        "schema": "ispmail",
    }
    assert found.origins["accounts.database"] == "doveconf mysql /var/run/mysqld/mysqld.sock"
    assert found.origins["mailstore.path"] == "doveconf mail_path, mail_home"
    assert found.faults == ()
    assert "Change" not in repr(found)


@pytest.mark.parametrize(
    ("written", "file"),
    [("</etc/secret", "/etc/secret"), ("< /etc/secret", "/etc/secret"), ("<../private/pw", "/etc/dovecot/private/pw")],
)
def test_a_password_in_a_file_of_its_own(written: str, file: str) -> None:
    """Of Dovecot 2.4; a relative name is one below the folder of the file that names it."""
    naming = "/etc/dovecot/conf.d/auth-sql.conf.ext"
    files = TRIXIE_FILES | {naming: TRIXIE_FILES[naming].replace("'Change Me'", written)}
    found = Server(TRIXIE, NO_MAPS, files).found()
    assert found.values["accounts"]["password_file"] == file
    assert found.origins["accounts.password_file"] == f"{naming} mysql password"


def test_a_password_that_is_in_no_file() -> None:
    """The database counts, and where to put the password is said."""
    server = Server(TRIXIE, NO_MAPS)
    assert "accounts.password_file" not in server.discover()
    (told,) = faults(server, "accounts.password_file")
    assert "/etc/mailquota/password" in told


PASSWORDS = {
    SQL: "Change=Me",
    TRIXIE_FILES["/etc/dovecot/conf.d/auth-sql.conf.ext"]: "Change Me",
    'userdb sql {\n  mysql a {\n    mysql_password = "x y"\n  }\n}\n': "x y",
    "mysql a {\n  password = </etc/secret\n}\n": None,
    "passdb static {\n  password = x\n}\n": None,
    "#connect = password=old\nconnect = host=a password=new\n": "new",
    "connect = host=a\n": None,
}


@pytest.mark.parametrize(("text", "password"), PASSWORDS.items(), ids=repr)
def test_passwords_in_files_of_dovecot(text: str, password: str | None) -> None:
    """Only that of the database, as it stands there."""
    assert password_in(text) == password


@pytest.mark.parametrize("text", [SQL, TRIXIE_FILES["/etc/dovecot/conf.d/auth-sql.conf.ext"]], ids=["2.3", "2.4"])
def test_the_password_is_read_where_it_was_found(text: str, tmp_path: Path) -> None:
    """And is in no text that we write."""
    file = tmp_path / "sql.conf.ext"
    file.write_text(text)
    settings = tmp_path / "mailquota.toml"
    settings.write_text(f'[accounts]\npassword_file = "{file}"\n')
    config = load(settings, {})
    assert read_password(config, "database", {}).text == PASSWORDS[text]
    assert "Change" not in dump(config, mask=False)


OLD_SOURCES = {
    "driver = sqlite\nconnect = /var/lib/mail/users db.sqlite\n": "sqlite:////var/lib/mail/users%20db.sqlite",
    "driver = mysql\nconnect = host=/run/mysqld/mysqld.sock dbname=d user=u\n": (
        "mysql://u@%2Frun%2Fmysqld%2Fmysqld.sock/d"
    ),
    "driver = mysql\nconnect = host=a host=b port=3307 dbname=d user=u\n": "mysql://u@a:3307,b:3307/d",
    "driver = mysql\nconnect = host=localhost dbname=d user=u\n": (
        "mysql://u@%2Frun%2Fmysqld%2Fmysqld.sock,localhost/d"
    ),
    'driver = "mysql"\nconnect = "host=a dbname=d user=u"\n': "mysql://u@a/d",
    "driver = mysql\nconnect = host=a dbname=d\n": None,
    "driver = mysql\nconnect = host=a dbname=d user=u port=x\n": None,
    "driver = pgsql\nconnect = host=a dbname=d user=u\n": None,
    "": None,
}


@pytest.mark.parametrize(("text", "url"), OLD_SOURCES.items(), ids=repr)
def test_connect_strings(text: str, url: str | None) -> None:
    """Several hosts, sockets, SQLite; what is missing or not covered is said."""
    source = sql_source_of_file("/sql", text)
    assert source.url == url
    assert bool(source.fault) == (url is None)


MODERN = "# 2.4.1\nuserdb sql {\n  query = SELECT x FROM virtual_users\n}\n"
MODERN_SOURCES = {
    "sql_driver = sqlite\nsqlite_path = /srv/users.db\n": "sqlite:////srv/users.db",
    "sql_driver = mysql\nmysql a {\n  dbname = d\n  user = u\n}\nmysql b {\n  dbname = d\n  user = u\n}\n": (
        "mysql://u@a,b/d"
    ),
    "sql_driver = mysql\nmysql a {\n  host = b\n  port = 3307\n  dbname = d\n  user = u\n}\n": "mysql://u@b:3307/d",
    "sql_driver = mysql\n": None,
    "sql_driver = pgsql\n": None,
    "": None,
}


@pytest.mark.parametrize(("text", "url"), MODERN_SOURCES.items(), ids=repr)
def test_blocks(text: str, url: str | None) -> None:
    """A block's name is its host unless it says otherwise."""
    server = Server(MODERN + text, NO_MAPS)
    assert server.discover().get("accounts.database") == url
    assert bool(faults(server, "accounts.database")) == (url is None)


def test_sqlite_of_postfix() -> None:
    """A map in SQLite needs no password."""
    files = {"/a.cf": "dbpath = /srv/users.db\nquery = SELECT 1 FROM mailbox WHERE username = '%s'\n"}
    found = Server(BULLSEYE, "virtual_mailbox_maps = sqlite:/a.cf\n", {**files, SQL_FILE: SQL}).found()
    assert found.values["accounts"] == {"database": "sqlite:////srv/users.db", "schema": "postfixadmin"}


def test_the_form_of_old_maps() -> None:
    """Table and fields instead of a query."""
    text = "user = u\ndbname = d\nhosts = a\ntable = virtual_users\nselect_field = 1\nwhere_field = email\n"
    found = Server("# 2.3.19\n", "virtual_mailbox_maps = mysql:/a.cf\n", {"/a.cf": text}).found()
    assert found.values["accounts"]["schema"] == "ispmail"
    assert found.origins["accounts.schema"] == "/a.cf table"


UNITS = {
    "SELECT concat('*:bytes=', quota) AS quota_rule FROM virtual_users": False,
    "SELECT concat(quota, 'B') AS quota_storage_size FROM virtual_users": False,
    "SELECT CONCAT('*:bytes=', mailbox.quota*1048576) AS quota_rule FROM mailbox": True,
    "SELECT concat('*:storage=', quota) AS quota_rule FROM virtual_users": True,
    "SELECT concat(quota, 'M') AS quota_storage_size FROM virtual_users": True,
    "SELECT '*:bytes=' || quota || 'M' AS quota_rule FROM mailbox": True,
    "SELECT CONCAT(mailbox.storagebasedirectory, mailbox.maildir) FROM mailbox": True,
}


@pytest.mark.parametrize(("query", "other"), UNITS.items(), ids=repr)
def test_limits_that_are_not_bytes(query: str, other: bool) -> None:
    """By the table's name alone, limits would be wrong a million times; ISPmail's table is in bytes for certain."""
    assert other_unit(query) == other
    assert schema_of(query) == ("ispmail" if "virtual_users" in query else None)


def test_a_schema_that_is_not_known_is_asked_for() -> None:
    """Though the database is known; Dovecot's query counts where Postfix's says nothing."""
    text = "user = u\ndbname = d\nhosts = a\nquery = SELECT 1 FROM v_mailboxes\n"
    postconf = "virtual_mailbox_maps = mysql:/a.cf\n"
    assert Server(BULLSEYE, postconf, {"/a.cf": text, SQL_FILE: SQL}).discover()["accounts.schema"] == "ispmail"
    mebibytes = SQL.replace("quota)", "quota*1048576)").replace("virtual_users", "mailbox")
    for sql, why in ((SQL.replace("virtual_users", "people"), "no query"), (mebibytes, "another unit than bytes")):
        for table in ("v_mailboxes", "mailbox") if sql is mebibytes else ("v_mailboxes",):
            server = Server(BULLSEYE, postconf, {"/a.cf": text.replace("v_mailboxes", table), SQL_FILE: sql})
            assert "accounts.schema" not in server.discover()
            assert why in faults(server, "accounts.schema")[0]


LENNY_QUERY = "SELECT email AS user, password FROM view_users WHERE email='%u'"


def test_the_tables_of_lenny_are_named_with_settings_for_them() -> None:
    """By the views that Postfix asks, or Dovecot; not where a query shows the newer table."""
    postconf = "virtual_mailbox_maps = mysql:/a.cf\n"
    text = "user = u\ndbname = d\nhosts = a\nquery = SELECT 1 FROM {} WHERE email='%s'\n"
    sql = "driver = mysql\nconnect = host=a dbname=d user=u password=p\nuser_query = {}\n"
    newer = "SELECT email AS user FROM virtual_users WHERE email='%u'"
    cases = {("view_users", LENNY_QUERY): True, ("other", LENNY_QUERY): True, ("view_users", newer): False}
    for (table, query), lenny in cases.items():
        server = Server(BULLSEYE, postconf, {"/a.cf": text.format(table), SQL_FILE: sql.format(query)})
        told = faults(server, "accounts.schema")
        assert bool(told) == lenny, (table, query)
        if lenny:
            assert 'accounts.schema has to be "custom"' in told[0]
            assert "accounts.schema" not in server.discover()


USERDBS = {
    "userdb {\n  driver = passwd\n}\n": "passwd",
    "userdb {\n  args = /etc/dovecot/ldap.conf.ext\n  driver = ldap\n}\n": "ldap",
    "userdb {\n  args = home=/srv/%d/%n\n  driver = static\n}\n": "",
}


@pytest.mark.parametrize(
    ("place", "url"),
    {
        "127.0.0.1": "mysql://mailserver@%2Frun%2Fmysqld%2Fmysqld.sock,127.0.0.1:3306/mailserver",
        "127.0.0.1 port=3307": "mysql://mailserver@127.0.0.1:3307/mailserver",
        "192.0.2.1": "mysql://mailserver@192.0.2.1/mailserver",
    }.items(),
    ids=repr,
)
def test_the_socket_of_a_server_on_this_machine_comes_first(place: str, url: str) -> None:
    """Its folder is the server's; the port is of anybody who listens there while the server is down."""
    server = Server(BULLSEYE, NO_MAPS, {SQL_FILE: SQL.replace("127.0.0.1", place), MYSQL_SOCKET: ""})
    assert server.discover()["accounts.database"] == url


@pytest.mark.parametrize(("userdb", "named"), USERDBS.items(), ids=repr)
def test_other_user_databases(userdb: str, named: str) -> None:
    """Their users can't be followed; said beside a database, and where there is none. Passwords in SQL are enough."""
    server = Server(f"# 2.3.19\n{userdb}", NO_MAPS)
    assert "accounts.database" not in server.discover()
    assert faults(server, "accounts.database") == [
        "virtual_mailbox_maps of Postfix names no database (it is empty)",
        f"Dovecot's user database ({named or 'static'}) is not in SQL",
    ]
    passdb = f"passdb {{\n  args = {SQL_FILE}\n  driver = sql\n}}\n"
    beside = Server(f"# 2.3.19\n{passdb}{userdb}", NO_MAPS, {SQL_FILE: SQL})
    assert beside.discover()["accounts.database"] == "mysql://mailserver@127.0.0.1/mailserver"
    assert [fault for fault in faults(beside, "accounts") if named in fault] == (
        [f"userdb {named} of Dovecot is not covered: mailquota does not see its users"] if named else []
    )


def test_includes_that_go_in_circles() -> None:
    """Are followed once."""
    files = {"/etc/dovecot/dovecot.conf": "!include dovecot.conf\n!include /gone\n"}
    assert "accounts.password_file" not in Server(TRIXIE, NO_MAPS, files).discover()
    assert includes("!include_try a/*.conf\n  !include b\n#!include c\ninclude = d\n") == ["a/*.conf", "b"]
    assert config_file("# 2.4.1 (x): /etc/d.conf\n# Pigeonhole: /no\n") == "/etc/d.conf"
    assert config_file("a = b: /no\n") == ""


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            ProgramResult("# 2.3.19\nmail_location = x", "Fatal: no\n", 89, "doveconf ended with 89: Fatal: no"),
            "ended with 89",
        ),
        (ProgramResult(fault="doveconf took longer than 5 s"), "longer than 5 s"),
        (ProgramResult("mail_location = maildir:/srv/%d/%n\n", code=0), "printed no version"),
        (ProgramResult("", code=0), "printed no version"),
    ],
    ids=["failed", "hung", "garbage", "nothing"],
)  # fmt: skip
def test_a_doveconf_in_trouble(said: ProgramResult, told: str) -> None:
    """Nothing of it is believed, and all that stays open is named."""
    server = Server(None, NO_MAPS)

    def run(argv: Sequence[str]) -> ProgramResult:
        return server.run(argv) if argv[0] == "postconf" else said

    found = discover("auto", run, server.read, server.listed)
    assert found.values == {"policy": {"listen": ["unix:/var/spool/postfix/private/mailquota"]}}
    keys = {fault.partition(": ")[0] for fault in found.faults if told in fault}
    assert keys == {"policy.grace", "accounts.database", "mailstore.path"}


def test_real_programs_that_hang_or_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the true way of asking."""
    for name, body in (("postconf", "exit 1"), ("doveconf", "exec sleep 1000")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = discover("auto", lambda argv: programs.run(argv, 0.2))
    assert found.values == {}
    assert "accounts.database: postconf ended with 1" in found.faults
    assert "mailstore.path: doveconf took longer than 0.2 s" in found.faults
    assert subprocess.run(["true"], check=False).returncode == 0


MAIL = {
    "mail_location = mbox:~/mail:INBOX=/var/mail/%u\n": "mail_location = mbox:~/mail:INBOX=/var/mail/%u is no Maildir",
    "": "mail_location is not set",
    "mail_location = maildir:~/Maildir\n": "~/Maildir of mail_location is below a home",
    "mail_location = maildir:/srv/%1n/%n\n": "mail_location is not one path for all users",
}


@pytest.mark.parametrize(("location", "told"), MAIL.items(), ids=repr)
def test_mailboxes_without_a_place(location: str, told: str) -> None:
    """Where Dovecot keeps quota it is asked for the use; where not, the place has to be given."""
    quota = "plugin {\n  quota = count:User quota\n}\n"
    asked, alone = Server(f"# 2.3.19\n{location}{quota}"), Server(f"# 2.3.19\n{location}")
    assert asked.discover()["mailstore.driver"] == "doveadm"
    assert told in faults(asked, "mailstore")[0]
    assert not faults(asked, "mailstore.path")
    assert "mailstore.driver" not in alone.discover()
    assert told in faults(alone, "mailstore.path")[0]
    assert "policy: Dovecot keeps no quota; limits are enforced by mailquota alone" in alone.found().faults


def test_several_quotas_and_unknown_versions() -> None:
    """Not covered, and told."""
    two = "plugin {\n  quota = maildir:User quota\n  quota2 = count:Shared\n}\n"
    assert "keeps 2 quotas (maildir:User quota, count:Shared)" in faults(Server(f"# 2.3.19\n{two}"), "policy")[0]
    assert "Dovecot 2.5 is not covered" in faults(Server('# 2.5.0\nquota "User quota" {\n}\n'), "policy")[0]
    assert not faults(Server(TRIXIE), "policy")
