"""Which folders are Trash: by the names of the settings, sub-folders included. Pure.

Names are compared as people read them: what Maildir++ has on disk is modified UTF-7, and a namespace prefix ``INBOX.``
does not matter. Special use is a property of Dovecot's settings, not of a Maildir: ``\\Trash`` stands for the names
that were found there.
"""

from __future__ import annotations

from collections.abc import Iterable

from mailquota.core.servers.dovecot.mutf7 import decode

SPECIAL_USE = "\\Trash"


class TrashNames:
    """The test for a folder name, made once from the settings. Case matters, as in IMAP, but for INBOX."""

    def __init__(self, names: Iterable[str], special_use: Iterable[str] = ()) -> None:
        wanted = list(names)
        plain = [name for name in wanted if name != SPECIAL_USE]
        self.names = tuple(dict.fromkeys([*(special_use if SPECIAL_USE in wanted else ()), *plain]))
        self._roots = frozenset(map(without_prefix, self.names))

    def __call__(self, folder: str) -> bool:
        """Whether a folder, named as on disk without its leading dot, is Trash or lies in it."""
        return self.readable(decode(folder))

    def readable(self, name: str) -> bool:
        """The same for a name as Dovecot prints it in UTF-8."""
        name = without_prefix(name)
        return name in self._roots or any(name.startswith(root + ".") for root in self._roots)


def without_prefix(name: str) -> str:
    """With Maildir++'s separator and without the prefix of a namespace; INBOX alone is case-insensitive."""
    name = name.replace("/", ".")
    return name[6:] if name[:6].upper() == "INBOX." else name
