"""Reads Postfix's ``name = value``: the output of postconf, main.cf, and the .cf files of database maps. Pure.

A map may also be ``mysql:NAME``: its settings are then in main.cf, as ``NAME_hosts``, ``NAME_user`` … (OBSOLETE MAIN.CF
PARAMETERS in mysql_table(5)). In main.cf, unlike in a map's own file, ``$`` begins the name of another parameter.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from ...base.endpoints import mysql_url

_MAP = re.compile(r"\b(mysql|sqlite):(/[^\s,{}]+|[A-Za-z]\w*)", re.ASCII)
_REFERENCE = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\}|\((\w+)\))", re.ASCII)
_MOST_REFERENCES = 1000  # of one text; parameters may double in each step
_DEEPEST = 100  # Postfix's own bound (mac_expand.c)
_HOST = re.compile(r"(?:inet:)?(\[[0-9a-fA-F:.]+\]|[\w.-]+)(?::([0-9]+))?", re.ASCII)


def parse_map_file(text: str) -> dict[str, str]:
    """The settings in a text. A line that begins with # is a comment, one that begins with a blank continues the last.

    The format is that of mysql_table(5) and postconf(5).
    """
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
    """The database maps in a parameter such as virtual_mailbox_maps: pairs of type, and file or name in main.cf."""
    return _MAP.findall(value)


def main_cf_map(text: str, name: str) -> dict[str, str]:
    """A map's settings in the text of main.cf. A reference to a parameter not set there stays as it is."""
    values = parse_map_file(text)
    prefix = f"{name}_"
    ours = (key for key in values if key.startswith(prefix))
    return {key.removeprefix(prefix): _expanded(values[key], values) for key in ours}


def main_cf_password(text: str, user: str, database: str) -> str | None:
    """The password of the map in main.cf that uses this database as this user; None where there is none."""
    names = (key.removesuffix("_password") for key in parse_map_file(text) if key.endswith("_password"))
    maps = (main_cf_map(text, name) for name in names)
    return next((one["password"] for one in maps if _goes_to(one, user, database)), None)


def _goes_to(values: dict[str, str], user: str, database: str) -> bool:
    """Whether a map uses this database as this user. A setting that it lacks, as one in its option_file, may match."""
    return (values.get("user", user), values.get("dbname", database)) == (user, database)


def _expanded(text: str, values: dict[str, str]) -> str:
    """The text with the values of parameters. A reference to one that is not set stays, as does what has no end."""
    left, within = _MOST_REFERENCES, list[str]()

    def replaced(match: re.Match[str]) -> str:
        nonlocal left
        name = match[1] or match[2] or match[3]
        if name is None:
            return "$"
        left -= 1
        if name not in values or name in within or left < 0 or len(within) == _DEEPEST:
            return match[0]
        within.append(name)
        value = _REFERENCE.sub(replaced, values[name])
        within.pop()
        return value

    return _REFERENCE.sub(replaced, text)


def with_options(values: dict[str, str], text: str) -> dict[str, str]:
    """A map's settings with host or socket, and user, of its ``option_file`` (the text of a my.cnf) where it has none.

    The password is not taken: Postfix passes its own setting to MySQL's client library, even where that is empty.
    """
    options = _options(text, values.get("option_group", "client"))
    hosts, host = values.get("hosts", "localhost"), options.get("host", "localhost")
    if hosts == host == "localhost" and "socket" in options:
        hosts = f"unix:{options['socket']}"
    elif hosts == "localhost" and host != hosts:
        hosts = f"{host}:{options['port']}" if "port" in options else host
    return {"user": options.get("user", "")} | values | {"hosts": hosts}


def _options(text: str, group: str) -> dict[str, str]:
    """The options of the group ``client``, with those of ``group`` in addition or in their place."""
    groups: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            current = groups.setdefault(line.strip("[] "), {})
        elif not line.startswith(("#", ";", "!")):
            name, _, value = line.partition("=")
            current[name.strip()] = value.strip().strip("\"'")
    return groups.get("client", {}) | groups.get(group, {})


def database_url(kind: str, values: dict[str, str]) -> str | None:
    """The database of a map as a URL without password; None where the map lacks host, user or database."""
    if kind == "sqlite":
        path = values.get("dbpath", "")
        return f"sqlite:///{quote(path)}" if path.startswith("/") else None
    hosts = [host for host in re.split(r"[\s,]+", values.get("hosts", "localhost")) if host]
    return mysql_url(values.get("user", ""), values.get("dbname", ""), [_place(host) for host in hosts])


def _place(text: str) -> tuple[str, str]:
    """An entry of ``hosts`` as host, or path of a socket, and port or ""."""
    if text.startswith("unix:"):
        return text.removeprefix("unix:"), ""
    match = _HOST.fullmatch(text)
    return (match[1], match[2] or "") if match else (text, "")


def map_query(values: dict[str, str]) -> str:
    """The query of a map; for the form before Postfix 2.2 (table, select_field, where_field) only its FROM part."""
    return values.get("query") or f"from {values.get('table', '')}"
