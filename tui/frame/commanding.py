"""Actions by name: the palette, the command line, and those of the app's own actions that take arguments."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

from textual.app import SystemCommand
from textual.command import CommandPalette
from textual.screen import Screen

from mailquota.core.base.errors import UsageError

from ..desk.pace import PACES
from ..desk.typed import Choice, Doing, takes
from . import theme as themes
from .colon import CommandLine
from .export import Wanted, export_choices
from .palette import OPENING, commands_of, system_commands
from .replaying import ReplayingApp

T = TypeVar("T")


def _themes(app: CommandingApp[Any], words: Sequence[str]) -> Iterable[Choice]:
    return () if words or app.no_color else (Choice(name) for name in themes.NAMES)


def _paces(_app: CommandingApp[Any], words: Sequence[str]) -> Iterable[Choice]:
    if words:
        return ()
    return (
        Choice(f"{pace:g}" if pace else "live", f"draw every {pace:g} s" if pace else "draw at once") for pace in PACES
    )


def _exports(_app: CommandingApp[Any], words: Sequence[str]) -> Iterable[Choice]:
    return export_choices(words)


class CommandingApp(ReplayingApp[T], inherit_bindings=False):
    """A subclass has the themes in use, and the dialog that exports."""

    def use_theme(self, name: str) -> None:
        """Use this theme from now on."""
        raise NotImplementedError

    def open_export(self, wanted: Wanted) -> None:
        """Show the dialog that exports."""
        raise NotImplementedError

    # ---- the palette, and the command line

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The entries of the palette."""
        yield from system_commands(commands_of(screen), self.desk.glyphs)

    def action_command_palette(self) -> None:
        """Open the palette, except over a dialog, which has no such actions."""
        if not self.screen.is_modal:
            self.push_screen(CommandPalette(placeholder="Type a part of what you want to do"))

    def action_command_line(self) -> None:
        """Open the command line, except over a dialog."""
        if not self.screen.is_modal:
            commands = [each for each in commands_of(self.screen) if each.action not in OPENING]
            self.push_screen(CommandLine(self.desk, commands), self._carry_out)

    async def _carry_out(self, doing: Doing | None) -> None:
        done = None if doing is None else doing()
        if inspect.isawaitable(done):
            await done

    # ---- actions with arguments

    @takes("NAME", _themes, listed=True, about="use this theme")
    def typed_theme(self, rest: str) -> Doing:
        """``theme dark``."""
        if rest not in themes.NAMES:
            raise UsageError(f"there is no theme {rest}; there are {', '.join(themes.NAMES)}")
        return partial(self.use_theme, rest)

    @takes("SECONDS", _paces, about="draw every so many seconds; live: at once")
    def typed_pace(self, rest: str) -> Doing:
        """``pace 5``: as one of those that the keys lead to."""
        for pace in PACES:
            if rest.removesuffix("s").strip() in {f"{pace:g}", "live" if not pace else ""}:
                return partial(self.use_pace, pace)
        raise UsageError(
            f"the pace is live, or seconds: {', '.join(f'{pace:g}' for pace in PACES if pace)}; not {rest}"
        )

    @takes("[FORM] [TARGET] [PATH]", _exports)
    def typed_export(self, rest: str) -> Doing:
        """``export csv file ~/full.csv``: the dialog with these choices."""
        return partial(self.open_export, Wanted.read(rest))
