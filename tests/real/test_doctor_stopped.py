"""The doctor where one of the three servers is stopped: it is named, with the command that starts it, and no other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.mailserver.debian import DebianServer, Service
from tests.mailserver.process import wait_until
from tests.real.test_doctor_at_home import PATIENCE, TWICE, enforcing, findings, unhealthy

pytestmark = pytest.mark.server

STOPPED: dict[Service, tuple[str, str, str]] = {
    "dovecot": ("dovecot-answers", "Dovecot does not run: nothing listens at /run/dovecot/", "systemctl start dovecot"),
    "postfix": ("postfix-running", "Postfix does not run", "systemctl start postfix"),
    "mariadb": ("accounts-database", "Connection refused", "systemctl start mariadb || systemctl start mysql"),
}


@pytest.fixture(scope="module")
def home(ispmail: DebianServer) -> Iterator[DebianServer]:
    server = ispmail
    with enforcing(server, "stopped.example"):
        if server.recipe == "trixie":  # its quota-status answers with nothing, as its package leaves it
            server.check(["sh", "-ec", findings(server)["quota-status-toolarge"]["fix"]])
        assert wait_until(lambda: not unhealthy(server), PATIENCE), unhealthy(server)
        yield server


@pytest.mark.parametrize("service", STOPPED)
def test_a_stopped_server_is_named_and_nothing_else(service: Service, home: DebianServer) -> None:
    """Whoever depends on it is skipped."""
    check, words, fix = STOPPED[service]
    home.stop(service)
    try:
        found = findings(home)
    finally:
        home.start(service)
    assert {name for name, one in found.items() if one["state"] in {"fail", "warn"}} - {TWICE} == {check}
    assert words in found[check]["found"]
    assert found[check]["fix"] == fix
    assert wait_until(lambda: not unhealthy(home), PATIENCE), unhealthy(home)
