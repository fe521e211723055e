"""The people of the demo world: the mailbox of each, its limit, and what its owner does with it. Pure.

There are three kinds. The *cast* is written by hand: the first six have all levels, for the first look at the console.
The *neighbours* are random, with many messages and folders. The *crowd* is for worlds of thousands: a few messages
each, so that a Maildir is made quickly.

All messages of the start have one of MESSAGE_SIZES, so that they can be links to a few files: a file system that has
just removed many files, as at the end of another demo, makes new ones only slowly.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterator
from enum import StrEnum
from itertools import islice

import msgspec

from ..base.model import Alias
from .names import addresses

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
NEIGHBOURS = 200  # the cast included; the others are the crowd
_CLOSE = 60  # of these, the first have mailboxes with many messages
_MANY, _FEW = 80, 8

MESSAGE_SIZES = tuple(int(3 * KIB * 1.08**step) for step in range(158))  # up to 500 MiB
_CROWD_SIZES = tuple(size for size in MESSAGE_SIZES if 150 * KIB < size < 45 * MIB)

_LIMITS = (500 * MIB, GIB, GIB, 2 * GIB, 2 * GIB, 5 * GIB, 5 * GIB, 5 * GIB, 10 * GIB, 20 * GIB, 50 * GIB)
_FOLDERS = ("Sent", "Archive", "Junk", "Drafts", "Archive.2025", "Gesendet", "Entw&APw-rfe", "Projects")
_TRASH_NAMES = ("Trash", "Trash", "Trash", "Trash", "Papierkorb", "Deleted Items", "Deleted Messages", "Corbeille")


class Habit(StrEnum):
    """What the owner does with a mailbox that fills."""

    STEADY = "steady"  # keeps the usage about the same
    FILLING = "filling"  # lets it run full, then makes room
    STUCK = "stuck"  # is full and does nothing


class Record(StrEnum):
    """The state of the maildirsize file."""

    KEPT = "kept"
    ABSENT = "absent"  # its folders have to be counted
    BROKEN = "broken"  # a directory with that name: the usage can't be known, not even by Dovecot


class Person(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An owner with a mailbox at the start: ``kept`` and, in Trash, ``discarded`` are sizes of messages in bytes."""

    address: str
    limit: int | None
    kept: tuple[int, ...]
    discarded: tuple[int, ...] = ()
    trash_name: str = "Trash"
    folders: tuple[str, ...] = ()  # besides INBOX and Trash
    habit: Habit = Habit.STEADY
    record: Record = Record.KEPT
    share: float = 1.0  # of the mail that goes to the cast
    plain: bool = False  # its Maildir is made with as few directories as possible

    @property
    def used(self) -> int:
        """Bytes of all messages."""
        return sum(self.kept) + sum(self.discarded)

    @property
    def messages(self) -> int:
        """The number of all messages."""
        return len(self.kept) + len(self.discarded)


def sizes(total: int, count: int, rng: random.Random) -> tuple[int, ...]:
    """``count`` sizes out of MESSAGE_SIZES, whose sum is ``total`` as nearly as they allow, both in bytes.

    A few large ones are most of it.
    """
    weights = sorted((rng.lognormvariate(0, 1) for _ in range(count)), reverse=True)
    found, missing, share = [], 0.0, total / (sum(weights) or 1)
    for weight in weights:
        wanted = weight * share + missing
        found.append(_nearest(wanted))
        missing = wanted - found[-1]
    rng.shuffle(found)
    return tuple(found)


def _nearest(size: float) -> int:
    index = bisect_left(MESSAGE_SIZES, size)
    return min(MESSAGE_SIZES[max(index - 1, 0) : index + 1], key=lambda known: abs(known - size))


def _known(
    address: str,
    limit: int | None,
    used: int,
    messages: int,
    *,
    trash: int = 0,
    discarded: int = 0,
    trash_name: str = "Trash",
    folders: tuple[str, ...] = (),
    habit: Habit = Habit.STEADY,
    record: Record = Record.KEPT,
    share: float = 1.0,
) -> Person:
    """One of the cast. ``used`` bytes and ``messages`` include Trash, which has ``trash`` bytes and ``discarded``
    messages.
    """
    rng = random.Random(address)
    return Person(
        address=address,
        limit=limit,
        kept=sizes(used - trash, messages - discarded, rng),
        discarded=sizes(trash, discarded, rng),
        trash_name=trash_name,
        folders=folders,
        habit=habit,
        record=record,
        share=share,
    )


def _of(limit: int, percent: float) -> int:
    return int(limit * percent / 100)


_FILLING = Habit.FILLING
CAST = (
    _known("john@example.org", 5 * GIB, _of(5 * GIB, 104), 412, trash=2 * GIB, discarded=137,
           folders=("Sent", "Archive"), habit=Habit.STUCK, share=2.5),
    _known("newsletter@example.org", GIB, _of(GIB, 86.3), 231, trash=12 * MIB, discarded=4, habit=_FILLING, share=7),
    _known("sales@example.com", 20 * GIB, _of(20 * GIB, 96.1), 388, trash=120 * MIB, discarded=14,
           folders=("Sent", "Archive.2025")),
    _known("archive@example.org", None, 36 * GIB + 411 * MIB, 540, folders=("Archive",), share=2),
    _known("anna@example.org", 5 * GIB, _of(5 * GIB, 22.4), 96, trash=40 * MIB, discarded=8,
           folders=("Sent", "Drafts")),
    _known("scanner@example.com", 2 * GIB, 310 * MIB, 12, record=Record.BROKEN, share=0.05),
    _known("info@example.net", GIB, _of(GIB, 82.2), 45, trash=3 * MIB, discarded=3, record=Record.ABSENT,
           habit=_FILLING, share=3),
    _known("maria@example.net", 2 * GIB, _of(2 * GIB, 101.3), 80, trash=_of(2 * GIB, 61), discarded=38,
           trash_name="Papierkorb", folders=("Gesendet", "Entw&APw-rfe"), habit=_FILLING, share=1.5),
    _known("support@example.org", 10 * GIB, _of(10 * GIB, 97.4), 176, trash=700 * MIB, discarded=12,
           folders=("Sent",), habit=_FILLING),
    _known("invoices@shop.example", 5 * GIB, _of(5 * GIB, 90.8), 60, trash=64 * MIB, discarded=5,
           folders=("Archive.2025",)),
    _known("jobs@example.com", 500 * MIB, _of(500 * MIB, 94.2), 40, trash=90 * MIB, discarded=11,
           habit=_FILLING, share=3),
    _known("backup@factory.example", None, 12 * GIB + 90 * MIB, 30, record=Record.ABSENT),
    _known("board@club.example", 500 * MIB, _of(500 * MIB, 112), 34, trash=20 * MIB, discarded=3, habit=Habit.STUCK),
    _known("office@school.example", 50 * GIB, _of(50 * GIB, 61), 260, trash=900 * MIB, discarded=10,
           folders=("Sent", "Projects")),
    _known("peter.lang@example.org", 2 * GIB, _of(2 * GIB, 84.5), 40, trash=_of(2 * GIB, 30), discarded=14,
           trash_name="Deleted Items"),
    _known("photos@club.example", 10 * GIB, _of(10 * GIB, 88), 60, folders=("Projects",), habit=_FILLING, share=2),
)  # fmt: skip

_OUTSIDE = "@elsewhere.example"
_ALIASES = (
    ("info@example.org", "anna@example.org"),
    ("team@example.org", "anna@example.org"),
    ("team@example.org", "john@example.org"),
    ("team@example.org", "peter.lang@example.org"),
    ("sales@example.org", "sales@example.com"),
    ("helpdesk@example.org", "support@example.org"),
    ("billing@example.com", "invoices@shop.example"),
    ("office@example.net", "info@example.net"),
    ("everything@example.org", "archive@example.org"),
    ("chair@club.example", "board@club.example"),
    ("chair@club.example", f"chair{_OUTSIDE}"),
)


def populate(count: int, seed: int) -> list[Person]:
    """``count`` people, always the same for a seed."""
    rng = random.Random(seed)
    taken = {person.address for person in CAST} | {source for source, _ in _ALIASES}
    new = addresses(rng, taken)
    return list(islice(_everybody(rng, new), count))


def _everybody(rng: random.Random, new: Iterator[str]) -> Iterator[Person]:
    yield from CAST
    for index in range(len(CAST), NEIGHBOURS):
        yield _neighbour(next(new), rng, most=_MANY if index < _CLOSE else _FEW)
    while True:
        yield _one_of_crowd(next(new), rng)


def aliases_among(people: list[Person]) -> list[Alias]:
    """The aliases of which at least one destination is among these people."""
    there = {person.address for person in people}
    sources = {source for source, destination in _ALIASES if destination in there}
    return [
        Alias(source, destination)
        for source, destination in _ALIASES
        if source in sources and (destination in there or destination.endswith(_OUTSIDE))
    ]


def _neighbour(address: str, rng: random.Random, most: int) -> Person:
    limit = rng.choice(_LIMITS)
    percent = _percent(rng)
    used = _of(limit, abs(percent))
    messages = int((6 + min(most - 6, used // (20 * MIB))) * rng.uniform(0.7, 1.0)) + 1
    trash, trash_messages = _trash(rng, used, messages)
    return Person(
        address=address,
        limit=None if percent < 0 else limit,
        kept=sizes(used - trash, messages - trash_messages, rng),
        discarded=sizes(trash, trash_messages, rng),
        trash_name=rng.choice(_TRASH_NAMES),
        folders=tuple(rng.sample(_FOLDERS, rng.choice((0, 1, 1, 2)))) if most == _MANY else (),
        record=Record.ABSENT if rng.random() < 0.12 else Record.KEPT,
        plain=most != _MANY,
    )


def _percent(rng: random.Random) -> float:
    """A random usage in percent of the limit; negative for a mailbox without a limit."""
    roll = rng.random()
    if roll < 0.02:
        return rng.uniform(100.4, 107)
    if roll < 0.05:
        return rng.uniform(95, 99.5)
    if roll < 0.15:
        return rng.uniform(80, 94.5)
    percent = 0.3 + 77 * rng.betavariate(1.2, 2.2)
    return -percent if roll < 0.18 else percent


def _trash(rng: random.Random, used: int, messages: int) -> tuple[int, int]:
    """Random bytes and messages in Trash: none in every fourth mailbox, about half of it in every twelfth."""
    roll = rng.random()
    if roll < 0.25:
        return 0, 0
    part = rng.uniform(0.35, 0.55) if roll < 0.33 else rng.uniform(0.002, 0.12)
    return int(used * part), max(1, int(messages * part))


def _one_of_crowd(address: str, rng: random.Random) -> Person:
    found = tuple(rng.choices(_CROWD_SIZES, k=rng.choice((1, 2, 2, 3, 3, 4))))
    roll = rng.random()
    share = rng.uniform(0.8, 1.02) if roll < 0.008 else rng.uniform(0.01, 0.78)
    limit = max(1, round(sum(found) / share / (25 * MIB))) * 25 * MIB
    kept = len(found) - (len(found) > 2 and roll > 0.7)
    return Person(
        address=address,
        limit=None if 0.5 < roll < 0.505 else limit,
        kept=found[:kept],
        discarded=found[kept:],
        record=Record.ABSENT if roll > 0.95 else Record.KEPT,
        plain=True,
    )
