"""Mails whose names say sizes that they have not, as another program may leave them: Dovecot's witness, and its fix."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.mailserver.debian import DebianServer
from tests.real.beside import wait_until

pytestmark = pytest.mark.server

JOHN = "sizes@example.org"
MAILDIR = "/var/vmail/example.org/sizes/Maildir"
MAIL = b"Subject: x\n\n" + b"x" * 5000 + b"\n"  # 5016 virtual bytes
BOTH_WRONG = "1700000001.M1P1.host,S=1000,W=1003:2,S"
NO_VIRTUAL = "1700000002.M1P1.host,S=1000:2,"
TOO_LARGE = "1700000003.M1P1.host,S=9999:2,S"
RIGHT = "1700000004.M1P1.host,S=5013,W=5016:2,S"


@pytest.fixture
def server(ispmail: DebianServer) -> Iterator[DebianServer]:
    """Dovecot 2.3 and 2.4 with the quota driver count; john has a Sent folder."""
    server = ispmail
    server.mariadb.clear()  # of many accounts the doctor asks about some
    server.add_user(JOHN, 1_000_000)
    server.check(["doveadm", "mailbox", "create", "-u", JOHN, "Sent"])
    yield server
    server.check(["rm", "-r", "/var/vmail/example.org/sizes"])
    server.sql("DELETE FROM virtual_users WHERE email = %s", JOHN)


def put(server: DebianServer, *places: str) -> None:
    """The mail under these names, as other programs leave them."""
    for place in places:
        server.write(f"{MAILDIR}/{place}", MAIL.decode())
    server.check(["chown", "-R", "vmail:vmail", MAILDIR])


def finding(server: DebianServer, check: str) -> dict[str, Any]:
    done = server.mailquota("doctor", "--json")
    (found,) = (found for found in json.loads(done.stdout) if found["check"] == check)
    assert isinstance(found, dict)
    return found


def vsizes(server: DebianServer) -> list[str]:
    """What each mailbox holds by Dovecot."""
    return server.check(["doveadm", "mailbox", "status", "-u", JOHN, "messages vsize", "*"]).splitlines()


def test_a_recount_that_dovecot_could_not_do(server: DebianServer) -> None:
    """doveadm ends with 0; that it failed stands on its standard error alone."""
    put(server, f"cur/{NO_VIRTUAL}")
    done = server.run(["doveadm", "quota", "recalc", "-u", JOHN])
    assert (done.returncode, "Recalculating quota failed" in done.stderr) == (0, True)
    done = server.mailquota("recalc", JOHN)
    assert done.returncode == 1
    assert f"{JOHN}: doveadm: Recalculating quota failed: " in done.stderr
    assert done.stdout == ""
    (result,) = json.loads(server.mailquota("recalc", JOHN, "--json").stdout)
    assert (result["after_bytes"], "smaller than expected" in result["error"]) == (None, True)


def test_the_fix_mends_it(server: DebianServer) -> None:
    """Run as it is: Dovecot counts what is there, the mails can be read, and the doctor is content."""
    put(server, f"cur/{BOTH_WRONG}", f"cur/{NO_VIRTUAL}", f"cur/{TOO_LARGE}", f"cur/{RIGHT}")
    put(server, f".Sent/new/{BOTH_WRONG.partition(':')[0]}")
    assert server.deliver_lmtp(JOHN, 2000)[0] == 250
    wait_until(lambda: finding(server, "quota-errors")["state"] == "warn", "the log tells")
    found = finding(server, "quota-errors")
    assert f"{JOHN}: Failed to get quota resource" in found["found"]
    limits = finding(server, "quota-limits")
    assert (limits["state"], limits["fix"]) == ("fail", found["fix"])
    assert f"{JOHN}: Dovecot can't count its usage: " in limits["found"]
    server.check(["sh", "-e", "-c", found["fix"]])
    assert "Sent messages=1 vsize=5016" in vsizes(server)
    inbox = next(line for line in vsizes(server) if line.startswith("INBOX messages=5 "))
    delivered = int(inbox.rpartition("=")[2]) - 4 * 5016
    assert 2000 < delivered < 3000
    read = server.run(["doveadm", "fetch", "-u", JOHN, "text", "all"])
    assert (read.returncode, read.stderr) == (0, "")
    assert RIGHT in server.check(["ls", f"{MAILDIR}/cur"]).split()
    (result,) = json.loads(server.mailquota("recalc", JOHN, "--json").stdout)
    assert (result["error"], result["after_bytes"]) == (None, 5 * 5016 + delivered)
    assert {finding(server, check)["state"] for check in ("quota-errors", "quota-limits")} == {"ok"}


def test_a_size_that_only_a_reader_meets(server: DebianServer) -> None:
    """Dovecot counts 1003 bytes without a word, and complains when somebody reads the mail."""
    put(server, f"cur/{BOTH_WRONG}")
    assert "INBOX messages=1 vsize=1003" in vsizes(server)
    words = r"printf '1 select INBOX\n2 fetch 1 body[]\n3 logout\n' | doveadm exec imap -u "
    said = server.run(["sh", "-c", f"{words}{JOHN} 2>&1"]).stdout
    complaint = next(line for line in said.splitlines() if "Cached message size" in line)
    log = server.path("/var/log/dovecot.log")
    log.write_text(f"{log.read_text()}{server.check(['date', '+%b %d %T']).strip()} {complaint}\n")
    found = finding(server, "quota-errors")
    assert (found["state"], f"{JOHN}: read({MAILDIR}/cur/{BOTH_WRONG}) failed" in found["found"]) == ("warn", True)
    server.check(["sh", "-e", "-c", found["fix"]])
    assert "INBOX messages=1 vsize=5016" in vsizes(server)
    assert finding(server, "quota-errors")["state"] == "ok"
