"""Each example of a maildirsize is put before the real Dovecot: what it believes, and what it counts anew."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mailquota.core.mailboxes.maildirsize import FRESH_SECONDS, must_recount, parse
from tests.core.mailboxes.test_maildirsize import ROWS
from tests.fuzzing.test_corpus import inputs
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


@pytest.mark.server
@pytest.mark.parametrize("server", [
    pytest.param("2.3", marks=pytest.mark.dovecot("2.3")), pytest.param("2.4", marks=pytest.mark.dovecot("2.4")),
], indirect=True)  # fmt: skip
@pytest.mark.timeout(300)
def test_dovecot_reads_inputs_of_the_corpus_as_we_do(server: Peer) -> None:
    """Also below a header with the limit of the account, by which more of them are believed."""
    bodies = [path.read_bytes() for path in inputs("maildirsize")]
    texts = [*bodies, *(b"100000S\n" + body.partition(b"\n")[2] for body in bodies)]
    users = {f"c{number}": text for number, text in enumerate(texts)}
    settle(server, {
        user: Case(Mailbox(LIMIT, HELD, text, "file", 0, exists=True, named=True), ()) for user, text in users.items()
    })  # fmt: skip
    printed = {user: found for user, found in _printed(server) if user in users}
    counted = (sum(size for _, _, size in HELD), len(HELD))
    expected = {}
    for user, text in users.items():
        size = parse(text)
        believed = size is not None and not must_recount(size, LIMIT, None, 0)
        used, messages = (size.used, size.messages) if size is not None and believed else counted
        expected[user] = (-(-used // 1024), messages)
    assert {user: (found, users[user]) for user, found in printed.items() if found != expected[user]} == {}
    assert printed.keys() == users.keys()
    assert len(set(expected.values())) > 3  # some are believed, some counted


def _printed(server: Peer) -> Iterator[tuple[str, tuple[int, int]]]:
    """Of each user the KiB, rounded up, and messages of ``doveadm quota get``."""
    lines = server.run("-f", "tab", "quota", "get", "-A").splitlines()[1:]
    for storage, message in zip(lines[::2], lines[1::2], strict=True):
        user, _, _, kib, *_ = storage.split("\t")
        yield user.partition("@")[0], (int(kib), int(message.split("\t")[3]))
