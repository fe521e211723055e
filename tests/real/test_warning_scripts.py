"""Dovecot's quota-warning service beside mailquota, and with mailquota in the place of its script."""

from __future__ import annotations

import email
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import pytest

from tests.mailserver.debian import PRIVATE, DebianServer
from tests.mailserver.mail import SENDER, greets
from tests.mailserver.process import wait_until

pytestmark = pytest.mark.server

SECONDS = 90.0
LIMIT, MAIL = 1_000_000, 50_000
SETTINGS = "/etc/mailquota/mailquota.toml"
COMMAND = "/usr/local/bin/mailquota"
CALLS = "/var/log/mailquota-calls"
DOVECOTS_LOG = "/var/log/dovecot.log"
DOCS = Path(__file__).parents[2] / "docs" / "warnings.md"
# An exit code and its words for each call; the command itself is as it was.
NOTED = f"""#!/bin/sh
[ "$1" = warn ] || exec {COMMAND}.real "$@"
{COMMAND}.real "$@"
code=$?
echo "$code $*" >> {CALLS}
exit $code
"""


@pytest.fixture
def server(ispmail: DebianServer) -> Iterator[DebianServer]:
    """Dovecot 2.3 or 2.4, with the recipe's script. What Dovecot runs can be seen."""
    server = ispmail
    server.check(["mv", COMMAND, f"{COMMAND}.real"])
    server.write(COMMAND, NOTED, 0o755)
    server.write(CALLS, "", 0o666)
    try:
        with server.kept():
            yield server
    finally:
        server.check(["mv", f"{COMMAND}.real", COMMAND])
        server.run(["sh", "-c", f"rm -rf {SETTINGS} {CALLS}"])
        assert wait_until(lambda: lmtp_greets(server), SECONDS)


@contextmanager
def serving(server: DebianServer) -> Iterator[None]:
    """An engine of root's."""
    with server.popen(["mailquota", "--serve"]) as engine:
        try:
            assert wait_until(lambda: server.mailquota("status").returncode == 0, SECONDS)
            yield
        finally:
            engine.terminate()


def lmtp_greets(server: DebianServer) -> bool:
    return greets(server.path(f"{PRIVATE}/dovecot-lmtp"))


def reload(server: DebianServer) -> None:
    """Its listeners are made anew."""
    server.check(["doveadm", "reload"])
    assert wait_until(lambda: lmtp_greets(server) and lmtp_greets(server), SECONDS)


def fill(server: DebianServer, address: str, percent: int) -> None:
    """Up to so much of its limit."""
    while server.quota(address)[0] * 1024 < LIMIT * percent // 100:
        assert server.deliver_lmtp(address, size=MAIL)[0] == 250


def warnings(server: DebianServer, address: str) -> list[EmailMessage]:
    """All mails that nobody sent."""
    user, _, domain = address.partition("@")
    files = sorted(server.path(f"/var/vmail/{domain}/{user}/Maildir").glob("[nc][eu][wr]/*"))
    mails = [email.message_from_bytes(file.read_bytes(), policy=default) for file in files]
    return [mail for mail in mails if mail["From"] != SENDER]


def of_ours(mails: list[EmailMessage]) -> int:
    return sum(mail["Auto-Submitted"] is not None for mail in mails)


def called(server: DebianServer, *words: str) -> bool:
    """Whether a call has ended, and ended well."""
    return f"0 warn {' '.join(words)}\n" in server.path(CALLS).read_text()


def finding(server: DebianServer) -> dict[str, str]:
    found: list[dict[str, str]] = json.loads(server.mailquota("doctor", "--json").stdout)
    return next(one for one in found if one["check"] == "quota-warning-twice")


def test_the_script_and_mailquota_tell_twice_until_one_of_them_does_it(server: DebianServer) -> None:
    """That is told by the doctor, and ended by either of the ways that it names."""
    first, second, third = (f"{name}@twice.example" for name in ("first", "second", "third"))
    server.add_users((address, LIMIT) for address in (first, second, third))
    with serving(server):
        fill(server, first, 82)
        assert wait_until(lambda: len(warnings(server, first)) == 2, SECONDS)
        assert of_ours(warnings(server, first)) == 1
        told = finding(server)
        assert (told["state"], told["found"].endswith("and mailquota warns at 80 %, 95 %")) == ("warn", True)
        with server.kept():
            server.check(["sh", "-ec", told["fix"]])
            assert wait_until(lambda: lmtp_greets(server) and lmtp_greets(server), SECONDS)
            assert finding(server)["state"] == "ok"
            fill(server, second, 82)
            assert wait_until(lambda: called(server, "80", second), SECONDS)
            shown = json.loads(server.check(["mailquota", "show", second, "--json"]))
            assert [(one["mark"], one["state"]) for one in shown["warnings"]] == [("80%", "sent")]
            assert len(warnings(server, second)) == of_ours(warnings(server, second)) == 1
        reload(server)
        server.check(["sh", "-ec", f"mkdir -p /etc/mailquota && mailquota config --write {SETTINGS}"])
        server.check(["sed", "-i", "s/^thresholds = .*/thresholds = []/", SETTINGS])
    assert finding(server)["state"] == "ok"
    with serving(server):
        fill(server, third, 82)
        assert wait_until(lambda: len(warnings(server, third)) == 1, SECONDS)
        assert of_ours(warnings(server, third)) == 0


def lines_of_the_docs(version: str) -> str:
    """What docs/warnings.md gives for a Dovecot."""
    match = re.search(rf"^Dovecot {version}.*?```\n(.*?)```", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    assert match is not None
    return match[1]


@pytest.mark.dovecot("2.4")
@pytest.mark.parametrize("engine", [True, False], ids=["handed over to an engine", "alone"])
def test_in_the_place_of_the_script_dovecot_has_nothing_to_complain(server: DebianServer, engine: bool) -> None:
    """Standard output is a socket that Dovecot 2.4 has closed. What is told: 80 %, full, room again."""
    address = f"{'with' if engine else 'without'}@place.example"
    server.add_user(address, LIMIT)
    server.check(["sh", "-ec", f"mkdir -p /etc/mailquota && mailquota config --write {SETTINGS}"])
    server.check(["sed", "-i", "s/^thresholds = .*/thresholds = []/", SETTINGS])
    server.write("/etc/dovecot/conf.d/99-zz-warnings.conf", lines_of_the_docs("2.4"))
    reload(server)
    before = len(server.path(DOVECOTS_LOG).read_text())
    if engine:
        with serving(server):
            drive(server, address)
    else:
        drive(server, address)
    log = server.path(DOVECOTS_LOG).read_text()[before:]
    assert not re.findall(r".*(?:Error|Fatal|Panic|Warning): .*", log)
    assert {line.split()[0] for line in server.path(CALLS).read_text().splitlines()} == {"0"}


def drive(server: DebianServer, address: str) -> None:
    """Over both marks and below again."""
    for percent, mark in ((82, "80"), (100, "100")):
        fill(server, address, percent)
        assert wait_until(lambda mark=mark: called(server, mark, address), SECONDS)  # type: ignore[misc]
    mails = warnings(server, address)
    assert of_ours(mails) == len(mails) >= 2
    server.check(["doveadm", "expunge", "-u", address, "mailbox", "INBOX", "all"])
    assert wait_until(lambda: called(server, "below", address), SECONDS)
    assert [mail for mail in warnings(server, address) if "room" in mail["Subject"]]
