"""The dialog that recounts mailboxes: it shows the progress, then the usage before and after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Input

from mailquota.core.base.errors import MailquotaError
from mailquota.core.base.model import AccountRow
from mailquota.core.base.units import format_age, format_count, format_size
from mailquota.core.control.messages import Progress, Recalc, Request
from mailquota.core.control.results import RecalcResult

from ..desk.desk import Desk
from ..draw import command_line
from ..draw import format as fmt
from ..draw.format import Line, Run
from ..draw.glyphs import Glyphs
from ..frame.dialog import MANY, Dialog, is_number
from ..widgets.background import background
from ..widgets.field import Field
from ..widgets.painted import Painted
from ..widgets.prose import Prose
from ..widgets.text_list import TextList

BAR = 24  # cells
ACCOUNT_SECONDS = 0.05  # of a recount without messages: doveadm is started for each account
MESSAGE_SECONDS = 1e-5  # of a message more: its name is read, and that waits for the disk


class Stage(Enum):
    """How far the recount has come."""

    ASKING = "many accounts: their number is to be typed"
    COUNTING = "the engine counts"
    DONE = "the results are shown"


class Recalculate(Dialog[None]):
    """Of a few accounts it begins at once, as a recount changes no mail. Esc stops it; when it is done, Esc and Enter
    close the dialog."""

    HEADING = "Recalculate"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", key_display="Esc"),
        Binding("escape", "stop", "Stop", key_display="Esc"),
        Binding("enter,escape", "close", "Close", key_display="⏎"),
    ]

    def __init__(self, desk: Desk, rows: list[AccountRow]) -> None:
        super().__init__(desk)
        self._rows = rows
        self._request: int | None = None
        self._begun = 0.0  # by the steady clock
        self._stage = Stage.ASKING if len(rows) > MANY else Stage.COUNTING

    def body(self) -> Iterable[Widget]:
        """The accounts, the question for many, the progress, the results."""
        yield Painted(id="who")
        if self._stage is Stage.ASKING:
            yield Prose(estimate(self._rows), id="estimate")
            yield Field("How many", id="count", placeholder=f"type {len(self._rows)} to begin", applies=True)
        yield Painted(id="progress")
        yield TextList(id="results")

    def on_mount(self) -> None:
        """Begin to count, or ask."""
        self.show_who(self._rows)
        self.query_one(TextList).display = False
        if self._stage is Stage.COUNTING:
            self._begin()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Esc is Cancel before the count, Stop during it, then Close."""
        stages = {"cancel": Stage.ASKING, "stop": Stage.COUNTING, "close": Stage.DONE}
        return stages.get(action, self._stage) is self._stage

    @on(Input.Submitted)
    def _typed(self) -> None:
        if not is_number(self.query_one("#count", Input).value, len(self._rows)):
            self.message(f"These are {format_count(len(self._rows))} accounts: type the number to begin.", "near")
        elif self._stage is Stage.ASKING:
            self._stage = Stage.COUNTING
            self.message("")
            self.set_focus(None)
            for each in self.query("#estimate, .field"):
                each.display = False
            self._begin()

    def _begin(self) -> None:
        self._begun = self.desk.steady()
        self.log_command()
        self._show_progress(0, len(self._rows), "")
        self._count()

    def addresses(self) -> Sequence[str]:
        """The accounts that are recounted."""
        return [row.address for row in self._rows]

    def command(self, addresses: Sequence[str]) -> list[list[str]]:
        """``mailquota recalc``."""
        return [] if self._stage is Stage.DONE else [command_line.addressed("recalc", (), addresses)]

    def action_cancel(self) -> None:
        """Close; nothing was counted."""
        self.dismiss(None)

    def action_stop(self) -> None:
        """Stop after the account that is being counted; pressed again, close without waiting for it."""
        if self._request is None:
            self.dismiss(None)
            return
        self.desk.link.cancel(self._request)
        self._request = None
        self.message("Stopping after this account", "near")

    def _make(self, number: int) -> Request:
        self._request = number
        return Recalc(number, [row.address for row in self._rows])

    @background(outlives=True)
    async def _count(self) -> None:
        results: list[RecalcResult] = []
        try:
            results = await self.desk.link.ask(self._make, list[RecalcResult], self._progressed)
        except MailquotaError as error:
            if not self.failed(str(error)):
                return
        if not self.answered(summary(results)):
            return
        self._stage = Stage.DONE
        self.show_command()
        self.refresh_bindings()
        if results:
            self._show(results)

    def _progressed(self, progress: Progress) -> None:
        if self.is_attached:
            self._show_progress(progress.done, progress.total, progress.note)

    def _show_progress(self, done: int, total: int, note: str) -> None:
        glyphs = self.desk.glyphs
        percent = done * 100 / total if total else 0.0
        meter = fmt.meter(percent, "ok", BAR, glyphs)
        text = f"  {format_count(done)} of {format_count(total)}  "
        left = self._left(done, total)
        self.query_one("#progress", Painted).paint(
            [(*meter, (text, "plain"), (left, "quiet"), (fmt.literal(note, glyphs), "quiet"))]
        )

    def _left(self, done: int, total: int) -> str:
        """How long the rest takes at the pace so far; empty for a few accounts."""
        if total <= MANY or not 0 < done < total:
            return ""
        return f"{format_age((self.desk.steady() - self._begun) / done * (total - done))} left  "

    def _show(self, results: list[RecalcResult]) -> None:
        missing = len(self._rows) - len(results)
        remark = next((result.remark for result in results if result.remark), "")
        self.message(f"Stopped: {format_count(missing)} not counted" if missing else remark, "near")
        self._show_progress(len(results), len(self._rows), "done" if not missing else "")
        table = self.query_one(TextList)
        table.display = True
        glyphs = self.desk.glyphs
        table.show(list(all_lines(results, glyphs) if len(self._rows) > 1 else result_lines(results[0], glyphs)))
        self.set_focus(table)


def estimate(rows: list[AccountRow]) -> str:
    """About how long a recount of these accounts takes. Only the real pace, which is shown then, knows the disk."""
    messages = sum(row.messages or 0 for row in rows)
    age = format_age(len(rows) * ACCOUNT_SECONDS + messages * MESSAGE_SECONDS)
    return (
        f"{format_count(messages)} messages are counted, one mailbox after the other: about {age}. "
        "Esc stops it at any time; what differs is listed first."
    )


class Outcome(Enum):
    """What a recount found; in the order in which results are listed."""

    FAILED = "failed"
    DIFFERS = "differ"
    FIRST = "counted for the first time"
    SAME = "as recorded"


def outcome(result: RecalcResult) -> Outcome:
    """What the recount of one account found."""
    if result.error or result.after_bytes is None:
        return Outcome.FAILED
    if result.before_bytes is None:
        return Outcome.FIRST
    return Outcome.SAME if result.before_bytes == result.after_bytes else Outcome.DIFFERS


def all_lines(results: list[RecalcResult], glyphs: Glyphs) -> Iterator[Line]:
    """The sum, then failures, then the largest differences; accounts that are as recorded have one line each."""
    ranks = list(Outcome)
    yield summary(results)
    for result in sorted(results, key=lambda each: (ranks.index(outcome(each)), -_drift(each))):
        name: Run = (f"{fmt.literal(result.address, glyphs)}  ", "plain")
        first, *rest = result_lines(result, glyphs)
        yield (name, *first)
        if outcome(result) is not Outcome.SAME:
            yield from ((("  ", "plain"), *line) for line in rest)


def summary(results: list[RecalcResult]) -> Line:
    """How many accounts were recounted, and how many had which outcome."""
    looks = {Outcome.FAILED: "over", Outcome.DIFFERS: "near", Outcome.SAME: "good"}
    counts = Counter(map(outcome, results))
    runs: list[Run] = [(f"{format_count(len(results))} recounted: ", "strong")]
    for kind in reversed(Outcome):
        if number := counts[kind]:
            word = "differs" if kind is Outcome.DIFFERS and number == 1 else kind.value
            runs += [(f"{format_count(number)} {word}", looks.get(kind, "plain")), (", ", "plain")]
    return tuple(runs[:-1])


def _drift(result: RecalcResult) -> int:
    return abs((result.after_bytes or 0) - (result.before_bytes or 0))


def result_lines(result: RecalcResult, glyphs: Glyphs) -> Iterator[Line]:
    """How far the recount differs from what was recorded, then usage before and after; the error if it failed."""
    if result.error:
        yield ((fmt.literal(result.error, glyphs), "over"),)
        return
    words = fmt.drift_words(result.before_bytes, result.after_bytes)
    yield ((words, "good" if outcome(result) is Outcome.SAME else "near"),)
    method = f"   by {fmt.literal(result.method, glyphs)}" if result.method else ""
    yield (
        (_figure(result.before_bytes, result.before_messages), "quiet"),
        (f" {glyphs.arrow} ", "quiet"),
        (_figure(result.after_bytes, result.after_messages), "strong"),
        (method, "quiet"),
    )


def _figure(size: int | None, messages: int | None) -> str:
    if size is None:
        return "not known"
    return format_size(size) + (f" in {fmt.plural(messages, 'message')}" if messages is not None else "")
