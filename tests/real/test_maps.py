"""Mail by maps of many types in random orders ends where we say, by the log of the real Postfix."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.core.clients import Console
from tests.mailserver.fixture import require_mailserver, temporary_folder
from tests.mailserver.mariadb import MariaDB
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
    rounds = count(4, 60)
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


LIMIT = 1_000_000
JOHN, JANE = "john@example.org", "jane@example.org"


@pytest.fixture
def both(server: MailServer) -> MailServer:
    """John's mailbox is full, Jane's is empty."""
    server.clear()
    for user in (JOHN, JANE):
        server.add_user(user, LIMIT)
    server.deliver_lmtp(JOHN, size=LIMIT + 60_000)
    return server


@contextmanager
def running(server: MailServer) -> Iterator[Mailquota]:
    """An engine that knows both, and their usage."""
    with temporary_folder() as folder, Mailquota(write_settings(server, folder), server) as mailquota:
        wait_until(lambda: mailquota.json("status")["accounts"] >= 2, "the accounts are read")
        yield mailquota


def verdict(mailquota: Mailquota, recipient: str) -> tuple[str, list[str]]:
    found = mailquota.json("explain", recipient, "--size", "200000")
    return found["verdict"], sorted(target["address"] for target in found["targets"])


def alone(server: MailServer) -> str:
    """The map of aliases, without the one that leads each mailbox onto itself."""
    return f"mysql:{server.postfix.config}/mysql-virtual-alias-maps.cf"


@pytest.mark.parametrize(("catches", "caught"), [(JANE, JOHN), (JOHN, JANE)])
def test_a_catch_all_without_a_map_of_mailboxes(both: MailServer, catches: str, caught: str) -> None:
    """Case C: Postfix delivers everybody's mail to the catch-all, and so it decides."""
    both.add_alias("@example.org", catches)
    restart(both, virtual_alias_maps=alone(both))
    full = catches == JOHN
    with running(both) as mailquota:
        assert verdict(mailquota, caught) == ("over_quota" if full else "accept", [catches])
        code, text = both.send_mail(caught)
        assert (code, text.startswith("4.2.2")) == ((452, True) if full else (250, False)), text
        findings = {one["check"]: one for one in mailquota.json_of("doctor")}
        assert findings["mailboxes-reached"]["state"] == "warn"
        assert f"{caught} → {catches}" in findings["mailboxes-reached"]["found"]
        assert findings["aliases-followed"]["state"] == "ok"
        assert "postmap agrees" in findings["aliases-followed"]["found"]
    if not full:
        wait_until(lambda: both.doveadm_quota(JANE)[0] > 0, "Jane has it")


def test_a_mailbox_wins_where_a_map_says_so(both: MailServer) -> None:
    both.add_alias("@example.org", JANE)
    with running(both) as mailquota:
        assert verdict(mailquota, JOHN) == ("over_quota", [JOHN])
        assert verdict(mailquota, "who@example.org") == ("accept", [JANE])
        assert both.send_mail(JOHN)[0] == 452
        assert {one["check"]: one["state"] for one in mailquota.json_of("doctor")}["mailboxes-reached"] == "ok"


@pytest.mark.parametrize("parameter", ["recipient_canonical_maps", "canonical_maps"])
def test_a_canonical_map(both: MailServer, parameter: str) -> None:
    """Case L."""
    file = both.folder / "canonical"
    file.write_text(f"j.smith@example.org {JOHN}\n")
    os.utime(file, (0, 0))
    restart(both, **{parameter: f"texthash:{file}"})
    with running(both) as mailquota:
        found = mailquota.json("explain", "j.smith@example.org")
        assert (found["verdict"], found["targets"][0]["address"]) == ("over_quota", JOHN)
        assert found["targets"][0]["via"] == ["j.smith@example.org"]
        assert found["targets"][0]["maps"][0].startswith("texthash:")
        assert both.send_mail("j.smith@example.org")[0] == 452


def test_a_copy_that_is_lost(both: MailServer) -> None:
    restart(both, always_bcc=JOHN)
    with running(both) as mailquota:
        found = mailquota.json("explain", JANE)
        assert (found["verdict"], found.get("lost_copies")) == ("accept", [JOHN])


ADMIN = """
CREATE TABLE mailbox (username VARCHAR(255) PRIMARY KEY, quota BIGINT, active TINYINT DEFAULT 1);
CREATE TABLE alias (address VARCHAR(255) PRIMARY KEY, goto TEXT, active TINYINT DEFAULT 1);
CREATE TABLE alias_domain (alias_domain VARCHAR(255), target_domain VARCHAR(255), active TINYINT DEFAULT 1);
INSERT INTO mailbox (username, quota) VALUES ('john@example.org', 1000000), ('jane@example.org', 1000000);
INSERT INTO alias (address, goto) VALUES
 ('john@example.org', 'john@example.org'), ('info@example.org', 'john@example.org'),
 ('jane@example.org', 'jane@example.org,jane#example.org@autoreply.example.org');
INSERT INTO alias_domain (alias_domain, target_domain) VALUES ('example.com', 'example.org');
INSERT INTO virtual_domains (name) VALUES ('example.com');
"""
MAPS = {
    "alias": "SELECT goto FROM alias WHERE address='%s' AND active = '1'",
    "domains": (
        "SELECT goto FROM alias,alias_domain WHERE alias_domain.alias_domain = '%d' and"
        " alias.address = CONCAT('%u', '@', alias_domain.target_domain) AND alias.active = 1"
        " AND alias_domain.active='1'"
    ),
    "catchalls": (
        "SELECT goto FROM alias,alias_domain WHERE alias_domain.alias_domain = '%d' and"
        " alias.address = CONCAT('@', alias_domain.target_domain) AND alias.active = 1 AND alias_domain.active='1'"
    ),
}


def test_postfixadmin(both: MailServer) -> None:
    """Case W: alias domains are followed; a vacation address that stays among the targets is told."""
    for statement in ADMIN.split(";\n"):
        if statement.strip():
            both.sql(statement)
    own = (both.postfix.config / "mysql-email2email.cf").read_text().partition("query =")[0]
    names = []
    for name, query in MAPS.items():
        file = both.folder / f"admin-{name}.cf"
        file.write_text(f"{own}query = {query}\n")
        file.chmod(0o644)
        names.append(f"proxy:mysql:{file}")
    restart(both, virtual_alias_maps=", ".join(names))
    with temporary_folder() as folder:
        settings = write_settings(both, folder)
        settings.write_text(settings.read_text().replace("[accounts]", '[accounts]\nschema = "postfixadmin"'))
        with Mailquota(settings, both) as mailquota:
            wait_until(lambda: mailquota.json("status")["accounts"] == 2, "the accounts are read")
            for recipient in ("info@example.org", "john@example.com", "info@example.com"):
                assert verdict(mailquota, recipient) == ("over_quota", [JOHN]), recipient
                assert both.send_mail(recipient)[0] == 452
            assert verdict(mailquota, JANE)[0] == "accept"
            findings = {one["check"]: one for one in mailquota.json_of("doctor")}
            assert findings["mailboxes-refusable"]["state"] == "warn"
            assert "1 with a vacation address: jane@example.org" in findings["mailboxes-refusable"]["found"]
            assert findings["aliases-followed"]["state"] == "ok", findings["aliases-followed"]
            assert "postmap agrees" in findings["aliases-followed"]["found"]


def test_rows_that_postfix_reads_otherwise(both: MailServer) -> None:
    """A map that names the table that mailquota reads, of another server: Postfix's answers count, and it is told."""
    with MariaDB(both.folder / "other") as other:
        other.add_alias(f"info@{JOHN.partition('@')[2]}", JOHN)
        file = both.postfix.config / "mysql-virtual-alias-maps.cf"
        both.add_alias("info@example.org", JANE)
        text = file.read_text().replace(f":{both.mariadb.port}", f":{other.port}")
        twin = both.folder / "twin.cf"
        twin.write_text(text)
        twin.chmod(0o644)
        restart(both, virtual_alias_maps=f"mysql:{twin}")
        with running(both) as mailquota:
            wait_until(lambda: verdict(mailquota, "info@example.org") == ("over_quota", [JOHN]), "Postfix's way counts")
            findings = {one["check"]: one for one in mailquota.json_of("doctor")}
            assert findings["aliases-followed"]["state"] == "warn"
            assert "answers otherwise" in findings["aliases-followed"]["found"]
            assert both.send_mail("info@example.org")[0] == 452
