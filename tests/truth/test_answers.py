"""Random policy questions to the real quota-status of Dovecot 2.3 and to mailquota: the same answers.

Known and wanted (not counted as a difference): END-OF-MESSAGE is decided by us, and a request without a size does not
inherit the size of the request before it.
"""

from __future__ import annotations

import dataclasses

import pytest

from tests.mailserver.dovecot import Dovecot
from tests.mailserver.fixture import require_servers
from tests.mailserver.mariadb import MariaDB
from tests.truth.answering import as_recipient, compare
from tests.truth.peers import dovecot23
from tests.truth.questions import Case, cases
from tests.truth.scale import count, generate, report

pytestmark = [pytest.mark.server, pytest.mark.dovecot("2.3"), pytest.mark.timeout(1800)]

_MOST_READ = 100_000  # bytes


@pytest.mark.parametrize(("salt", "grace"), [(1, "10%"), (2, "0"), (3, "1M")])
def test_answers_are_those_of_dovecot(salt: int, grace: str) -> None:
    require_servers(*MariaDB.programs, *Dovecot.programs)
    generated = generate(cases(), count(100, 2000), salt)
    with dovecot23(grace=grace) as dovecot:
        report("answers, Dovecot 2.3", len(generated), compare(dovecot, generated, grace, as_recipient))


def for_counting(case: Case) -> Case:
    """With a maildirsize that lies, as a change of drivers leaves one, and nothing that takes long to be read."""
    mailbox = case.mailbox
    claimed = 0 if mailbox.held >= mailbox.limit else mailbox.limit
    changed = dataclasses.replace(
        mailbox,
        named=mailbox.named or mailbox.held > _MOST_READ,
        file=b"%dS\n%d 1\n" % (mailbox.limit, claimed) if mailbox.form == "file" else b"",
    )
    return dataclasses.replace(case, mailbox=changed)


def test_counted_answers_are_those_of_dovecot() -> None:
    """With its driver count."""
    require_servers(*MariaDB.programs, *Dovecot.programs)
    generated = generate(cases().map(for_counting), count(60, 1000), 4)
    with dovecot23("count") as dovecot:
        differences = compare(dovecot, generated, dovecot.grace, as_recipient)
        report("answers, Dovecot 2.3, count", len(generated), differences)
