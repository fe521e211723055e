"""Generated configurations of Dovecot and Postfix, found by mailquota itself: equal, from the witness, or told.

What a failure prints is the configuration with its seed; ``python -m tests.truth.configs SERIES KIND SEED`` has it
again. Of kinds that once differed an example is tried besides.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.mailserver.dovecot import Dovecot
from tests.mailserver.fixture import require_mailserver, require_servers
from tests.mailserver.mariadb import MariaDB
from tests.mailserver.series import dovecot_series
from tests.real.aliasing import Table, tables
from tests.truth.configs.checking import Checked, check_all, checkers, outcomes
from tests.truth.configs.generating import generate, kinds
from tests.truth.configs.judging import SILENT, table
from tests.truth.configs.mapping import MAP_KINDS, map_checker, mappings
from tests.truth.configs.maps import Mapping
from tests.truth.configs.model import Configuration, Series
from tests.truth.scale import LONG, SEED, count, report
from tests.truth.scale import generate as drawn

pytestmark = [pytest.mark.server, pytest.mark.timeout(7200)]

_AT_ONCE = 40  # mappings
_FIRST = SEED if LONG else 20_000  # a short run has the same configurations each time, a long one others
_SERIES: tuple[Series, ...] = ("2.3", "2.4")
# Of kinds that once differed in silence, the seed of an example.
DIFFERED: dict[tuple[str, str], int] = {
    ("2.3", "options"): 203, ("2.3", "namespaces"): 300, ("2.3", "mail column"): 302, ("2.3", "rules"): 303,
    ("2.3", "user rules"): 300, ("2.3", "names"): 205, ("2.3", "messages"): 300, ("2.3", "graces"): 300,
    ("2.3", "drivers"): 5010, ("2.3", "mixed"): 302,
    ("2.4", "options"): 101, ("2.4", "namespaces"): 102, ("2.4", "mail column"): 104, ("2.4", "rules"): 103,
    ("2.4", "names"): 3139757282, ("2.4", "messages"): 100, ("2.4", "graces"): 5009, ("2.4", "mixed"): 103,
}  # fmt: skip
_USERS = ("a@c.example",)
# The same of maps.
DIFFERED_MAPS: dict[str, Mapping] = {
    "sql": Mapping(
        0, Table(("a@c.example", "b@c.example"), (("@c.example", "b@c.example"), ("b@c.example",) * 2),
                 ("a@c.example",)), ("aliases",), (0, 0), (),
    ),
    "types": Mapping(0, Table(_USERS, (("x@c.example", _USERS[0]),), ("x@c.example",)), ("texthash",), (0,), ()),
    "canonical": Mapping(0, Table(_USERS, (), ("x@c.example",)), ("email2email",), (), (("x@c.example", _USERS[0]),)),
}  # fmt: skip


@pytest.mark.parametrize(
    ("series", "kind"),
    [
        pytest.param(series, kind, id=f"{series} {kind}", marks=[pytest.mark.dovecot(series)])
        for series in _SERIES
        for kind in kinds(series)
    ],
)
def test_no_configuration_differs_in_silence(series: Series, kind: str) -> None:
    require_servers(*MariaDB.programs, *Dovecot.programs)
    examples = [generate(series, kind, DIFFERED[series, kind])] if (series, kind) in DIFFERED else []
    wanted: list[Configuration] = [
        *examples,
        *(generate(series, kind, _FIRST + number) for number in range(count(4, 100))),
    ]
    with checkers() as at_hand:
        done = check_all(at_hand, wanted)
    print(table({f"{series} {kind}": outcomes(done)}))
    assert _compared(done), "nothing was compared"
    report(f"configurations {series} {kind}", len(done), [str(one) for one in done if one.silent])


def _compared(done: list[Checked]) -> bool:
    """Whether most of them started: a generator that only makes what Dovecot refuses would find no difference."""
    return sum(bool(checked.results) for checked in done) * 2 > len(done)


@pytest.mark.parametrize("kind", MAP_KINDS)
def test_no_mail_goes_elsewhere_in_silence(kind: str) -> None:
    """In parts, as each mapping has three services of its own in one Postfix."""
    require_mailserver()
    wanted = mappings(kind, drawn(tables(), count(20, 400), 14), SEED)
    wanted += [DIFFERED_MAPS[kind]] if kind in DIFFERED_MAPS else []
    results = []
    for start in range(0, len(wanted), _AT_ONCE):
        with map_checker() as compare:
            results += compare(dovecot_series() or "2.3", wanted[start : start + _AT_ONCE])
    print(table({f"maps {kind}": Counter(result.outcome for result in results)}))
    report(f"maps {kind}", len(results), [result.text for result in results if result.outcome == SILENT])


def test_the_same_seed_gives_the_same_configuration() -> None:
    for series in _SERIES:
        for kind in kinds(series):
            for seed in range(count(20, 500)):
                once, again = generate(series, kind, seed), generate(series, kind, seed)
                assert str(once) == str(again)
                assert once.accounts
            assert len({str(generate(series, kind, seed)) for seed in range(20)}) > 1 + 10 * LONG
