"""What is known of Postfix, and of the policy service as Postfix sees it."""

from __future__ import annotations

import msgspec

from core.postfix_restrictions import Entry


class PostfixFacts(msgspec.Struct, frozen=True, kw_only=True):
    """``fault`` says why Postfix could not be asked; empty where it could."""

    fault: str = "not asked"
    recipient_restrictions: tuple[Entry, ...] = ()
