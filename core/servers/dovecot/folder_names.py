"""Folder names: which folders are Trash, and which ones quota ignores. Pure.

A folder that quota ignores adds nothing to the usage. A folder's own limit (``Trash:storage=+10%``) only raises the
ceiling for what is saved into that folder; usage and limit for incoming mail stay as they are, so it has no effect
here.

Names are compared as people read them: Maildir++ stores them in modified UTF-7. For Trash a namespace prefix ``INBOX.``
is left out of the comparison. A Maildir does not say which folder is Trash: ``\\Trash`` stands for the names that
Dovecot's settings mark with this special use.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from .mutf7 import decode

SPECIAL_USE = "\\Trash"


class TrashNames:
    """Tells whether a folder is Trash, or below it. Case matters, as in IMAP, except in INBOX.

    ``names`` is the setting ``mailstore.trash``; ``special_use`` are the names that ``\\Trash`` in it stands for.
    """

    def __init__(self, names: Iterable[str], special_use: Iterable[str] = ()) -> None:
        wanted = list(names)
        plain = [name for name in wanted if name != SPECIAL_USE]
        self.names = tuple(dict.fromkeys([*(special_use if SPECIAL_USE in wanted else ()), *plain]))
        self._roots = frozenset(map(without_prefix, self.names))

    def __call__(self, folder: str) -> bool:
        """For a name as Maildir++ stores it, in modified UTF-7 and without its leading dot."""
        return self.readable(decode(folder))

    def readable(self, name: str) -> bool:
        """For a name as Dovecot prints it, in UTF-8."""
        name = without_prefix(name)
        return name in self._roots or any(name.startswith(root + ".") for root in self._roots)


class FolderRule(msgspec.Struct, frozen=True):
    """A quota rule of Dovecot for the folders that ``mask`` (with ``*`` and ``?``) matches."""

    mask: str
    ignore: bool


class IgnoredFolders:
    """Tells whether quota ignores a folder. The first rule that matches a folder is the only one that counts for it.

    Rules have names as mail programs see them, with the ``prefix`` and the ``separator`` of the namespace.
    """

    def __init__(self, rules: Iterable[FolderRule] = (), prefix: str = "", separator: str = ".") -> None:
        self._rules = [(mask_pattern(rule.mask), rule.ignore) for rule in rules]
        self._prefix = prefix
        self._separator = separator
        if not any(ignore for _, ignore in self._rules):
            self._rules = []

    def __call__(self, folder: str) -> bool:
        """For a name as Maildir++ stores it, in modified UTF-7 and without its leading dot.

        It may have prefix and separator already, as those that Dovecot's tools give.
        """
        if not self._rules:
            return False
        name = decode(folder)
        if name != "INBOX" and not name.startswith(self._prefix):
            name = self._prefix + name
        name = name.replace(".", self._separator)
        return next((ignore for pattern, ignore in self._rules if pattern.fullmatch(name)), False)


def mask_pattern(mask: str) -> re.Pattern[str]:
    """A mask of a quota rule, with ``*`` and ``?``, as a pattern for names of folders."""
    words = {"*": ".*", "?": "."}
    mask = "INBOX" if mask.upper() == "INBOX" else mask
    return re.compile("".join(words.get(letter) or re.escape(letter) for letter in mask), re.DOTALL)


NOTHING_IGNORED = IgnoredFolders()


def without_prefix(name: str) -> str:
    """A name with Maildir++'s separator and without the prefix ``INBOX.``, in which case does not matter."""
    name = name.replace("/", ".")
    return name[6:] if name[:6].upper() == "INBOX." else name
