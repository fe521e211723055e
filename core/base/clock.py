"""A time of day that goes on evenly: what is counted by it does not mind a clock that is set."""

from __future__ import annotations

import time

_BEGAN = time.time() - time.monotonic()


def steady_time() -> float:
    """Seconds since the epoch, as the clock of this machine had them when this process began; it is never set back."""
    return _BEGAN + time.monotonic()
