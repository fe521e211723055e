"""Reads what limits incoming mail beside the limit of a user: rules for INBOX, and the largest mail. Pure.

See quota-util.c (2.3) and quota.c (both series) of Dovecot.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from ...base.inbox_rule import InboxRule
from .conf import Block, plugin_values, size_of
from .folder_names import mask_pattern

_LIMIT = re.compile(r"(storage|bytes|messages)=\+?(-?[0-9]{1,18})([bkmgt%]?).*", re.IGNORECASE | re.DOTALL)
_POWER = {"b": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_DEFAULTS = {"*", "?"}  # the masks of the limit itself
_INBOX = "INBOX"


def inbox_rule(rules: Iterable[str]) -> InboxRule | None:
    """The rule of 2.3 that counts for INBOX, of texts ``MASK:LIMITS``; None where there is none.

    The first mask that meets INBOX counts. A later rule of the same mask adds to what the earlier one set.
    """
    masks: dict[str, list[str]] = {}
    for rule in rules:
        mask, _, limits = rule.partition(":")
        if mask not in _DEFAULTS:
            masks.setdefault(_INBOX if mask.upper() == _INBOX else mask, []).append(limits)
    found = next((texts for mask, texts in masks.items() if mask_pattern(mask).fullmatch(_INBOX)), [])
    return _rule(found) if found else None


def _rule(texts: Iterable[str]) -> InboxRule:
    values: dict[str, int] = {}
    for limits in texts:
        if limits == "ignore":
            return InboxRule(ignore=True)
        for part in limits.split(":"):
            match = _LIMIT.fullmatch(part)
            if match is not None:
                kind, number, unit = match[1].lower(), int(match[2]), match[3].lower()
                end = "_messages" if kind == "messages" else ""
                if unit == "%":
                    values[f"percent{end}"] = number
                else:
                    power = 1 if kind == "storage" and not unit else _POWER[unit or "b"]
                    values[f"added{end}"] = number * 1024**power
    return msgspec.convert(values, InboxRule)


def modern_inbox_rule(conf: Block, given: Iterable[str] = ()) -> InboxRule | None:
    """The same by the blocks of mailboxes of 2.4. ``given`` are settings that users have from their database.

    The names of blocks lack the prefix of the namespace, and for the prefix ``INBOX.`` nothing is left of INBOX.
    """
    fixed = frozenset(given)
    values: dict[str, str] = {}
    own = [one for one in conf.of_kind("namespace") if one.values.get("inbox") == "yes"]
    name = "" if any(one.values.get("prefix", "")[:-1] == _INBOX for one in own) else _INBOX
    for mailbox in (mailbox for block in [conf, *own] for mailbox in block.of_kind("mailbox")):
        if mask_pattern(mailbox.name).fullmatch(name):
            values.update((key, value) for key, value in mailbox.values.items() if key not in fixed)
    if values.get("quota_ignore") == "yes":
        return InboxRule(ignore=True)
    share, added = values.get("quota_storage_percentage", "100"), size_of(values.get("quota_storage_extra", "0"))
    if (share == "100" or not share.isdecimal()) and not added:
        return None
    return InboxRule(share=int(share) if share.isdecimal() else 100, added=added or 0)


def largest_mail(conf: Block, *, modern: bool) -> int:
    """The size in bytes of the largest mail that Dovecot takes: quota_max_mail_size, of 2.4 quota_mail_size. 0: any."""
    if modern:
        return size_of(conf.values.get("quota_mail_size", "0")) or 0
    return size_of(plugin_values(conf).get("quota_max_mail_size", "0")) or 0
