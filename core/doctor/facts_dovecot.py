"""What is known of Dovecot."""

from __future__ import annotations

import msgspec


class DovecotFacts(msgspec.Struct, frozen=True, kw_only=True):
    """``fault`` says why Dovecot could not be asked; empty where it could."""

    fault: str = "not asked"
