"""Looks for mail below the mailstore that is not where ``mailstore.path`` says. Reads names of folders and files only.

A mailbox whose folder is missing is empty if Dovecot has not made it yet, and unknown if the path is wrong. On a server
whose mailboxes were never found, the folders tell: a mailbox of anybody at a path of that form proves the form right;
without one, mail elsewhere proves it wrong; and where there is no mail at all, the server is a new one.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator

_MOST = 5000  # entries that are looked at
_DEPTH = 4  # folders below the one that is searched
# What Dovecot keeps in a mailbox: Maildir, and the formats dbox and mbox.
_SIGNS = frozenset(
    {"cur", "maildirsize", "dovecot-uidlist", "dovecot.index.log", "dbox-Mails", "dovecot.map.index.log"}
)


def is_mailbox(maildir: str) -> bool | None:
    """Whether a Maildir is there; None where that can't be seen, as without rights. May hang with its file system."""
    for part in ("cur", "new"):
        try:
            os.stat(f"{maildir}/{part}")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError):
            return None
        return True
    return False


def has_form(template: str) -> bool:
    """Whether there is a mailbox at any path of the form of ``mailstore.path``, whosever it is.

    Also one in which Dovecot has only made files of its own yet, as when it was asked for the usage.
    """
    folders = [""]
    for part in template.strip("/").split("/"):
        if "{" in part:
            start, end = part.partition("{")[0], part.rpartition("}")[2]
            found = ((folder, name) for folder in folders for name in _folders(folder or "/"))
            folders = [f"{folder}/{name}" for folder, name in found if name.startswith(start) and name.endswith(end)]
            del folders[_MOST:]
        else:
            folders = [f"{folder}/{part}" for folder in folders]
    return any(is_mailbox(folder) or _has_signs(_entries(folder)) for folder in folders)


def find(folder: str, depth: int = _DEPTH) -> str:
    """A folder with signs of mail: ``folder``, or one of the first below it; "" without one."""
    waiting, left = deque([(folder, depth)]), _MOST
    while waiting and left > 0:
        path, below = waiting.popleft()
        entries = list(_entries(path))
        if _has_signs(entries):
            return path
        left -= len(entries) + 1
        if below:
            waiting += [(entry.path, below - 1) for entry in entries if _is_folder(entry)]
    return ""


def _has_signs(entries: Iterable[os.DirEntry[str]]) -> bool:
    return not _SIGNS.isdisjoint(entry.name for entry in entries)


def _folders(path: str) -> list[str]:
    return sorted(entry.name for entry in _entries(path) if _is_folder(entry))


def _entries(path: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(path) as found:
            for number, entry in enumerate(found):
                if number >= _MOST:
                    return
                yield entry
    except OSError:
        return


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
