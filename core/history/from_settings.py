"""Makes the state database that the settings name."""

from __future__ import annotations

from mailquota.core.base.mysql import Target
from mailquota.core.history.database import StateDatabase
from mailquota.core.settings.config import Config
from mailquota.core.settings.passwords import database_target


def make_state(config: Config) -> StateDatabase:
    """The state database, not opened yet. Raises SettingsError as ``state_target`` does."""
    return StateDatabase(state_target(config))


def state_target(config: Config) -> Target:
    """The file or server of the state database (setting ``state.url``).

    Raises SettingsError for a password that can't be read.
    """
    return database_target(config, config.settings.state.url, "state")
