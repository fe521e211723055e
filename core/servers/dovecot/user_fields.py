"""The fields that Dovecot's user databases give for each user, as far as they are the same for all users. Pure but for
the files that Dovecot's settings name.

A field of a user is a setting for that user alone, and wins over the same setting for all. A constant in a query counts
like a setting; a column differs by user. A query whose fields can't be told gives an unknown one: ``*``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

from ...base.programs import Read
from .conf import Block, driver_of
from .sql import parse_sql_conf

EVERYTHING = "*"  # the name of a field for those that can't be told
_HARMLESS_DRIVERS = {"prefetch", "passwd"}  # their users are in another database, or have a home alone
_SELECT = re.compile(r"\s*select\s+(?:distinct\s+)?", re.IGNORECASE)
_PART = re.compile(r"'(?:[^'\\]|''|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`[^`]*`|[()]|,|\bfrom\b|[^'\"`(),]", re.IGNORECASE)
_ALIAS = re.compile(r"(?s)(.*?)\s*\bas\s+([`\"']?)([\w./ -]+)\2|(.*?[\s)])([`\"]?)([\w./-]+)\5", re.IGNORECASE)
_CONSTANT = re.compile(r"\s*'((?:[^'\\]|'')*)'\s*")
_COLUMN = re.compile(r"[`\"]?\w+[`\"]?(?:\.[`\"]?\w+[`\"]?)*")
_PASSWD_FIELDS = 7  # user:password:uid:gid:(gecos):home:(shell), and then fields of one's own


class UserField(msgspec.Struct, frozen=True):
    """A field of a user database. ``value`` is None where it differs by user, ``text`` is how the query makes it.

    ``origin`` names field and database, for messages. ``by_query``: variables in it have the name as it was looked up.
    """

    name: str
    value: str | None
    origin: str
    text: str = ""
    by_query: bool = False


class UserDatabase(msgspec.Struct, frozen=True):
    """The fields of one user database by name. ``fault``: why its file, which has them, can't be read."""

    driver: str
    origin: str
    fields: dict[str, UserField] = {}
    fault: str = ""


def user_databases(conf: Block, *, modern: bool, read: Read) -> list[UserDatabase]:
    """The user databases in Dovecot's order, by the settings ``conf``, of 2.4 if ``modern``.

    Where any is in SQL only those are returned, as the accounts are in SQL, too: others have other users.
    """
    make = _modern if modern else _old
    found = [make(block, read) for block in conf.of_kind("userdb")]
    return [one for one in found if one.driver == "sql"] or found


def _modern(block: Block, read: Read) -> UserDatabase:
    driver, origin = driver_of(block), f"userdb {block.name}"
    settings = {name: value for inner in block.of_kind("fields") for name, value in inner.values.items()}
    found: dict[str, str | None] = {}
    texts: dict[str, str] = {}
    if driver == "sql":
        texts = _selected_or_all(block.values.get("query", ""))
        found = {name: constant(text) for name, text in texts.items()}
    elif driver == "passwd-file":
        path = block.values.get("passwd_file_path", "")
        return UserDatabase(driver, origin, _passwd_file(path, origin, read) | _later(settings, origin))
    elif driver not in {"static", *_HARMLESS_DRIVERS}:
        found = {EVERYTHING: None}
    return UserDatabase(driver, origin, _fields(found, texts, origin) | _later(settings, origin))


def _old(block: Block, read: Read) -> UserDatabase:
    driver, args = block.values.get("driver", ""), block.values.get("args", "")
    defaults = _fields(_words(block.values.get("default_fields", "")), {}, f"userdb {driver}")
    overrides = _later(_words(block.values.get("override_fields", "")), f"userdb {driver}")
    if driver == "sql":
        origin = f"user_query in {args}"
        file = read(args)
        if file.text is None:
            return UserDatabase(driver, origin, defaults | overrides, file.fault)
        texts = _selected_or_all(parse_sql_conf(file.text).get("user_query", ""))
        found = _fields({name: constant(text) for name, text in texts.items()}, texts, origin)
        return UserDatabase(driver, origin, defaults | found | overrides)
    origin = f"userdb {driver}"
    if driver == "passwd-file":
        return UserDatabase(driver, origin, defaults | _passwd_file(args.split(" ")[-1], origin, read) | overrides)
    own = _words(args) if driver == "static" else {}
    unknown = {} if driver in {"static", *_HARMLESS_DRIVERS} else {EVERYTHING: None}
    return UserDatabase(driver, origin, _fields({**unknown, **own}, {}, origin) | defaults | overrides)


def _words(text: str) -> dict[str, str]:
    return dict(word.split("=", 1) for word in text.split() if "=" in word)


def _passwd_file(path: str, origin: str, read: Read) -> dict[str, UserField]:
    """A field that one user has in it differs by user. So does the home. An unreadable file has no users of ours."""
    found: dict[str, str | None] = {}
    for line in (read(path).text or "").splitlines():
        parts = line.split(":", _PASSWD_FIELDS)
        if line.startswith("#") or len(parts) < _PASSWD_FIELDS - 1:
            continue
        if parts[5]:
            found["home"] = None
        more = parts[_PASSWD_FIELDS] if len(parts) > _PASSWD_FIELDS else ""
        found |= {word[7:].partition("=")[0]: None for word in more.split() if word.startswith("userdb_")}
    return _fields(found, {}, origin)


def _fields(found: Mapping[str, str | None], texts: Mapping[str, str], origin: str) -> dict[str, UserField]:
    """Fields of a query, or that are set before it."""
    return {
        name: UserField(
            name, value, f"{name} of {origin}" if name != EVERYTHING else origin, texts.get(name, ""), by_query=True
        )
        for name, value in found.items()
    }


def _later(found: Mapping[str, str], origin: str) -> dict[str, UserField]:
    """Fields that are set after the query, for the user that it found."""
    return {name: UserField(name, value, f"{name} of {origin}") for name, value in found.items()}


def _selected_or_all(query: str) -> dict[str, str]:
    found = selected(query)
    return {EVERYTHING: ""} if found is None else found


def selected(query: str) -> dict[str, str] | None:
    """The names of the fields that an SQL query gives, in order, each with the expression for it; None if not clear."""
    start = _SELECT.match(query)
    if start is None:
        return None
    found: dict[str, str] = {}
    for item in _items(query[start.end() :]):
        text = item.strip()
        match = _ALIAS.fullmatch(text)
        if match is not None and (match[3] or match[6]):
            found[match[3] or match[6]] = (match[1] if match[3] else match[4]).strip()
        elif _COLUMN.fullmatch(text):
            found[text.rpartition(".")[2].strip('`"')] = text
        else:
            return None  # as ``*``, or an expression without a name
    return found


def _items(text: str) -> Iterator[str]:
    """The expressions between SELECT and FROM, divided at commas that are in no brackets and no quotes."""
    depth, item = 0, ""
    for match in _PART.finditer(text):
        part = match[0]
        depth += (part == "(") - (part == ")")
        if depth == 0 and part.lower() == "from":
            break
        if depth == 0 and part == ",":
            yield item
            item = ""
        else:
            item += part
    yield item


def constant(text: str) -> str | None:
    """The value of an SQL expression that is one text in single quotes, or a number; None for any other."""
    match = _CONSTANT.fullmatch(text)
    if match is not None:
        return match[1].replace("''", "'")
    return text.strip() if text.strip().isdigit() else None


def starts_with(text: str) -> str:
    """The text in single quotes with which an SQL expression begins, as in ``concat('*:bytes=', quota)``; else ""."""
    match = re.match(r"\s*(?:concat\s*\(\s*)?'((?:[^'\\]|'')*)'", text, re.IGNORECASE)
    return match[1] if match else ""
