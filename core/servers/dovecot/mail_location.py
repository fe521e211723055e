"""Where Maildirs lie, by what Dovecot's settings and user databases say, as one template for all users.

User databases may give ``home`` and ``mail`` (2.4: ``mail_path``), which count more than the global settings. There a
constant in the query is as good as a setting; a column differs by user, and then no template is right. What can't be
read is not taken for empty: it could say otherwise.
"""

from __future__ import annotations

import re

import msgspec

from mailquota.core.base.programs import Read
from mailquota.core.servers.dovecot.conf import Block, path_template
from mailquota.core.servers.dovecot.sql import parse_sql_conf

_NOT_SELECTED = ""  # a field that a query does not select
_MAIL_FIELD = {False: "mail", True: "mail_path"}  # 2.3, 2.4
_CONSTANT = r"'([^']*)'\s+as\s+[`\"]?{}\b"


class MailLocation(msgspec.Struct, frozen=True):
    """``path`` is a template with {domain} and {user}; empty where ``fault`` says why there is none.

    ``hidden``: it may well be there, where we may not read.
    """

    path: str = ""
    origin: str = ""
    fault: str = ""
    hidden: bool = False


class _UserField(msgspec.Struct, frozen=True):
    """A field of user databases: ``value`` is None where it differs by user."""

    value: str | None
    origin: str


def mail_location(conf: Block, *, modern: bool, read: Read) -> MailLocation:
    """The place, or why it can't be told."""
    try:
        given = _userdb_fields(conf, modern=modern, read=read)
    except _UnreadableError as error:
        return MailLocation(fault=str(error), hidden=True)
    mail = given.get("mail", _global_mail(conf, modern=modern))
    if isinstance(mail, str):
        return MailLocation(fault=mail)
    home = given.get("home", _UserField(conf.values.get("mail_home"), "mail_home"))
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
    """The setting for all, or why it is no Maildir."""
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
    """The path of ``maildir:PATH:OPTION=…``; other formats have no Maildir."""
    kind, _, rest = location.partition(":")
    return rest.partition(":")[0] or None if kind == "maildir" else None


def _userdb_fields(conf: Block, *, modern: bool, read: Read) -> dict[str, _UserField]:
    """``home`` and ``mail`` as user databases give them; the first that gives one counts."""
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
    """The SQL query, the fields that are the same for all, and where they stand."""
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
    """What a query gives for a field: its constant, None for what differs by user, _SILENT if it is not selected."""
    constant = re.search(_CONSTANT.format(field), query, re.IGNORECASE)
    if constant:
        return constant[1]
    columns = re.split(r"\bfrom\b", re.sub(r"'[^']*'", "", query), maxsplit=1, flags=re.IGNORECASE)[0]
    return None if re.search(rf"\b{field}\b|select\s+\*", columns, re.IGNORECASE) else _NOT_SELECTED
