"""The path of Maildirs by Dovecot's settings and user databases, as one template for all users.

User databases may give ``home`` and ``mail`` (2.4: ``mail_path``), which win over the global settings. A constant in
their query counts like a setting. A column of the table differs by user, and then no template is right. A file of a
user database that can't be read is not taken for empty, as it may give a path.
"""

from __future__ import annotations

import re

import msgspec

from ...base.programs import Read
from .conf import Block, path_template
from .sql import parse_sql_conf

_NOT_SELECTED = ""  # for a field that a query does not select
_MAIL_FIELD = {False: "mail", True: "mail_path"}  # 2.3, 2.4
_CONSTANT = r"'([^']*)'\s+as\s+[`\"]?{}\b"


class MailLocation(msgspec.Struct, frozen=True):
    """``path`` is a template with {domain} and {user}, ``origin`` the setting that it comes from.

    Where it is not known ``path`` is empty and ``fault`` is the reason. ``hidden``: a file that may give it can't be
    read by this user.
    """

    path: str = ""
    origin: str = ""
    fault: str = ""
    hidden: bool = False


class _UserField(msgspec.Struct, frozen=True):
    """A field of a user database; ``value`` is None where it differs by user."""

    value: str | None
    origin: str


def mail_location(conf: Block, *, modern: bool, read: Read) -> MailLocation:
    """The path of Maildirs by Dovecot's settings ``conf``, of 2.4 if ``modern``."""
    try:
        fields = _userdb_fields(conf, modern=modern, read=read)
    except _UnreadableError as error:
        return MailLocation(fault=str(error), hidden=True)
    mail = fields.get("mail", _global_mail(conf, modern=modern))
    if isinstance(mail, str):
        return MailLocation(fault=mail)
    home = fields.get("home", _UserField(conf.values.get("mail_home"), "mail_home"))
    location, origin = mail.value or "", mail.origin
    if location == "~" or location.startswith("~/"):
        if not home.value:
            return MailLocation(fault=f"{location} of {origin} is below a home that is not the same path for all users")
        location, origin = home.value + location[1:], f"{origin}, {home.origin}"
    template = path_template(location, modern=modern)
    if not template:
        return MailLocation(fault=f"{origin} is not one path for all users")
    return MailLocation(template.rstrip("/"), origin)


class _UnreadableError(Exception):
    """A file of a user database can't be read."""


def _global_mail(conf: Block, *, modern: bool) -> _UserField | str:
    """The global setting, or the reason why it names no Maildir."""
    if not modern:
        location = conf.values.get("mail_location", "")
        path = _maildir_of(location)
        return _UserField(path, "mail_location") if path else _no_maildir("mail_location", location)
    driver = conf.values.get("mail_driver", "")
    if driver != "maildir":
        return _no_maildir("mail_driver", driver)
    path = conf.values.get("mail_path")
    return _UserField(path, "mail_path") if path else _no_maildir("mail_path", "")


def _no_maildir(name: str, value: str) -> str:
    return f"{name} = {value} is no Maildir" if value else f"{name} is not set"


def _maildir_of(location: str) -> str | None:
    """The path in ``maildir:PATH:OPTION=…``; None for other formats."""
    kind, _, rest = location.partition(":")
    return rest.partition(":")[0] or None if kind == "maildir" else None


def _userdb_fields(conf: Block, *, modern: bool, read: Read) -> dict[str, _UserField]:
    """The fields ``home`` and ``mail`` of user databases; the first database that gives one counts."""
    fields: dict[str, _UserField] = {}
    for userdb in conf.of_kind("userdb"):
        query, constants, origin = _userdb_sources(userdb, modern=modern, read=read)
        home = constants.get("home") or _selected(query, "home")
        mail = constants.get(_MAIL_FIELD[modern]) or _selected(query, _MAIL_FIELD[modern])
        if home != _NOT_SELECTED:
            fields.setdefault("home", _UserField(home, f"home of {origin}"))
        if mail != _NOT_SELECTED:
            mail = mail if modern else _maildir_of(mail or "")
            fields.setdefault("mail", _UserField(mail, f"{_MAIL_FIELD[modern]} of {origin}"))
    return fields


def _userdb_sources(userdb: Block, *, modern: bool, read: Read) -> tuple[str, dict[str, str], str]:
    """The SQL query of a user database, its fields that are the same for all users, and where they are set."""
    if modern:
        fields = {name: value for block in userdb.of_kind("fields") for name, value in block.values.items()}
        return userdb.values.get("query", ""), fields, f"userdb {userdb.name}"
    args = userdb.values.get("args", "")
    driver = userdb.values.get("driver", "")
    words = [*userdb.values.get("default_fields", "").split(), *userdb.values.get("override_fields", "").split()]
    if driver == "static":
        words = [*args.split(), *words]
    fields = dict(word.split("=", 1) for word in words if "=" in word)
    if driver != "sql" or not args.startswith("/"):
        return "", fields, f"userdb {driver}"
    file = read(args)
    if file.text is None:
        raise _UnreadableError(file.fault)
    return parse_sql_conf(file.text).get("user_query", ""), fields, f"user_query in {args}"


def _selected(query: str, field: str) -> str | None:
    """What a query selects as a field: its constant, None for a column, _NOT_SELECTED if it does not."""
    constant = re.search(_CONSTANT.format(field), query, re.IGNORECASE)
    if constant:
        return constant[1]
    columns = re.split(r"\bfrom\b", re.sub(r"'[^']*'", "", query), maxsplit=1, flags=re.IGNORECASE)[0]
    return None if re.search(rf"\b{field}\b|select\s+\*", columns, re.IGNORECASE) else _NOT_SELECTED
