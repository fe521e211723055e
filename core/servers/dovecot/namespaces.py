"""Dovecot's namespaces: which of them count for the quota of a user. Pure.

Every private namespace counts, but for those of storages that know no quota (virtual mailboxes). Two with the same
location count once. Public namespaces count for nobody, and shared ones for their owners.
"""

from __future__ import annotations

from .conf import Block

_WITHOUT_QUOTA = ("virtual", "fail")


def setting_of(namespace: Block, name: str) -> str:
    """A setting of a namespace, "" where it has none. 2.4 takes ``namespace_NAME``, too."""
    return namespace.values.get(name) or namespace.values.get(f"namespace_{name}", "")


def counting(conf: Block, *, modern: bool) -> list[Block]:
    """The namespaces that count for their user; without any in the settings Dovecot makes one."""
    found = [block for block in conf.of_kind("namespace") if _counts(block, modern=modern)]
    return found or [Block("namespace", "inbox", {"inbox": "yes"})]


def _counts(block: Block, *, modern: bool) -> bool:
    kind = setting_of(block, "mail_driver") if modern else setting_of(block, "location").partition(":")[0]
    private = setting_of(block, "type") in {"", "private"}
    return private and setting_of(block, "disabled") != "yes" and kind not in _WITHOUT_QUOTA


def main_namespace(conf: Block, *, modern: bool) -> Block:
    """The one with INBOX."""
    found = counting(conf, modern=modern)
    return next((block for block in found if setting_of(block, "inbox") == "yes"), found[0])


def others(conf: Block, *, modern: bool) -> list[Block]:
    """The namespaces that count beside the main one."""
    main = main_namespace(conf, modern=modern)
    return [block for block in counting(conf, modern=modern) if block is not main]
