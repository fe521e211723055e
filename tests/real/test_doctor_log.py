"""The doctor reads the log of servers as an administrator's Debian has them, without any settings of ours."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mailquota.core.doctor.log.checks import LOG_CHECKS
from tests.mailserver.debian import DebianServer
from tests.real.beside import wait_until

pytestmark = pytest.mark.server

NAMES = [check.name for check in LOG_CHECKS]


def findings(server: DebianServer) -> dict[str, dict[str, Any]]:
    """Those about the log."""
    done = server.mailquota("doctor", "--json")
    return {found["check"]: found for found in json.loads(done.stdout) if found["check"] in NAMES}


def all_green(server: DebianServer) -> bool:
    """After a change of settings all that was logged before it is past; the log has whole seconds."""
    server.check(["touch", "/etc/dovecot/dovecot.conf", "/etc/postfix/main.cf"])
    return {found["state"] for found in findings(server).values()} == {"ok"}


def test_a_healthy_server_has_a_healthy_log(ispmail: DebianServer) -> None:
    """Mail that arrives and mail that is refused at RCPT are no trouble, on 2.3 and on 2.4."""
    server = ispmail
    wait_until(lambda: all_green(server), "what other tests broke is past")
    server.add_user("arrives@example.org", 10_000_000)
    server.add_user("healthy@example.org", 10_000)
    assert server.send_mail("arrives@example.org", size=2000)[0] == 250
    assert server.deliver_lmtp("healthy@example.org", 6000)[0] == 250
    server.set_quota("healthy@example.org", 4000)
    server.wait_queue_empty()
    assert server.send_mail("healthy@example.org", size=2000)[0] == 452
    wait_until(lambda: "healthy@example.org 1" in findings(server)["refusals"]["found"], "the log tells")
    found = findings(server)
    assert {name: (one["state"], one["found"]) for name, one in found.items() if one["state"] != "ok"} == {}
    assert list(found) == NAMES
    assert found["mail-log"]["found"].startswith("read /var/log/mail.log, /var/log/")
    assert "/var/log/dovecot.log back to" in found["mail-log"]["found"]


def test_empty_answers_of_2_4_and_their_end(trixie: DebianServer) -> None:
    """A mail larger than the whole limit of a full mailbox gets in, and bounces; the fix, run as it is, ends that."""
    trixie.add_user("large@example.org", 10_000)
    assert trixie.deliver_lmtp("large@example.org", 6000)[0] == 250
    trixie.set_quota("large@example.org", 4000)
    with trixie.kept("/etc/dovecot"):
        wait_until(lambda: all_green(trixie), "what other tests broke is past")
        assert trixie.send_mail("large@example.org", size=8000, announce_size=True)[0] == 250
        trixie.wait_queue_empty()
        wait_until(lambda: findings(trixie)["bounces"]["state"] == "warn", "the log tells")
        found = findings(trixie)
        assert found["empty-answers"]["state"] == "fail"
        assert "unix:private/quota-status gave an empty answer" in found["empty-answers"]["found"]
        assert "large@example.org 1" in found["bounces"]["found"]
        trixie.check(["sh", "-e", "-c", found["empty-answers"]["fix"]])
        wait_until(lambda: all_green(trixie), "the log is green")
        assert trixie.send_mail("large@example.org", size=8000, announce_size=True)[0] == 452
