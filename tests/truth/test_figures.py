"""Random Maildirs, measured by mailquota and by the real Dovecot: the same use, messages and Trash share."""

from __future__ import annotations

import pytest

from tests.mailserver.dovecot import Dovecot
from tests.mailserver.fixture import require_servers
from tests.mailserver.mariadb import MariaDB
from tests.truth.figures import compare
from tests.truth.peers import dovecot23
from tests.truth.scale import count, generate, report
from tests.truth.trees import orderly_trees, trees

pytestmark = [pytest.mark.server, pytest.mark.dovecot("2.3"), pytest.mark.timeout(1800)]


def test_figures_are_those_of_dovecot() -> None:
    require_servers(*MariaDB.programs, *Dovecot.programs)
    generated = generate(trees(), count(60, 1000))
    with dovecot23() as dovecot:
        report("figures, Dovecot 2.3", len(generated), compare(dovecot, generated))


def test_counted_figures_are_those_of_dovecot() -> None:
    """With its driver count: virtual sizes, and no file beside the mail that is believed."""
    require_servers(*MariaDB.programs, *Dovecot.programs)
    generated = generate(orderly_trees(), count(40, 500), 3)
    with dovecot23("count") as dovecot:
        report("figures, Dovecot 2.3, count", len(generated), compare(dovecot, generated))
