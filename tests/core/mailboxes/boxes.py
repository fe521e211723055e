"""A mailbox for tests: a Maildir that is filled by hand, and the mailstore that it lies in."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path

import pytest

from mailquota.core.mailboxes.mailstore import Mailstore
from mailquota.core.servers.dovecot.folder_names import TrashNames

ADDRESS = "edge@example.org"
_numbers = itertools.count()


class Box:
    """The Maildir of an account, with INBOX and nothing in it."""

    def __init__(self, folder: Path, address: str = ADDRESS) -> None:
        self.base = folder / "vmail"
        self.store = Mailstore(f"{self.base}/{{domain}}/{{user}}/Maildir", TrashNames(("Trash", "Papierkorb")))
        self.maildir = self.store.maildir(address)
        self.path = Path(self.maildir)
        self.file = self.path / "maildirsize"
        for part in ("cur", "new", "tmp"):
            (self.path / part).mkdir(parents=True)
        self.settle()

    def put(self, size: int, place: str = "cur", name: str | None = None) -> Path:
        """A file of this size; without a name it gets one that tells the size, as Dovecot's do."""
        directory = self.path / place
        directory.mkdir(parents=True, exist_ok=True)
        flags = "" if place.endswith("new") else ":2,S"
        path = directory / (name or f"1800000000.M{next(_numbers)}P1.mail,S={size},W={size + 9}{flags}")
        path.write_bytes(b"")
        os.truncate(path, size)
        return path

    def deliver(self, size: int) -> Path:
        """As Dovecot delivers: the message first, then a line."""
        path = self.put(size, "new")
        self.append(size, 1)
        return path

    def append(self, size: int, messages: int) -> None:
        """A line in maildirsize."""
        with self.file.open("a") as file:
            file.write(f"{size} {messages}\n")

    def settle(self) -> None:
        """Make the directories older than the second in which a change can't be told by its time."""
        then = time.time() - 60
        for directory in (self.path, *self.path.rglob("*")):
            if directory.is_dir() and not directory.is_symlink():
                os.utime(directory, (then, then))

    def tree(self) -> dict[str, tuple[object, ...]]:
        """Everything below the mailstore: names, rights, owners, times and contents."""
        found: dict[str, tuple[object, ...]] = {}
        for path in sorted(self.base.parent.rglob("*")):
            status = path.lstat()
            content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            found[str(path)] = (status.st_mode, status.st_uid, status.st_mtime_ns, status.st_ino, content)
        return found


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """An empty mailbox in a mailstore of its own."""
    return Box(tmp_path)
