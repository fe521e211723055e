"""Paths of mailboxes: from an address to its Maildir, which is never outside the mailstore. Pure."""

from __future__ import annotations

import functools
import os
import re
import string

from ..servers.dovecot.folder_names import NOTHING_IGNORED, IgnoredFolders, TrashNames

DEFAULT_CHARACTERS = string.ascii_lowercase + string.digits + "._@-"  # of Dovecot's auth_username_chars, in lower case
_COMPONENT_MAX = 255  # bytes; NAME_MAX of Linux file systems
_SHORT = _COMPONENT_MAX // 4  # characters that take no more bytes than that, whatever they are
# No part of a path may have the first two. To doveadm the other two are wildcards, which stand for other users, too.
_NEVER = re.compile(r"[/\0*?]")


def is_username(address: str, characters: str = DEFAULT_CHARACTERS) -> bool:
    """Whether Dovecot would look this address up, and its two parts can be names of folders.

    ``characters`` are those that it takes in names, "" for any.
    """
    local, at, domain = address.rpartition("@")
    if not (at and _is_component(local) and _is_domain(domain)):
        return False
    if characters and _other_than(characters).search(address):
        return False
    return address.isprintable() and not _NEVER.search(address)


@functools.lru_cache(8)
def _other_than(characters: str) -> re.Pattern[str]:
    return re.compile(f"[^{re.escape(characters)}]")


@functools.lru_cache(1000)
def _is_domain(text: str) -> bool:
    return _is_component(text)


def _is_component(text: str) -> bool:
    if not text or text in {".", ".."} or "@" in text:
        return False
    return len(text) <= _SHORT or len(os.fsencode(text)) <= _COMPONENT_MAX


class Names:
    """Which addresses are names of users for this Dovecot, and how their paths spell them.

    ``characters`` as for ``is_username``. ``as_in_row``: a path has the name as the row of the accounts database spells
    it, else in lower case. ``utf8``: recipients may be in other alphabets. The rows are told by ``spell``, on one
    thread; all others may ask.
    """

    def __init__(self, characters: str = DEFAULT_CHARACTERS, *, as_in_row: bool = False, utf8: bool = False) -> None:
        self._characters = characters
        self.utf8 = utf8
        self._as_in_row = as_in_row
        self._spelled: dict[str, str] = {}  # of addresses that differ from their row

    def is_user(self, address: str, spelled: str = "") -> bool:
        """Whether this lower-case address, ``spelled`` so in its row, can have a mailbox."""
        name = spelled if spelled and self._as_in_row else address
        return is_username(name, self._characters)

    def spell(self, address: str, spelled: str) -> None:
        """Take the spelling of an address in its row; "" where it is the same, or the row is gone."""
        if spelled:
            self._spelled[address] = spelled
        else:
            self._spelled.pop(address, None)

    def in_path(self, address: str) -> str:
        """The name as paths have it."""
        return self._spelled.get(address, address) if self._as_in_row else address

    def follow(self, other: Names) -> None:
        """Take over what Dovecot says now; the rows stay as they are."""
        self._characters, self._as_in_row, self.utf8 = other._characters, other._as_in_row, other.utf8


class Mailstore:
    """The mailboxes of this server: their path by address, which folders are Trash, and which do not count.

    ``template`` is the setting ``mailstore.path``, with ``{domain}`` and ``{user}`` where the address goes.
    """

    def __init__(
        self,
        template: str,
        is_trash: TrashNames,
        is_ignored: IgnoredFolders = NOTHING_IGNORED,
        names: Names | None = None,
    ) -> None:
        self.template = template
        self.is_trash = is_trash
        self.is_ignored = is_ignored
        self.names = names or Names()
        self.base = os.path.dirname(template.partition("{")[0])  # the folder above all mailboxes
        self._parts = re.split(r"\{(domain|user)\}", template.rstrip("/"))

    def maildir(self, address: str) -> str:
        """The path of the Maildir of an address for which ``names.is_user`` holds."""
        user, _, domain = self.names.in_path(address).rpartition("@")
        values = {"domain": domain, "user": user}
        return "".join(values[part] if index % 2 else part for index, part in enumerate(self._parts))

    def follow(self, other: Mailstore) -> None:
        """Take over the rules of another one, whose path is the same."""
        self.is_ignored = other.is_ignored
        self.names.follow(other.names)
