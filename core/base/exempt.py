"""Which accounts are never refused, by the setting ``policy.exempt``. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate


class Exempt:
    """Patterns with * and ? for the addresses of accounts that are never refused; ``address in exempt`` tests one.

    Patterns are compared in lower case; the address has to be in lower case already.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        parts = [translate(pattern.lower()) for pattern in patterns]
        self._pattern = re.compile("|".join(parts)) if parts else None

    def __contains__(self, address: str) -> bool:
        return self._pattern is not None and self._pattern.match(address) is not None
