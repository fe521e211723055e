"""Finds accounts whose limit in Dovecot differs from that in the accounts database, and the cause. Pure.

Limits are compared as Dovecot shows them: in KiB, rounded up, 0 = unlimited. 2.3 takes them from the field
``quota_rule`` of the user database (``*:bytes=5000``; ``storage=`` counts KiB), 2.4 from ``quota_storage_size``. Each
ignores the field of the other without a warning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from ...base.text import shown
from ...servers.dovecot.conf import plugin_values, size_of
from ..log.fixes import is_wrong_size
from .common import is_modern
from .facts import AccountFacts, DovecotFacts

_NEGATIVE = re.compile(r"(?:[*?]:(?:bytes|storage)=)?\s*-")
_KIB = 1024
_FACTORS_24 = {
    "quota_storage_percentage": "100",
    "quota_storage_extra": "0",
}  # with the values that leave limits unchanged
_UNITS = {1 << 10: "1024 times too large", 1 << 20: "1048576 times too large"}
_LIMIT_FIELDS = {
    False: re.compile(r"quota[0-9]*_rule[0-9]*"),
    True: re.compile(r"(?:quota/.*/)?(?:quota_)?storage_size"),
}
_PLAIN_FIELDS = {"user", "uid", "gid", "home", "mail", "mail_path", "mail_driver"}


class Difference(msgspec.Struct, frozen=True):
    """A difference. ``kind`` is its cause: unknown (no such user), broken (Dovecot can't load the user), size (a mail's
    file name has a wrong size), negative, field, block, factor, unit, cache, kept (the limit is right, but is not that
    of the user database) or other.
    """

    address: str
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.address}: {self.text}"


def differences(facts: DovecotFacts) -> list[Difference]:
    """The differences in the sample; accounts whose limit in Dovecot is not known are left out."""
    unknown = {*facts.names.refused, *facts.names.unknown}  # for those see username-characters
    accounts = [account for account in facts.sample if account.address not in unknown]
    return [found for account in accounts if (found := _difference(facts, account))]


def without_known_limit(facts: DovecotFacts) -> list[str]:
    """The accounts of the sample whose limit in Dovecot is not known."""
    loaded = [account for account in facts.sample if not account.unknown and not account.fault]
    return [account.address for account in loaded if _effective(facts, account) is None]


def _effective(facts: DovecotFacts, account: AccountFacts) -> int | None:
    """The limit in Dovecot in KiB, 0 = unlimited; None where it is not known."""
    return account.enforced if account.enforced is not None else _given(facts, account)


def _difference(facts: DovecotFacts, account: AccountFacts) -> Difference | None:
    if account.unknown:
        return Difference(account.address, "unknown", "Dovecot has no such user")
    given = account.fields.get(field_name(facts), "")
    if _NEGATIVE.match(given):
        told = f"{field_name(facts)} is {shown(given)}, and with a limit below 0 Dovecot can't load the user"
        return Difference(account.address, "negative", told)
    if account.fault:
        return _broken(facts, account)
    effective = _effective(facts, account)
    if effective == _kib(account.expected):
        return _kept(facts, account)
    if effective is None:
        return None
    kind, cause = _cause(facts, account)
    told = f"{_bytes(account.expected)} in the database, {_as_kib(effective)} in Dovecot; {cause}"
    return Difference(account.address, kind, told)


def _kept(facts: DovecotFacts, account: AccountFacts) -> Difference | None:
    """The difference where the right limit is not that which the user database gives, so that an edit changes nothing.

    In 2.3 a rule ``?:…`` counts only where the maildirsize has no limit, and one for all mailboxes may stand in
    ``quota_rule2`` or a later field.
    """
    if account.expected is None:
        return None
    names = _LIMIT_FIELDS[is_modern(facts)]
    given = [text for name, text in account.fields.items() if names.fullmatch(name) and _for_all(facts, text)]
    asks_first = [text for text in given if text.startswith("?") and facts.quota.backend == "maildir"]
    if given and not asks_first:
        return None
    from_where = "the limit in each maildirsize" if facts.quota.backend == "maildir" else "the default in its settings"
    cause = (
        f"{field_name(facts)} is {shown(asks_first[0])}, and with ? the limit in maildirsize wins"
        if asks_first
        else f"the user database gives no {field_name(facts)}{_instead(account)}, and Dovecot goes by {from_where}"
    )
    told = f"{_bytes(account.expected)} in the database and in Dovecot, but {cause}: an edit changes nothing"
    return Difference(account.address, "kept", told)


def _for_all(facts: DovecotFacts, text: str) -> bool:
    """Whether a limit is for the whole mailbox, and not a rule for single folders."""
    return is_modern(facts) or text.partition(":")[0] in {"*", "?"}


def _broken(facts: DovecotFacts, account: AccountFacts) -> Difference:
    """A user that Dovecot can't load. Such is one with a field ``quota`` in 2.3, which takes it for the driver."""
    if is_wrong_size(account.fault):
        return Difference(account.address, "size", f"Dovecot can't count its usage: {account.fault}")
    told = f"Dovecot can't load the user: {account.fault}"
    if field_name(facts) in account.fields:
        return Difference(account.address, "broken", told)
    return Difference(
        account.address, "field", f"the user database gives no {field_name(facts)}{_instead(account)}; {told}"
    )


def _cause(facts: DovecotFacts, account: AccountFacts) -> tuple[str, str]:
    field = field_name(facts)
    text = account.fields.get(field)
    inside = _inside_block(facts)
    if inside is not None and _effective(facts, account) == _kib(inside):
        return "block", "the quota block has a limit inside, which wins over the user database"
    if text is None:
        return "field", f"the user database gives no {field}{_instead(account)}, so the default counts"
    if factors := [f"{name} = {shown(facts.conf.values[name])}" for name in changing_all(facts)]:
        return "factor", f"{', '.join(factors)} changes all limits"
    if unit := _wrong_unit(_limit_of(facts, text), account.expected):
        return "unit", f"{field} is {shown(text)}, {unit}"
    return _other_cause(facts, field, text)


def _other_cause(facts: DovecotFacts, field: str, text: str) -> tuple[str, str]:
    if text.startswith("?") and facts.quota.backend == "maildir":
        return "kept", f"{field} is {shown(text)}, and with ? the limit in maildirsize wins"
    if facts.conf.values.get("auth_cache_size", "0") not in {"", "0"}:
        return "cache", f"{field} is {shown(text)}; auth_cache_size is set, so Dovecot may have an old limit"
    return "other", f"{field} is {shown(text)}"


def _wrong_unit(given: int | None, expected: int | None) -> str:
    if not given or not expected:
        return ""
    if expected == given * _KIB:
        return "1024 times too small"
    return next((words for factor, words in _UNITS.items() if given == expected * factor), "")


def changing_all(facts: DovecotFacts) -> dict[str, str]:
    """The settings of 2.4 that change every limit, each with the value that would not."""
    values = facts.conf.values
    return {name: plain for name, plain in _FACTORS_24.items() if values.get(name, plain).rstrip("%B") != plain}


def _instead(account: AccountFacts) -> str:
    names = sorted(set(account.fields) - _PLAIN_FIELDS)
    return f" (but {', '.join(map(shown, names))})" if names else ""


def field_name(facts: DovecotFacts) -> str:
    """The field of the user database that has the limit."""
    return "quota_storage_size" if is_modern(facts) else "quota_rule"


def _given(facts: DovecotFacts, account: AccountFacts) -> int | None:
    """The limit in KiB without having asked what is enforced; None where it can't be told."""
    text = account.fields.get(field_name(facts))
    inside = _inside_block(facts)
    if inside is not None:
        return _kib(inside)
    if text is None:
        text = facts.conf.values.get("quota_storage_size", "0") if is_modern(facts) else _default_rule(facts)
    limit = _limit_of(facts, text)
    return None if limit is None else _kib(limit)


def _inside_block(facts: DovecotFacts) -> int | None:
    """The limit in bytes inside 2.4's quota block, which wins over that of every user; None without one."""
    for block in facts.conf.of_kind("quota"):
        text = block.values.get("storage_size") or block.values.get("quota_storage_size")
        if text:
            return size_of(text)
    return None


def _default_rule(facts: DovecotFacts) -> str:
    return plugin_values(facts.conf).get("quota_rule", "*:bytes=0")


def _limit_of(facts: DovecotFacts, text: str) -> int | None:
    """The limit in a field's text in bytes, 0 = unlimited; None where it is not understood."""
    return size_of(text) if is_modern(facts) else _of_rule(text)


def _of_rule(rule: str) -> int | None:
    """The limit of a rule ``*:bytes=N`` or ``*:storage=N`` (KiB); None for a rule about other folders."""
    mask, _, limits = rule.partition(":")
    if mask not in {"*", "?"}:
        return None
    return next(_storage_limits(limits), 0)


def _storage_limits(limits: str) -> Iterator[int | None]:
    for limit in limits.split(":"):
        name, _, text = limit.partition("=")
        if name == "backend":
            yield None
        if name in {"bytes", "storage"}:
            size = size_of(text)
            plain_kib = name == "storage" and text.strip().isdigit()
            yield size * _KIB if size is not None and plain_kib else size


def _kib(limit: int | None) -> int:
    return -(-(limit or 0) // _KIB)


def _bytes(limit: int | None) -> str:
    return f"{limit} bytes" if limit else "unlimited"


def _as_kib(kib: int) -> str:
    return f"{kib} KiB" if kib else "unlimited"
