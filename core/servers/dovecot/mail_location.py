"""The path of Maildirs by Dovecot's settings and user databases, as one template for all users.

A namespace may have a location of its own; else that of the user counts (``mail``, 2.4: ``mail_path``), which user
databases may give, and then the global setting. The same holds for ``home``. A constant in their query counts like a
setting. A column of the table differs by user, and then no template is right. A file of a user database that can't be
read is not taken for empty, as it may give a path.

Variables in a query have the name as it was looked up, in lower case. Those in Dovecot's settings have the name of the
user, which is that of the row where the query gives ``user``: then a Maildir may have capitals in its path.
"""

from __future__ import annotations

import re

import msgspec

from ...base.programs import Read
from .conf import Block, path_template
from .namespaces import main_namespace, setting_of
from .user_fields import EVERYTHING, UserDatabase, UserField, user_databases

_MAIL_FIELD = {False: "mail", True: "mail_path"}  # 2.3, 2.4
_RENAMING = ("user", "username", "domain")  # fields that change the name of a user
_LOWER = re.compile(r"lower\s*\(.*\)|lcase\s*\(.*\)", re.IGNORECASE | re.DOTALL)


class MailLocation(msgspec.Struct, frozen=True):
    """``path`` is a template with {domain} and {user}, ``origin`` the setting that it comes from.

    Where it is not known ``path`` is empty and ``fault`` is the reason. ``hidden``: a file that may give it can't be
    read by this user. ``as_in_row``: names in the path are spelled as in the row of the accounts database, else in
    lower case. ``text`` is what Dovecot has, with its options (2.3).
    """

    path: str = ""
    origin: str = ""
    fault: str = ""
    hidden: bool = False
    as_in_row: bool = False
    text: str = ""


class _Unknown(Exception):  # noqa: N818 - no fault of the program
    """There is no single path; its text is the reason."""


def mail_location(conf: Block, *, modern: bool, read: Read) -> MailLocation:
    """The path of Maildirs by Dovecot's settings ``conf``, of 2.4 if ``modern``."""
    return location_by(conf, user_databases(conf, modern=modern, read=read), modern=modern)


def location_by(conf: Block, databases: list[UserDatabase], *, modern: bool) -> MailLocation:
    """As ``mail_location``, by the fields of the user databases."""
    fault = next((database.fault for database in databases if database.fault), "")
    if fault:
        return MailLocation(fault=fault, hidden=True)
    text = ""
    try:
        mail = _mail(conf, databases, modern=modern)
        text = mail.value or ""
        location = _maildir(mail, modern=modern)
        mail_home = UserField("home", conf.values.get("mail_home"), "mail_home")
        home = field_of(databases, "home") or mail_home
        origin, parts = mail.origin, [mail]
        if location == "~" or location.startswith(("~/", "%{home}", "%h")):
            if not home.value:
                raise _Unknown(f"{location} of {origin} is below a home that is not the same path for all users")
            location, origin = _below(home.value, location), f"{origin}, {home.origin}"
            parts = [home]
        template = path_template(location, modern=modern)
        if not template:
            raise _Unknown(f"{origin} is not one path for all users")
    except _Unknown as error:
        return MailLocation(fault=str(error), text=text)
    renamed = any(not one.by_query for one in parts) and _is_renamed(databases)
    return MailLocation(template.rstrip("/"), origin, as_in_row=renamed, text=text)


def _below(home: str, location: str) -> str:
    return home + re.sub(r"^(?:~|%\{home\}|%h)", "", location)


def field_of(databases: list[UserDatabase], *names: str) -> UserField | None:
    """The field of the first user database that gives one of these names; None where none does."""
    given = (one.fields[name] for one in databases for name in (*names, EVERYTHING) if name in one.fields)
    return next(given, None)


def _is_renamed(databases: list[UserDatabase]) -> bool:
    """Whether users get the name in the row, in its spelling there."""
    given = (one.fields[name] for one in databases for name in _RENAMING if name in one.fields)
    return any(field.value is None and not _LOWER.fullmatch(field.text.strip()) for field in given)


def _mail(conf: Block, databases: list[UserDatabase], *, modern: bool) -> UserField:
    """The location of the namespace that has INBOX: its own, or the user's, or the global one."""
    namespace = main_namespace(conf, modern=modern)
    name = "mail_path" if modern else "location"
    own = setting_of(namespace, name)
    if modern:
        _need_maildir(namespace, conf, databases)
    given = field_of(databases, _MAIL_FIELD[modern], *(() if modern else ("mail_location",)))
    if own or given is not None:
        return UserField(name, own, f"namespace {namespace.name} {name}") if own or given is None else given
    name = "mail_path" if modern else "mail_location"
    return UserField(name, conf.values.get(name, ""), name)


def _need_maildir(namespace: Block, conf: Block, databases: list[UserDatabase]) -> None:
    """Raise _Unknown unless the driver of 2.4 is Maildir."""
    own, given = setting_of(namespace, "mail_driver"), field_of(databases, "mail_driver")
    if not own and given is not None and given.value is None:
        raise _Unknown(f"{given.origin} is not the same for all users")
    driver = own or (given.value if given is not None else conf.values.get("mail_driver", ""))
    if driver != "maildir":
        raise _Unknown(f"mail_driver = {driver} is no Maildir" if driver else "mail_driver is not set")


def _maildir(field: UserField, *, modern: bool) -> str:
    """The path in ``maildir:PATH:OPTION=…`` of 2.3, or that of 2.4. Raises _Unknown for other formats."""
    if field.value is None:
        raise _Unknown(f"{field.origin} is not one path for all users")
    if modern and field.value:
        return field.value
    kind, _, rest = field.value.partition(":")
    path = rest.partition(":")[0]
    if kind == "maildir" and path:
        return path
    raise _Unknown(f"{field.origin} = {field.value} is no Maildir" if field.value else f"{field.origin} is not set")
