"""What is in one folder as lines: for the screen, in one or two columns, and as text for a ticket. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mailquota.core.base.model import AccountRow
from mailquota.core.base.times import local_time
from mailquota.core.base.units import format_age, format_count, format_size
from mailquota.core.control.contents import FolderContents, RecentSum, YearSum

from ..draw import format as fmt
from ..draw.format import Line, Run
from ..draw.grid import Context
from .page import GAP, TEXT, beside, flow, title

TWO = 96  # cells; the width from which there are two columns
SIZE, MESSAGES, BAR = 9, 16, 24  # cells
YEAR = 366 * 86400.0
PART = "a part of it: the folder has more messages than there was time for"


@dataclass(frozen=True)
class FolderPage:
    """``contents`` is None until the engine has answered, ``error`` why it can't."""

    row: AccountRow
    folder: str
    contents: FolderContents | None = None
    error: str = ""

    def lines(self, width: int, context: Context) -> list[Line]:
        """The page for a screen of ``width`` cells."""
        if self.contents is None and self.error:
            return [((f" {fmt.literal(self.error, context.glyphs)}", "over"),), ((" r looks again", "quiet"),)]
        if self.contents is None:
            return [((f" Looking through the folder {context.glyphs.ellipsis}", "quiet"),)]
        found = [*self._head(self.contents, width, context), ()]
        if width < TWO:
            return [*found, *self._sums(width, context), (), *self._largest(width, context)]
        cells = (width - GAP) // 2
        return [*found, *beside([[*self._sums(cells, context)], [*self._largest(cells, context)]], cells, context)]

    def text(self, context: Context) -> str:
        """The page as text in one column."""
        name = fmt.literal(f"{self.row.address}  {self.folder}", context.glyphs)
        found: list[Line] = [((name, "plain"),), ((f"As of {local_time(context.now)}", "plain"),), ()]
        if self.contents is not None:
            found += self._head(self.contents, TEXT, context)
            found += [(), *self._sums(TEXT, context, ruled=False), (), *self._largest(TEXT, context, ruled=False)]
        return "\n".join("".join(text for text, _look in line).rstrip() for line in found) + "\n"

    # ---- parts

    def _head(self, contents: FolderContents, width: int, context: Context) -> Iterator[Line]:
        used = self.row.used_bytes
        share = f" ({_percent(100 * contents.bytes / used, context)} of the mailbox)" if used else ""
        facts: list[Run] = [
            (f"{format_size(contents.bytes)}{share if contents.complete else ''}", "strong"),
            (fmt.plural(contents.messages, "message"), "plain"),
        ]
        if contents.trash:
            facts.append(("Trash", "plain"))
        if contents.messages:
            facts.append((f"{format_size(contents.bytes // contents.messages)} a message", "quiet"))
        yield from flow(facts, width, context)
        dates: list[Run] = [
            (f"{name} {_moment(at, context)}", "plain")
            for name, at in (("oldest", contents.oldest), ("newest", contents.newest))
            if at is not None
        ]
        source = "counted by its files" if contents.method == "files" else "told by doveadm"
        yield from flow([*dates, (source, "quiet")], width, context)
        if not contents.complete:
            yield ((f" {PART}", "near"),)

    def _sums(self, width: int, context: Context, *, ruled: bool = True) -> Iterator[Line]:
        contents = self.contents
        assert contents is not None
        yield from title("Received", width if ruled else 0, context)
        for recent in contents.recent:
            name = "last day" if recent.days == 1 else f"last {recent.days} days"
            yield _sum(name, recent, contents.bytes, width, context)
        yield ()
        yield from title("By year", width if ruled else 0, context)
        for year in contents.years:
            yield _sum(str(year.year), year, contents.bytes, width, context)
        if not contents.years:
            yield ((" none", "quiet"),)

    def _largest(self, width: int, context: Context, *, ruled: bool = True) -> Iterator[Line]:
        contents = self.contents
        assert contents is not None
        yield from title("Largest messages", width if ruled else 0, context)
        for message in contents.largest:
            share = 100 * message.bytes / contents.bytes if contents.bytes else 0.0
            when = context.glyphs.nothing if message.at is None else _moment(message.at, context)
            yield (
                (f" {format_size(message.bytes):>{SIZE}}", "plain"),
                (f"{_percent(share, context):>6}", "quiet"),
                (f"  {when}", "quiet"),
            )
        if not contents.largest:
            yield ((" none", "quiet"),)


def _sum(name: str, part: YearSum | RecentSum, whole: int, width: int, context: Context) -> Line:
    """A line of a sum, with its share of ``whole`` bytes as a bar where there is room."""
    share, messages = 100 * part.bytes / whole if whole else 0.0, part.messages
    line: list[Run] = [
        (f" {name:<12}", "plain"),
        (f"{format_size(part.bytes):>{SIZE}}", "plain" if messages else "quiet"),
        (f"{_percent(share, context):>6}", "quiet"),
    ]
    rest = width - fmt.width_of(line) - MESSAGES - 3
    if rest >= 8:
        line += [("  ", "plain"), *fmt.meter(share, "ok", min(rest, BAR), context.glyphs)]
    counted = "message" if messages == 1 else "messages"
    line.append((f" {f'{format_count(messages)} {counted}':>{MESSAGES}}", "quiet"))
    return tuple(line)


def _percent(share: float, context: Context) -> str:
    return "< 1 %" if 0 < share < 1 else fmt.percent_text(share, context.glyphs)


def _moment(at: float, context: Context) -> str:
    """The day; of this year also how long ago that is."""
    day, passed = local_time(at)[:10], context.now - at
    return f"{day}, {format_age(passed)} ago" if 0 <= passed < YEAR else day
