"""The Doctor screen: the checks of this server, each with its state, what was found, and the commands that mend it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from msgspec.structs import asdict
from textual.binding import Binding, BindingType
from textual.widget import Widget

from mailquota.core.doctor.model import Finding
from mailquota.core.doctor.report import text

from ..desk import captions
from ..desk.desk import Copied, Desk
from ..desk.tiles import Tile
from ..draw import format as fmt
from ..draw.format import Line
from ..draw.glyphs import Glyphs
from ..draw.grid import Context
from ..draw.rows import RowList
from ..draw.sheet import Sheet, parts
from ..frame import guide
from ..frame.polled_screen import PolledScreen
from ..widgets.painted import Painted
from ..widgets.row_table import RowTable
from ..widgets.text_list import TextList
from . import rows as doctor

EXAMINING = "Examining the server"


class FindingTable(RowTable[Finding]):
    """The findings of the doctor; Enter goes to the text about one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Read", tooltip="go to the text about the check; Esc goes back", key_display="⏎"),
    ]


class FindingText(TextList):
    """All that is known of one check. It scrolls to its beginning when another check is shown."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "screen.back", "Back", tooltip="back to the table", key_display="Esc"),
    ]

    def __init__(self) -> None:
        super().__init__(id="finding", fit=False, wrap=True)
        self._check = ""

    def show_finding(self, finding: Finding | None, context: Context) -> None:
        """Show this finding; an empty text for None."""
        check = finding.check if finding is not None else ""
        if check != self._check:
            self._check = check
            self.scroll_home(animate=False)
        self.show(list(doctor.detail(finding, context)))


class DoctorScreen(PolledScreen[Finding]):
    """Examines this server with the operator's rights: once when the screen is first shown, then by key."""

    TITLE = "Doctor"
    START = GIVEN = "state"
    FORMS = "text  fail  warn  skip  ok  !word"
    EVERY = float("inf")
    EMPTY = ("No checks.",)
    WAITING = (EXAMINING,)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "again", "Run again", tooltip="examine the server again"),
        Binding("y", "copy", "Copy fix", tooltip="copy the commands that mend it; without any, the finding"),
    ]

    def __init__(self, desk: Desk) -> None:
        rows: RowList[Finding] = RowList(lambda finding: finding.check, doctor.text)
        super().__init__(desk, FindingTable(rows, doctor.COLUMNS, desk.context, doctor.lead, doctor.LEAD))
        self._anew = False
        self._rule = Painted(id="finding-title")
        self._text = FindingText()

    async def fetch(self) -> list[Finding]:
        """The findings of the last examination; of a new one after its key. Raises MailquotaError."""
        anew, self._anew = self._anew, False
        findings = await (self.desk.doctor.again() if anew else self.desk.doctor.once())
        self.desk.session.faults = self.desk.doctor.failed
        return findings

    def body(self) -> Iterable[Widget]:
        """The table, and below it all about the check under the cursor."""
        yield from super().body()
        yield self._rule
        yield self._text

    def guide(self, glyphs: Glyphs) -> Iterator[Line]:
        """The states of a check."""
        return guide.doctor(glyphs)

    # ---- drawing

    def show_header(self) -> None:
        """Draw the titles, and the text about the check under the cursor."""
        super().show_header()
        context, finding = self.desk.context(), self.table.row
        name = fmt.literal(finding.check, context.glyphs) if finding is not None else ""
        self._rule.paint([captions.rule(((f" {name} ", "strong"),) if name else (), (), self.size.width, context)])
        self._text.show_finding(finding, context)

    def tiles(self) -> tuple[Tile, ...]:
        """How many checks have which state."""
        return doctor.totals(self.rows.all, self.desk.context())

    def detail_line(self) -> Line:
        """That the server is being examined, or when it was."""
        if not self.rows.known:
            return ()
        words = EXAMINING if self.asking else f"Examined at {fmt.clock(self.desk.doctor.at)}"
        return ((f" {words}", "quiet"),)

    def sheet(self) -> Sheet[Finding]:
        """The checks that match the filter."""
        columns = parts(self.placed, {"found": ("found", "fix")})
        plain = not self.filtered and self.order.is_given
        command, why = (
            "mailquota doctor --json",
            "mailquota doctor has no such filter, and no order.",
        )
        return Sheet("doctor", self.rows.shown, columns, asdict, "check", command if plain else "", why)

    # ---- keys

    def open(self, _row: Finding) -> None:
        """Give the keys to the text, so that it can be scrolled."""
        self._text.focus()

    async def action_back(self) -> None:
        """Go back from the text to the table, then from there to the accounts."""
        if self.focused is self._text:
            self.table.focus()
        else:
            await super().action_back()

    def action_again(self) -> None:
        """Examine the server again."""
        self._anew = True
        self.ask_soon()

    def action_copy(self) -> None:
        """Copy the commands of the fix, else the finding."""
        finding = self.table.row
        if finding is not None and finding.fix:
            self.post_message(Copied("The commands", finding.fix))
        elif found := self.to_copy():
            self.post_message(found)

    def to_copy(self) -> Copied | None:
        finding = self.table.row
        return Copied("The finding as text", text(finding)) if finding is not None else None
