"""Mailboxes for measurements: real Maildirs with maildirsize files, made fast."""

from __future__ import annotations

import os
import random
from pathlib import Path

LIMIT = 1_000_000
MESSAGES = 5
DOMAINS = 20


def addresses(count: int) -> list[str]:
    return [f"u{number:06}@d{number % DOMAINS:02}.example" for number in range(count)]


def make_maildir(maildir: Path, number: int, rng: random.Random) -> None:
    """Five messages; every tenth mailbox is over its limit, by its one-line maildirsize."""
    for name in ("cur", "new", "tmp"):
        os.makedirs(maildir / name)
    used = 1_100_000 if number % 10 == 0 else rng.randint(1000, 900_000)
    size = used // MESSAGES
    for message in range(MESSAGES):
        path = maildir / "cur" / f"17000000{message}.M{message}P1.host,S={size},W={size + 10}:2,S"
        with path.open("wb") as file:
            file.truncate(size)
    (maildir / "maildirsize").write_text(f"{LIMIT}S\n{size * MESSAGES} {MESSAGES}\n")


def make(template: str, users: list[str], owner: tuple[int, int] | None = None) -> None:
    """A Maildir for each user; given to ``owner`` where the server needs that."""
    rng = random.Random(1)
    for number, address in enumerate(users):
        user, _, domain = address.rpartition("@")
        maildir = Path(template.format(user=user, domain=domain))
        make_maildir(maildir, number, rng)
        if owner is not None:
            give(maildir.parent, owner)


def give(folder: Path, owner: tuple[int, int]) -> None:
    for path, folders, files in os.walk(folder):
        for name in [path, *(os.path.join(path, entry) for entry in [*folders, *files])]:
            os.chown(name, *owner)
