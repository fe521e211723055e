"""From a person to the Maildir on disk. What the person is said to hold and what lies there agree to the byte."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from mailquota.core.demo.maildir import make_folders, message_name, write_maildirsize, write_message
from mailquota.core.demo.people import PARCELS, Person, Record
from mailquota.core.mailboxes.folders import INBOX, folder_path

_DAY = 86400.0
_OLDEST = 700  # days
_UNREAD = 3


@dataclass(frozen=True)
class Parcel:
    """A file that messages are links to, and when it was written, in seconds since the epoch."""

    path: str
    written: float


def make_parcels(folder: Path, rng: random.Random, now: float) -> dict[int, Parcel]:
    """The files behind all messages of the start, by size."""
    folder.mkdir(mode=0o700)
    parcels = {size: Parcel(f"{folder}/{size}", now - _age(rng) * _DAY) for size in PARCELS}
    for size, parcel in parcels.items():
        write_message(parcel.path, size, parcel.written)
    return parcels


def _age(rng: random.Random) -> float:
    """In days: most mail is young, some is years old."""
    return min(rng.expovariate(1 / 70), _OLDEST) + rng.random() / 4


def build(maildir: str, person: Person, parcels: dict[int, Parcel], rng: random.Random) -> None:
    """Make the Maildir of a person. Raises OSError."""
    os.makedirs(os.path.dirname(maildir), mode=0o700, exist_ok=True)
    _make_folders(maildir, person)
    serials = count()
    for size in person.kept:
        folder = rng.choice((INBOX, INBOX, *person.folders))
        _put(folder_path(maildir, folder), parcels[size], size, next(serials), unread=_is_unread(person, folder, rng))
    for size in person.discarded:
        _put(folder_path(maildir, person.trash_name), parcels[size], size, next(serials), unread=False)
    if person.record is Record.BROKEN:
        os.mkdir(f"{maildir}/maildirsize", 0o700)
    elif person.record is Record.KEPT:
        write_maildirsize(maildir, person.limit, person.used, person.messages)


def _is_unread(person: Person, folder: str, rng: random.Random) -> bool:
    return folder == INBOX and not person.plain and rng.random() < _UNREAD / len(person.kept)


def _make_folders(maildir: str, person: Person) -> None:
    """Directories take time, to make and to remove, so most have only ``cur`` until mail comes."""
    (_make_cur if person.plain else make_folders)(maildir)
    for name in (*person.folders, *([person.trash_name] if person.discarded else [])):
        _make_cur(folder_path(maildir, name))


def _make_cur(folder: str) -> None:
    os.mkdir(folder, 0o700)
    os.mkdir(f"{folder}/cur", 0o700)


def _put(folder: str, parcel: Parcel, size: int, serial: int, *, unread: bool) -> None:
    name = message_name(parcel.written, serial, size)
    os.link(parcel.path, f"{folder}/new/{name}" if unread else f"{folder}/cur/{name}:2,S")
