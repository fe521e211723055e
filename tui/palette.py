"""The command palette: every action that has a key here, the columns to sort by, and the themes, by name."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.app import SystemCommand
from textual.screen import Screen

from tui import theme
from tui.columns import COLUMNS
from tui.screens.accounts import AccountsScreen
from tui.widgets.foot import key_name
from tui.widgets.live_table import LiveTable

if TYPE_CHECKING:
    from tui.app import MailquotaApp


def commands_of(app: MailquotaApp, screen: Screen[Any]) -> Iterator[SystemCommand]:
    """What can be done now; what may not be done is not there."""
    seen = {"command_palette"}
    for namespace, binding, enabled, _tooltip in screen.active_bindings.values():
        moving = isinstance(namespace, LiveTable) and not binding.show
        if enabled and binding.tooltip and not moving and binding.action not in seen:
            seen.add(binding.action)
            run = partial(app.run_action, binding.action, namespace)
            words = f"{binding.tooltip} (key {key_name(binding, app.desk.glyphs)})"
            yield SystemCommand(binding.description, words, run)
    if isinstance(screen, AccountsScreen):
        for column in COLUMNS:
            yield SystemCommand(f"Sort by {column.title}", "sort the accounts", partial(screen.pane.sort_by, column))
    if not app.no_color:
        for each in theme.THEMES:
            yield SystemCommand(f"Theme: {each.name}", "change the colours", partial(app.use_theme, each.name))
