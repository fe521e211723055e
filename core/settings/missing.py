"""Refuses to work without settings that are neither in the file nor found on the server, with an example. Pure.

Only settings that were searched for on the server can be missing: where the file has the section, its defaults count.
"""

from __future__ import annotations

from ..base.errors import SettingsError
from . import lenny
from .config import DEFAULT_PATH, Config

_NEEDED = ("accounts.database", "accounts.schema", "mailstore.path")
_ACCOUNTS = (
    "[accounts]",
    'database = "{database}"',
    'password_file = "{password_file}"',
    'schema = "ispmail"  # or "postfixadmin"; "custom" with users_query and set_query for other tables',
)
_MAILSTORE = ("[mailstore]", 'path = "/var/vmail/{domain}/{user}/Maildir"  # or, for other formats: driver = "doveadm"')


class MissingSettingError(SettingsError):
    """A needed setting is not known. ``advice`` is a sentence and the lines to put into the settings file."""

    def __init__(self, config: Config, keys: list[str]) -> None:
        reasons: dict[str, list[str]] = {}
        for fault in config.found.faults:
            key, _, reason = fault.partition(": ")
            if key in keys:
                reasons.setdefault(reason, []).append(key)
        told = "; ".join(f"{' and '.join(open_keys)}: {reason}" for reason, open_keys in reasons.items())
        super().__init__(f"not in the settings, and not found on this server: {told}")
        self.advice = tuple(_advice(config, {key.partition(".")[0] for key in keys}))
        if lenny.NAMED in str(self):
            self.advice = lenny.ADVICE


def missing(config: Config) -> list[str]:
    """The settings that were searched for on the server and not found."""
    lacking = {fault.partition(": ")[0] for fault in config.found.faults}
    return [key for key in _NEEDED if key in lacking]


def require(config: Config, *sections: str) -> None:
    """Raises MissingSettingError where a setting of these sections (default: of any) was searched for and not found."""
    keys = [key for key in missing(config) if not sections or key.partition(".")[0] in sections]
    if keys:
        raise MissingSettingError(config, keys)


def _advice(config: Config, sections: set[str]) -> list[str]:
    accounts = config.settings.accounts
    lines = [f"Put this into {config.path or DEFAULT_PATH}, with your own values:", ""]
    if "accounts" in sections:
        database = accounts.url.without_password()
        lines += [line.format(database=database, password_file=accounts.password_file) for line in _ACCOUNTS]
    if "mailstore" in sections:
        lines += _MAILSTORE
    return lines
