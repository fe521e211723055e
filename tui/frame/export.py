"""The dialog that exports what a table shows: as CSV, JSON, text or a command, to a file, the clipboard or a screen."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any, ClassVar, NamedTuple

from textual import on
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Input

from mailquota.core.base.errors import UsageError
from mailquota.core.base.new_file import write_file
from mailquota.core.base.threads import in_thread
from mailquota.core.base.units import format_count, format_size

from ..desk.desk import Copied, Desk, ShowText
from ..desk.typed import Choice, words_of
from ..draw import format as fmt
from ..draw.format import Line
from ..draw.sheet import SLICE, Form, Sheet, written
from ..widgets.background import background
from ..widgets.field import Field
from ..widgets.painted import Painted
from ..widgets.pick import Pick
from .dialog import Dialog

PAUSE_SECONDS = 0.002  # between two parts, in which keys are handled
SAMPLE = 4  # lines
READABLE = 2_000  # rows; more of them can't be read on a screen


class Target(Enum):
    """Where it goes, with the name that it has on the screen and after ``:export``."""

    FILE = "file"
    CLIPBOARD = "clipboard"
    SCREEN = "screen"


FORMS, TARGETS = tuple(Form), tuple(Target)


def proposed_name(sheet: Sheet[Any], form: Form, now: float) -> str:
    """In the home folder, with the screen and the day."""
    return f"~/mailquota-{sheet.name}-{time.strftime('%Y-%m-%d', time.localtime(now))}.{form.ending}"


def whole_path(typed: str) -> str:
    """The path of a file as it is typed; ``~`` is the home folder."""
    return os.path.abspath(os.path.expanduser(typed))


class Wanted(NamedTuple):
    """What is chosen in the dialog at its start."""

    form: Form = Form.CSV
    target: Target = Target.FILE
    path: str = ""

    @classmethod
    def read(cls, text: str) -> Wanted:
        """``csv file PATH`` as it is typed, each of them only where it is wanted. Raises UsageError."""
        words, wanted = words_of(text), cls()
        for number, word in enumerate(words):
            low = word.lower()
            if number == 0 and low in _FORM_WORDS:
                wanted = wanted._replace(form=_FORM_WORDS[low])
            elif number <= 1 and low in _TARGET_WORDS:
                wanted = wanted._replace(target=_TARGET_WORDS[low])
            elif number == len(words) - 1 and wanted.target is Target.FILE and ("." in word or "/" in word):
                wanted = wanted._replace(path=word)
            else:
                forms, targets = ", ".join(_FORM_WORDS), ", ".join(_TARGET_WORDS)
                raise UsageError(
                    f"export takes a form ({forms}), a target ({targets}) and the path of a file; not {word}"
                )
        return wanted


def export_choices(words: Sequence[str]) -> list[Choice]:
    """What can be typed after these words."""
    if not words:
        return [Choice(word, f"as {form.value}") for word, form in _FORM_WORDS.items()]
    return [Choice(word) for word in _TARGET_WORDS] if len(words) == 1 and words[0] in _FORM_WORDS else []


_FORM_WORDS = {form.value.lower(): form for form in FORMS}
_TARGET_WORDS = {target.value: target for target in TARGETS}


class Export(Dialog[Line | None]):
    """``wanted`` is chosen at the start. Dismissed with a line about what was done."""

    HEADING = "Export"
    AUTO_FOCUS = "#form"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "apply", "Export", key_display="⏎"),
        Binding("escape", "close", "Cancel", key_display="Esc"),
    ]

    def __init__(self, desk: Desk, sheet: Sheet[Any], wanted: Wanted = Wanted()) -> None:  # noqa: B008  it is frozen
        super().__init__(desk)
        self._sheet = sheet
        self._start = wanted
        self._named = bool(wanted.path)  # the name is the operator's own
        self._exists = ""  # the file that is replaced if Enter is pressed once more
        self._at_work = False

    def body(self) -> Iterable[Widget]:
        """What is exported, the choices, and the first lines of the result."""
        form, target, path = self._start
        yield Painted(id="what")
        yield Pick("Format", [each.value for each in FORMS], FORMS.index(form), id="form")
        yield Pick("Columns", ["as shown", "all that is known"], id="every")
        yield Pick("To", [each.value for each in TARGETS], TARGETS.index(target), id="target")
        yield Field("File", path or proposed_name(self._sheet, form, self.desk.clock()), id="path", applies=True)
        yield Painted(id="sample")

    def on_mount(self) -> None:
        """Show the choices, and the first lines."""
        marked = "marked " if self._sheet.marked else ""
        number, _, kind = self._sheet.what.partition(" ")
        self.query_one("#what", Painted).paint([((f"{number} {marked}{kind}", "strong"), *self._about())])
        self._show()

    def _about(self) -> Line:
        return (("  without marks it is all that is shown", "quiet"),) if self._sheet.marked else ()

    @property
    def _form(self) -> Form:
        return FORMS[self.query_one("#form", Pick).chosen]

    @property
    def _target(self) -> Target:
        return TARGETS[self.query_one("#target", Pick).chosen]

    @property
    def _every(self) -> bool:
        return bool(self.query_one("#every", Pick).chosen)

    @on(Pick.Changed)
    def _changed(self) -> None:
        self._exists = ""
        self.message("")
        field = self.query_one("#path", Input)
        if not self._named:
            with self.prevent(Input.Changed):
                field.value = proposed_name(self._sheet, self._form, self.desk.clock())
        self._show()

    @on(Input.Changed, "#path")
    def _renamed(self) -> None:
        proposed = [proposed_name(self._sheet, form, self.desk.clock()) for form in FORMS]
        self._named, self._exists = self.query_one("#path", Input).value not in proposed, ""
        self.message("")

    def _show(self) -> None:
        """Only the choices that matter, and the first lines of what comes out."""
        self.query_one("#every", Pick).display = self._form in {Form.CSV, Form.JSON}
        field = self.query_one("#path", Input).parent
        assert isinstance(field, Widget)
        field.display = self._target is Target.FILE
        if self._form is Form.COMMAND and not self._sheet.command:
            lines = [self._sheet.no_command or "No command prints this table."]
        else:
            context = self.desk.context()
            first = written(self._sheet.first(SAMPLE), self._form, context, every=self._every)
            lines = "".join(first).splitlines()[:SAMPLE]
        width = max(1, self.query_one("#sample", Painted).size.width or 70)
        glyphs = self.desk.glyphs
        self.query_one("#sample", Painted).paint(
            [((fmt.fit(fmt.literal(line, glyphs), width, glyphs), "quiet"),) for line in lines]
        )

    def on_resize(self) -> None:
        """Cut the lines to the new width."""
        super().on_resize()
        self.call_after_refresh(self._show)

    # ---- exporting

    @on(Input.Submitted)
    def action_apply(self) -> None:
        """Export; a file that is there already only after a second Enter."""
        if self._at_work:
            return
        if self._form is Form.COMMAND and not self._sheet.command:
            self.message(self._sheet.no_command or "No command prints this table.", "near")
        elif self._target is Target.SCREEN and self._form is not Form.COMMAND and len(self._sheet.rows) > READABLE:
            self.message(f"A screen takes {format_count(READABLE)} rows: filter them, or write a file.", "near")
        elif self._target is Target.FILE and not self.query_one("#path", Input).value.strip():
            self.message("The file has no name.", "near")
        else:
            self._at_work = True
            self._export(self._form, self._target, every=self._every)

    @background(exclusive=True, group="export")
    async def _export(self, form: Form, target: Target, *, every: bool) -> None:
        try:
            if target is Target.FILE:
                await self._to_file(form, every=every)
                return
            what = "The command" if form is Form.COMMAND else f"{self._sheet.what} as {form.value}"
            copied = Copied(what, "".join(await self._parts(form, every=every)), again=True)
            self.dismiss(None)
            self.app.post_message(copied if target is Target.CLIPBOARD else ShowText(copied))
        finally:
            self._at_work = False

    async def _parts(self, form: Form, *, every: bool) -> list[str]:
        """The whole text, made slice by slice."""
        found = []
        for number, part in enumerate(written(self._sheet, form, self.desk.context(), every=every), 1):
            found.append(part)
            if number % 20 == 0:
                done = min(number * SLICE, len(self._sheet.rows))
                self.message(f"{format_count(done)} of {format_count(len(self._sheet.rows))}", "quiet")
            await asyncio.sleep(PAUSE_SECONDS)
        return found

    async def _to_file(self, form: Form, *, every: bool) -> None:
        path = whole_path(self.query_one("#path", Input).value.strip())
        replace = self._exists == path
        shown = fmt.literal(path, self.desk.glyphs)
        if not replace and await in_thread(lambda: os.path.lexists(path)):
            self._ask(path, shown)
            return
        parts = await self._parts(form, every=every)
        try:
            await in_thread(lambda: write_file(path, parts, replace=replace))
        except FileExistsError:
            self._ask(path, shown)
        except OSError as error:
            self.message(f"Not written: {error.strerror or error}: {shown}")
        else:
            what = "The command" if form is Form.COMMAND else self._sheet.what
            size = format_size(sum(len(part.encode(errors="replace")) for part in parts))
            self.dismiss(((f"{what}, {size}: ", "plain"), (f"written to {shown}", "good")))

    def _ask(self, path: str, shown: str) -> None:
        self._exists = path
        self.message(f"The file is there already. Enter once more replaces {shown}", "near")
