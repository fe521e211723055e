"""The doctor as an administrator runs it: on the tutorial's server with its files in Debian's places, without settings.

Nothing is said to the command but its name. What is broken is broken with a shell, and mended by running the fix that
the finding has, as it is, as root.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

from tests.mailserver.debian import PRIVATE, DebianServer
from tests.mailserver.mail import greets
from tests.mailserver.mariadb import DATABASE_PASSWORD
from tests.mailserver.namespace import Inside
from tests.mailserver.process import wait_until

pytestmark = pytest.mark.server

OURS = "check_policy_service { unix:private/mailquota, timeout=10s, default_action=DUNNO }"
THEIRS = "check_policy_service unix:private/quota-status"
HOME = "doctor.example"
SOCKET = f"{PRIVATE}/mailquota"
PATIENCE = 60.0  # seconds for servers to read their settings again
TWICE = "quota-warning-twice"  # true of all recipes, whose script warns beside us: test_warning_scripts mends it
# There is no systemd in the namespace, but what makes it look so: what a fix has it do is done by hand, an engine in
# the background.
SYSTEMD = "/run/systemd/system"
UNIT = "/etc/systemd/system/mailquota.service"
SYSTEMCTL = """#!/bin/sh
[ "$*" = "restart mailquota" ] || [ "$*" = "enable --now mailquota" ] || exit 1
pkill -f "[m]ailquota --serve"
setsid mailquota --serve > /dev/null 2>&1 < /dev/null &
i=0
until mailquota status > /dev/null 2>&1 || [ $i -gt 100 ]; do i=$((i+1)); sleep 0.1; done
"""

Findings = dict[str, dict[str, str]]


class Case(NamedTuple):
    """``shell`` breaks it; ``check`` then says ``words``."""

    check: str
    words: str
    shell: str

    def __str__(self) -> str:
        return f"{self.check}: {self.words}"


def restrictions(value: str) -> str:
    return f"postconf -e 'smtpd_recipient_restrictions = {value}' && postfix reload"


def conf(file: str, old: str, new: str) -> str:
    """An edit of a file in conf.d."""
    return f"grep -q '{old}' /etc/dovecot/{file} && sed -i 's|{old}|{new}|' /etc/dovecot/{file} && doveadm reload"


def appended(file: str, text: str) -> str:
    return f"printf '%s\\n' '{text}' >> /etc/dovecot/{file} && doveadm reload"


POSTFIX = [
    Case("policy-service-listed", "does not ask mailquota", restrictions("reject_unauth_destination")),
    Case(
        "policy-service-listed", "there is no unix:private/mailqouta",
        restrictions(f"reject_unauth_destination, {OURS.replace('mailquota', 'mailqouta')}"),
    ),
    Case(
        "policy-service-listed", "smtpd does not start",
        restrictions(f"reject_unauth_destination, {OURS.replace('timeout=10s', 'timeout = 10s')}"),
    ),
    Case("policy-service-once", "2 times", restrictions(f"reject_unauth_destination, {OURS}, {OURS}")),
    Case("policy-service-place", "never gets to mailquota", restrictions(f"reject_unauth_destination, permit, {OURS}")),
    Case("policy-service-place", "before reject_unauth", restrictions(f"{OURS}, reject_unauth_destination")),
    Case(
        "policy-service-default-action", "without an answer",
        restrictions("reject_unauth_destination, check_policy_service { unix:private/mailquota, timeout=10s }"),
    ),
    Case(
        "policy-service-timeout", "Postfix waits 100s",
        restrictions(f"reject_unauth_destination, {OURS.replace(' timeout=10s,', '')}"),
    ),
    Case("two-enforcers", "quota-status", restrictions(f"reject_unauth_destination, {THEIRS}, {OURS}")),
    Case(
        "relay-control", "refuses to relay mail for strangers",
        f"postconf -e 'smtpd_relay_restrictions = permit_mynetworks' && {restrictions(OURS)}",
    ),
    Case(
        "submission-relay", "before permit_sasl_authenticated",
        "postconf -PX submission/inet/smtpd_recipient_restrictions && postfix reload",
    ),
    Case(
        "policy-service-override", "replaces the list",
        "postconf -P smtp/inet/smtpd_recipient_restrictions=reject_unauth_destination && postfix reload",
    ),
    Case("policy-socket-rights", "may not connect", f"chown root {SOCKET} && chmod 0600 {SOCKET}"),
    Case("policy-socket", "is stale", "pkill -9 -f '[m]ailquota --serve'"),
    Case("recipient-delimiter", "of Postfix is", "postconf -e recipient_delimiter=- && postfix reload"),
]  # fmt: skip
DOVECOT = [
    Case("quota-plugin", "quota is missing", conf("conf.d/10-mail.conf", "^mail_plugins = quota", "mail_plugins = ")),
    Case("quota-plugin-lmtp", "lmtp", appended("conf.d/20-lmtp.conf", "protocol lmtp {\n  mail_plugins = notify\n}")),
    Case("quota-plugin-lmtp", "lmtp", appended("local.conf", "protocol !imap {\n  mail_plugins = notify\n}")),
    Case("lmtp-username", "of all users", appended("local.conf", "auth_username_format = %n")),
    Case("imap-quota", "does not load", conf("conf.d/20-imap.conf", "mail_plugins imap_quota", "mail_plugins")),
    Case("imap-quota", "globally", conf("conf.d/10-mail.conf", "^mail_plugins = quota", "& imap_quota")),
    Case("quota-driver", "has no quota driver", conf("conf.d/90-quota.conf", "count:User quota", "cuont:User quota")),
    Case("quota-vsizes", "not set", conf("conf.d/90-quota.conf", "quota_vsizes = yes", "")),
    Case("quota-limits", "1024 times too large", conf("dovecot-sql.conf.ext", "bytes=", "storage=")),
    Case("user-listing", "can't list", conf("dovecot-sql.conf.ext", "^iterate_query", "#iterate_query")),
    Case("quota-warning-script", "not executable", "chmod -x /usr/local/bin/quota-warning.sh"),
    Case("quota-warning-script", "line ends of Windows", "sed -i 's/$/\\r/' /usr/local/bin/quota-warning.sh"),
    Case("quota-warning-option", "without an option", "sed -i 's/ -o \"[^\"]*\"//' /usr/local/bin/quota-warning.sh"),
    Case(
        "quota-warning-service", "no service listens",
        conf("conf.d/90-quota.conf", "unix_listener quota-warning", "unix_listener other"),
    ),
    Case(
        "quota-warnings", "not doubled in quota_warning =",
        conf("conf.d/90-quota.conf", "storage=95%% ", "storage=95% "),
    ),
    Case("trash-folder", "no mailbox has", conf("conf.d/15-mailboxes.conf", "special_use = .Trash", "")),
]  # fmt: skip
HOST = [
    Case(
        "settings-file", "may be written by everybody",
        "mkdir -p /etc/mailquota && mailquota config --write /etc/mailquota/mailquota.toml && "
        "chmod 0666 /etc/mailquota/mailquota.toml",
    ),
    Case("password-files", "everybody may read", "chmod 0644 /etc/postfix/mysql-virtual-mailbox-maps.cf"),
    Case("mailbox-rights", "may not enter", f"chmod 000 /var/vmail/{HOME}"),
    Case("mailbox-rights", "belongs to root", f"chown root /var/vmail/{HOME}/john/Maildir"),
    Case("mailbox-rights", "belong to 'root'", "chown -R root /var/vmail/*/*/Maildir"),
    Case(
        "engine-settings", 'policy.grace of the engine is "10%"',
        appended("conf.d/90-quota.conf", "plugin {\n  quota_grace = 20%%\n}"),
    ),
]  # fmt: skip


def findings(server: DebianServer) -> Findings:
    """What the command says, by check."""
    done = server.mailquota("doctor", "--json")
    assert not done.stderr
    assert DATABASE_PASSWORD not in done.stdout
    found: list[dict[str, Any]] = json.loads(done.stdout)
    assert done.returncode == int(any(one["state"] == "fail" for one in found))
    return {one["check"]: one for one in found}


def unhealthy(server: DebianServer) -> list[str]:
    """What somebody would be sent to look at."""
    found = [one for one in findings(server).values() if one["state"] in {"fail", "warn"} and one["check"] != TWICE]
    return [f"{one['check']}: {one['found']}" for one in found]


@contextmanager
def service(server: DebianServer) -> Iterator[None]:
    """mailquota is a service that does not run yet."""
    server.write("/usr/local/bin/systemctl", SYSTEMCTL, 0o755)
    server.write(UNIT, "")
    server.check(["mkdir", "-p", SYSTEMD])
    yield
    server.run(["pkill", "-f", "[m]ailquota --serve"])
    server.check(["rm", "-r", UNIT, SYSTEMD])


@contextmanager
def enforcing(server: DebianServer, domain: str) -> Iterator[Inside]:
    """mailquota runs there, without settings, and Postfix asks it."""
    server.add_user(f"john@{domain}", 5_000_000)
    server.add_user(f"jane@{domain}", 0)
    server.add_alias(f"jack@{domain}", f"john@{domain}")
    for name in ("john", "jane"):
        assert server.deliver_lmtp(f"{name}@{domain}", size=20_000)[0] == 250
    with service(server), server.kept(), server.popen(["mailquota", "--serve"]) as engine:
        assert wait_until(lambda: server.mailquota("status").returncode == 0, PATIENCE)
        server.check(["sh", "-ec", restrictions(f"reject_unauth_destination, {OURS}")])
        yield engine
        server.run(["pkill", "-f", "[m]ailquota --serve"])  # popen waits for it


@pytest.fixture(scope="module")
def home(bookworm: DebianServer) -> Iterator[DebianServer]:
    with enforcing(bookworm, HOME):
        yield bookworm


def test_a_healthy_server_hears_no_complaint(debian: DebianServer) -> None:
    """Of every recipe, as soon as mailquota is in its place."""
    with enforcing(debian, "healthy.example"):
        assert wait_until(lambda: not unhealthy(debian), PATIENCE), unhealthy(debian)


def test_a_server_without_mailquota_is_led_to_it(bullseye: DebianServer) -> None:
    """Two findings, whose fixes are all that it takes."""
    with service(bullseye), bullseye.kept():
        assert [line.partition(":")[0] for line in unhealthy(bullseye)] == ["policy-service-listed", "engine"]
        for check in ("engine", "policy-service-listed"):
            bullseye.check(["sh", "-ec", findings(bullseye)[check]["fix"]])
        assert wait_until(lambda: not unhealthy(bullseye), PATIENCE), unhealthy(bullseye)
        bullseye.add_user("full@example.net", 5000)
        bullseye.add_alias("alias@example.net", "full@example.net")
        assert bullseye.deliver_lmtp("full@example.net", size=5000)[0] == 250
        assert wait_until(lambda: bullseye.send_mail("alias@example.net")[0] == 452, PATIENCE)


@pytest.mark.parametrize("case", [*POSTFIX, *DOVECOT, *HOST], ids=str)
def test_what_is_broken_is_named_and_its_fix_mends_it(case: Case, home: DebianServer) -> None:
    assert findings(home)[case.check]["state"] == "ok"
    with home.kept():
        home.check(["sh", "-ec", case.shell])
        assert wait_until(lambda: findings(home)[case.check]["state"] in {"fail", "warn"}, PATIENCE)
        finding = findings(home)[case.check]
        assert case.words in finding["found"]
        home.check(["sh", "-ec", finding["fix"]])
        assert wait_until(lambda: findings(home)[case.check]["state"] == "ok", PATIENCE), findings(home)[case.check]
    home.run(["rm", "-rf", "/etc/mailquota"])
    home.check(["mailquota", "reload"])  # a change of Dovecot's that was taken back
    assert wait_until(lambda: greets(home.path(f"{PRIVATE}/dovecot-lmtp")), PATIENCE)
    assert wait_until(lambda: not unhealthy(home), PATIENCE), unhealthy(home)


def test_an_engine_that_measures_as_dovecot_did_before(home: DebianServer) -> None:
    """Until it asks Dovecot the next time; the fix has it ask at once."""
    assert findings(home)["quota-driver"]["found"] == "quota driver count by doveconf; the engine measures by count"
    with home.kept():
        home.check(["sh", "-ec", conf("conf.d/90-quota.conf", "count:User quota", "maildir:User quota")])
        told = findings(home)["quota-driver"]
        assert told["state"] == "fail"
        assert told["found"] == (
            "the engine measures by count, as Dovecot did before; Dovecot keeps its quota by maildir now"
        )
        home.check(["sh", "-ec", told["fix"]])
        assert wait_until(lambda: findings(home)["quota-driver"]["state"] == "ok", PATIENCE)
    home.check(["mailquota", "reload", "--restart"])
    home.check(["find", "/var/vmail", "-name", "maildirsize", "-delete"])
    assert wait_until(lambda: greets(home.path(f"{PRIVATE}/dovecot-lmtp")), PATIENCE)
    assert wait_until(lambda: not unhealthy(home), PATIENCE), unhealthy(home)


def test_without_root_it_says_what_it_could_not_see(home: DebianServer) -> None:
    """And accuses nobody of what it can't judge."""
    done = home.mailquota("doctor", "--json", user="nobody")
    found = {one["check"]: one for one in json.loads(done.stdout)}
    assert found["run-as"]["state"] == "skip"
    assert "sudo mailquota doctor" in found["run-as"]["fix"]
    unfounded = {name for name, one in found.items() if one["state"] in {"fail", "warn"}} - {TWICE}
    assert not unfounded, [found[name]["found"] for name in unfounded]
    assert DATABASE_PASSWORD not in done.stdout + done.stderr


def test_the_log_that_postfix_put_aside_still_counts(home: DebianServer) -> None:
    """Postfix packs it itself; what it says of the day is not lost."""
    assert home.send_mail(f"jane@{HOME}")[0] == 250
    before = findings(home)["mail-log"]["found"].partition(" back to ")[2]
    home.check(["postfix", "logrotate"])
    assert wait_until(lambda: not home.path("/var/log/mail.log").exists(), PATIENCE)
    found = findings(home)["mail-log"]
    assert re.match(r"read /var/log/mail\.log\.[0-9-]+\.gz, /var/log/dovecot\.log back to ", found["found"])
    assert (found["state"], found["found"].partition(" back to ")[2]) == ("ok", before)
