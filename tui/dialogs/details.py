"""Everything the engine knows about one account, to read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.widget import Widget

from core.control.messages import GetDetails
from core.control.results import Details as DetailsResult
from core.control.results import Folder, JournalRow
from core.errors import MailquotaError
from core.model import AccountRow
from core.units import format_age, format_size
from tui import format as fmt
from tui import lanes
from tui.desk import Desk
from tui.dialogs.dialog import Dialog
from tui.dialogs.edit_limit import EditLimit
from tui.dialogs.empty_trash import EmptyTrash
from tui.dialogs.recalculate import Recalculate
from tui.format import Line
from tui.widgets.painted import Painted
from tui.widgets.text_list import TextList

BAR = 20  # cells
CHANGING = frozenset({"edit_limit", "recalculate", "empty_trash"})
KINDS = {"limit": "limit", "recalc": "recount", "trash": "Trash"}  # of changes


class Details(Dialog[None]):
    """Folders by size, the aliases that lead here, the last refusals and changes; with the list's keys."""

    HEADING = "Account"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "edit_limit", "Edit limit"),
        Binding("r", "recalculate", "Recalculate"),
        Binding("t", "empty_trash", "Empty Trash"),
        Binding("y", "copy", "Copy"),
        Binding("escape,enter,q", "close", "Close", key_display="Esc"),
    ]

    def __init__(self, desk: Desk, row: AccountRow) -> None:
        super().__init__(desk)
        self._row = row
        self._text: list[Line] = []

    def body(self) -> Iterable[Widget]:
        """Who, and a list to scroll."""
        yield Painted(id="who")
        yield TextList(id="details", wrap=True)

    def on_mount(self) -> None:
        """What is known already, then ask for the rest."""
        self.query_one("#who", Painted).paint([self.who([self._row])])
        self._show(list(facts(self._row, self.desk)))
        self._load()

    def _show(self, lines: list[Line]) -> None:
        self._text = lines
        self.query_one(TextList).show(lines)

    @work
    async def _load(self) -> None:
        address = self._row.address
        try:
            details: DetailsResult = await self.desk.link.ask(lambda number: GetDetails(number, address), DetailsResult)
        except MailquotaError as error:
            self.message(str(error))
            return
        self._row = details.row
        self._show(list(lines_of(details, self.desk)))

    # ---- keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Who may only look has no keys that change anything."""
        return self.desk.may_change or action not in CHANGING

    def action_edit_limit(self) -> None:
        """Ask for the new limit."""
        self.app.push_screen(EditLimit(self.desk, [self._row]), self._done)

    def action_recalculate(self) -> None:
        """Count again."""
        self.app.push_screen(Recalculate(self.desk, [self._row]), self._done)

    def action_empty_trash(self) -> None:
        """Show what lies there, and ask."""
        self.app.push_screen(EmptyTrash(self.desk, [self._row]), self._done)

    def _done(self, line: Line | None) -> None:
        """Say it, and show what is known now."""
        if line:
            self.message("".join(text for text, _look in line), line[-1][1])
        self._load()

    def action_copy(self) -> None:
        """All of it as text for a ticket, by the terminal's own clipboard (OSC 52)."""
        lines = [self.who([self._row]), *self._text]
        self.app.copy_to_clipboard("\n".join("".join(text for text, _look in line).rstrip() for line in lines) + "\n")
        self.message("Copied as text", "good")


def lines_of(details: DetailsResult, desk: Desk) -> Iterator[Line]:
    """The whole text."""
    yield from facts(details.row, desk)
    yield from _section("Folders", list(_folders(details.folders, desk)), "none")
    aliases: list[Line] = [((f"  {fmt.literal(alias, desk.glyphs)}", "plain"),) for alias in details.aliases]
    yield from _section("Aliases that lead here", aliases, "none")
    yield from _section("Last refusals", list(_refusals(details, desk)), "none")
    nothing = fmt.literal(details.remark, desk.glyphs) if details.remark else "none"
    yield from _section("Last changes", [_change(change, desk) for change in details.changes], nothing)


def _section(name: str, lines: list[Line], nothing: str) -> Iterator[Line]:
    yield ()
    yield ((name, "title"),)
    yield from lines or [(("  ", "plain"), (nothing, "quiet"))]


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
            (f"{format_size(folder.bytes):>9}  {fmt.plural(folder.messages, 'message'):>16}", "quiet"),
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


def _change(change: JournalRow, desk: Desk) -> Line:
    """When, from what to what, who, and why."""
    glyphs = desk.glyphs
    old, new = (fmt.recorded(value, glyphs) for value in (change.old, change.new))
    kind = KINDS.get(change.kind, fmt.literal(change.kind, glyphs))
    why = f": {fmt.literal(change.reason, glyphs)}" if change.reason else ""
    return (
        (f"  {fmt.age(change.at, desk.clock(), glyphs):>7} ago  ", "quiet"),
        (f"{kind} {old} {glyphs.arrow} {new}  ", "plain"),
        (f"by {fmt.literal(change.operator, glyphs)}{why}", "quiet"),
    )


def _size(size: int) -> str:
    return format_size(size) if size else ""
