"""Which folders are Trash: by the names of the settings, sub-folders included. Pure.

Names are compared as people read them: what Maildir++ has on disk is modified UTF-7 (RFC 3501, 5.1.3), and a namespace
prefix ``INBOX.`` does not matter. Special use is a property of Dovecot's settings, not of a Maildir: ``\\Trash`` stands
for the names that were found there.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable

SPECIAL_USE = "\\Trash"
_UNPRINTABLE = re.compile(r"[^ -~]+")
_SHIFTED = re.compile(r"&([^-]*)-")


def readable_name(name: str) -> str:
    """A folder name from disk as people read it; what is not modified UTF-7 stays as it is."""
    try:
        return _SHIFTED.sub(_decode_shifted, name)
    except ValueError:
        return name


def _decode_shifted(match: re.Match[str]) -> str:
    if not match[1]:
        return "&"
    text = match[1].replace(",", "/")
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode("utf-16-be")


def disk_name(name: str) -> str:
    """The opposite: a name as people read it in modified UTF-7."""
    return _UNPRINTABLE.sub(_encode_shifted, name.replace("&", "&-"))


def _encode_shifted(match: re.Match[str]) -> str:
    text = base64.b64encode(match[0].encode("utf-16-be", "surrogatepass")).decode().rstrip("=").replace("/", ",")
    return f"&{text}-"


class TrashNames:
    """The test for a folder name, made once from the settings. Case matters, as in IMAP, but for INBOX."""

    def __init__(self, names: Iterable[str], special_use: Iterable[str] = ()) -> None:
        wanted = list(names)
        plain = [name for name in wanted if name != SPECIAL_USE]
        self.names = tuple(dict.fromkeys([*(special_use if SPECIAL_USE in wanted else ()), *plain]))
        self._roots = frozenset(map(without_prefix, self.names))

    def __call__(self, folder: str) -> bool:
        """Whether a folder, named as on disk without its leading dot, is Trash or lies in it."""
        return self.readable(readable_name(folder))

    def readable(self, name: str) -> bool:
        """The same for a name as Dovecot prints it in UTF-8."""
        name = without_prefix(name)
        return name in self._roots or any(name.startswith(root + ".") for root in self._roots)


def without_prefix(name: str) -> str:
    """With Maildir++'s separator and without the prefix of a namespace; INBOX alone is case-insensitive."""
    name = name.replace("/", ".")
    return name[6:] if name[:6].upper() == "INBOX." else name
