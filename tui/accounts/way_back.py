"""How the accounts were before another screen led to some of them. Pure."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from mailquota.core.base.filters import Filter


class WayBack(NamedTuple):
    """The mode that led to a filter, and its name in the trail; filter, cursor and first line as they were before."""

    mode: str
    step: str
    words: str
    filter: Filter | None
    key: Hashable | None
    top: int
