"""When a mail may be sent: within max_per_minute, outside quiet hours, and some time after a failure. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import datetime, time

WINDOW = 60.0  # seconds
RETRIES = (60.0, 300.0, 1800.0, 7200.0, 21600.0, 43200.0)  # seconds until the next try; after the last it is given up


class Pace:
    """At most ``most`` mails in any 60 seconds. Times are of a clock that never goes back."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._sent: deque[float] = deque()

    def allowance(self, now: float) -> int:
        """How many mails may be sent now."""
        while self._sent and self._sent[0] <= now - WINDOW:
            self._sent.popleft()
        return max(0, self.most - len(self._sent))

    def sent(self, now: float) -> None:
        """Count a mail that is sent now."""
        self._sent.append(now)

    def remember(self, times: Iterable[float]) -> None:
        """Count mails that were sent before a restart, at these times."""
        self._sent.extend(sorted(times))


def is_quiet(at: float, span: tuple[time, time] | None) -> bool:
    """Whether ``at``, in seconds since the epoch, is within the quiet hours, in local time. They may span midnight."""
    if span is None:
        return False
    begin, end = span
    clock = datetime.fromtimestamp(at).astimezone().time()
    return begin <= clock < end if begin < end else clock >= begin or clock < end


def next_try(attempts: int, now: float) -> float | None:
    """When to try again after so many failed attempts; None: never."""
    return now + RETRIES[attempts - 1] if attempts <= len(RETRIES) else None
