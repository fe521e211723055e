"""Who lives in the demo world: whose mailbox holds how much, of what limit, and how its owner treats it. Pure.

Three kinds of people. The *cast* is written by hand: what a newcomer should see at first glance, and all levels within
its first six. The *neighbours* are made up around it, with mailboxes that look lived in. The *crowd* is for worlds of
thousands: a few messages each, so that a Maildir costs next to nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from enum import StrEnum
from itertools import islice

import msgspec

from core.demo.names import addresses
from core.model import Alias

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
NEIGHBOURS = 200  # cast included; from there on it is a crowd
_CLOSE = 60  # of these, the first have mailboxes with many messages

# Messages of the crowd are hard links to files of these sizes.
PARCELS = tuple(int(150 * KIB * 1.14**step) for step in range(44))

_LIMITS = (500 * MIB, GIB, GIB, 2 * GIB, 2 * GIB, 5 * GIB, 5 * GIB, 5 * GIB, 10 * GIB, 20 * GIB, 50 * GIB)
_FOLDERS = ("Sent", "Archive", "Junk", "Drafts", "Archive.2025", "Gesendet", "Entw&APw-rfe", "Projects")
_TRASH_NAMES = ("Trash", "Trash", "Trash", "Trash", "Papierkorb", "Deleted Items", "Deleted Messages", "Corbeille")


class Habit(StrEnum):
    """What an owner does."""

    STEADY = "steady"  # keeps the mailbox about as full as it is
    FILLING = "filling"  # lets it run full, then makes room
    STUCK = "stuck"  # is full and doesn't care


class Record(StrEnum):
    """The state of the maildirsize file."""

    KEPT = "kept"
    ABSENT = "absent"  # its folders have to be counted
    BROKEN = "broken"  # a directory in its place: nobody can tell the use, not even Dovecot


class Person(msgspec.Struct, frozen=True, gc=False):
    """A mailbox at the start. Bytes and messages; those of Trash are in ``used`` and ``messages`` too."""

    address: str
    limit: int | None
    used: int
    messages: int
    trash: int = 0
    trash_messages: int = 0
    trash_name: str = "Trash"
    folders: tuple[str, ...] = ()  # besides INBOX and Trash
    habit: Habit = Habit.STEADY
    record: Record = Record.KEPT
    share: float = 1.0  # of the mail that goes to the cast
    parcels: tuple[int, ...] = ()  # the crowd: the sizes of its messages


def _of(limit: int, percent: float) -> int:
    return int(limit * percent / 100)


_FULL = Habit.FILLING
CAST = (
    Person("john@example.org", 5 * GIB, _of(5 * GIB, 104), 190, 2 * GIB, 61, folders=("Sent", "Archive"),
           habit=Habit.STUCK, share=5),
    Person("newsletter@example.org", GIB, _of(GIB, 86.3), 90, 12 * MIB, 4, habit=_FULL, share=7),
    Person("sales@example.com", 20 * GIB, _of(20 * GIB, 96.1), 140, 120 * MIB, 9, folders=("Sent", "Archive.2025")),
    Person("archive@example.org", None, 36 * GIB + 411 * MIB, 150, folders=("Archive",), share=2),
    Person("anna@example.org", 5 * GIB, _of(5 * GIB, 22.4), 60, 40 * MIB, 8, folders=("Sent", "Drafts")),
    Person("scanner@example.com", 2 * GIB, 310 * MIB, 12, record=Record.BROKEN, share=0.05),
    Person("info@example.net", GIB, _of(GIB, 82.2), 45, 3 * MIB, 3, record=Record.ABSENT, habit=_FULL, share=3),
    Person("maria@example.net", 2 * GIB, _of(2 * GIB, 101.3), 80, _of(2 * GIB, 61), 38, "Papierkorb",
           ("Gesendet", "Entw&APw-rfe"), _FULL, share=1.5),
    Person("support@example.org", 10 * GIB, _of(10 * GIB, 97.4), 90, 700 * MIB, 12, folders=("Sent",), habit=_FULL),
    Person("invoices@shop.example", 5 * GIB, _of(5 * GIB, 90.8), 60, 64 * MIB, 5, folders=("Archive.2025",)),
    Person("jobs@example.com", 500 * MIB, _of(500 * MIB, 94.2), 40, 90 * MIB, 11, habit=_FULL, share=3),
    Person("backup@factory.example", None, 12 * GIB + 90 * MIB, 30, record=Record.ABSENT),
    Person("board@club.example", 500 * MIB, _of(500 * MIB, 112), 34, 20 * MIB, 3, habit=Habit.STUCK),
    Person("office@school.example", 50 * GIB, _of(50 * GIB, 61), 90, 900 * MIB, 10, folders=("Sent", "Projects")),
    Person("peter.lang@example.org", 2 * GIB, _of(2 * GIB, 84.5), 40, _of(2 * GIB, 30), 14, "Deleted Items"),
    Person("photos@club.example", 10 * GIB, _of(10 * GIB, 88), 60, folders=("Projects",), habit=_FULL, share=2),
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
    """The first ``count`` people of the world of this seed."""
    rng = random.Random(seed)
    taken = {person.address for person in CAST} | {source for source, _ in _ALIASES}
    new = addresses(rng, taken)
    return list(islice(_everybody(rng, new), count))


def _everybody(rng: random.Random, new: Iterator[str]) -> Iterator[Person]:
    yield from CAST
    for index in range(len(CAST), NEIGHBOURS):
        yield _neighbour(next(new), rng, most=50 if index < _CLOSE else 8)
    while True:
        yield _one_of_crowd(next(new), rng)


def aliases_among(people: list[Person]) -> list[Alias]:
    """The aliases that lead to somebody who is there."""
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
    messages = int((6 + min(most - 6, used // (30 * MIB))) * rng.uniform(0.7, 1.0)) + 1
    trash, trash_messages = _trash(rng, used, messages)
    return Person(
        address=address,
        limit=None if percent < 0 else limit,
        used=used,
        messages=messages,
        trash=trash,
        trash_messages=trash_messages,
        trash_name=rng.choice(_TRASH_NAMES),
        folders=tuple(rng.sample(_FOLDERS, rng.choice((0, 1, 1, 2)))) if most > 10 else (),
        record=Record.ABSENT if rng.random() < 0.12 else Record.KEPT,
    )


def _percent(rng: random.Random) -> float:
    """How full, in percent; below 0 for those without a limit."""
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
    """Bytes and messages in Trash: nothing with one in four, half of the mailbox with one in twelve."""
    roll = rng.random()
    if roll < 0.25:
        return 0, 0
    part = rng.uniform(0.35, 0.55) if roll < 0.33 else rng.uniform(0.002, 0.12)
    return int(used * part), max(1, int(messages * part))


def _one_of_crowd(address: str, rng: random.Random) -> Person:
    parcels = tuple(rng.choices(PARCELS, k=rng.choice((1, 2, 2, 3, 3, 4))))
    used = sum(parcels)
    roll = rng.random()
    share = rng.uniform(0.8, 1.02) if roll < 0.008 else rng.uniform(0.01, 0.78)
    limit = max(1, round(used / share / (25 * MIB))) * 25 * MIB
    trash = parcels[-1] if len(parcels) > 2 and roll > 0.7 else 0
    return Person(
        address=address,
        limit=None if 0.5 < roll < 0.505 else limit,
        used=used,
        messages=len(parcels),
        trash=trash,
        trash_messages=1 if trash else 0,
        record=Record.ABSENT if roll > 0.95 else Record.KEPT,
        parcels=parcels,
    )
