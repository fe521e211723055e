"""Postfix's own files: ``name = value`` of postconf and of the .cf files of database maps. Pure."""

from __future__ import annotations

import re
from urllib.parse import quote

from core.endpoints import mysql_url

_MAP = re.compile(r"\b(mysql|sqlite):(/[^\s,{}]+)")
_HOST = re.compile(r"(?:inet:)?(\[[0-9a-fA-F:.]+\]|[\w.-]+)(?::([0-9]+))?", re.ASCII)


def parse_map_file(text: str) -> dict[str, str]:
    """The settings of a map (mysql_table(5)): # begins a comment line, a line that begins blank continues the last."""
    values: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[0].isspace():
            if name:
                values[name] = f"{values[name]} {line.strip()}".strip()
            continue
        name, equals, value = (part.strip() for part in line.partition("="))
        if equals and name:
            values[name] = value
        else:
            name = ""
    return values


def database_maps(value: str) -> list[tuple[str, str]]:
    """The maps in databases that a parameter such as virtual_mailbox_maps names: kind and file."""
    return _MAP.findall(value)


def database_url(kind: str, values: dict[str, str]) -> str | None:
    """The database of a map as a URL, without its password; None where the map does not say enough."""
    if kind == "sqlite":
        path = values.get("dbpath", "")
        return f"sqlite:///{quote(path)}" if path.startswith("/") else None
    hosts = [host for host in re.split(r"[\s,]+", values.get("hosts", "localhost")) if host]
    return mysql_url(values.get("user", ""), values.get("dbname", ""), [_place(host) for host in hosts])


def _place(text: str) -> tuple[str, str]:
    """Host, or path of a socket, and port."""
    if text.startswith("unix:"):
        return text.removeprefix("unix:"), ""
    match = _HOST.fullmatch(text)
    return (match[1], match[2] or "") if match else (text, "")


def map_query(values: dict[str, str]) -> str:
    """What a map asks; of the form before Postfix 2.2 (table, select_field, where_field) no more than the table."""
    return values.get("query") or f"from {values.get('table', '')}"
