"""Use, messages and Trash share of generated Maildirs: as we list them, and as Dovecot counts them.

doveadm prints KiB rounded up. With the driver maildir the bytes are in the file that it leaves behind, whose sums it
printed, and the Trash share is what a recount has less when Dovecot is told to ignore the Trash folders. With count
both are sums over what doveadm says of each folder.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from mailquota.core.mailboxes.maildirsize import parse
from tests.real.beside import wait_until
from tests.truth.peers import Ours, Peer, ours
from tests.truth.trees import LIMIT, TRASH_READABLE, Tree, plant

DOMAIN = "trees.example"
_TRASH_MASKS = [mask for name in TRASH_READABLE for mask in (name, f"{name}.*", f"INBOX.{name}")]
Figures = tuple[int | None, int | None]  # bytes and messages


def compare(peer: Peer, trees: Sequence[Tree]) -> list[str]:
    """A line for each Maildir of which something differs."""
    for folder in peer.mail_folder.iterdir():
        shutil.rmtree(folder)
    addresses = [f"t{number}@{DOMAIN}" for number in range(len(trees))]
    peer.set_users((address, LIMIT) for address in addresses)
    maildirs = [peer.mail_folder / DOMAIN / address.partition("@")[0] / "Maildir" for address in addresses]
    for tree, maildir in zip(trees, maildirs, strict=True):
        plant(tree, maildir)
    mine, printed = _ours(peer, addresses), _printed(peer)
    theirs = _by_folder(peer, addresses) if peer.driver == "count" else _by_file(peer, maildirs)
    differences = []
    for tree, address, (use, trash) in zip(trees, addresses, theirs, strict=True):
        row = mine[address]
        faults = [
            *_unlike("use", (row["used_bytes"], row["messages"]), use),
            *_unlike("use as printed", _kib(use), printed[address]),
            *_unlike("Trash", (row["trash_bytes"], row["trash_messages"]), trash),
        ]
        differences += [f"{fault}\n  {address} {row['source']} {tree!r}" for fault in faults]
    return differences


def _unlike(what: str, mine: Figures, theirs: Figures) -> list[str]:
    return [] if mine == theirs else [f"{what}: ours {mine}, Dovecot {theirs}"]


def _ours(peer: Peer, addresses: Sequence[str]) -> dict[str, dict[str, Any]]:
    with ours(peer, len(addresses)) as running:
        rows: dict[str, dict[str, Any]] = {}

        def complete() -> bool:
            rows.update(_rows(running))
            return all(rows[address]["trash_bytes"] is not None for address in addresses)

        wait_until(complete, "all are measured", 60)
        return rows


def _rows(running: Ours) -> dict[str, dict[str, Any]]:
    return {row["address"]: row for row in running.json("list")}


def _printed(peer: Peer) -> dict[str, Figures]:
    """(KiB rounded up, messages) by ``doveadm quota get``."""
    table: dict[str, dict[str, int | None]] = {}
    for line in peer.run("-f", "tab", "quota", "get", "-A").splitlines()[1:]:
        user, _, kind, value, *_ = line.split("\t")
        table.setdefault(user, {})[kind] = int(value) if value.isdigit() else None
    return {user: (values["STORAGE"], values["MESSAGE"]) for user, values in table.items()}


def _kib(figures: Figures) -> Figures:
    return (None if figures[0] is None else -(-figures[0] // 1024), figures[1])


def _by_file(peer: Peer, maildirs: Sequence[Path]) -> list[tuple[Figures, Figures]]:
    """Use and Trash share."""
    sums = [_sums(maildir) for maildir in maildirs]
    counted, rest = _counted(peer, maildirs), _without_trash(peer, maildirs)
    return [(use, _less(whole, others)) for use, whole, others in zip(sums, counted, rest, strict=True)]


def _by_folder(peer: Peer, addresses: Sequence[str]) -> list[tuple[Figures, Figures]]:
    """Use and Trash share."""
    found = {address: {False: [0, 0], True: [0, 0]} for address in addresses}  # Trash or not: bytes, messages
    for line in peer.run("-f", "tab", "mailbox", "status", "-A", "vsize messages", "*").splitlines()[1:]:
        user, mailbox, messages, size = line.split("\t")
        figures = found[user][any(fnmatchcase(mailbox, mask) for mask in _TRASH_MASKS)]
        figures[0] += int(size)
        figures[1] += int(messages)
    return [
        ((rest[0] + trash[0], rest[1] + trash[1]), (trash[0], trash[1]))
        for rest, trash in ((both[False], both[True]) for both in found.values())
    ]


def _sums(maildir: Path) -> Figures:
    try:
        size = parse((maildir / "maildirsize").read_bytes())
    except FileNotFoundError:
        return None, None
    return (size.used, size.messages) if size is not None else (None, None)


def _counted(peer: Peer, maildirs: Sequence[Path]) -> list[Figures]:
    peer.run("quota", "recalc", "-A")
    return [_sums(maildir) for maildir in maildirs]


def _without_trash(peer: Peer, maildirs: Sequence[Path]) -> list[Figures]:
    """All but what lies in Trash."""
    peer.recalc_without(_TRASH_MASKS)
    return [_sums(maildir) for maildir in maildirs]


def _less(whole: Figures, rest: Figures) -> Figures:
    if whole[0] is None or whole[1] is None or rest[0] is None or rest[1] is None:
        return None, None
    return whole[0] - rest[0], whole[1] - rest[1]
