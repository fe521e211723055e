"""Collects the settings that are discovered on the server, the origin of each, and the reasons for those that are not.

A reason (``fault``) begins with the setting that stays unknown, as ``accounts.database: …``. Where no setting stays
unknown but an administrator should know of it, it begins with the section. It is used only where the settings file has
no such section.
"""

from __future__ import annotations

import os
from typing import Any

from ..base.errors import UsageError
from ..servers.dovecot.conf import trash_names
from ..servers.dovecot.followed import DovecotSettings
from .config import DiscoveredSettings, check_value


class SettingsCollector:
    """The settings that are discovered so far. A value that its own check refuses is recorded as a fault instead."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, Any]] = {}
        self.origins: dict[str, str] = {}
        self.faults: list[str] = []

    def add(self, section: str, key: str, value: Any, origin: str) -> None:
        """Take a value and its origin, if the setting's check accepts it; else record a fault."""
        try:
            check_value(section, key, value)
        except UsageError as error:
            self.fault(f"{section}.{key}", f"{origin} has a value that mailquota does not accept: {error}")
            return
        self.values.setdefault(section, {})[key] = value
        self.origins[f"{section}.{key}"] = origin

    def fault(self, key: str, what: str) -> None:
        """Record why a setting could not be discovered: something could not be asked, read or understood."""
        hint = " (run mailquota as root)" if os.geteuid() and "Permission denied" in what else ""
        self.faults.append(f"{key}: {what}{hint}")

    def drop(self, section: str, key: str) -> None:
        """Remove a value that turned out to be wrong."""
        self.values.get(section, {}).pop(key, None)
        self.origins.pop(f"{section}.{key}", None)

    def has(self, section: str, key: str) -> bool:
        """Whether a value was found."""
        return key in self.values.get(section, {})

    def lacks(self, key: str) -> bool:
        """Whether there is a fault about a setting."""
        return any(fault.startswith(f"{key}: ") for fault in self.faults)

    def found(self, doveconf_text: str, dovecot: DovecotSettings) -> DiscoveredSettings:
        """All that was collected, with Trash folders by the output of doveconf, and what else Dovecot says."""
        return DiscoveredSettings(
            values=self.values,
            origins=self.origins,
            trash_names=tuple(trash_names(doveconf_text)),
            quota=dovecot.quota,
            users=dovecot.users,
            faults=tuple(dict.fromkeys(self.faults)),
        )
