"""``mailquota install`` on the tutorial's servers, with no settings but those of Postfix and Dovecot."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.mailserver.debian import DebianServer
from tests.mailserver.fixture import require_servers, temporary_folder
from tests.mailserver.recipes import Recipe
from tests.mailserver.series import RECIPES
from tests.mailserver.systemd import MAILQUOTA, SystemdNamespace, systemd_namespace

pytestmark = pytest.mark.server

JOHN = "john@example.org"
BEFORE = "smtpd_recipient_restrictions = reject_unauth_destination\n"


@contextmanager
def beside_systemd(recipe: Recipe) -> Iterator[DebianServer]:
    """Postfix asks nobody about quota. John's mailbox is full."""
    require_servers(*DebianServer.programs)
    with systemd_namespace():  # the test is skipped where that can't be
        pass
    with temporary_folder() as folder, DebianServer(recipe, SystemdNamespace(folder)) as new:
        new.check(["postconf", "-e", BEFORE.strip()])
        new.check(["postfix", "reload"])
        new.add_user(JOHN, 5000)
        new.add_alias("jack@example.org", JOHN)
        new.deliver_lmtp(JOHN, size=5200)
        yield new


@pytest.fixture(params=RECIPES["2.3"])
def server(request: pytest.FixtureRequest) -> Iterator[DebianServer]:
    """Dovecot 2.3, whose tools read what the mail user may read."""
    with beside_systemd(request.param) as new:
        yield new


@pytest.fixture
def trixie_server() -> Iterator[DebianServer]:
    """Dovecot 2.4, whose settings have the password of the database in them."""
    with beside_systemd("trixie") as new:
        yield new


@pytest.mark.dovecot("2.3")
def test_one_command_makes_a_service_that_can_do_everything(server: DebianServer) -> None:
    """It reads the database by the password in Postfix's map, which its user may not read, and uses Dovecot's tools."""
    found = {one["check"]: one for one in json.loads(server.run([MAILQUOTA, "doctor", "--json"]).stdout)}
    assert found["engine"]["fix"] == "mailquota install --apply"
    server.check([MAILQUOTA, "install", "--apply", "--yes"])
    assert server.send_mail(JOHN)[0] == 452
    assert server.send_mail("jack@example.org")[0] == 452
    status = json.loads(server.check([MAILQUOTA, "status", "--json"]))
    assert (status["database"]["state"], status["refused"], status["accounts"]) == ("ok", 2, 1)
    unit = server.path("/etc/systemd/system/mailquota.service").read_text()
    assert "LoadCredential=password:/etc/postfix/" in unit
    recount = json.loads(server.check([MAILQUOTA, "recalc", JOHN, "--json"]))
    assert [(one["method"], one["error"]) for one in recount] == [("doveadm", None)]
    assert "(dovecot-lda)" in server.check([MAILQUOTA, "warn", "90", JOHN, "--again"])
    server.check([MAILQUOTA, "uninstall", "--apply", "--yes"])
    assert server.check(["postconf", "-n", "smtpd_recipient_restrictions"]) == BEFORE
    assert server.send_mail(JOHN)[0] == 250


@pytest.mark.dovecot("2.4")
def test_where_dovecots_settings_are_closed_it_does_without(trixie_server: DebianServer) -> None:
    """No tool of Dovecot's runs as the mail user then: figures, recounts and warnings are mailquota's own."""
    done = trixie_server.run([MAILQUOTA, "install", "--apply", "--yes"])
    assert done.returncode == 0, done.stderr
    assert "vmail can't run Dovecot's tools" in done.stderr
    assert "auth-sql.conf.ext: Permission denied" in done.stderr
    assert trixie_server.send_mail("jack@example.org")[0] == 452
    john = json.loads(trixie_server.check([MAILQUOTA, "show", JOHN, "--json"]))
    assert (john["source"], john["level"]) == ("scan", "over")
    recount = json.loads(trixie_server.check([MAILQUOTA, "recalc", JOHN, "--json"]))
    assert [one["error"] for one in recount] == [None]
    assert "(maildir)" in trixie_server.check([MAILQUOTA, "warn", "90", JOHN, "--again"])
