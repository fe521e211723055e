"""Accounts that are never refused. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate


class Exempt:
    """The accounts that are never refused: patterns with * and ? over lower-case addresses."""

    def __init__(self, patterns: Iterable[str]) -> None:
        parts = [translate(pattern.lower()) for pattern in patterns]
        self._pattern = re.compile("|".join(parts)) if parts else None

    def __contains__(self, address: str) -> bool:
        return self._pattern is not None and self._pattern.match(address) is not None
