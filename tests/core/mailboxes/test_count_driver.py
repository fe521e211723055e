"""The driver ``count``: virtual sizes, what is read for them, and what a decision waits for."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailquota.core.mailboxes import count_driver, vsizes
from mailquota.core.mailboxes.count_driver import CountDriver
from mailquota.core.mailboxes.mailstore import Mailstore
from mailquota.core.mailboxes.measure import Measurement, ProbeOutcome, Unmeasurable
from mailquota.core.mailboxes.vsizes import SizeCache, virtual_size
from mailquota.core.servers.dovecot.folder_names import FolderRule, IgnoredFolders, TrashNames
from tests.core.mailboxes.boxes import ADDRESS, Box

LIMIT = 5000


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


@pytest.fixture
def driver(box: Box) -> CountDriver:
    return CountDriver(box.store)


def reading(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are read from now on."""
    names: list[str] = []

    def read(path: bytes) -> int | None:
        names.append(os.fsdecode(os.path.basename(path)))
        return virtual_size(path)

    monkeypatch.setattr(vsizes, "virtual_size", read)
    return names


def measure(driver: CountDriver, known: Measurement | None = None) -> Measurement:
    return driver.measure(ADDRESS, LIMIT, known, 0.0)


def test_virtual_sizes(box: Box, driver: CountDriver) -> None:
    """W= where Dovecot believes it, else the size of the file with CRLF; S= does not matter."""
    box.put(100, name="1.M1.mail,S=100,W=109:2,S")
    box.put(100, "new", name="2.M1.mail,W=205,S=1")
    (box.path / "cur/3.M1.mail,S=5:2,").write_bytes(b"a\nb\r\n")
    (box.path / "cur/4.M1.mail,W=7x:2,").write_bytes(b"\n\n")
    (box.path / "cur/5").write_bytes(b"")
    assert (measure(driver).used, measure(driver).messages) == (109 + 205 + 6 + 4, 5)


def test_what_is_no_message(box: Box, driver: CountDriver) -> None:
    box.put(10, name=".hidden,W=10")
    box.put(10, "tmp", name="1,W=10")
    box.put(10, "visible/cur", name="2,W=10")
    (box.path / "cur/folder").mkdir()
    (box.path / "cur/dangling").symlink_to("/nonexistent")
    os.mkfifo(box.path / "cur/fifo")
    known = measure(driver)
    assert (known.used, known.messages, known.source) == (0, 0, "scan")


def test_a_leftover_maildirsize_is_not_believed(box: Box, driver: CountDriver) -> None:
    box.put(100)
    box.settle()
    box.file.write_text(f"{LIMIT}S\n4000 4\n")
    known = measure(driver)
    assert known.used == 109
    box.file.write_text(f"{LIMIT}S\n10 1\n")
    assert driver.probe(ADDRESS, LIMIT, known, 0.0) is ProbeOutcome.UNCHANGED
    assert driver.recorded(ADDRESS) is None


@given(st.binary(max_size=40).map(lambda data: data.translate(bytes(b"\r\nab"[i % 4] for i in range(256)))))
def test_lines_are_counted_wherever_a_read_ends(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "message"
    path.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vsizes, "_CHUNK", 3)
        assert virtual_size(os.fsencode(path)) == len(data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))


def test_a_message_is_read_once(box: Box, driver: CountDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when its flags change, when it leaves new, and when others come."""
    names = reading(monkeypatch)
    (box.path / "new/1").write_bytes(b"a\n")
    (box.path / "cur/2:2,").write_bytes(b"b\n")
    assert measure(driver).used == 6
    assert sorted(names) == ["1", "2:2,"]
    (box.path / "new/1").rename(box.path / "cur/1:2,S")
    (box.path / "cur/2:2,").rename(box.path / "cur/2:2,FS")
    (box.path / "new/3").write_bytes(b"c\n")
    assert (measure(driver).used, sorted(names)) == (9, ["1", "2:2,", "3"])
    (box.path / "new/3").unlink()
    assert measure(driver).used == 6
    (box.path / "new/3").write_bytes(b"other\n")
    assert (measure(driver).used, names[3:]) == (13, ["3"])


def test_only_what_moved_is_listed(box: Box, driver: CountDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    box.put(100)
    box.put(100, ".Trash/cur")
    box.settle()
    known = measure(driver)
    listed: list[str] = []
    original = os.listdir

    def listing(path: str) -> list[str]:
        listed.append(os.fsdecode(path))
        return original(path)

    monkeypatch.setattr(os, "listdir", listing)
    assert measure(driver, known) is known
    assert listed == [box.maildir]
    box.put(50, ".Trash/cur")
    assert measure(driver, known).used == known.used + 59
    assert listed[1:] == [box.maildir, f"{box.maildir}/.Trash/cur"]


def test_a_decision_counts_inbox(box: Box, driver: CountDriver) -> None:
    box.put(100)
    box.settle()
    assert driver.probe(ADDRESS, LIMIT, None, 0.0) is ProbeOutcome.COUNT_DUE
    known = driver.count(ADDRESS, LIMIT, None, 0.0)
    assert driver.probe(ADDRESS, LIMIT, known, 0.0) is ProbeOutcome.UNCHANGED
    box.put(50, "new")
    assert driver.probe(ADDRESS, LIMIT, known, 0.0) is ProbeOutcome.COUNT_DUE
    assert driver.count(ADDRESS, LIMIT, known, 0.0).used == 109 + 59


def test_a_decision_does_not_wait_for_a_count(box: Box, driver: CountDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """It uses the last usage, or gets Unmeasurable where there is none; other mailboxes are not held up."""
    box.put(100)
    box.settle()
    known = measure(driver)
    (box.path / "new/1").write_bytes(b"a\n")
    entered, go_on = threading.Event(), threading.Event()

    def slow(path: bytes) -> int | None:
        entered.set()
        assert go_on.wait(20)
        return virtual_size(path)

    monkeypatch.setattr(vsizes, "virtual_size", slow)
    results: list[Measurement] = []
    counting = threading.Thread(target=lambda: results.append(measure(driver, known)))
    counting.start()
    assert entered.wait(20)
    try:
        assert driver.count(ADDRESS, LIMIT, known, 0.0) is known
        with pytest.raises(Unmeasurable):
            driver.count(ADDRESS, LIMIT, None, 0.0)
    finally:
        go_on.set()
        counting.join()
    assert [result.used for result in results] == [known.used + 3]


def test_a_decision_reads_few_messages(box: Box, driver: CountDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sizes that it read are kept: each try gets further."""
    monkeypatch.setattr(count_driver, "READS_FOR_A_DECISION", 2)
    names = reading(monkeypatch)
    for number in range(5):
        (box.path / f"new/{number}").write_bytes(b"a\n")
    for _ in range(2):
        with pytest.raises(Unmeasurable, match="being counted"):
            driver.count(ADDRESS, LIMIT, None, 0.0)
    assert driver.count(ADDRESS, LIMIT, None, 0.0).used == 15
    assert sorted(names) == list("01234")


def test_a_big_inbox_is_left_to_the_poller(box: Box, driver: CountDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(count_driver, "BIG_INBOX", 2)
    for _ in range(3):
        box.put(100)
    known = measure(driver)
    box.put(100, "new")
    assert driver.probe(ADDRESS, LIMIT, known, 0.0) is ProbeOutcome.UNCHANGED
    assert measure(driver, known).messages == 4


def test_ignored_folders_do_not_count(box: Box) -> None:
    store = Mailstore(box.store.template, TrashNames(("Trash",)), IgnoredFolders([FolderRule("Tr*", True)]))
    box.put(100)
    box.put(50, ".Trash/cur")
    driver = CountDriver(store)
    known = measure(driver)
    assert (known.used, known.messages) == (109, 1)
    assert [(folder.name, folder.bytes) for folder in driver.folders(ADDRESS)] == [("INBOX", 109), ("Trash", 59)]


def test_without_a_mailstore_nothing_is_known(box: Box, tmp_path: Path) -> None:
    driver = CountDriver(Mailstore(f"{tmp_path}/nowhere/{{domain}}/{{user}}", TrashNames(())))
    with pytest.raises(Unmeasurable, match="is not there"):
        measure(driver)
    assert CountDriver(box.store).measure("new@example.org", LIMIT, None, 0.0).used == 0


def test_a_recount_starts_from_nothing(box: Box, driver: CountDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    message = box.path / "cur/1:2,"
    message.write_bytes(b"a\n")
    box.file.write_text("0S\n1 1\n")
    box.settle()
    known = measure(driver)
    message.write_bytes(b"changed in place\n")
    names = reading(monkeypatch)
    assert measure(driver, known).used == 3
    assert driver.recount(ADDRESS, LIMIT) == "unlink"
    assert not box.file.exists()
    assert (measure(driver, known).used, names) == (18, ["1:2,"])


def test_what_is_remembered_is_bounded() -> None:
    remembered = SizeCache(most=3)
    for box in "abc":
        remembered.keep(box, {b"cur": {b"1": 1, b"2": 2}})
    assert [bool(remembered.of(box)) for box in "abc"] == [False, False, True]
    remembered.keep("c", {})
    assert remembered.of("c") == {}


# ---- files that somebody made to keep us busy


def sparse(path: Path, size: int, *parts: tuple[int, bytes]) -> Path:
    with path.open("wb") as file:
        for at, data in parts:
            file.seek(at)
            file.write(data)
        file.truncate(size)
    return path


@pytest.mark.timeout(60)
def test_a_sparse_file_costs_what_it_holds(tmp_path: Path) -> None:
    """300 GB would be read for minutes. A CR before a hole is no part of the LF behind it."""
    size = 300 * 10**9
    file = sparse(tmp_path / "1.M1P1.host", size, (0, b"a\nb\r\n"), (size // 2, b"\n\r"), (size - 2, b"\r\n"))
    for _ in range(50):
        assert virtual_size(bytes(file)) == size + 2
    empty = sparse(tmp_path / "2.M1P1.host", size)
    assert virtual_size(bytes(empty)) == size


def test_of_a_monstrous_file_a_part_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its whole size counts, so that its owner does not get out of a limit by it."""
    monkeypatch.setattr(vsizes, "_CHUNK", 1000)
    monkeypatch.setattr(vsizes, "_MOST_READ", 5000)
    (tmp_path / "1").write_bytes(b"\n" * 20_000)
    assert virtual_size(bytes(tmp_path / "1")) == 25_000


def test_line_ends_that_chunks_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"a\r\nbc\nd\r\n\r\n\n\r"
    (tmp_path / "1").write_bytes(text)
    for chunk in range(1, len(text) + 1):
        monkeypatch.setattr(vsizes, "_CHUNK", chunk)
        assert virtual_size(bytes(tmp_path / "1")) == len(text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
