"""The server in Debian's places is the tutorial's, works, and touches nothing outside."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mailserver.debian import PRIVATE, DebianServer
from tests.mailserver.mail import ask_policy
from tests.mailserver.process import wait_until

pytestmark = pytest.mark.server


def test_mail_goes_its_way_and_is_counted(debian: DebianServer) -> None:
    """An alias leads to the mailbox, strangers are refused, a full mailbox too, by Dovecot's own policy service."""
    debian.add_user("john@way.example", 50_000)
    debian.add_alias("jack@way.example", "john@way.example")
    assert debian.send_mail("jack@way.example", size=3000)[0] == 250
    debian.wait_queue_empty()
    assert debian.quota("john@way.example") == (4, 1)
    assert debian.send_mail("nobody@way.example")[0] == 550
    debian.set_quota("john@way.example", 1000)
    quota_status = debian.path(f"{PRIVATE}/quota-status")
    assert (
        ask_policy(quota_status, "john@way.example") == "452 4.2.2 Mailbox is full and cannot receive any more emails"
    )


def test_owners_are_warned_at_the_marks_of_the_tutorial(debian: DebianServer) -> None:
    """However full the mailbox is; the edition for Debian 13 also says when there is room again."""
    debian.add_user("john@warned.example", 100_000)

    def told() -> list[str]:
        mails = debian.run(["sh", "-c", "find /var/vmail/warned.example -path '*/new/*' -exec cat {} +"]).stdout
        return sorted(re.findall(r"^Subject: Your mailbox (.*)", mails, re.MULTILINE))

    first, last = "is 80% full", "is 100% full" if debian.recipe == "trixie" else "is 95% full"
    assert debian.deliver_lmtp("john@warned.example", size=82_000)[0] == 250
    assert wait_until(lambda: told() == [first], 20), told()
    assert debian.deliver_lmtp("john@warned.example", size=22_000)[0] == 250
    assert wait_until(lambda: told() == sorted([first, last]), 20), told()
    debian.check(["doveadm", "expunge", "-u", "john@warned.example", "mailbox", "INBOX", "larger", "50000"])
    assert debian.recipe != "trixie" or wait_until(lambda: "has room again" in told(), 20), told()


def test_smtpd_is_in_its_jail(debian: DebianServer) -> None:
    """As Debian has it, so that a socket out of reach shows."""
    line = next(line for line in debian.check(["postconf", "-M", "smtp/inet"]).splitlines() if "smtpd" in line)
    assert line.split()[4] == "y"


def test_the_host_sees_nothing_of_it(bullseye: DebianServer) -> None:
    """Its files are its own, the passwords in them are closed to others."""
    bullseye.write("/etc/mailquota/of-these-tests", "")
    assert not Path("/etc/mailquota/of-these-tests").exists()
    bullseye.path("/etc/mailquota/of-these-tests").unlink()
    for file in ("/etc/postfix/mysql-virtual-mailbox-maps.cf", "/etc/dovecot/dovecot-sql.conf.ext"):
        assert bullseye.run(["cat", file], "nobody").returncode == 1


def test_single_servers_stop_and_start(bookworm: DebianServer) -> None:
    """And what was there before is there again."""
    bookworm.add_user("john@again.example", 50_000)
    for service in ("dovecot", "postfix", "mariadb"):
        bookworm.restart(service)
    assert bookworm.deliver_lmtp("john@again.example", size=2000)[0] == 250
    assert bookworm.quota("john@again.example")[1] == 1


def test_files_are_put_back(bullseye: DebianServer) -> None:
    """Rights as well, and whatever was added is gone."""
    main = bullseye.path("/etc/postfix/main.cf")
    before = (main.read_text(), bullseye.path("/etc/dovecot/dovecot-sql.conf.ext").stat().st_mode)
    with bullseye.kept():
        bullseye.check(["postconf", "-e", "smtpd_recipient_restrictions="])
        bullseye.path("/etc/dovecot/dovecot-sql.conf.ext").chmod(0o644)
        bullseye.write("/etc/dovecot/conf.d/99-more.conf", "")
    assert (main.read_text(), bullseye.path("/etc/dovecot/dovecot-sql.conf.ext").stat().st_mode) == before
    assert not bullseye.path("/etc/dovecot/conf.d/99-more.conf").exists()


def test_programs_inside_take_signals(bullseye: DebianServer) -> None:
    """What is ended from here ends in there, with its own exit status."""
    script = "import signal; signal.signal(signal.SIGTERM, lambda *_: exit(7)); print(flush=True); signal.pause()"
    with bullseye.popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline(), "it never began"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
    assert process.returncode == 7


def test_whoever_is_killed_leaves_nothing(bullseye: DebianServer) -> None:
    """Not even SIGKILL does, while another one runs on."""
    script = """
import signal
from tests.mailserver.debian import DebianServer
with DebianServer("bullseye") as server:
    print(server.inside.pid, flush=True)
    signal.pause()
"""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stdout
        first = Path(f"/proc/{int(process.stdout.readline())}")
        assert first.exists()
        process.kill()
    # The first process of a namespace goes only when all others are gone.
    assert wait_until(lambda: not first.exists(), 20)
    assert bullseye.run(["true"]).returncode == 0
