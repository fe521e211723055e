"""Paths of mailboxes: from an address to its Maildir, which is never outside the mailstore. Pure."""

from __future__ import annotations

import os
import re

from ..servers.dovecot.folder_names import NOTHING_IGNORED, IgnoredFolders, TrashNames

# Dovecot's default auth_username_chars: it looks up no address with another character.
_USERNAME = re.compile(r"[a-z0-9._@-]+")
_COMPONENT_MAX = 255  # NAME_MAX of Linux file systems


def is_username(address: str) -> bool:
    """Whether Dovecot would look this lower-case address up, and its two parts can be names of folders."""
    local, at, domain = address.rpartition("@")
    return bool(at) and _USERNAME.fullmatch(address) is not None and _is_component(local) and _is_component(domain)


def _is_component(text: str) -> bool:
    return 0 < len(text) <= _COMPONENT_MAX and text not in {".", ".."} and "@" not in text


class Mailstore:
    """The mailboxes of this server: their path by address, which folders are Trash, and which do not count.

    ``template`` is the setting ``mailstore.path``, with ``{domain}`` and ``{user}`` where the address goes.
    """

    def __init__(self, template: str, is_trash: TrashNames, is_ignored: IgnoredFolders = NOTHING_IGNORED) -> None:
        self.template = template
        self.is_trash = is_trash
        self.is_ignored = is_ignored
        self.base = os.path.dirname(template.partition("{")[0])  # the folder above all mailboxes
        self._parts = re.split(r"\{(domain|user)\}", template.rstrip("/"))

    def maildir(self, address: str) -> str:
        """The path of the Maildir of an address for which ``is_username`` holds."""
        user, _, domain = address.rpartition("@")
        values = {"domain": domain, "user": user}
        return "".join(values[part] if index % 2 else part for index, part in enumerate(self._parts))
