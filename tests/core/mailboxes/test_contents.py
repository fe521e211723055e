"""What is inside a folder: sums and dates, whatever names are there, and no thread that is waited for without end."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from mailquota.core.base.errors import MailquotaError, UnreachableError
from mailquota.core.control.contents import FolderContents, MessageSize, RecentSum, YearSum
from mailquota.core.mailboxes import contents
from mailquota.core.mailboxes.contents import FolderLooks, NoSuchFolderError, Tally, messages_in
from mailquota.core.mailboxes.count_driver import CountDriver
from mailquota.core.mailboxes.driver import MaildirDriver
from tests.core.mailboxes.boxes import ADDRESS, Box
from tests.faults.test_hanging import stopped_file_system

DAY = 86400.0
OTHER_UID = 4321


def at(year: int, month: int = 6, day: int = 15) -> float:
    """Midnight of a day in local time."""
    return time.mktime((year, month, day, 0, 0, 0, 0, 0, -1))


def put(box: Box, size: int, when: float, place: str = ".Sent/cur", name: str | None = None) -> Path:
    """A message that was received then."""
    path = box.put(size, place, name)
    os.utime(path, (when, when))
    return path


def looks(box: Box, doveadm: Any = None, *, count: bool = False, by_dovecot: bool = False) -> FolderLooks:
    """Looks into the folders of this mailstore."""
    driver = CountDriver(box.store) if count else MaildirDriver(box.store)
    return FolderLooks(box.store, driver, doveadm, away=lambda _: "", asks_dovecot=lambda _: by_dovecot)


def look(
    box: Box, folder: str, doveadm: Any = None, *, count: bool = False, by_dovecot: bool = False
) -> FolderContents:
    """One look."""
    return asyncio.run(looks(box, doveadm, count=count, by_dovecot=by_dovecot).contents(ADDRESS, folder))


def test_sums(box: Box) -> None:
    """Messages, bytes, oldest and newest, by year, of late, the largest first; other folders do not count."""
    now = time.time()
    put(box, 5000, at(2019))
    put(box, 700, at(2019, 7))
    put(box, 300, at(2021), ".Sent/new")
    put(box, 20, now - 3 * DAY)
    put(box, 9, now, ".Sent.2020/cur")
    box.put(77)
    found = look(box, "Sent")
    assert (found.messages, found.bytes, found.complete, found.method, found.trash) == (4, 6020, True, "files", False)
    assert found.oldest == at(2019)
    assert found.newest == pytest.approx(now - 3 * DAY)
    assert found.years[1:] == [YearSum(2021, 1, 300), YearSum(2019, 2, 5700)]
    assert found.largest[:3] == [MessageSize(5000, at(2019)), MessageSize(700, at(2019, 7)), MessageSize(300, at(2021))]
    assert found.recent == [RecentSum(1, 0, 0), RecentSum(7, 1, 20), RecentSum(30, 1, 20)]
    assert look(box, "INBOX").bytes == 77
    assert look(box, "Sent.2020").messages == 1


def test_names_as_mail_programs_show_them(box: Box) -> None:
    """A folder is found by what its name is read as; Trash is told."""
    box.put(10, ".Entw&APw-rfe/cur")
    box.put(11, ".Trash/cur")
    assert look(box, "Entwürfe").bytes == 10
    assert look(box, "Trash").trash


@pytest.mark.parametrize("name", ["Nowhere", "", ".", "..", "../other", "INBOX/cur", "Sent/cur", "Se*", "tmp", "cur"])
def test_no_such_folder(box: Box, name: str) -> None:
    """A name moves no path: it is looked for among those that are there."""
    box.put(10, ".Sent/cur")
    with pytest.raises(NoSuchFolderError):
        look(box, name)


def test_sizes(box: Box) -> None:
    """By the name of the file where that tells one, else of the file; virtual ones for the driver ``count``."""
    put(box, 100, at(2020), name="1.a,S=100,W=150:2,S")
    put(box, 200, at(2020), name="2.b")
    put(box, 300, at(2020), name="3.c,S=nothing,W=:2,")
    assert look(box, "Sent").bytes == 600
    assert look(box, "Sent", count=True).bytes == 650


def test_what_is_no_message(box: Box) -> None:
    """Folders are none; a link counts as what it is, and is not followed."""
    put(box, 100, at(2020))
    (box.path / ".Sent/cur/sub").mkdir()
    (box.path / ".Sent/cur/..x").touch()
    (box.path / ".Sent/cur/link").symlink_to("/dev/zero")
    os.mkfifo(box.path / ".Sent/cur/pipe")
    found = look(box, "Sent")
    assert (found.messages, found.bytes) == (3, 100 + len("/dev/zero"))


def test_dates_of_a_broken_clock(box: Box) -> None:
    """They are in no year, and neither oldest nor newest."""
    put(box, 1, at(2020))
    put(box, 2, 0)
    put(box, 3, 2.0**33)
    found = look(box, "Sent")
    assert (found.messages, found.bytes, found.years) == (3, 6, [YearSum(2020, 1, 1)])
    assert found.oldest == found.newest == at(2020)
    assert found.largest == [MessageSize(3, None), MessageSize(2, None), MessageSize(1, at(2020))]


def test_the_end_of_a_year() -> None:
    """Local time decides."""
    tally, midnight = Tally(at(2024)), at(2021, 1, 1)
    for moment in (midnight - 1, midnight, at(2100, 12, 31), at(1980, 1, 1)):
        tally.add(1, moment)
    found = tally.result(ADDRESS, "x", method="files", trash=False, complete=True)
    assert [year.year for year in found.years] == [2100, 2021, 2020, 1980]


@pytest.mark.parametrize("place", ["folder", "cur", "maildir"])
def test_links_to_the_mailbox_of_another_owner(box: Box, tmp_path: Path, place: str) -> None:
    """Nothing behind them is counted."""
    if os.geteuid():
        pytest.skip("needs root, to have another owner")
    other = tmp_path / "other"
    for folder in ("cur", "new"):
        (other / ".Sent" / folder).mkdir(parents=True)
        (other / ".Sent" / folder / "1.x,S=999").touch()
    if place == "folder":
        (box.path / ".Sent").symlink_to(other / ".Sent")
    elif place == "cur":
        (box.path / ".Sent").mkdir()
        (box.path / ".Sent/cur").symlink_to(other / ".Sent/cur")
    else:
        box.path.rename(box.path.with_name("away"))
        box.path.symlink_to(other)
        os.lchown(box.path, OTHER_UID, OTHER_UID)
    with pytest.raises(MailquotaError):
        look(box, "Sent")


def test_a_folder_that_vanishes(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two of its messages: what was seen counts. Before that: there is none."""
    for number in range(10):
        put(box, 10, at(2020), name=f"{number}.x")
    messages = messages_in(box.maildir, "Sent")
    assert next(messages) == (10, at(2020))
    for path in (box.path / ".Sent/cur").iterdir():
        path.unlink()
    for folder in (".Sent/cur", ".Sent"):
        (box.path / folder).rmdir()
    assert list(messages) == []
    with pytest.raises(NoSuchFolderError):
        look(box, "Sent")


def test_a_folder_without_end(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """The walk ends when its time is over, and says that this is not all."""
    for number in range(3 * contents._EACH):
        box.put(0, ".Sent/cur", f"{number}.x,S=10")
    monkeypatch.setattr(contents, "LOOKED", 0.0)
    found = look(box, "Sent")
    assert not found.complete
    assert found.messages == contents._EACH


# ---- what hangs


class Held:
    """An ``away`` that hangs until it is let go."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.calls = 0

    def __call__(self, _address: str) -> str:
        self.calls += 1
        self.go_on.wait()
        return ""


def held_looks(box: Box, held: Callable[[str], str]) -> FolderLooks:
    """Looks whose threads hang."""
    return FolderLooks(box.store, MaildirDriver(box.store), None, away=held, asks_dovecot=lambda _: False)


def test_two_that_ask_the_same_share_a_thread(box: Box) -> None:
    """And both get the answer."""
    put(box, 10, at(2020))
    held = Held()

    async def both() -> list[FolderContents]:
        ours = held_looks(box, held)
        asked = [asyncio.create_task(ours.contents(ADDRESS, "Sent")) for _ in range(2)]
        await asyncio.sleep(0)
        held.go_on.set()
        return await asyncio.gather(*asked)

    first, second = asyncio.run(both())
    assert first is second
    assert held.calls == 1


def test_threads_that_hang_are_few(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks is answered all the same; further ones on this file system are refused until it answers again."""
    monkeypatch.setattr(contents, "WAIT", 0.05)
    for folder in ("a", "b", "c"):
        put(box, 10, at(2020), f".{folder}/cur")
    held = Held()

    async def all_of_them() -> FolderContents:
        ours = held_looks(box, held)
        for folder in ("a", "b", "a"):
            with pytest.raises(MailquotaError, match="no answer within"):
                await ours.contents(ADDRESS, folder)
        with pytest.raises(MailquotaError, match="other folders are being looked through"):
            await ours.contents(ADDRESS, "c")
        assert held.calls == contents.MOST_OF_PLACE
        held.go_on.set()
        monkeypatch.setattr(contents, "WAIT", 30.0)
        for folder in ("a", "b"):
            await ours.contents(ADDRESS, folder)
        return await ours.contents(ADDRESS, "c")

    assert asyncio.run(all_of_them()).messages == 1


def test_a_file_system_that_does_not_answer(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order fails; nothing waits for the thread."""
    monkeypatch.setattr(contents, "WAIT", 0.2)
    put(box, 10, at(2020))
    with stopped_file_system(box.path / ".Sent/cur"), pytest.raises(MailquotaError, match="no answer within"):
        look(box, "Sent")


# ---- by doveadm


def told(*messages: tuple[int, float], error: Exception | None = None) -> Mock:
    """A doveadm that tells these messages, and then fails."""

    def received(*_words: object, **_how: object) -> Generator[tuple[int, float], None, None]:
        yield from messages
        if error is not None:
            raise error

    return Mock(received=Mock(side_effect=received), mailboxes=Mock(return_value=["Sent", "Empty"]))


def test_where_dovecot_has_the_word(box: Box) -> None:
    """It is asked, for stored sizes where the driver counts those."""
    put(box, 10, at(2020))
    doveadm = told((500, at(2022)), (600, at(2023)))
    found = look(box, "Sent", doveadm, by_dovecot=True)
    assert (found.messages, found.bytes, found.method) == (2, 1100, "doveadm")
    doveadm.received.assert_called_once_with(ADDRESS, "Sent", virtual=False)
    look(box, "Trash", doveadm, count=True, by_dovecot=True)
    doveadm.received.assert_called_with(ADDRESS, "Trash", virtual=True)
    assert look(box, "Sent", doveadm).method == "files"
    assert look(box, "Empty", told(), by_dovecot=True).messages == 0
    with pytest.raises(NoSuchFolderError):
        look(box, "Gone", told(), by_dovecot=True)


def test_names_that_are_patterns(box: Box) -> None:
    """doveadm would take messages of other folders, too."""
    doveadm = told()
    for name in ("S*", "S%", "S?"):
        with pytest.raises(MailquotaError, match="pattern"):
            look(box, name, doveadm, by_dovecot=True)
    assert doveadm.received.call_count == 0


def test_a_doveadm_that_takes_too_long(box: Box) -> None:
    """What it told until then is told, as a part; an error without any message is an error."""
    slow = UnreachableError("doveadm did not end within 25 s")
    found = look(box, "Sent", told((500, at(2022)), error=slow), by_dovecot=True)
    assert (found.messages, found.complete) == (1, False)
    with pytest.raises(UnreachableError):
        look(box, "Sent", told(error=slow), by_dovecot=True)


def test_files_that_are_not_ours_to_read(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then doveadm is asked; without one the error says so."""
    monkeypatch.setattr(contents, "opened", Mock(side_effect=PermissionError(13, "Permission denied", box.maildir)))
    assert look(box, "Sent", told((500, at(2022)))).method == "doveadm"
    with pytest.raises(MailquotaError, match=r"Sent can't be looked through: .*Permission denied"):
        look(box, "Sent")
