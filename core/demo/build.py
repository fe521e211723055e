"""Makes the Maildir of a person. Its usage is that of the person, to the byte."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from ..mailboxes.folders import INBOX, folder_path
from .maildir import make_folders, message_name, write_maildirsize, write_message
from .people import MESSAGE_SIZES, Person, Record

_DAY = 86400.0
_OLDEST = 700  # days
_UNREAD = 3


@dataclass(frozen=True)
class MessageFile:
    """A file that many messages are hard links to, and its time of modification, in seconds since the epoch."""

    path: str
    written: float


def make_message_files(folder: Path, rng: random.Random, now: float) -> dict[int, MessageFile]:
    """Make the files that all messages of the start are links to; by size in bytes. Raises OSError."""
    folder.mkdir(mode=0o700)
    files = {size: MessageFile(f"{folder}/{size}", now - _age(rng) * _DAY) for size in MESSAGE_SIZES}
    for size, file in files.items():
        write_message(file.path, size, file.written)
    return files


def _age(rng: random.Random) -> float:
    """A random age in days: most messages are young, some are years old."""
    return min(rng.expovariate(1 / 70), _OLDEST) + rng.random() / 4


def build(maildir: str, person: Person, files: dict[int, MessageFile], rng: random.Random) -> None:
    """Make the Maildir of a person. Raises OSError."""
    os.makedirs(os.path.dirname(maildir), mode=0o700, exist_ok=True)
    _make_folders(maildir, person)
    serials = count()
    for size in person.kept:
        folder = rng.choice((INBOX, INBOX, *person.folders))
        _put(folder_path(maildir, folder), files[size], size, next(serials), unread=_is_unread(person, folder, rng))
    for size in person.discarded:
        _put(folder_path(maildir, person.trash_name), files[size], size, next(serials), unread=False)
    if person.record is Record.BROKEN:
        os.mkdir(f"{maildir}/maildirsize", 0o700)
    elif person.record is Record.KEPT:
        write_maildirsize(maildir, person.limit, person.used, person.messages)


def _is_unread(person: Person, folder: str, rng: random.Random) -> bool:
    return folder == INBOX and not person.plain and rng.random() < _UNREAD / len(person.kept)


def _make_folders(maildir: str, person: Person) -> None:
    """Make the folders. Directories take time to make and to remove, so most have only ``cur`` until mail comes."""
    (_make_cur if person.plain else make_folders)(maildir)
    for name in (*person.folders, *([person.trash_name] if person.discarded else [])):
        _make_cur(folder_path(maildir, name))


def _make_cur(folder: str) -> None:
    os.mkdir(folder, 0o700)
    os.mkdir(f"{folder}/cur", 0o700)


def _put(folder: str, file: MessageFile, size: int, serial: int, *, unread: bool) -> None:
    name = message_name(file.written, serial, size)
    os.link(file.path, f"{folder}/new/{name}" if unread else f"{folder}/cur/{name}:2,S")
