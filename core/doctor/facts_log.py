"""What the mail log says about quota."""

from __future__ import annotations

import msgspec


class LogFacts(msgspec.Struct, frozen=True, kw_only=True):
    """``fault`` says why no log could be read; empty where one could."""

    fault: str = "not read"
