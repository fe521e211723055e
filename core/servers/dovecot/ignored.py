"""Dovecot's rules for single folders, as far as they change a figure. Pure.

A folder that is ignored counts for nothing. A folder's own limit (``Trash:storage=+10%``) is a higher ceiling for what
is saved into that folder; the use is the same, and so is the limit for mail that comes in, so it changes nothing here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from mailquota.core.servers.dovecot.mutf7 import decode
from mailquota.core.servers.dovecot.trash import without_prefix


class FolderRule(msgspec.Struct, frozen=True):
    """A rule for the folders that ``mask`` (with ``*`` and ``?``) matches."""

    mask: str
    ignore: bool


class Ignored:
    """The test for a folder name. The first rule that matches a folder is the only one that counts for it."""

    def __init__(self, rules: Iterable[FolderRule] = ()) -> None:
        self._rules = [(_pattern(rule.mask), rule.ignore) for rule in rules]
        if not any(ignore for _, ignore in self._rules):
            self._rules = []

    def __call__(self, folder: str) -> bool:
        """Whether a folder, named as on disk without its leading dot, counts for nothing."""
        if not self._rules:
            return False
        name = without_prefix(decode(folder))
        return next((ignore for pattern, ignore in self._rules if pattern.fullmatch(name)), False)


def _pattern(mask: str) -> re.Pattern[str]:
    words = {"*": ".*", "?": "."}
    return re.compile("".join(words.get(letter) or re.escape(letter) for letter in without_prefix(mask)), re.DOTALL)


NOTHING_IGNORED = Ignored()
