"""Everything the engine knows about one account, to read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.widget import Widget

from core.control.messages import GetDetails
from core.control.results import Details as DetailsResult
from core.control.results import Folder
from core.errors import MailquotaError
from core.model import AccountRow
from core.units import format_age, format_count, format_size
from tui import format as fmt
from tui import lanes
from tui.desk import Desk
from tui.dialogs.dialog import Dialog
from tui.format import Line
from tui.widgets.painted import Painted
from tui.widgets.text_list import TextList

BAR = 20  # cells


class Details(Dialog[None]):
    """Folders by size, the aliases that lead here, the last refusals."""

    HEADING = "Account"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,enter,q", "close", "Close", key_display="Esc")]

    def __init__(self, desk: Desk, row: AccountRow) -> None:
        super().__init__(desk)
        self._row = row

    def body(self) -> Iterable[Widget]:
        """Who, and a list to scroll."""
        yield Painted(id="who")
        yield TextList(id="details")

    def on_mount(self) -> None:
        """What is known already, then ask for the rest."""
        self.query_one("#who", Painted).paint([self.who([self._row])])
        self.query_one(TextList).show(list(facts(self._row, self.desk)))
        self._load()

    @work
    async def _load(self) -> None:
        address = self._row.address
        try:
            details: DetailsResult = await self.desk.link.ask(lambda number: GetDetails(number, address), DetailsResult)
        except MailquotaError as error:
            self.message(str(error))
            return
        self.query_one(TextList).show(list(lines_of(details, self.desk)))


def lines_of(details: DetailsResult, desk: Desk) -> Iterator[Line]:
    """The whole text."""
    yield from facts(details.row, desk)
    yield from _section("Folders", list(_folders(details.folders, desk)), "none")
    aliases: list[Line] = [((f"  {fmt.literal(alias, desk.glyphs)}", "plain"),) for alias in details.aliases]
    yield from _section("Aliases that lead here", aliases, "none")
    yield from _section("Last refusals", list(_refusals(details, desk)), "none")


def _section(name: str, lines: list[Line], nothing: str) -> Iterator[Line]:
    yield ()
    yield ((name, "title"),)
    yield from lines or [((f"  {nothing}", "quiet"),)]


def facts(row: AccountRow, desk: Desk) -> Iterator[Line]:
    """The figures of the account, with their source and age."""
    glyphs, style = desk.glyphs, fmt.look_of(row.level)
    if row.percent is not None:
        meter = fmt.meter(row.percent, style, BAR, glyphs)
        yield (*meter, (f" {fmt.percent_text(row.percent, glyphs)} {row.level.value}", style))
    else:
        yield ((f"{glyphs.levels[row.level]} {row.level.value}", style),)
    yield ()
    yield _fact("Used", _amount(row.used_bytes, row.messages))
    yield _fact("Limit", "unlimited" if row.limit_bytes is None else format_size(row.limit_bytes))
    yield _fact("Trash", _amount(row.trash_bytes, row.trash_messages))
    if row.measured_at is not None:
        age = format_age(desk.clock() - row.measured_at)
        yield _fact("Measured", f"{age} ago, from {fmt.literal(row.source or '?', glyphs)}")
    else:
        yield _fact("Measured", "not yet")
    if row.drift_bytes:
        more = "more" if row.drift_bytes > 0 else "less"
        yield _fact("Recount", f"{format_size(abs(row.drift_bytes))} {more} than recorded")
    if not row.enabled:
        yield _fact("State", "disabled in the accounts database")


def _amount(size: int | None, messages: int | None) -> str:
    if size is None:
        return "not known"
    return format_size(size) + (f" in {fmt.plural(messages, 'message')}" if messages is not None else "")


def _fact(name: str, value: str) -> Line:
    return ((f"{name:<10}", "quiet"), (value, "plain"))


def _folders(folders: list[Folder], desk: Desk) -> Iterator[Line]:
    width = min(36, max((fmt.width_of([(fmt.literal(f.name, desk.glyphs), "")]) for f in folders), default=0))
    for folder in sorted(folders, key=lambda folder: (-folder.bytes, folder.name)):
        name = fmt.fit(fmt.literal(folder.name, desk.glyphs), width, desk.glyphs)
        yield (
            (f"  {name}  ", "plain"),
            (f"{format_size(folder.bytes):>9}  {format_count(folder.messages):>9}", "quiet"),
            ("  counts as Trash" if folder.trash and folder.name != "Trash" else "", "quiet"),
        )


def _refusals(details: DetailsResult, desk: Desk) -> Iterator[Line]:
    for row in details.refusals:
        word, style = lanes.verdict(row, desk.look())
        age = fmt.age(row.at, desk.clock(), desk.glyphs)
        sender = fmt.literal(row.sender, desk.glyphs) or "<>"
        yield (
            (f"  {age:>7} ago  ", "quiet"),
            (f"{word}  ", style),
            (f"{sender}  ", "plain"),
            (_size(row.size), "quiet"),
        )


def _size(size: int) -> str:
    return format_size(size) if size else ""
