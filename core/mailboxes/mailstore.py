"""Where mailboxes lie: from an address to the folder of its Maildir, and never outside the mailstore. Pure."""

from __future__ import annotations

import os
import re

from mailquota.core.servers.dovecot.folder_names import NOTHING_IGNORED, IgnoredFolders, TrashNames

# Dovecot's default auth_username_chars: an address with any other character is no user to Dovecot either
_USERNAME = re.compile(r"[a-z0-9._@-]+")
_COMPONENT_MAX = 255  # NAME_MAX of Linux file systems


def is_username(address: str) -> bool:
    """Whether Dovecot would look this lower-case address up at all, and whether it can be part of a path."""
    local, at, domain = address.rpartition("@")
    return bool(at) and _USERNAME.fullmatch(address) is not None and _is_component(local) and _is_component(domain)


def _is_component(text: str) -> bool:
    return 0 < len(text) <= _COMPONENT_MAX and text not in {".", ".."} and "@" not in text


class Mailstore:
    """The setting ``mailstore.path`` with its placeholders, which folders are Trash, and which do not count."""

    def __init__(self, template: str, is_trash: TrashNames, is_ignored: IgnoredFolders = NOTHING_IGNORED) -> None:
        self.template = template
        self.is_trash = is_trash
        self.is_ignored = is_ignored
        self.base = os.path.dirname(template.partition("{")[0])  # the folder above what differs
        self._parts = re.split(r"\{(domain|user)\}", template.rstrip("/"))

    def maildir(self, address: str) -> str:
        """The Maildir of an address for which ``is_username`` holds."""
        user, _, domain = address.rpartition("@")
        values = {"domain": domain, "user": user}
        return "".join(values[part] if index % 2 else part for index, part in enumerate(self._parts))
