"""The history of the mailboxes of the demo world in the last months, as an engine would have written it.

Each history ends with the usage on disk, so that an engine that starts finds no change. That of a *filling* owner goes
up and down like a saw, that of a *stuck* one grew until some weeks ago; some did not change, and one had an import.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from ..base.growth import DAY
from ..base.mysql import Target
from ..base.units import format_size
from ..history.database import StateDatabase
from ..history.journal import JournalEntry
from ..history.samples import AccountUsage, Samples
from .people import Habit, Person, Record
from .story import write_story

Shape = Callable[[float], float]  # the share of the present usage, by days ago

_DAYS = 90
_IDLE_SINCE = 120  # days ago
_FINE_DAYS = 3  # days with more than one sample
_FINE_STEP = 1 / 8  # days
_IMPORTER, _IMPORTED_AT = "photos@club.example", 2.5  # days ago
_IMPORTED = 0.35  # of its present usage
_GROWERS = {"sales@example.com": 0.009, "invoices@shop.example": 0.004, "archive@example.org": 0.003}  # a day


def write_past(path: Path, people: Sequence[Person], now: float) -> None:
    """Make the state database at ``path``, with a history of these mailboxes. Raises StateError."""
    with closing(StateDatabase(Target("sqlite", path=path))) as state:
        samples, known = Samples(state), [person for person in people if person.record is not Record.BROKEN]
        shapes = {person.address: _shape(person) for person in known}
        for back in _moments():
            figures = [_figure(person, shapes[person.address](back)) for person in known]
            samples.write(figures, now - back * DAY)
        samples.compute_trends({person.address: person.limit for person in known}, now)
        write_story(state, people, now, _jumps(people, now))


def _moments() -> Iterator[float]:
    """The times of samples, as days before the present, oldest first; 0 at the end."""
    yield _IDLE_SINCE
    yield from range(_DAYS, _FINE_DAYS, -1)
    for step in range(int(_FINE_DAYS / _FINE_STEP), 0, -1):
        yield step * _FINE_STEP
    yield 0


def _figure(person: Person, share: float) -> AccountUsage:
    return AccountUsage(person.address, int(person.used * share), int(person.messages * share))


def _shape(person: Person) -> Shape:
    rng = random.Random(person.address)
    if person.address in _GROWERS:
        return _growing(_GROWERS[person.address], 0, rng)
    if person.address == _IMPORTER:
        return lambda back: 1 - (_IMPORTED if back > _IMPORTED_AT else 0) - back * 0.0005
    if person.habit is Habit.FILLING:
        return _saw(rng.uniform(15, 40), rng.uniform(0.55, 0.8))
    if person.habit is Habit.STUCK:
        return _growing(rng.uniform(0.004, 0.009), 9, rng)
    roll = rng.random()
    if roll < 0.2:
        return lambda _back: 1.0
    return _growing(rng.uniform(0.0005, 0.006) if roll < 0.6 else 0.0, 0, rng)


def _growing(share: float, since: int, rng: random.Random) -> Shape:
    """Growth by ``share`` of the present usage a day until ``since`` days ago, with some noise."""
    noise = [rng.gauss(0, 0.003) for _ in range(_IDLE_SINCE + 1)]

    def use(back: float) -> float:
        return 1.0 if back <= since else max(0.05, 1 - (back - since) * share + noise[int(back)])

    return use


def _saw(days: float, least: float) -> Shape:
    """Growth within ``days`` from the share ``least`` to the present usage, again and again."""
    return lambda back: 1 - (1 - least) * (back % days) / days


def _jumps(people: Sequence[Person], now: float) -> Iterator[tuple[float, JournalEntry]]:
    for new in (person.used for person in people if person.address == _IMPORTER):
        old = int(new * (1 - _IMPORTED))
        entry = JournalEntry(operator="mailquota", kind="jump", address=_IMPORTER, old=str(old), new=str(new))
        reason = f"grew by {format_size(new - old)} within an hour"
        yield now - _IMPORTED_AT * DAY, msgspec.structs.replace(entry, reason=reason)
