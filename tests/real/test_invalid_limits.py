"""Limits of the database that are none: what Dovecot makes of each is what mailquota says."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.mailserver.debian import PRIVATE, DebianServer

pytestmark = pytest.mark.server

JOHN = "limits@example.org"
# as they stand in a column of text; what Dovecot takes stands beside, in bytes as JSON has them
TAKEN: dict[str, int | None] = {"0": None, "00": None, "5000": 5000, str(2**63 - 1): 2**63 - 1}
REFUSED = ["-5", "-1", "", "abc", "1.5", "5e3", " 5000", "+5000", str(2**64)]


@pytest.fixture
def server(ispmail: DebianServer) -> Iterator[DebianServer]:
    """Dovecot 2.3 and 2.4; the limits are texts."""
    server = ispmail
    server.add_user(JOHN, 1_000_000)
    server.sql("ALTER TABLE virtual_users MODIFY quota VARCHAR(40) NOT NULL DEFAULT '0'")
    yield server
    server.sql("DELETE FROM virtual_users WHERE email = %s", JOHN)
    server.sql("ALTER TABLE virtual_users MODIFY quota BIGINT NOT NULL DEFAULT 0")


def set_to(server: DebianServer, text: str) -> None:
    server.sql("UPDATE virtual_users SET quota = %s WHERE email = %s", text, JOHN)


def dovecot(server: DebianServer) -> str:
    """What its policy service answers."""
    with server.network(), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(server.path(f"{PRIVATE}/quota-status")))
        client.sendall(f"request=smtpd_access_policy\nprotocol_state=RCPT\nrecipient={JOHN}\nsize=9\n\n".encode())
        return client.recv(1000).decode().strip()


def ours(server: DebianServer) -> tuple[dict[str, Any], dict[str, Any]]:
    """The account, and the decision about a mail to it."""
    rows = json.loads(server.mailquota("list", JOHN, "--json").stdout)
    decision = json.loads(server.mailquota("explain", JOHN, "--size", "9", "--json").stdout)
    return next(row for row in rows if row["address"] == JOHN), decision


def test_what_dovecot_takes(server: DebianServer) -> None:
    for text, limit in TAKEN.items():
        set_to(server, text)
        row, decision = ours(server)
        assert dovecot(server) == "action=DUNNO"
        assert (row["limit_bytes"], row["why"], decision["verdict"]) == (limit, None, "accept")


def test_what_dovecot_refuses(server: DebianServer) -> None:
    """Not unlimited, and not gone from the list: unknown, with what stands in the database."""
    for text in REFUSED:
        set_to(server, text)
        row, decision = ours(server)
        assert dovecot(server) == "action=DEFER_IF_PERMIT Temporary internal error"
        assert (row["level"], row["used_bytes"], row["percent"]) == ("unknown", None, None)
        assert row["limit_bytes"] < 0
        assert text in row["why"]
        assert (decision["verdict"], text in decision["why"]) == ("trouble", True)


def test_the_doctor_tells(server: DebianServer) -> None:
    set_to(server, "-5")
    assert "invalid" in server.mailquota("list", JOHN).stdout
    assert "is -5, and Dovecot loads no user with a limit below 0" in server.mailquota("show", JOHN).stdout
    found = {one["check"]: one for one in json.loads(server.mailquota("doctor", "--json").stdout)}
    assert found["limits-valid"]["state"] == found["quota-limits"]["state"] == "fail"
    assert f"{JOHN}: its limit in the database is -5" in found["limits-valid"]["found"]
    assert f"mailquota set {JOHN}" in found["limits-valid"]["fix"]
    set_to(server, "0")
    found = {one["check"]: one for one in json.loads(server.mailquota("doctor", "--json").stdout)}
    assert found["limits-valid"]["state"] == found["quota-limits"]["state"] == "ok"
