"""The tutorial's servers where no systemd runs: how mailquota is started, asked, and taken back, and as whom."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.mailserver.debian import DebianServer
from tests.mailserver.fixture import require_servers
from tests.mailserver.mariadb import DATABASE_PASSWORD
from tests.mailserver.process import wait_until
from tests.mailserver.series import ispmail_recipe

pytestmark = pytest.mark.server

JOHN, JANE = "john@example.org", "jane@example.org"
SETTINGS = "/etc/mailquota/mailquota.toml"
LOG = "/var/log/mailquota.log"
RESTRICTIONS = "smtpd_recipient_restrictions"
THEIRS = "check_policy_service unix:private/quota-status"
OURS = "check_policy_service { unix:private/mailquota, timeout=10s, default_action=DUNNO }"
SECONDS = 60.0
# The tests' mailquota is not installed there.
PLACES = {"LD_LIBRARY_PATH": "/mnt/python/lib", "PYTHONPATH": "/mnt/product/packaging:/mnt/packages"}


@pytest.fixture
def server() -> Iterator[DebianServer]:
    """Postfix asks quota-status. John's mailbox is full, Jane's is not."""
    require_servers(*DebianServer.programs)
    with DebianServer(ispmail_recipe()) as new:
        new.add_user(JOHN, 5000)
        new.add_user(JANE, 5_000_000)
        new.deliver_lmtp(JOHN, size=5200)
        yield new


def asked(server: DebianServer) -> str:
    """The restrictions that Postfix has."""
    return server.check(["postconf", "-h", RESTRICTIONS]).strip()


def starts(text: str) -> list[str]:
    """The lines that start it, of what install prints: cron's, runit's, start-stop-daemon's, and one for now."""
    lines = [line.removeprefix("#").strip() for line in text.splitlines() if "--serve" in line]
    return [line.removeprefix("@reboot root ") for line in lines]


def in_background(server: DebianServer, line: str, user: str | None = None) -> None:
    """As cron, runit or an administrator runs it."""
    command = ["sh", "-c", f"{{ {line.removesuffix('&')} & }} > /dev/null 2>&1 < /dev/null", "sh"]
    server.run(command, user, environ=PLACES)


def answers(server: DebianServer) -> bool:
    return server.mailquota("status").returncode == 0


def end(server: DebianServer) -> None:
    """By the process that status names."""
    done = server.mailquota("status")
    (pid,) = re.findall(r"^process +([0-9]+) ", done.stdout, re.MULTILINE)
    server.check(["kill", pid])
    assert wait_until(lambda: not answers(server), SECONDS)


def finding(server: DebianServer, check: str) -> dict[str, str]:
    found: list[dict[str, str]] = json.loads(server.mailquota("doctor", "--json").stdout)
    return next(one for one in found if one["check"] == check)


def test_each_way_of_starting_it_keeps_the_log(server: DebianServer) -> None:
    """With the time of each line, which a file does not add."""
    lines = starts(server.mailquota("install", "--apply", "--yes").stdout)
    assert [line.split()[0] for line in lines][1:] == ["exec", "start-stop-daemon", "setsid"]
    for line in lines:
        in_background(server, line)
        assert wait_until(lambda: answers(server), SECONDS), line
        log = server.path(LOG).read_text()
        assert re.search(r"^[0-9-]{10} [0-9:]{8},[0-9]{3} INFO answering on unix:", log, re.MULTILINE), (line, log)
        end(server)
        server.check(["rm", LOG])


def test_postfix_asks_it_only_when_it_answers_and_nobody_is_unchecked_meanwhile(server: DebianServer) -> None:
    """Until then quota-status decides, whatever fix of the doctor's is run; and by a line that is told, afterwards."""
    before = asked(server)
    assert before.endswith(THEIRS)
    done = server.mailquota("install", "--apply", "--yes")
    assert done.returncode == 3
    assert "waits until mailquota answers on unix:" in done.stderr
    for check in ("policy-service-listed", "two-enforcers", "engine"):
        if fix := finding(server, check)["fix"]:
            server.check(["sh", "-ec", fix])
        assert asked(server) == before
    assert server.send_mail(JOHN)[0] == 452
    in_background(server, starts(done.stdout)[-1])
    assert wait_until(lambda: answers(server), SECONDS)
    again = server.mailquota("install", "--apply", "--yes")
    assert again.returncode == 0, again.stderr
    assert asked(server) == f"{before}, {OURS}"
    server.check(["sh", "-ec", finding(server, "two-enforcers")["fix"]])
    assert asked(server) == f"reject_unauth_destination, {OURS}"
    assert server.send_mail(JOHN)[0] == 452
    assert server.send_mail(JANE)[0] == 250
    _take_back(server, before)


def _take_back(server: DebianServer, before: str) -> None:
    """What is left is told, with lines that do as they say."""
    server.write("/etc/cron.d/mailquota", "@reboot root mailquota --serve\n")
    done = server.mailquota("uninstall", "--apply", "--yes")
    assert done.returncode == 0, done.stderr
    assert asked(server) == "reject_unauth_destination"
    assert server.send_mail(JOHN)[0] == 250
    lines = done.stderr.splitlines()
    assert "# No policy server checks quotas then: mail to a full mailbox is accepted, and bounces later." in lines
    assert "# Still there, and starts mailquota again: /etc/cron.d/mailquota" in lines
    told = [line for line in lines if line.startswith(("postconf ", "postfix ", "kill "))]
    server.check(["sh", "-ec", "\n".join(told)])
    assert asked(server) == before
    assert server.send_mail(JOHN)[0] == 452
    assert wait_until(lambda: not answers(server), SECONDS)


def test_a_purge_names_what_it_keeps(server: DebianServer) -> None:
    """Settings that were written, and edited, before the installation."""
    server.check(["sh", "-ec", f"mkdir -p /etc/mailquota && mailquota config --write {SETTINGS}"])
    server.write("/etc/mailquota/password", "secret\n", 0o600)
    server.mailquota("install", "--apply", "--yes")
    server.check(["umount", "/var/lib/mailquota"])  # it is a disk of its own in the tests' world
    done = server.mailquota("uninstall", "--purge", "--apply", "--yes")
    assert done.returncode == 0, done.stderr
    assert f"mailquota: {SETTINGS} is kept: it was there before the installation\n" in done.stderr
    assert "# These files stay: /etc/mailquota/password" in done.stderr
    assert server.path(SETTINGS).exists()


@pytest.fixture
def trixie_server() -> Iterator[DebianServer]:
    """Dovecot 2.4, whose settings have the password of the database in them, and are closed to the mail user."""
    require_servers(*DebianServer.programs)
    with DebianServer("trixie") as new:
        new.add_user(JOHN, 50_000)
        new.deliver_lmtp(JOHN, size=5200)
        yield new


@pytest.mark.dovecot("2.4")
def test_the_mail_user_is_told_what_it_needs_and_then_does_everything(trixie_server: DebianServer) -> None:
    """Its password file, its places, where Postfix asks, and what doveadm is: by what install prints."""
    server = trixie_server
    text = server.mailquota("install", "--apply", "--yes").stdout
    refused = server.mailquota("--serve", user="vmail")
    assert refused.returncode == 2
    assert "can't be read: Permission denied" in refused.stderr.splitlines()[0]
    assert '[accounts]\npassword_file = "/etc/mailquota/password"\n' in refused.stderr
    told = _as_owner(text)
    server.check(["sh", "-ec", "\n".join(line for line in told if line.startswith("install "))])
    server.write("/etc/mailquota/password", f"{DATABASE_PASSWORD}\n", 0o400, "vmail")
    for line in (line for line in told if " = " in line):
        key = line.partition(" = ")[0]
        server.check(["sed", "-i", f"0,/^{key} = /s|^{key} = .*|{line}|", SETTINGS])
    settings = server.path(SETTINGS).read_text()
    assert 'doveadm = "off"' in settings
    start = starts(text)[-1].replace("setsid", "setsid setpriv --reuid=vmail --regid=vmail --init-groups")
    in_background(server, start)
    assert wait_until(lambda: answers(server), SECONDS), server.path(LOG).read_text()
    assert server.mailquota("install", "--apply", "--yes").returncode == 0
    assert "inet:127.0.0.1:12345" in asked(server)
    for words in (("recalc", JOHN), ("warn", "90", JOHN)):
        done = server.mailquota(*words)
        assert (done.returncode, done.stderr) == (0, "")
    end(server)


def _as_owner(text: str) -> list[str]:
    """The lines that are for a shell or the settings, of what it takes to do without root."""
    part = text.partition("without root, it takes this:")[2]
    return [line.removeprefix("#").strip().removeprefix("and: ") for line in part.splitlines()]


@pytest.mark.dovecot("2.4")
def test_with_a_doveadm_that_is_closed_to_it_the_mail_user_does_without(trixie_server: DebianServer) -> None:
    """And no line of doveconf's is all that it hears."""
    server = trixie_server
    server.check(["sh", "-ec", f"mkdir -p /etc/mailquota && mailquota config --write {SETTINGS}"])
    server.write("/etc/mailquota/password", f"{DATABASE_PASSWORD}\n", 0o400, "vmail")
    edit = 's|^password_file = .*|password_file = "/etc/mailquota/password"|; s|^driver = .*|driver = "count"|'
    server.check(["sed", "-i", edit, SETTINGS])
    server.check(["install", "-d", "-o", "vmail", "/var/lib/mailquota", "/run/mailquota"])
    recount = server.mailquota("recalc", JOHN, "--json", user="vmail")
    assert [(one["method"], one["error"]) for one in json.loads(recount.stdout)] == [("unlink", None)]
    assert recount.stderr == ""
    assert "(maildir)" in server.mailquota("warn", "90", JOHN, user="vmail").stdout
    server.check(["sed", "-i", 's|^doveadm = .*|doveadm = "/usr/bin/doveadm"|', SETTINGS])
    insisting = server.mailquota("recalc", JOHN, user="vmail")
    assert insisting.returncode == 1
    first = insisting.stderr.splitlines()[0]
    assert first.startswith("mailquota: vmail can't run Dovecot's tools (")
    assert f'doveadm = "off" in [mailstore] of {SETTINGS} does without' in first
