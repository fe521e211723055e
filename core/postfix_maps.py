"""Postfix's own files: ``name = value`` of postconf and of the .cf files of database maps. Pure."""

from __future__ import annotations

import re
from urllib.parse import quote

_MAP = re.compile(r"(?:proxy:)?mysql:(/[^\s,]+)")
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


def mysql_map_files(value: str) -> list[str]:
    """The .cf files that a parameter such as virtual_mailbox_maps names."""
    return _MAP.findall(value)


def database_url(values: dict[str, str]) -> str | None:
    """The database of a map as a URL, without its password; None where the map does not say enough."""
    user, database = values.get("user", ""), values.get("dbname", "")
    hosts = [_host(host) for host in re.split(r"[\s,]+", values.get("hosts", "localhost")) if host]
    if not user or not database or not hosts or None in hosts:
        return None
    return f"mysql://{quote(user, safe='')}@{','.join(host for host in hosts if host)}/{quote(database, safe='')}"


def _host(text: str) -> str | None:
    if text.startswith("unix:/"):
        return quote(text.removeprefix("unix:"), safe="")
    match = _HOST.fullmatch(text)
    if match is None:
        return None
    return f"{match[1]}:{match[2]}" if match[2] else match[1]


def schema_of(query: str) -> str | None:
    """Which of the known schemas a mailbox query was written for."""
    if re.search(r"\bfrom\s+`?virtual_users\b", query, re.IGNORECASE):
        return "ispmail"
    if re.search(r"\bfrom\s+`?mailbox\b", query, re.IGNORECASE):
        return "postfixadmin"
    return None
