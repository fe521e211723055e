"""The command lines that do what was done in this console, for copying into a shell, a script or a ticket. Pure."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

KEPT = 500  # orders; the oldest go first
KEPT_BYTES = 4_000_000  # of their lines


@dataclass
class Done:
    """One order: when it was sent (seconds since the epoch), the command lines, and what became of it."""

    at: float
    lines: list[str]
    outcome: str = "sent; not answered yet"


@dataclass
class CommandLog:
    """The orders of this console, the oldest first."""

    orders: deque[Done] = field(default_factory=lambda: deque(maxlen=KEPT))

    def add(self, at: float, lines: list[str]) -> Done:
        """Note an order that is sent now."""
        done = Done(at, lines)
        self.orders.append(done)
        while len(self.orders) > 1 and sum(len(one) for each in self.orders for one in each.lines) > KEPT_BYTES:
            self.orders.popleft()
        return done

    def text(self) -> str:
        """A script: the commands, each below its time and its outcome as a comment."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        for done in self.orders:
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(done.at))
            yield f"# {when}  {' '.join(done.outcome.split())}"
            yield from done.lines
