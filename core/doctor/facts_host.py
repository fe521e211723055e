"""What is known of this machine and of mailquota itself on it."""

from __future__ import annotations

import msgspec


class HostFacts(msgspec.Struct, frozen=True, kw_only=True):
    """``is_root``: whether this process may see everything."""

    is_root: bool = False
