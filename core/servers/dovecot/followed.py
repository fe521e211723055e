"""All that Dovecot says of quota, mailboxes and names: the output of doveconf, and the files that it names.

A file that this user may not read leaves its part unknown.
"""

from __future__ import annotations

import re
import string

import msgspec

from ...base.programs import Read
from .conf import dovecot_version, parse_doveconf, size_of
from .doubts import doubts
from .mail_location import MailLocation, location_by
from .quota import SQL_DICTS, DictTable, QuotaFacts, quota_facts
from .sql import sql_source_of_file
from .user_fields import UserDatabase, UserField, user_databases

DEFAULT_CHARACTERS = string.ascii_letters + string.digits + ".-_@"  # of auth_username_chars
_RULE = re.compile(r"(?:plugin/)?(quota_rule[0-9]*)")
_NAME = re.compile(r"\w+(?:\.\w+)?")
_GRACE = ("quota_grace", "quota_storage_grace")  # of 2.3, and of 2.4
_LARGEST = ("quota_max_mail_size", "quota_mail_size")
_PATTERNS = ("priv/quota/storage", "priv/quota/messages")


class UserNames(msgspec.Struct, frozen=True):
    """``characters`` are those that names of users may have, "" for all: Dovecot's auth_username_chars.

    ``as_in_row``: paths have names as the row of the accounts database spells them, else in lower case. ``utf8``: mail
    can be delivered to names in other alphabets, as 2.4 does and 2.3 does not.
    """

    characters: str
    as_in_row: bool = False
    utf8: bool = True


class DovecotSettings(msgspec.Struct, frozen=True):
    """What Dovecot says. ``users`` is None where it could not be asked.

    ``grace`` is the field of users that wins over the grace of all, None where there is none. ``unlike`` are reasons
    why answers are not Dovecot's for all users.
    """

    quota: QuotaFacts = QuotaFacts()
    location: MailLocation = MailLocation(fault="Dovecot was not asked")
    users: UserNames | None = None
    grace: UserField | None = None
    unlike: tuple[str, ...] = ()


def dovecot_settings(text: str, read: Read) -> DovecotSettings:
    """By the output of ``doveconf -n``; nothing in it is an error."""
    version = dovecot_version(text)
    if version == (0, 0):
        return DovecotSettings(quota=quota_facts(text))
    conf, modern = parse_doveconf(text), version >= (2, 4)
    databases = user_databases(conf, modern=modern, read=read)
    location = location_by(conf, databases, modern=modern)
    facts = quota_facts(text, {} if modern else _rules(databases))
    if not modern and location.text:
        facts = msgspec.structs.replace(facts, mail_format=location.text.partition(":")[0])
    reasons = list(doubts(conf, databases, location.text, modern=modern, backend=facts.backend))
    if modern and facts.rules and facts.prefix:
        reasons.append(f"quota_ignore for folders in a namespace with the prefix {facts.prefix}")
    facts = _with_table(facts, read, reasons)
    facts = msgspec.structs.replace(facts, doubts=tuple(dict.fromkeys(reasons)))
    characters = conf.values.get("auth_username_chars", DEFAULT_CHARACTERS)
    grace, largest = (_field(databases, names[modern]) for names in (_GRACE, _LARGEST))
    unlike = [f"{field.origin}: it differs by user" for field in (grace, largest) if field and field.value is None]
    if largest is not None and largest.value is not None:
        facts = msgspec.structs.replace(facts, largest=size_of(largest.value) or 0)
    users = UserNames(characters, location.as_in_row, utf8=modern)
    return DovecotSettings(facts, location, users, grace, tuple(unlike))


def _field(databases: list[UserDatabase], name: str) -> UserField | None:
    return next((one.fields[name] for one in databases if name in one.fields), None)


def _rules(databases: list[UserDatabase]) -> dict[str, str]:
    """The rules that are the same for all users."""
    if len(databases) != 1:
        return {}
    found = {(match[1], field.value) for name, field in databases[0].fields.items() if (match := _RULE.fullmatch(name))}
    return {name: value for name, value in found if value is not None}


def _with_table(facts: QuotaFacts, read: Read, reasons: list[str]) -> QuotaFacts:
    """Add the table of backend dict, or a reason why it is not known."""
    kind, _, path = facts.dict_uri.partition(":")
    if facts.backend != "dict" or f"{kind}:" not in SQL_DICTS:
        return facts
    root = facts.roots[0][1] if facts.roots else ""
    owner = root.split(":")[2] if root.count(":") > 1 else ""
    if owner:
        reasons.append(f"quota = {root}: users share the usage of {owner}")
    file = read(path)
    if file.text is None:
        return facts  # the driver sql searches for tables of the usual names
    table = dict_table(kind, path, file.text)
    if table is None:
        reasons.append(f"{path} names no single table for bytes and messages of quota")
    return msgspec.structs.replace(facts, table=table)


def dict_table(kind: str, path: str, text: str) -> DictTable | None:
    """The table in a dovecot-dict-sql.conf.ext of 2.3; None where its maps do not name a single one."""
    maps = {block.values.get("pattern"): block.values for block in parse_doveconf(text).of_kind("map")}
    storage, messages = (maps.get(pattern, {}) for pattern in _PATTERNS)
    source = sql_source_of_file(path, f"driver = {kind}\n{text}")
    parts = [storage.get(key, "") for key in ("table", "username_field", "value_field")] + [
        messages.get("value_field", "")
    ]
    same = all(storage.get(key) == messages.get(key) for key in ("table", "username_field"))
    if source.url is None or not same or not all(map(_NAME.fullmatch, parts)):
        return None
    return DictTable(source.url, *parts)
