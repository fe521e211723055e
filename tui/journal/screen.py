"""The Journal screen: who changed what, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from textual.binding import Binding, BindingType

from mailquota.core.control.messages import GetJournal
from mailquota.core.control.results import JournalRow

from ..desk.desk import Desk
from ..desk.typed import Doing, takes
from ..draw.format import Line
from ..draw.glyphs import Glyphs
from ..draw.rows import RowList
from ..draw.sheet import Sheet, parts
from ..frame import guide
from ..frame.polled_screen import PolledScreen
from ..widgets.row_table import RowTable
from . import rows as journal
from .rows import Entry
from .undo import Undo, number_of_entry


class JournalTable(RowTable[Entry]):
    """The entries of the journal; Enter opens the card of the account."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Card", tooltip="everything about the account", key_display="⏎"),
    ]


class JournalScreen(PolledScreen[Entry]):
    """The newest entries first; an edit of a limit can be undone here."""

    TITLE = "Journal"
    START = GIVEN = "at"
    FEED = True
    FORMS = "text  limit  recount  trash  warning  undone  !word"
    EMPTY = (
        "Nothing was changed yet.",
        "Limits, recounts, emptied Trash, warnings: each change is here with who, from what to what, and why.",
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "U",
            "undo",
            "Undo",
            tooltip="take the edit under the cursor back, or set again what it took back; asks first",
        ),
    ]

    def __init__(self, desk: Desk) -> None:
        rows: RowList[Entry] = RowList(lambda entry: entry.row.id, journal.text)
        super().__init__(desk, JournalTable(rows, journal.COLUMNS, desk.context))

    async def fetch(self) -> list[Entry]:
        """The newest entries. Raises MailquotaError."""
        rows: list[JournalRow] = await self.desk.link.ask(GetJournal, list[JournalRow])
        return journal.entries(rows)

    def guide(self, glyphs: Glyphs) -> Iterator[Line]:
        """The kinds of entries."""
        return guide.journal(glyphs)

    def detail_line(self) -> Line:
        """The entry under the cursor."""
        return journal.detail(self.table.row, self.size.width, self.desk.context())

    def sheet(self) -> Sheet[Entry]:
        """The entries that match the filter."""
        command, why = "mailquota journal", "mailquota journal has no such filter, and no order."
        plain = not self.filtered and self.order.is_given
        return Sheet(
            "journal", self.rows.shown, parts(self.placed, journal.KEYS), journal.record, "change",
            command if plain else "", why,
        )  # fmt: skip

    # ---- keys

    def open(self, row: Entry) -> None:
        """Show the card of the entry's account, if that still exists."""
        self.show_card(row.row.address)

    @takes("[ID]", about="take back this entry of the journal; without ID as the key does")
    def typed_undo(self, rest: str) -> Doing:
        """``undo 17``: an entry of the journal."""
        entry = number_of_entry(rest)
        return lambda: self.app.push_screen(Undo(self.desk, number=entry), self.done)

    def action_undo(self) -> None:
        """Ask whether to undo the entry, if it is an edit of a limit that was not undone yet."""
        entry = self.table.row
        if entry is None or self.refuses("undo"):
            return
        if entry.can_be_undone:
            self.app.push_screen(Undo(self.desk, edit=entry.row), self.done)
        else:
            was = "That was taken back already" if entry.undone_by else "Only edits of limits can be taken back"
            self.say(((was, "quiet"),))
