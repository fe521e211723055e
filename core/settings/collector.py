"""What is found on a server while it is being looked for: settings, where each was found, and what could not be.

A fault begins with the setting that it leaves unknown (``accounts.database: …``), or with the section where nothing
stays unknown but somebody should know. It matters only while the settings file lacks that section.
"""

from __future__ import annotations

import os
from typing import Any

from mailquota.core.base.errors import UsageError
from mailquota.core.servers.dovecot.conf import trash_names
from mailquota.core.servers.dovecot.quota import quota_facts
from mailquota.core.settings.config import DiscoveredSettings, check_value


class SettingsCollector:
    """What would not do as a setting is as good as not found."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, Any]] = {}
        self.origins: dict[str, str] = {}
        self.faults: list[str] = []

    def add(self, section: str, key: str, value: Any, origin: str) -> None:
        """Keep a value, unless its check says that it will not do."""
        try:
            check_value(section, key, value)
        except UsageError as error:
            self.fault(f"{section}.{key}", f"{origin} is no value for us: {error}")
            return
        self.values.setdefault(section, {})[key] = value
        self.origins[f"{section}.{key}"] = origin

    def fault(self, key: str, what: str) -> None:
        """Something could not be asked, read or understood."""
        hint = " (run mailquota as root)" if os.geteuid() and "Permission denied" in what else ""
        self.faults.append(f"{key}: {what}{hint}")

    def drop(self, section: str, key: str) -> None:
        """What turned out not to hold."""
        self.values.get(section, {}).pop(key, None)
        self.origins.pop(f"{section}.{key}", None)

    def has(self, section: str, key: str) -> bool:
        """Whether a value was found."""
        return key in self.values.get(section, {})

    def found(self, doveconf_text: str) -> DiscoveredSettings:
        """With what the text of doveconf says beside settings."""
        return DiscoveredSettings(
            values=self.values,
            origins=self.origins,
            trash_names=tuple(trash_names(doveconf_text)),
            quota=quota_facts(doveconf_text),
            faults=tuple(dict.fromkeys(self.faults)),
        )
