"""mailquota on servers set up from the tutorials, with no settings of its own: everything is found, on each recipe."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.mailserver.debian import PRIVATE, DebianServer
from tests.mailserver.mail import ask_policy
from tests.mailserver.mariadb import DATABASE_PASSWORD
from tests.mailserver.process import wait_until

pytestmark = pytest.mark.server

USERS = {"john@home.example": 50_000, "jane@home.example": 0, "full@home.example": 5000, "new@home.example": 7_000_000}
MAILS = {"john@home.example": [3000, 2100], "jane@home.example": [1000], "full@home.example": [4800]}
FULL = "452 4.2.2 Mailbox is full and cannot receive any more emails"
PATHS = {"postfixadmin": "/var/vmail/{domain}/{user}"}
MAPS = {
    "trixie": "/etc/postfix/mariadb-virtual-mailbox-maps.cf",
    "postfixadmin": "/etc/postfix/sql/mysql_virtual_mailbox_maps.cf",
}
SOCKET_FIRST = "mysql://mailserver@%2Frun%2Fmysqld%2Fmysqld.sock,127.0.0.1:3306/mailserver"
DRIVERS = {"bullseye": "maildir", "postfixadmin": "maildir", "bookworm": "count", "trixie": "count"}
FOUND = (
    "accounts.database",
    "accounts.password_file",
    "accounts.schema",
    "mailstore.path",
    "policy.listen",
    "policy.overquota",
    "policy.success",
    "policy.nouser",
)


@pytest.fixture(scope="session")
def settled() -> set[str]:
    """The recipes that have their accounts and mail by now."""
    return set()


@pytest.fixture
def home(debian: DebianServer, settled: set[str]) -> Iterator[DebianServer]:
    """A server with four accounts, an alias, and some mail."""
    if debian.recipe not in settled:
        debian.add_users(USERS.items())
        debian.add_alias("jack@home.example", "full@home.example")
        for address, sizes in MAILS.items():
            for size in sizes:
                assert debian.deliver_lmtp(address, size=size)[0] == 250
        debian.set_quota("full@home.example", 4000)
        settled.add(debian.recipe)
    yield debian
    debian.run(["rm", "-rf", "/etc/mailquota"])


def said(home: DebianServer, *words: str) -> str:
    """What mailquota prints, without a complaint and without a password."""
    done = home.mailquota(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert DATABASE_PASSWORD not in done.stdout
    return done.stdout


def accounts(home: DebianServer, *options: str) -> dict[str, dict[str, Any]]:
    """What `list` says of our domain."""
    return accounts_of(home, "home.example", *options)


def accounts_of(home: DebianServer, domain: str, *options: str) -> dict[str, dict[str, Any]]:
    """The same of any domain."""
    rows = json.loads(said(home, *options, "list", f"@{domain}", "--json"))
    return {row["address"]: row for row in rows}


def settings(home: DebianServer, *options: str) -> dict[str, tuple[Any, str]]:
    """Value and origin of each."""
    return {row["key"]: (row["value"], row["origin"]) for row in json.loads(said(home, *options, "config", "--json"))}


@contextmanager
def serving(home: DebianServer) -> Iterator[tuple[Path, list[str]]]:
    """The policy socket of an engine that was started with nothing but --serve; its log, once it has ended."""
    engine = home.popen(["mailquota", "--serve"])
    log: list[str] = []
    try:
        socket = home.path(f"{PRIVATE}/mailquota")
        assert wait_until(lambda: home.mailquota("status").returncode == 0 or engine.poll() is not None, 20)
        yield socket, log
    finally:
        engine.terminate()
        log.append(engine.communicate(timeout=20)[1])


def check_figures(home: DebianServer, found: dict[str, dict[str, Any]]) -> None:
    """Limits are the database's, use is Dovecot's."""
    limits = USERS | {"full@home.example": 4000}
    assert {address: row["limit_bytes"] for address, row in found.items()} == {
        address: limit or None for address, limit in limits.items()
    }
    for address in MAILS:
        kib, messages = home.quota(address)
        assert (-(-found[address]["used_bytes"] // 1024), found[address]["messages"]) == (kib, messages)
    assert (found["new@home.example"]["used_bytes"], found["full@home.example"]["level"]) == (0, "over")


def test_list_shows_the_right_accounts_limits_and_figures(home: DebianServer) -> None:
    """As JSON, and as the table that `mailquota` prints where there is no terminal."""
    found = accounts(home)
    check_figures(home, found)
    table = said(home)
    for address in USERS:
        assert re.search(rf"^{address} +{found[address]['level']} ", table, re.MULTILINE)


def test_config_says_where_each_value_was_found(home: DebianServer) -> None:
    """File and setting, or command and setting."""
    found = settings(home)
    assert not [key for key in FOUND if not found[key][1].startswith("found: ")]
    assert found["mailstore.path"][0] == PATHS.get(home.recipe, "/var/vmail/{domain}/{user}/Maildir")
    assert found["mailstore.driver"] == ("auto", f"default; here: {DRIVERS[home.recipe]}")
    assert found["mailstore.trash"][1] == "default; here \\Trash is Trash"
    assert found["policy.listen"] == (
        ["unix:/var/spool/postfix/private/mailquota"],
        "found: postconf queue_directory",
    )
    assert found["policy.overquota"] == (FULL, "found: doveconf quota_status_overquota")
    of_24, of_23 = ("50M", "found: doveconf quota_storage_grace"), ("10%", "default")
    assert found["policy.grace"] == (of_24 if home.recipe == "trixie" else of_23)
    maps = MAPS.get(home.recipe, "/etc/postfix/mysql-virtual-mailbox-maps.cf")
    assert found["accounts.database"][1] == f"found: {maps} hosts, user, dbname"
    schema = "postfixadmin" if home.recipe == "postfixadmin" else "ispmail"
    assert found["accounts.schema"][0] == schema


def test_what_is_written_says_the_same(home: DebianServer) -> None:
    """The file loads to the same settings, finds the same figures, and holds no password."""
    before = settings(home)
    done = home.run(["sh", "-c", "mkdir -p /etc/mailquota && mailquota config --write /etc/mailquota/mailquota.toml"])
    assert (done.returncode, done.stderr) == (0, "mailquota: /etc/mailquota/mailquota.toml was written\n")
    assert DATABASE_PASSWORD not in home.path("/etc/mailquota/mailquota.toml").read_text()
    after = settings(home)
    assert {key: value for key, (value, _) in after.items()} == {key: value for key, (value, _) in before.items()}
    assert {origin.partition(";")[0] for _, origin in after.values()} == {"file /etc/mailquota/mailquota.toml"}
    check_figures(home, accounts(home))


def test_dovecot_alone_is_enough(home: DebianServer) -> None:
    """Where Postfix has other maps, or is not there."""
    with home.kept("/etc/postfix"):
        home.check(["postconf", "-e", "virtual_mailbox_maps=hash:/etc/postfix/vmailbox"])
        found = settings(home)
        file = "conf.d/auth-sql.conf.ext" if home.recipe == "trixie" else "dovecot-sql.conf.ext"
        assert found["accounts.password_file"][0] == f"/etc/dovecot/{file}"
        check_figures(home, accounts(home))


@contextmanager
def without_dovecots_login(home: DebianServer) -> Iterator[None]:
    """Nothing but Postfix says how to get into the database."""
    with home.kept():
        home.check(["sed", "-i", "s/password=.*/password=/", "/etc/dovecot/dovecot-sql.conf.ext"])
        yield


def test_a_map_in_main_cf(bookworm: DebianServer) -> None:
    """As before Postfix 2.2. Postfix and mailquota get in by the same settings."""
    bookworm.add_user("john@main-cf.example", 5000)
    settings_of_map = [
        "place=127.0.0.1", "mailboxes_hosts=$place", "mailboxes_user=mailserver", "mailboxes_dbname=mailserver",
        f"mailboxes_password={DATABASE_PASSWORD}", "mailboxes_query=SELECT 1 FROM virtual_users WHERE email='%s'",
        "virtual_mailbox_maps=mysql:mailboxes",
    ]  # fmt: skip
    with without_dovecots_login(bookworm):
        bookworm.check(["postconf", "-e", *settings_of_map])
        assert bookworm.check(["postmap", "-q", "john@main-cf.example", "mysql:mailboxes"]) == "1\n"
        found = {row["key"]: row for row in json.loads(bookworm.mailquota("config", "--json").stdout)}
        assert found["accounts.password_file"]["origin"] == "found: /etc/postfix/main.cf mailboxes_password"
        done = bookworm.mailquota("list", "john@main-cf.example", "--json")
        assert [row["limit_bytes"] for row in json.loads(done.stdout)] == [5000]
        finding = next(
            one for one in json.loads(bookworm.mailquota("doctor", "--json").stdout) if one["check"] == "password-files"
        )
        assert (finding["state"], finding["fix"].startswith("# ")) == ("warn", True)
        assert DATABASE_PASSWORD not in json.dumps(list(found.values())) + done.stderr + json.dumps(finding)


def test_an_option_file(bookworm: DebianServer) -> None:
    """It has the host, where the map has none."""
    bookworm.add_user("john@option.example", 5000)
    bookworm.write("/etc/postfix/my.cnf", "[client]\nhost = 127.0.0.1\n[mail]\nuser = mailserver\n")
    query = "SELECT 1 FROM virtual_users WHERE email='%s'"
    text = f"option_file = /etc/postfix/my.cnf\noption_group = mail\ndbname = mailserver\nquery = {query}\n"
    with without_dovecots_login(bookworm):
        bookworm.write("/etc/postfix/option.cf", f"{text}password = {DATABASE_PASSWORD}\n", 0o600)
        bookworm.check(["postconf", "-e", "virtual_mailbox_maps=mysql:/etc/postfix/option.cf"])
        assert bookworm.check(["postmap", "-q", "john@option.example", "mysql:/etc/postfix/option.cf"]) == "1\n"
        assert settings(bookworm)["accounts.database"][0] == SOCKET_FIRST
        assert list(accounts_of(bookworm, "option.example")) == ["john@option.example"]


def test_a_password_file_of_dovecots(trixie: DebianServer) -> None:
    """Dovecot 2.4 and mailquota read the same file; one that is missing is named."""
    trixie.add_user("john@file.example", 5000)
    file = "/etc/dovecot/private/password"
    with trixie.kept():
        trixie.write(file, DATABASE_PASSWORD, 0o600)
        edit = f"s|password = .*|password = <{file}|"
        trixie.check(["sed", "-i", edit, "/etc/dovecot/conf.d/auth-sql.conf.ext"])
        trixie.check(["postconf", "-e", "virtual_mailbox_maps=hash:/etc/postfix/vmailbox"])
        trixie.restart("dovecot")
        assert "5000B" in trixie.check(["doveadm", "user", "john@file.example"])
        assert settings(trixie)["accounts.password_file"] == (
            file, "found: /etc/dovecot/conf.d/auth-sql.conf.ext mysql password",
        )  # fmt: skip
        assert list(accounts_of(trixie, "file.example")) == ["john@file.example"]
        trixie.check(["rm", file])
        assert f"{file} can't be read: No such file or directory" in trixie.mailquota("list").stderr
    trixie.restart("dovecot")


def test_others_are_told_which_files_are_closed_to_them(home: DebianServer) -> None:
    """And what would help; nothing is guessed, nothing of the files is shown."""
    closed = {"trixie": "/etc/dovecot/conf.d/auth-sql.conf.ext"}.get(home.recipe, "/etc/dovecot/dovecot-sql.conf.ext")
    for words in ([], ["list"], ["--serve"], ["config", "--write", "/tmp/never-written.toml"]):
        done = home.mailquota(*words, user="nobody")
        assert (done.returncode, done.stdout) == (2, "")
        assert re.search(r"accounts\.database: /etc/postfix/\S+maps\.cf can't be read: Permission denied", done.stderr)
        assert closed in done.stderr
        assert "run mailquota as root" in done.stderr
        assert '\n[accounts]\ndatabase = "mysql://' in done.stderr
        assert DATABASE_PASSWORD not in done.stderr
    done = home.mailquota("config", user="nobody")
    assert done.returncode == 0
    assert closed in done.stderr
    assert re.search(r"^accounts.database .* default; not found, so it has to be set", done.stdout, re.MULTILINE)


def test_the_engine_answers_where_postfix_asks(home: DebianServer) -> None:
    """Started with nothing but --serve; its log has no password."""
    with serving(home) as (socket, logs):
        # On a busy machine the first look at the mailboxes may take longer than a request waits for it.
        assert wait_until(lambda: ask_policy(socket, "jack@home.example", size=100) == FULL, 20)
        assert ask_policy(socket, "jane@home.example", size=100) == "DUNNO"
    (log,) = logs
    assert "answering on unix:/var/spool/postfix/private/mailquota" in log
    assert DATABASE_PASSWORD not in log


def test_the_grace_is_dovecots_to_the_byte(home: DebianServer) -> None:
    """Its policy service says where it ends; how a mail larger than the whole limit is refused is our own affair."""
    theirs = home.path(f"{PRIVATE}/quota-status")
    grace = 50 * 2**20 if home.recipe == "trixie" else USERS["john@home.example"] // 10
    room = USERS["john@home.example"] - accounts(home)["john@home.example"]["used_bytes"]
    answers = [
        (ask_policy(theirs, "john@home.example", size=size) == "DUNNO", fits(home, "john@home.example", size))
        for size in (room + grace, room + grace + 1)
    ]
    assert answers == [(True, True), (False, False)]


def fits(home: DebianServer, address: str, size: int) -> bool:
    """Whether mailquota would let it in."""
    answer: str = json.loads(said(home, "explain", address, "--size", str(size), "--json"))["action"]
    assert answer in {"DUNNO", FULL}
    return answer == "DUNNO"


def test_a_reload_that_finds_nothing_is_refused(bullseye: DebianServer) -> None:
    """What was found at the start goes on; a default in its place would be a guess."""
    bullseye.add_user("full@reload.example", 10)
    assert bullseye.deliver_lmtp("full@reload.example", size=1000)[0] in {250, 552}
    bullseye.set_quota("full@reload.example", 1)
    with serving(bullseye) as (socket, _), bullseye.kept():
        bullseye.check(["rm", "/etc/postfix/mysql-virtual-mailbox-maps.cf", "/etc/dovecot/dovecot-sql.conf.ext"])
        done = bullseye.mailquota("reload")
        assert done.returncode == 2
        assert "accounts.database" in done.stderr
        assert "/etc/postfix/mysql-virtual-mailbox-maps.cf can't be read: No such file" in done.stderr
        assert ask_policy(socket, "full@reload.example", size=100) == FULL


def test_without_database_the_password_stays_hidden(bullseye: DebianServer) -> None:
    """A refused login names the account and the place, not what was tried."""
    sql = "ALTER USER mailserver@127.0.0.1 IDENTIFIED BY %s"
    bullseye.sql(sql, "another")
    try:
        done = bullseye.mailquota("list")
    finally:
        bullseye.sql(sql, DATABASE_PASSWORD)
    assert done.returncode == 5
    assert "mailserver" in done.stderr
    assert DATABASE_PASSWORD not in done.stderr
    with closing(bullseye.mariadb.connect()):
        pass


def test_a_server_half_set_up(bullseye: DebianServer) -> None:
    """Postfix without maps, Dovecot with mbox and the system's users, as the packages leave them."""
    with bullseye.kept():
        bullseye.check(["postconf", "-X", "virtual_mailbox_maps", "virtual_mailbox_domains", "virtual_alias_maps"])
        for name in ("10-auth.conf", "10-mail.conf", "90-quota.conf"):
            bullseye.check(["cp", f"/usr/share/dovecot/conf.d/{name}", "/etc/dovecot/conf.d/"])
        done = bullseye.mailquota("list")
    assert done.returncode == 2
    assert "virtual_mailbox_maps of Postfix names no database (it is empty)" in done.stderr
    assert "Dovecot's user database (passwd) is not in SQL" in done.stderr
    assert "mail_location = mbox:~/mail:INBOX=/var/mail/%u is no Maildir" in done.stderr
