"""The settings as text: the commented file of ``config --write``, and the listing of ``config``. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

from ..base.endpoints import mask_secrets, parse_database_url
from .config import DEFAULT_ORIGIN, Config, keys, sections, value_of

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_OPTION_SECRET = re.compile(r"((?:password|api_key|secret)\w*=)\S+", re.IGNORECASE)  # doveadm -o doveadm_password=…
_HEAD = "# Settings of mailquota. Every key is here; what you delete or leave out has the default that is documented.\n"


def listing(config: Config) -> list[tuple[str, Any, str]]:
    """(key, value, origin) for each setting, in the order of the file; secrets masked."""
    rows = []
    for section, struct in sections().items():
        for key in keys(struct):
            name = f"{section}.{key}"
            value = _masked(value_of(config.settings, section, key))
            rows.append((name, value, config.origin.get(name, DEFAULT_ORIGIN)))
    return rows


def dump(config: Config, *, mask: bool = True) -> str:
    """A commented TOML file that loads to the same settings.

    ``mask`` leaves passwords out of database URLs, with a comment on where they are. Without it, the text is as secret
    as the file that was loaded. A password found on the server is never in it: ``password_file`` names its file.
    """
    parts = [_HEAD]
    for section, struct in sections().items():
        parts.append(f"\n[{section}]  # {struct.__doc__}\n")
        tables = []
        for key, meta in keys(struct).items():
            value = value_of(config.settings, section, key)
            if isinstance(value, dict):
                tables.append(_table(f"{section}.{key}", meta.description or "", value))
            else:
                parts.append(_entry(config, f"{section}.{key}", meta.description or "", value, mask=mask))
        parts.extend(tables)
    return "".join(parts)


def _entry(config: Config, name: str, meaning: str, value: Any, *, mask: bool) -> str:
    origin = config.origin.get(name, DEFAULT_ORIGIN)
    notes = [meaning]
    if origin.startswith("found: "):
        notes.append(origin)
        if name == "accounts.password_file":
            notes.append("the password is read from that file and not written here")
    if mask and name in {"accounts.database", "accounts.write_database"} and value:
        url = parse_database_url(value)
        if url.password is not None:
            value = url.without_password()
            notes.append(f"its password is in the URL of {origin.removeprefix('file ')}, and left out here")
    comments = "".join(f"# {_one_line(note)}\n" for note in notes)
    return f"{comments}{name.partition('.')[2]} = {toml(value)}\n"


def _one_line(text: str) -> str:
    """A text for a comment: line ends and others that do not print, as in the path of a file, become ?."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _table(name: str, meaning: str, values: dict[str, str]) -> str:
    lines = [f"{key if _BARE_KEY.fullmatch(key) else toml(key)} = {toml(value)}\n" for key, value in values.items()]
    return f"\n[{name}]  # {meaning}\n{''.join(lines)}"


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return _OPTION_SECRET.sub(r"\1***", mask_secrets(value))
    return value


def toml(value: Any) -> str:
    """A value in TOML. A JSON string is a TOML basic string, except that TOML requires DEL to be escaped."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)
