"""From an address of a database in the settings to what can be connected to."""

from __future__ import annotations

import logging
from pathlib import Path

from mailquota.core.base.endpoints import DatabaseUrl
from mailquota.core.base.mysql import Target
from mailquota.core.settings.config import Config
from mailquota.core.settings.passwords import Which, read_password

log = logging.getLogger(__name__)


def database_target(config: Config, url: DatabaseUrl, which: Which) -> Target:
    """With its password. Raises SettingsError for one that can't be read."""
    if url.kind == "sqlite":
        return Target("sqlite", path=Path(url.path))
    password = read_password(config, which)
    if password.warning:
        log.warning("%s", password.warning)
    return Target("mysql", url.hosts, url.database, url.user, password.text)
