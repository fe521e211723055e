"""Change notification, against real files: whatever changes one ends its freshness before the next decision."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from mailquota.core.base.model import Account
from mailquota.core.mailboxes.ledger import Entry
from mailquota.core.policy.watch import IDLE_SECONDS, Watch
from tests.core.enforcing import FITS, FULL, Desk, Open
from tests.core.enforcing import desk as desk  # noqa: PLC0414 - a fixture
from tests.mailserver.fixture import temporary_folder

Change = Callable[[Path], object]


def append(file: Path) -> None:
    with file.open("a") as opened:
        opened.write("100 1\n")


def replace(file: Path) -> None:
    new = file.with_name("another")
    new.write_text("5000S\n5000 1\n")
    new.rename(file)


CHANGES: dict[str, Change] = {
    "append": append,
    "replace": replace,
    "unlink": Path.unlink,
    "move": lambda file: file.rename(file.with_name("elsewhere")),
    "truncate": lambda file: os.truncate(file, 0),
    "rights": lambda file: file.chmod(0o640),
    "folder": lambda file: shutil.rmtree(file.parent),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen(desk: Open, change: str) -> None:
    """A fresh figure is not used after its file changed, at once."""

    async def work(table: Desk) -> None:
        box = table.add("john", 1000)
        assert await table.ask("john") == FITS
        entry = table.entry("john")
        assert entry.fresh_until > asyncio.get_running_loop().time()
        CHANGES[change](box.file)
        table.enforcer.lookup.watch.drain()
        assert entry.fresh_until == 0.0

    desk(work)


def test_a_fresh_mailbox_is_not_looked_at(desk: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that changed is."""

    async def work(table: Desk) -> None:
        box = table.add("john", 1000)
        client = await table.connect()
        assert await client.ask("john@example.org") == FITS
        with monkeypatch.context() as patch:
            patch.setattr("mailquota.core.policy.lookup.UsageLookup.start", None)
            assert [await client.ask("john@example.org") for _ in range(3)] == [FITS] * 3
        box.append(4000, 1)
        assert await client.ask("john@example.org") == FULL
        assert await client.ask("JOHN+x@example.org") == FULL

    desk(work)


def test_each_delivery_is_known_to_the_next_request(desk: Open) -> None:
    """Byte by byte up to the limit, with the file rewritten now and then."""

    async def work(table: Desk) -> None:
        box = table.add("john", 0)
        client = await table.connect()
        for number in range(50):
            assert await client.ask("john@example.org") == FITS
            if number % 7 == 6:
                box.file.write_text(f"5000S\n{(number + 1) * 100} {number + 1}\n")
            else:
                box.append(100, 1)
        assert await client.ask("john@example.org") == FULL

    desk(work)


def test_two_accounts_with_one_file(desk: Open) -> None:
    """A file that has two names tells both."""

    async def work(table: Desk) -> None:
        john, jane = table.add("john", 1000), table.add("jane", 1000)
        jane.file.unlink()
        os.link(john.file, jane.file)
        assert [await table.ask("john"), await table.ask("jane")] == [FITS, FITS]
        john.append(4000, 1)
        assert [await table.ask("john"), await table.ask("jane")] == [FULL, FULL]

    desk(work)


@contextlib.asynccontextmanager
async def watching(folder: Path) -> AsyncIterator[tuple[Watch, Entry, Path]]:
    watch, entry, file = Watch(str(folder)), Entry(Account("john@example.org", 5000)), folder / "maildirsize"
    file.write_text("5000S\n")
    try:
        yield watch, entry, file
    finally:
        watch.close()


def test_a_change_during_the_look() -> None:
    """Between the mark and the end of the look, whoever saw it: the figure may be old."""

    async def main(folder: Path) -> None:
        async with watching(folder) as (watch, entry, file):
            mark = watch.follow(entry, str(file))
            assert mark is not None
            assert watch.holds(entry, mark)
            append(file)
            assert not watch.holds(entry, mark)
            again = watch.follow(entry, str(file))
            assert again is not None
            assert watch.holds(entry, again)
            assert watch.follow(entry, str(folder / "missing")) is None

    with temporary_folder() as folder:
        asyncio.run(main(folder))


def test_lost_events_end_everything() -> None:
    """When the kernel drops events nothing is fresh any more."""

    async def main(folder: Path) -> None:
        async with watching(folder) as (watch, entry, file):
            mark = watch.follow(entry, str(file))
            assert mark is not None
            entry.fresh_until = 1e9
            watch._lose(-1, everything=True)
            assert entry.fresh_until == 0.0
            assert not watch.holds(entry, mark)

    with temporary_folder() as folder:
        asyncio.run(main(folder))


def test_a_file_system_that_came_or_went_ends_everything() -> None:
    """Also for a look that is going on; and the file system is found out anew."""

    async def main(folder: Path) -> None:
        async with watching(folder) as (watch, entry, file):
            mark = watch.follow(entry, str(file))
            assert mark is not None
            entry.fresh_until = 1e9
            watch._device = 12345
            watch.doubt_all()
            assert entry.fresh_until == 0.0
            assert not watch.holds(entry, mark)
            again = watch.follow(entry, str(file))
            assert again is not None
            assert watch.holds(entry, again)

    with temporary_folder() as folder:
        asyncio.run(main(folder))


def test_watches_are_taken_back() -> None:
    """Of mailboxes that nobody asks about."""

    async def main(folder: Path) -> None:
        async with watching(folder) as (watch, entry, file):
            watch.follow(entry, str(file))
            entry.fresh_until = 100.0
            watch.prune(100.0 + IDLE_SECONDS)
            assert watch._entries
            watch.prune(101.0 + IDLE_SECONDS)
            assert not watch._entries
            mark = watch.follow(entry, str(file))
            assert mark is not None
            watch.drain()
            append(file)
            assert not watch.holds(entry, mark)

    with temporary_folder() as folder:
        asyncio.run(main(folder))


@pytest.mark.parametrize("lack", ["inotify", "watches", "local"])
def test_without_notification(desk: Open, monkeypatch: pytest.MonkeyPatch, lack: str) -> None:
    """Each request looks at the disk, and the answers are the same."""

    def fail(*_: object, **__: object) -> object:
        raise OSError(28, "No space left on device")

    if lack == "inotify":
        monkeypatch.setattr("mailquota.core.policy.watch.INotify", fail)
    elif lack == "watches":
        monkeypatch.setattr("mailquota.core.policy.watch.INotify.add_watch", fail)
    else:
        monkeypatch.setattr("mailquota.core.policy.watch._LOCAL", frozenset[str]())

    async def work(table: Desk) -> None:
        box = table.add("john", 1000)
        assert [await table.ask("john"), await table.ask("john")] == [FITS, FITS]
        assert table.entry("john").fresh_until == 0.0
        box.append(4000, 1)
        assert await table.ask("john") == FULL

    desk(work)
