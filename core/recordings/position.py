"""A place in a recording, and what was known then."""

from __future__ import annotations

from ..base.model import AccountRow
from ..base.threads import in_thread
from ..control.results import DecisionRow
from .periods import DamagedError, Period
from .reading import Recording
from .scene import Scene

_BEFORE = 900.0  # seconds before a place that is jumped to, whose answers are shown


class Position:
    """``go_on`` and ``at`` read; all else only computes. Begins before the first answer of block ``number``."""

    def __init__(self, recording: Recording, number: int = 0) -> None:
        self.scene = Scene()
        self._recording = recording
        self._number = number
        self._period: Period | None = None  # the present one; None: not read yet
        self._answered = 0  # how many of its answers were shown
        self._over = False  # the last period is
        self._answers: list[DecisionRow] = []
        self._rows: dict[str, AccountRow] = {}
        self._removed: set[str] = set()

    @classmethod
    def at(cls, recording: Recording, place: float) -> Position:
        """The position at a place of the replay. Blocks; raises OSError."""
        number = recording.table_before(recording.block_at(max(0.0, place - _BEFORE)))
        found = cls(recording, number)
        while found._needs_period():
            found._enter(found._read())
            if not found._step(place):
                break
        found.take_news()
        return found

    async def go_on(self, place: float) -> bool:
        """Go on to a place, at most to the end of the present period; whether it was reached. Raises OSError."""
        if self._over:
            return True
        if self._needs_period():
            self._enter(await in_thread(self._read))
        return not self._step(place) or self._over

    def _needs_period(self) -> bool:
        return self._period is None and not self._over

    def _read(self) -> Period:
        header = self._recording.blocks[self._number].header
        try:
            return self._recording.read(self._number)
        except DamagedError as error:
            self._recording.remark = str(error)
            return Period(start=header.start, end=header.end)

    def _enter(self, period: Period) -> None:
        self._period, self._answered = period, 0
        if period.whole:  # a table is known from the start of its period on
            self._apply(period)

    def _step(self, place: float) -> bool:
        """Show the answers until a place; True where the period is over by then, and the next one has begun."""
        period, block = self._period, self._recording.blocks[self._number]
        assert period is not None
        over = place >= block.place + block.seconds
        until = float("inf") if over else block.header.start + place - block.place
        while self._answered < len(period.decisions) and period.decisions[self._answered].at <= until:
            self.scene.answer(period.decisions[self._answered])
            self._answers.append(period.decisions[self._answered])
            self._answered += 1
        if not over:
            return False
        if not period.whole:
            self._apply(period)
        self._period = None
        self._number += 1
        self._over = self._number >= len(self._recording.blocks)
        return not self._over

    def _apply(self, period: Period) -> None:
        rows, removed = self.scene.take(period)
        for address in removed:
            self._rows.pop(address, None)
        self._removed |= set(removed)
        self._removed -= {row.address for row in rows}
        self._rows |= {row.address: row for row in rows}

    def take_news(self) -> tuple[list[DecisionRow], list[AccountRow], list[str]]:
        """Answers, changed rows and accounts that went, since the last call."""
        news = self._answers, list(self._rows.values()), list(self._removed)
        self._answers, self._rows, self._removed = [], {}, set()
        return news
