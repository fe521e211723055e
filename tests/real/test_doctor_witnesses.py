"""Checks of the doctor that ask Dovecot, Postfix or the kernel, on servers where mailquota alone would see nothing."""

from __future__ import annotations

import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from mailquota.core.base import programs
from mailquota.core.doctor import paths
from mailquota.core.doctor.dovecot.probe import gather
from mailquota.core.doctor.examine import CHECKS, judge
from mailquota.core.doctor.host.facts import EngineFacts, HostFacts
from mailquota.core.doctor.model import Facts, Finding
from mailquota.core.doctor.postfix import probe as probe_postfix
from mailquota.core.settings.config import Config, load
from tests.mailserver.fixture import require_mailserver, temporary_folder
from tests.mailserver.postfix import QUOTA_STATUS_CHECK
from tests.mailserver.series import dovecot_series
from tests.mailserver.server import MailServer
from tests.real.beside import wait_until
from tests.real.breaking import Change, Patient, replacing, settings

pytestmark = pytest.mark.server

JOHN, JANE, ODD = "john@example.org", "jane@example.org", "o'brien+1@example.org"
LIMIT = 1_000_000
ACCOUNTS: dict[str, int | None] = {JOHN: LIMIT, JANE: None}


@pytest.fixture(scope="module")
def server() -> Iterator[MailServer]:
    require_mailserver()
    with temporary_folder() as folder, MailServer(folder, policy=QUOTA_STATUS_CHECK) as running:
        running.add_users([(address, limit or 0) for address, limit in ACCOUNTS.items()])
        for address in ACCOUNTS:
            assert running.deliver_lmtp(address, 2000)[0] == 250
        yield running


@pytest.fixture
def patient(server: MailServer, tmp_path: Path) -> Patient:
    return Patient(settings(tmp_path / "mailquota.toml", server.mailstore, server.doveadm, "10%"), dict(ACCOUNTS),
                   server.doveadm)  # fmt: skip


def sql_of(server: MailServer) -> Path:
    """The file with the queries and the password."""
    modern = dovecot_series() == "2.4"
    return server.dovecot.config if modern else server.dovecot.folder / "dovecot-sql.conf.ext"


def said(check: str, patient: Patient, *, config: Config | None = None, engine: str = "") -> Finding:
    """What one check says now, by what Dovecot says now."""
    config = config or patient.config
    running = EngineFacts(known=True, running=bool(engine), driver=engine)
    host = HostFacts(is_root=True, mailstore=paths.look(config.settings.mailstore.folder), engine=running)
    facts = Facts(config=config, dovecot=gather(config, patient.accounts), postfix=patient.postfix, host=host)
    return next(one for one in judge(facts, CHECKS) if one.check == check)


def settled(check: str, patient: Patient, state: str, config: Config | None = None) -> Finding:
    """The same, once Dovecot has taken up its settings."""
    wait_until(lambda: said(check, patient, config=config).state == state, f"{check}: {said(check, patient)}")
    return said(check, patient, config=config)


# ---- limits


def limit_gone() -> Change:
    """The user database gives no limit any more."""
    return lambda text: re.sub(r"concat\([^)]*\) AS quota_(?:rule|storage_size), *", "", text)


def test_a_query_that_lost_its_limit_is_told_though_the_old_limits_stand(server: MailServer, patient: Patient) -> None:
    """2.3 goes on with those in maildirsize: enforced is what the database says, until somebody edits it."""
    assert settled("quota-limits", patient, "ok").found.startswith("asked Dovecot about 2 of 2 accounts")
    with patient.changed((sql_of(server), limit_gone())):
        told = settled("quota-limits", patient, "fail")
        assert "the user database gives no quota_" in told.found
        if dovecot_series() == "2.3":
            assert f"{LIMIT} bytes in the database and in Dovecot" in told.found
            assert told.found.endswith("an edit changes nothing")
            server.set_quota(JOHN, 5000)
            assert server.run_doveadm("-f", "tab", "quota", "get", "-u", JOHN).splitlines()[1].split("\t")[3] == "977"
            server.set_quota(JOHN, LIMIT)
        patient.mend(told)
        settled("quota-limits", patient, "ok")
        patient.accounts[JOHN] = 5000
        server.set_quota(JOHN, 5000)
        settled("quota-limits", patient, "ok")
        server.set_quota(JOHN, LIMIT)


@pytest.mark.dovecot("2.3")
def test_a_rule_behind_which_maildirsize_wins(server: MailServer, patient: Patient) -> None:
    server.run_doveadm("quota", "get", "-u", JOHN)  # after which its maildirsize has the limit
    with patient.changed((sql_of(server), replacing("'*:bytes='", "'?:bytes='"))):
        told = settled("quota-limits", patient, "fail")
        assert "with ? the limit in maildirsize wins: an edit changes nothing" in told.found
        patient.mend(told)
        settled("quota-limits", patient, "ok")


def test_half_of_the_users_are_unknown_to_dovecot(server: MailServer, patient: Patient) -> None:
    """Those are named, and it is said how many were asked about."""
    names = [f"u{number}@half.example" for number in range(6)]
    server.add_users([(name, LIMIT) for name in names])
    patient.accounts = dict.fromkeys(names, LIMIT)
    with patient.changed((sql_of(server), lambda text: re.sub(r"(virtual_users WHERE email ?= ?'%(?:u|\{user\})')",
                                                              r"\1 AND email < 'u3'", text))):  # fmt: skip
        told = settled("quota-limits", patient, "fail")
        assert told.found.startswith("asked Dovecot about 6 of 6 accounts, 3 differ: ")
        assert set(re.findall(r"(u.)@half.example: Dovecot has no such user", told.found)) == {"u3", "u4", "u5"}


# ---- names


def test_odd_names_are_looked_up_by_dovecot_itself(server: MailServer, patient: Patient) -> None:
    """Told as unknown until they are looked up, by its settings and by its database."""
    server.add_user(ODD, LIMIT)
    patient.accounts[ODD] = LIMIT
    with patient.changed((server.dovecot.config, str)):
        told = settled("username-characters", patient, "fail")
        assert """auth_username_chars lacks "'+\"""" in told.found
        assert told.found.endswith("(asked Dovecot about 1 of 1 accounts with unusual names)")
        patient.mend(told)
        told = settled("username-characters", patient, "ok")
        assert told.found == "asked Dovecot about 1 of 1 accounts with unusual names: it looks them up"
        server.sql("DELETE FROM virtual_users WHERE email = %s", ODD)
        told = said("username-characters", patient)
        assert (told.state, f'it has no user "{ODD}"' in told.found) == ("fail", True)


# ---- driver


def other_driver() -> Change:
    """Dovecot's quota by count in place of maildir."""
    if dovecot_series() == "2.4":
        return replacing("driver = maildir\n}", "driver = count\n}")
    return replacing("quota = maildir:User quota", "quota = count:User quota\n  quota_vsizes = yes")


def test_a_driver_of_an_earlier_dovecot(server: MailServer, patient: Patient, tmp_path: Path) -> None:
    """Written into the settings, or chosen when the engine started: in both cases usage stands still."""
    file = tmp_path / "named.toml"
    text = (tmp_path / "mailquota.toml").read_text()
    file.write_text(text.replace("[mailstore]\n", '[mailstore]\ndriver = "maildir"\n'))
    for config, engine in ((load(file, {}), ""), (patient.config, "maildir")):
        assert said("quota-driver", patient, config=config, engine=engine).state == "ok"
    with patient.changed((server.dovecot.config, other_driver())):
        told = said("quota-driver", patient, config=load(file, {}))
        assert told.state == "fail"
        assert told.found == "mailstore.driver is maildir, and Dovecot keeps its quota by count now"
        patient.mend(told)
        assert load(file, {}).settings.mailstore.driver == "auto"
        assert said("quota-driver", patient, config=load(file, {}), engine="count").state == "ok"
        told = said("quota-driver", patient, engine="maildir")
        assert (told.state, told.fix) == ("fail", f"mailquota --config {patient.config.path} reload")


# ---- mailboxes


def test_mailboxes_that_dovecot_has_elsewhere(server: MailServer, patient: Patient, tmp_path: Path) -> None:
    """The path of the settings may even exist; a link to the real one is no difference."""
    found = said("mailstore", patient)
    assert found.found == "asked Dovecot about 2 of 2 accounts: their mailboxes are where mailstore.path says"
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(server.mail_folder)
    for folder, state in (("empty", "fail"), ("nowhere", "fail"), ("link", "ok")):
        where = f"{tmp_path}/{folder}/{{domain}}/{{user}}/Maildir"
        told = said("mailstore", patient, config=settings(tmp_path / "other.toml", where, server.doveadm, "10%"))
        assert told.state == state, told
        if state == "fail":
            assert f"{JANE} is in '{server.maildir(JANE)}', mailquota looks in '{tmp_path}/{folder}/" in told.found


# ---- Dovecot's own database


def test_a_database_of_dovecot_that_is_away(server: MailServer, patient: Patient, tmp_path: Path) -> None:
    """Named with host and port, in the check that says that Dovecot looks nobody up, too."""
    assert said("dovecot-database", patient).found.startswith(
        "logged in as Dovecot does: mysql://mailserver@127.0.0.1:"
    )
    where = f"127.0.0.1:{server.mariadb.port}"
    with server.database_stopped():
        for check in ("dovecot-database", "dovecot-answers"):
            told = said(check, patient)
            assert (told.state, f"{where}: Connection refused" in told.found) == ("fail", True), told


def test_a_database_that_refuses_dovecot(server: MailServer, patient: Patient) -> None:
    """Its password is in no text."""
    try:
        with patient.changed((sql_of(server), lambda text: text.replace("ChangeMe", "geheim"))):
            told = settled("dovecot-database", patient, "fail")
    finally:
        wait_until(lambda: said("dovecot-answers", patient).state == "ok", "Dovecot is let in again")
    assert f"127.0.0.1:{server.mariadb.port}: Access denied for user 'mailserver'@" in told.found
    assert "geheim" not in str(msgspec.structs.asdict(told))
    assert told.fix.startswith("# correct user and password in ")


@pytest.mark.parametrize("says", ["exec sleep 60", "echo '[{]\\x1b'", "echo '[]'; exit 75", "exit 64", "kill -9 $$"])
def test_a_doveadm_that_hangs_or_is_another(server: MailServer, patient: Patient, tmp_path: Path, says: str) -> None:
    """Nothing is called right on its word; no check fails with an error of its own."""
    fake = tmp_path / f"doveadm-{len(says)}" / "doveadm"
    fake.parent.mkdir()
    fake.write_text(f"#!/bin/sh\n{says}\n")
    fake.chmod(0o755)
    (fake.parent / "doveconf").symlink_to(programs.run(["which", "doveconf"]).out.strip())
    config = settings(tmp_path / "fake.toml", server.mailstore, [str(fake), *server.doveadm[1:]], "10%")
    for check in ("quota-limits", "mailstore", "username-characters"):
        told = said(check, patient, config=config)
        assert "internal error" not in told.found
        assert not told.found.startswith("asked Dovecot about 2 of 2 accounts: "), told
    assert said("dovecot-database", patient, config=config).found.count("mysql://") == 1


# ---- Postfix's sockets


def ways(server: MailServer, config: Config) -> dict[str, Finding]:
    """The checks of Postfix's sockets."""
    postfix = probe_postfix.gather(
        config, lambda argv: programs.run(["env", f"MAIL_CONFIG={server.postfix.config}", *argv])
    )
    facts = Facts(config=config, postfix=postfix, dovecot=gather(config, {}), host=HostFacts(is_root=True))
    return {one.check: one for one in judge(facts, CHECKS)}


def roots_alone(text: str) -> str:
    """quota-status' socket without ``user = postfix``: mode 0600, for root."""
    return re.sub(r"(unix_listener \S*quota-status \{\n)\s+user = postfix\n", r"\1    mode = 0600\n", text)


def test_a_socket_of_quota_status_that_postfix_may_not_use(server: MailServer, patient: Patient) -> None:
    """All mail is deferred; the fix of the finding ends that."""
    reached = ways(server, patient.config)["policy-services-reached"]
    assert reached.found == "connected to unix:private/quota-status as user postfix, as smtpd does"
    with server.dovecot.changed(roots_alone):
        for chroot in (True, False):
            with edited(server, "master.cf", in_its_jail if chroot else str):
                told = ways(server, patient.config)["policy-services-reached"]
            assert (told.state, "Permission denied" in told.found) == ("fail", True), told
            assert (f"chrooted to {server.postfix.queue}" in told.found) == chroot
            assert "Postfix says '451 4.3.5 Server configuration problem' to every recipient" in told.found
        assert server.send_mail(JOHN)[0] == 451
        patient.mend(told)
        wait_until(lambda: ways(server, patient.config)["policy-services-reached"].state == "ok", "it is reached")
        wait_until(lambda: server.send_mail(JOHN)[0] == 250, "mail is taken")


def test_a_path_that_does_not_exist_in_the_jail(server: MailServer, patient: Patient) -> None:
    """Outside of it, it does."""

    def absolute(text: str) -> str:
        return text.replace("unix:private/quota-status", f"unix:{server.quota_status_socket}")

    with edited(server, "main.cf", absolute):
        assert ways(server, patient.config)["policy-services-reached"].state == "ok"
        with edited(server, "master.cf", in_its_jail):
            told = ways(server, patient.config)["policy-services-reached"]
    assert (told.state, "No such file or directory" in told.found) == ("fail", True), told


def test_mail_that_passes_without_the_service_is_a_lesser_finding(server: MailServer, patient: Patient) -> None:
    def lenient(text: str) -> str:
        return text.replace("unix:private/quota-status", "{ unix:private/away, default_action=DUNNO }")

    with edited(server, "main.cf", lenient):
        told = ways(server, patient.config)["policy-services-reached"]
    assert (told.state, "Postfix goes on without it (DUNNO)" in told.found) == ("warn", True), told


def test_our_own_socket_is_connected_to_as_postfix(server: MailServer, patient: Patient, tmp_path: Path) -> None:
    """An access list decides against owner and mode, both ways."""
    path = server.policy_socket
    file = tmp_path / "listening.toml"
    file.write_text((tmp_path / "mailquota.toml").read_text() + f'listen = ["unix:{path}"]\n')
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        try:
            for owner, mode, state in (("postfix", 0o660, "ok"), ("root", 0o600, "fail"), ("postfix", 0o440, "fail")):
                shutil.chown(path, owner)
                path.chmod(mode)
                told = ways(server, load(file, {}))["policy-socket-rights"]
                assert told.state == state, told
                assert ("(connected as it)" in told.found) == (state == "ok")
        finally:
            path.unlink()


def in_its_jail(text: str) -> str:
    """smtpd chrooted, as Debian has it."""
    return re.sub(r"^(\S+ +inet +\S+ +- +)n( .*smtpd)$", r"\1y\2", text, flags=re.MULTILINE)


@contextmanager
def edited(server: MailServer, name: str, change: Change) -> Iterator[None]:
    """A file of Postfix changed, for those who read its settings; the running one keeps its own."""
    file = server.postfix.config / name
    before = file.read_text()
    assert change is str or change(before) != before
    file.write_text(change(before))
    try:
        yield
    finally:
        file.write_text(before)
