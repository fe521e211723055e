"""How often the screens take what came from the engine: at once, every few seconds, or not at all. Pure; the time is a
parameter, in seconds of a clock that never goes back.
"""

from __future__ import annotations

LIVE = 0.0
PACES = (LIVE, 2.0, 5.0, 10.0, 30.0)  # seconds
HURRY = 2.0  # seconds after an order was carried out, in which its effect is shown
_EARLY = 0.1  # a tick that comes a little too soon counts


class Pace:
    """What comes between two draws is merged (tui/desk/session.py)."""

    def __init__(self, seconds: float = LIVE) -> None:
        self.seconds = seconds if seconds in PACES else LIVE
        self.paused = False
        self._drawn = float("-inf")
        self._hurried = float("-inf")

    @property
    def words(self) -> str:
        """For the head; empty while all is live."""
        if self.paused:
            return "PAUSED"
        return f"every {self.seconds:g} s" if self.seconds else ""

    def due(self, now: float) -> bool:
        """Whether to draw what came."""
        if now < self._hurried:
            return True
        return not self.paused and now >= self._drawn + self.seconds - _EARLY

    def drawn(self, now: float) -> None:
        """What came was drawn."""
        self._drawn = now

    def hurry(self, now: float) -> None:
        """Draw all that comes in the next moments."""
        self._hurried = now + HURRY

    def step(self, by: int) -> None:
        """Draw less often (1) or more often (-1); ends a pause."""
        at = PACES.index(self.seconds) + by
        self.use(PACES[max(0, min(at, len(PACES) - 1))])

    def use(self, seconds: float) -> None:
        """Draw every so many seconds, one of PACES; ends a pause."""
        self.seconds = seconds
        self.paused = False
        self._drawn = float("-inf")

    def pause(self) -> None:
        """Hold everything still, or let it go on."""
        self.paused = not self.paused
        self._drawn = float("-inf")
