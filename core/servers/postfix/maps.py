"""Postfix's own files: ``name = value`` of postconf, of main.cf and of the .cf files of database maps. Pure.

A map may also be ``mysql:NAME``: its settings stand in main.cf then, as ``NAME_hosts``, ``NAME_user`` … (OBSOLETE
MAIN.CF PARAMETERS in mysql_table(5)). In main.cf, unlike in a map's own file, ``$`` begins another parameter's name.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from mailquota.core.base.endpoints import mysql_url

_MAP = re.compile(r"\b(mysql|sqlite):(/[^\s,{}]+|[A-Za-z]\w*)", re.ASCII)
_REFERENCE = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\}|\((\w+)\))", re.ASCII)
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
    """The maps in databases that a parameter such as virtual_mailbox_maps names: kind, and file or name in main.cf."""
    return _MAP.findall(value)


def main_cf_map(text: str, name: str) -> dict[str, str]:
    """The settings of a map in the text of main.cf. A reference to what is not set there stays as it is."""
    values = parse_map_file(text)
    prefix = f"{name}_"
    ours = (key for key in values if key.startswith(prefix))
    return {key.removeprefix(prefix): _expanded(values[key], values) for key in ours}


def main_cf_password(text: str, user: str, database: str) -> str | None:
    """The password of the map in main.cf that goes to this database as this user."""
    names = (key.removesuffix("_password") for key in parse_map_file(text) if key.endswith("_password"))
    maps = (main_cf_map(text, name) for name in names)
    return next((one["password"] for one in maps if _goes_to(one, user, database)), None)


def _goes_to(values: dict[str, str], user: str, database: str) -> bool:
    """What a map leaves to its option_file is not known here."""
    return (values.get("user", user), values.get("dbname", database)) == (user, database)


def _expanded(text: str, values: dict[str, str]) -> str:
    def replaced(match: re.Match[str]) -> str:
        name = match[1] or match[2] or match[3]
        if name is None:
            return "$"
        others = {key: value for key, value in values.items() if key != name}  # so that a circle ends
        return _expanded(values[name], others) if name in values else match[0]

    return _REFERENCE.sub(replaced, text)


def with_options(values: dict[str, str], text: str) -> dict[str, str]:
    """A map's settings, and what they leave to its ``option_file`` (a my.cnf): host or socket, and user.

    Not the password: Postfix gives MySQL's client library its own, even where that is empty.
    """
    options = _options(text, values.get("option_group", "client"))
    hosts, host = values.get("hosts", "localhost"), options.get("host", "localhost")
    if hosts == host == "localhost" and "socket" in options:
        hosts = f"unix:{options['socket']}"
    elif hosts == "localhost" and host != hosts:
        hosts = f"{host}:{options['port']}" if "port" in options else host
    return {"user": options.get("user", "")} | values | {"hosts": hosts}


def _options(text: str, group: str) -> dict[str, str]:
    """What the group ``client`` says, and what ``group`` says besides or otherwise."""
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
