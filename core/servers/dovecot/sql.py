"""The accounts database as Dovecot's settings name it: its URL, its schema, and the file with its password. Pure.

Dovecot 2.3 keeps it in a separate file, which ``args`` of a ``userdb`` or ``passdb`` names: ``driver``, ``connect``
(words ``host=… dbname=… user=… password=…``, or the path of a SQLite file) and queries. 2.4 has ``sql_driver``, blocks
``mysql HOST { }``, whose name is the host unless ``host`` is set, and the query in the block of the user database.
``doveconf -n`` hides passwords, so a password is read from its file, each time it is needed.

A query of Postfix or Dovecot tells the schema (``schema_of``). Many systems have a table ``mailbox``, and not all of
them keep limits in bytes as PostfixAdmin does (iRedMail: MiB). So ``mailbox`` counts as PostfixAdmin's only while the
query shows no other unit. The table ``virtual_users`` is ISPmail's alone: there another unit is a mistake in the query.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote

import msgspec

from ...base.endpoints import mysql_url
from .conf import Block, parse_doveconf

_ISPMAIL = re.compile(r"\bfrom\s+`?virtual_users\b", re.IGNORECASE)
_POSTFIXADMIN = re.compile(r"\bfrom\s+`?mailbox\b", re.IGNORECASE)
_OTHER_UNIT = re.compile(r"\bquota\w*\)?\s*[*/]|:storage=|\bquota\w*\)?\s*(?:,|\|\|)\s*'\s*[kmgt]", re.IGNORECASE)
_IREDMAIL = re.compile(r"\b(?:storagebasedirectory|storagenode|forwardings)\b", re.IGNORECASE)


class SqlSource(msgspec.Struct, frozen=True):
    """A database in which Dovecot looks users up, without its password.

    ``origin`` is the file or the block of Dovecot's settings, for messages. ``url`` is None where they do not say
    enough; ``fault`` is then the reason.
    """

    origin: str
    url: str | None = None
    query: str = ""
    has_password: bool = False
    fault: str = ""


def parse_sql_conf(text: str) -> dict[str, str]:
    """The settings in 2.3's dovecot-sql.conf.ext, without the quotes around values.

    A backslash at the end of a line joins the next line to it.
    """
    values = {}
    for line in text.replace("\\\n", " ").splitlines():
        name, equals, value = line.partition("=")
        if equals and not name.lstrip().startswith("#"):
            value = value.strip()
            values[name.strip()] = value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
    return values


def sql_source_of_file(file: str, text: str) -> SqlSource:
    """The database of a dovecot-sql.conf.ext with this path and text (Dovecot 2.3)."""
    values = parse_sql_conf(text)
    driver, connect = values.get("driver", ""), values.get("connect", "")
    query = values.get("user_query") or values.get("password_query", "")
    if driver == "sqlite" and connect.startswith("/"):
        return SqlSource(file, url=f"sqlite:///{quote(connect)}", query=query)
    if driver != "mysql":
        return SqlSource(file, fault=_not_covered(file, driver))
    words = _words(connect)
    port = _last(words, "port")
    url = mysql_url(_last(words, "user"), _last(words, "dbname"), [(host, port) for host in words.get("host", [])])
    fault = "" if url else f"{file}: connect does not say host, dbname and user"
    return SqlSource(file, url=url, query=query, has_password=bool(_last(words, "password")), fault=fault)


def _not_covered(where: str, driver: str) -> str:
    if not driver:
        return f"{where} names no driver"
    return f"{where}: the driver {driver[:40]} is not covered, only mysql and sqlite are"


def _words(connect: str) -> dict[str, list[str]]:
    words: dict[str, list[str]] = {}
    for word in connect.split():
        name, _, value = word.partition("=")
        words.setdefault(name, []).append(value)
    return words


def _last(words: dict[str, list[str]], name: str) -> str:
    return words.get(name, [""])[-1]


def sql_source_of_conf(conf: Block, userdb: Block) -> SqlSource:
    """The database of a user or password database of 2.4. Settings inside its block win over those outside."""
    where = f"doveconf {userdb.kind} {userdb.name}"
    query = userdb.values.get("query", "")
    driver = _value([userdb, conf], "sql_driver")
    if driver == "sqlite":
        path = _value([userdb, *userdb.of_kind("sqlite"), *conf.of_kind("sqlite"), conf], "sqlite_path", "path")
        url = f"sqlite:///{quote(path)}" if path.startswith("/") else None
        return SqlSource(
            f"{where} sqlite_path", url=url, query=query, fault="" if url else f"{where}: sqlite_path is not set"
        )
    if driver != "mysql":
        return SqlSource(where, fault=_not_covered(where, driver))
    blocks = list(userdb.of_kind("mysql")) or list(conf.of_kind("mysql"))
    if not blocks:
        return SqlSource(where, fault=f"{where}: there is no block mysql")
    hosts = [_value([block], "host", "mysql_host") or block.name for block in blocks]
    user, database, port = (_value(blocks, name, f"mysql_{name}") for name in ("user", "dbname", "port"))
    url = mysql_url(user, database, [(host, port) for host in hosts])
    origin = f"doveconf mysql {blocks[0].name}"
    has_password = any(_value([block], "password", "mysql_password") for block in blocks)
    fault = "" if url else f"{origin} does not say host, dbname and user"
    return SqlSource(origin, url=url, query=query, has_password=has_password, fault=fault)


def _value(blocks: list[Block], *names: str) -> str:
    return next((block.values[name] for block in blocks for name in names if block.values.get(name)), "")


def password_in(text: str) -> str | None:
    """The database password in the text of a Dovecot file: in 2.3's ``connect`` or 2.4's block ``mysql``."""
    old = _last(_words(parse_sql_conf(text).get("connect", "")), "password")
    modern = (_without_single_quotes(one) for one in _passwords(parse_doveconf(text)) if not one.startswith("<"))
    return old or next(modern, None)


def password_file_in(text: str) -> str | None:
    """The path in ``password = <FILE`` of a block ``mysql`` (2.4), as written: it may be relative."""
    return next((one[1:].strip() for one in _passwords(parse_doveconf(text)) if one.startswith("<")), None)


def _passwords(block: Block) -> Iterator[str]:
    for inner in block.blocks:
        if inner.kind == "mysql":
            password = _value([inner], "password", "mysql_password")
            if password:
                yield password
        yield from _passwords(inner)


def _without_single_quotes(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == "'" else text


def includes(text: str) -> list[str]:
    """The patterns of files that a Dovecot file includes, as written; relative ones start from its folder."""
    return [match[1] for match in re.finditer(r"^\s*!include(?:_try)?\s+(\S+)\s*$", text, re.MULTILINE)]


def schema_of(query: str) -> str | None:
    """The schema that a query was written for: ispmail, postfixadmin, or None for any other."""
    if _ISPMAIL.search(query):
        return "ispmail"
    return "postfixadmin" if _POSTFIXADMIN.search(query) and not other_unit(query) else None


def other_unit(query: str) -> bool:
    """Whether a query shows that limits are kept in another unit than bytes."""
    return bool(_OTHER_UNIT.search(query) or _IREDMAIL.search(query))
