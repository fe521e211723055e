"""The command palette: every action that has a key here, the columns to sort by, and the themes, by name."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from textual.app import SystemCommand
from textual.screen import Screen

from tui import theme
from tui.columns import COLUMNS
from tui.screens.accounts import AccountsScreen

if TYPE_CHECKING:
    from tui.app import MailquotaApp


def commands_of(app: MailquotaApp, screen: Screen[object]) -> Iterator[SystemCommand]:
    """What can be done now; what may not be done is not there."""
    seen = {"command_palette", *(f"move({step})" for step in (1, -1))}
    for namespace, binding, enabled, _tooltip in screen.active_bindings.values():
        if enabled and binding.tooltip and binding.action not in seen:
            seen.add(binding.action)
            run = partial(app.run_action, binding.action, namespace)
            yield SystemCommand(binding.description, binding.tooltip, run)
    if isinstance(screen, AccountsScreen):
        for column in COLUMNS:
            yield SystemCommand(f"Sort by {column.title}", "sort the accounts", partial(screen.sort_by, column))
    if not app.no_color:
        for each in theme.THEMES:
            yield SystemCommand(f"Theme: {each.name}", "change the colours", partial(app.use_theme, each.name))
