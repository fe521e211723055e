"""Makes the state database that the settings name."""

from __future__ import annotations

from ..base.mysql import Target
from ..settings.config import Config
from ..settings.passwords import database_target
from .database import StateDatabase


def make_state(config: Config) -> StateDatabase:
    """The state database, not opened yet. Raises SettingsError as ``state_target`` does."""
    return StateDatabase(state_target(config))


def state_target(config: Config) -> Target:
    """The file or server of the state database (setting ``state.url``).

    Raises SettingsError for a password that can't be read.
    """
    return database_target(config, config.settings.state.url, "state")
