"""Random policy questions to the real quota-status of Dovecot 2.3 and to mailquota: the same answers.

Known and wanted (not counted as a difference): END-OF-MESSAGE is decided by us, and a request without a size does not
inherit the size of the request before it.
"""

from __future__ import annotations

import pytest

from tests.mailserver.dovecot import Dovecot
from tests.mailserver.fixture import require_servers
from tests.mailserver.mariadb import MariaDB
from tests.truth.answering import as_recipient, compare
from tests.truth.peers import dovecot23
from tests.truth.questions import cases
from tests.truth.scale import count, generate, report

pytestmark = [pytest.mark.server, pytest.mark.timeout(1800)]


@pytest.mark.parametrize(("salt", "grace"), [(1, "10%"), (2, "0"), (3, "1M")])
def test_answers_are_those_of_dovecot(salt: int, grace: str) -> None:
    require_servers(*MariaDB.programs, *Dovecot.programs)
    generated = generate(cases(), count(100, 2000), salt)
    with dovecot23(grace=grace) as dovecot:
        report("answers, Dovecot 2.3", len(generated), compare(dovecot, generated, grace, as_recipient))
