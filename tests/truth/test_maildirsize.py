"""Each example of a maildirsize is put before the real Dovecot: what it believes, and what it counts anew."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mailquota.core.mailboxes.maildirsize import FRESH_SECONDS
from tests.core.mailboxes.test_maildirsize import ROWS
from tests.mailserver.dovecot import Dovecot
from tests.mailserver.fixture import require_servers
from tests.mailserver.mariadb import MariaDB
from tests.truth.answering import settle
from tests.truth.dovecot24 import dovecot24
from tests.truth.mailboxes import Mailbox
from tests.truth.peers import Peer, dovecot23
from tests.truth.questions import Case

LIMIT = 100_000
HELD = (("", "cur", 3000), (".Sent", "cur", 4000), ("", "new", 700))  # what a recount finds


@pytest.fixture(scope="module", params=["2.3", "2.4"])
def server(request: pytest.FixtureRequest) -> Iterator[Peer]:
    if request.param == "2.4":
        with dovecot24() as running:
            yield running
    else:
        require_servers(*MariaDB.programs, *Dovecot.programs)
        with dovecot23() as running:
            yield running


@pytest.mark.server
@pytest.mark.parametrize("server", [
    pytest.param("2.3", marks=pytest.mark.dovecot("2.3")), pytest.param("2.4", marks=pytest.mark.dovecot("2.4")),
], indirect=True)  # fmt: skip
@pytest.mark.timeout(300)
def test_dovecot_reads_them_so(server: Peer) -> None:
    rows = [row for row in ROWS.values() if row[1] != FRESH_SECONDS]  # that age would be over before it is asked about
    users = {f"r{number}": row for number, row in enumerate(rows)}
    settle(server, {
        user: Case(Mailbox(LIMIT, HELD, content, "file", age, exists=True, named=True), ())
        for user, (content, age, _) in users.items()
    })  # fmt: skip
    printed = dict(_printed(server))
    counted = (sum(size for _, _, size in HELD), len(HELD))
    expected = {user: counted if believed is None else believed for user, (_, _, believed) in users.items()}
    wanted = {user: (-(-size // 1024), messages) for user, (size, messages) in expected.items()}
    assert {user: (found, users[user]) for user, found in printed.items() if found != wanted[user]} == {}
    assert printed.keys() == users.keys()


def _printed(server: Peer) -> Iterator[tuple[str, tuple[int, int]]]:
    """Of each user the KiB, rounded up, and messages of ``doveadm quota get``."""
    lines = server.run("-f", "tab", "quota", "get", "-A").splitlines()[1:]
    for storage, message in zip(lines[::2], lines[1::2], strict=True):
        user, _, _, kib, *_ = storage.split("\t")
        yield user.partition("@")[0], (int(kib), int(message.split("\t")[3]))
