"""Mailboxes that their own owners made unreadable: their usage is not known, and the answer is a setting."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from mailquota.core.base.model import Alias
from mailquota.core.mailboxes.count_driver import CountDriver
from mailquota.core.mailboxes.driver import Driver
from mailquota.core.mailboxes.entry import Totals
from mailquota.core.mailboxes.measure import MadeUnreadable, Unmeasurable
from mailquota.core.mailboxes.rounds import measure_entry
from mailquota.core.mailboxes.unreadable import FEW, Unreadable
from mailquota.core.policy.aliases import AliasMap
from mailquota.core.policy.decision import VerdictActions
from tests.core.enforcing import FITS, FULL, RULES, TROUBLE, Desk, Open
from tests.core.mailboxes.boxes import Box
from tests.core.mailboxes.unreadable import BY_OWNER, own
from tests.core.others import OWNER, as_root, do

pytestmark = as_root

UNREADABLE = "452 4.2.0 Mailbox is not available"


def _instead(box: Box, path: Path) -> None:
    path.rename(f"{path}.old")
    path.symlink_to(path)


def _folder_for_file(box: Box) -> None:
    box.file.unlink()
    box.file.mkdir()


BY_ADMINISTRATOR: dict[str, Callable[[Box], None]] = {
    "root's link to itself": lambda box: _instead(box, box.path),
    "root's folder": _folder_for_file,
    "a link above": lambda box: _instead(box, box.path.parent.parent),
    "no mailstore": lambda box: os.rename(box.base, f"{box.base}.away"),
}


def _by_owner(table: Desk, name: str, script: str) -> None:
    own(table.boxes[name])
    do(OWNER, "sh", "-ec", script.format(box=table.boxes[name].path))


@pytest.mark.parametrize("script", BY_OWNER.values(), ids=BY_OWNER)
def test_the_answer_is_a_setting(desk: Open, script: str) -> None:
    """As for trouble without it. Others are answered as ever, and so is the owner once it is mended."""

    async def work(table: Desk) -> None:
        table.add("john", 5000)
        table.add("jane", 5000)
        assert await table.ask("john") == FULL
        _by_owner(table, "john", script)
        assert await table.ask("john") == TROUBLE
        table.change(actions=_with(UNREADABLE))
        assert [await table.ask("john") for _ in range(2)] == [UNREADABLE] * 2
        assert await table.ask("jane") == FULL
        assert (table.metrics.trouble, len(table.ledger.unreadable)) == (3, 1)
        told = await table.enforcer.explain("john@example.org", 1)
        assert (told.verdict, told.action) == ("trouble", UNREADABLE)
        assert "its owner made it unreadable" in told.why
        assert "policy.unreadable" in told.why
        table.change(shadow=True)
        assert await table.ask("john") == "DUNNO"

    desk(work)


@pytest.mark.parametrize("make", BY_ADMINISTRATOR.values(), ids=BY_ADMINISTRATOR)
def test_what_the_owner_did_not_do(desk: Open, make: Callable[[Box], None]) -> None:
    """What root made, or what is above the mailbox, gets the answer for trouble."""

    async def work(table: Desk) -> None:
        table.add("john", 5000)
        table.change(actions=_with(UNREADABLE))
        own(table.boxes["john"])
        make(table.boxes["john"])
        assert await table.ask("john") == TROUBLE
        assert not len(table.ledger.unreadable)

    desk(work)


def test_one_of_several(desk: Open) -> None:
    """Each mailbox in trouble has to be so by its owner; one that accepts the mail decides as ever."""

    async def work(table: Desk) -> None:
        for name in ("john", "jane", "full"):
            table.add(name, 5000)
        table.add("free", 1)
        table.change(actions=_with(UNREADABLE))
        names = {"bad": "john,full", "away": "john,jane", "good": "john,free"}
        rows = [
            Alias(f"{name}@example.org", f"{to}@example.org") for name, all_ in names.items() for to in all_.split(",")
        ]
        table.enforcer.router.set_aliases(AliasMap(rows))
        _by_owner(table, "john", BY_OWNER["a link to itself"])
        table.boxes["jane"].file.unlink()
        table.boxes["jane"].file.mkdir()
        assert [await table.ask(name) for name in names] == [UNREADABLE, TROUBLE, FITS]

    desk(work)


def test_it_ends(desk: Open) -> None:
    """With the first measurement, with the account, and with an invalid limit."""

    async def work(table: Desk) -> None:
        box = table.add("john", 5000)
        table.change(actions=_with(UNREADABLE))
        _by_owner(table, "john", BY_OWNER["maildirsize is a folder"])
        assert await table.ask("john") == UNREADABLE
        do(OWNER, "rmdir", box.file)
        assert await table.ask("john") == FULL
        assert not len(table.ledger.unreadable)
        do(OWNER, "mkdir", box.file)
        assert await table.ask("john") == UNREADABLE
        table.accounts.clear()
        table.read()
        assert not len(table.ledger.unreadable)

    desk(work)


@pytest.mark.parametrize("script", BY_OWNER.values(), ids=BY_OWNER)
@pytest.mark.parametrize("by_count", [False, True])
def test_rounds_tell_it(desk: Open, script: str, by_count: bool) -> None:
    async def work(table: Desk) -> None:
        table.add("john", 5000, file=False)
        _by_owner(table, "john", script)
        driver: Driver = CountDriver(table.store) if by_count else table.driver
        found = measure_entry(driver.survey, table.entry("john"))
        of_a_file_not_read = by_count and script.rsplit(maxsplit=1)[-1] == "{box}/maildirsize"
        assert found.unreadable is not of_a_file_not_read, found

    desk(work)


def test_many_are_not_made_so_by_their_owners() -> None:
    """With a wrong mailstore.path all mailboxes look like that: it is for the administrator then."""
    totals, entries = Totals(), [object() for _ in range(FEW + 1)]
    unreadable = Unreadable(totals)
    for entry in entries[:FEW]:
        unreadable.note(entry, unreadable=True)  # type: ignore[arg-type]
    assert entries[0] in unreadable
    unreadable.note(entries[FEW], unreadable=True)  # type: ignore[arg-type]
    assert entries[0] not in unreadable
    assert not len(unreadable)
    totals.measured = FEW + 1
    assert entries[0] in unreadable
    assert len(unreadable) == FEW + 1


def test_it_is_a_kind_of_unmeasurable() -> None:
    assert issubclass(MadeUnreadable, Unmeasurable)


def _with(text: str) -> VerdictActions:
    return msgspec.structs.replace(RULES.actions, unreadable=text)
