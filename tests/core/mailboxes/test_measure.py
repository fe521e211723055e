"""Measuring one mailbox: from maildirsize where Dovecot believes it, else from the folders; never a write."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable

import pytest

from mailquota.core.mailboxes.maildirsize import FRESH_SECONDS
from mailquota.core.mailboxes.measure import (
    Measurement,
    ProbeOutcome,
    Unmeasurable,
    count_inbox,
    measure,
    probe,
    recorded,
)
from tests.core.mailboxes.boxes import Box

LIMIT = 5000
NOW = 1_900_000_000.0


def look(
    box: Box, known: Measurement | None = None, *, limit: int | None = LIMIT, now: float | None = None
) -> Measurement:
    """A full measuring at ``now``."""
    return measure(box.store, box.maildir, limit, known, time.time() if now is None else now)


def ask(
    box: Box, known: Measurement | None = None, *, limit: int | None = LIMIT, now: float | None = None
) -> Measurement | ProbeOutcome:
    """A probe at ``now``."""
    return probe(box.maildir, limit, known, time.time() if now is None else now)


def decide(box: Box, known: Measurement | None) -> int:
    """The usage that an answer to Postfix would use, found as for an answer."""
    result = ask(box, known)
    if result is ProbeOutcome.COUNT_DUE:
        result = count_inbox(box.store, box.maildir, known)
    if isinstance(result, ProbeOutcome):
        assert known is not None
        return known.used
    return result.used


def figures(known: Measurement) -> tuple[int, int, str]:
    """Bytes, messages, source."""
    return known.used, known.messages, known.source


@pytest.fixture
def filled(box: Box) -> Box:
    """4,000 bytes in two messages, nothing moved for a minute."""
    box.put(3000)
    box.put(1000, "new")
    box.settle()
    return box


def fifo(box: Box) -> None:
    os.mkfifo(box.file)


def dangling(box: Box) -> None:
    box.file.symlink_to(box.path / "nowhere")


def looping(box: Box) -> None:
    box.file.symlink_to(box.file)


def holding(text: str | bytes) -> Callable[[Box], None]:
    def write(box: Box) -> None:
        box.file.write_bytes(text.encode() if isinstance(text, str) else text)

    return write


STATES: dict[str, tuple[Callable[[Box], None], tuple[int, int, str] | None]] = {
    "believed": (holding("5000S\n10 1\n"), (10, 1, "maildirsize")),
    "full to the byte": (holding("5000S\n4000 2\n1000 1\n"), (5000, 3, "maildirsize")),
    "over, one line, young": (holding("5000S\n9000 2\n"), (9000, 2, "maildirsize")),
    "header alone": (holding("5000S\n"), (0, 0, "maildirsize")),
    "missing": (lambda _: None, (4000, 2, "scan")),
    "over, two lines": (holding("5000S\n5000 1\n4000 1\n"), (4000, 2, "scan")),
    "another limit": (holding("1000S\n100 1\n"), (4000, 2, "scan")),
    "empty": (holding(""), (4000, 2, "scan")),
    "garbage": (holding("hello world\nfoo\n"), (4000, 2, "scan")),
    "binary": (holding(bytes(range(256))), (4000, 2, "scan")),
    "negative": (holding("5000S\n-100 -1\n"), (4000, 2, "scan")),
    "huge": (holding("5000S\n" + "10 1\n" * 200_000), (4000, 2, "scan")),
    "thousands of digits": (holding("5000S\n" + "9" * 5000 + " 1\n"), (2**63 - 1, 1, "maildirsize")),
    "dangling link": (dangling, (4000, 2, "scan")),
    "directory": (lambda box: box.file.mkdir(), None),
    "FIFO": (fifo, None),
    "link to itself": (looping, None),
}


@pytest.mark.parametrize("state", STATES)
def test_states_of_the_file(filled: Box, state: str) -> None:
    """Believed, counted over, or not measurable, as quota-status would say DEFER; and nothing is written."""
    make, expected = STATES[state]
    make(filled)
    before = filled.tree()
    if expected is None:
        with pytest.raises(Unmeasurable):
            look(filled)
        with pytest.raises(Unmeasurable):
            ask(filled)
    else:
        known = look(filled)
        assert figures(known) == expected
        assert decide(filled, None) == expected[0]
        assert ask(filled, known) is ProbeOutcome.UNCHANGED
        assert look(filled, known) is known
    assert filled.tree() == before


@pytest.mark.parametrize("state", STATES)
def test_states_for_an_unlimited_mailbox(filled: Box, state: str) -> None:
    """Without a limit only a file that says so is kept by Dovecot; others are counted over."""
    make, expected = STATES[state]
    make(filled)
    if expected is not None:
        assert figures(look(filled, limit=None)) == (4000, 2, "scan")
        filled.file.unlink(missing_ok=True)
        filled.file.write_text("0S\n9999 9\n")
        assert figures(look(filled, limit=None)) == (9999, 9, "maildirsize")


def test_unreadable(filled: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without rights to read it the usage is unknown, not 0 or what the folders say: Dovecot can't tell either."""
    filled.file.write_text("5000S\n6000 2\n")

    def denied(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("mailquota.core.mailboxes.measure.os.open", denied)
    with pytest.raises(Unmeasurable, match="Permission denied"):
        look(filled)


def test_unreadable_folder(filled: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for a folder that can't be listed."""

    def denied(*_: object) -> list[str]:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("mailquota.core.mailboxes.folders.os.listdir", denied)
    with pytest.raises(Unmeasurable, match="Permission denied"):
        look(filled)
    with pytest.raises(Unmeasurable, match="Permission denied"):
        count_inbox(filled.store, filled.maildir, None)


def test_a_path_that_is_none(box: Box) -> None:
    """No path can have a NUL."""
    with pytest.raises(Unmeasurable):
        probe("/nonexistent\0", LIMIT, None, NOW)


# ---- what is not there


def test_maildir_missing(box: Box) -> None:
    """A mailbox that was never used is empty: Dovecot makes it at the first delivery."""
    shutil.rmtree(box.path)
    known = look(box)
    assert figures(known) == (0, 0, "scan")
    assert decide(box, None) == 0
    assert look(box, known) is known
    shutil.rmtree(box.base / "example.org")
    assert figures(look(box)) == (0, 0, "scan")


@pytest.mark.parametrize("file", ["5000S\n4000 2\n", "garbage\n", ""])
def test_mailstore_missing(filled: Box, file: str) -> None:
    """Where the whole mailstore is missing, as when its file system is not mounted, usage is unknown, not 0."""
    if file:
        filled.file.write_text(file)
    known = look(filled)
    filled.base.rename(filled.base.with_name("unmounted"))
    for before in (None, known):
        with pytest.raises(Unmeasurable, match="is not there"):
            look(filled, before)
        assert ask(filled, before) is ProbeOutcome.COUNT_DUE
        with pytest.raises(Unmeasurable, match="is not there"):
            count_inbox(filled.store, filled.maildir, before)


def test_an_empty_mailbox_in_a_mailstore_that_goes(box: Box) -> None:
    """The same for a mailbox that had nothing."""
    shutil.rmtree(box.path)
    known = look(box)
    box.base.rename(box.base.with_name("unmounted"))
    assert ask(box, known) is ProbeOutcome.COUNT_DUE
    with pytest.raises(Unmeasurable):
        count_inbox(box.store, box.maildir, known)


def test_a_maildir_that_goes(filled: Box) -> None:
    """A mailbox that was removed is empty, in decisions too, not as full as its other folders were."""
    filled.put(700, ".Sent/cur")
    filled.settle()
    known = look(filled)
    assert known.used == 4700
    shutil.rmtree(filled.path)
    assert decide(filled, known) == 0
    assert look(filled, known).used == 0


def test_a_file_where_the_maildir_should_be(box: Box) -> None:
    """A mailstore that is missing makes the usage unknown."""
    shutil.rmtree(box.path)
    box.path.write_text("not a folder")
    with pytest.raises(Unmeasurable):
        look(box)


# ---- what changes


def test_a_delivery_is_seen_at_once(filled: Box) -> None:
    """With maildirsize by its line, within the same moment."""
    filled.file.write_text("5000S\n1000 1\n")
    known = look(filled)
    filled.deliver(500)
    filled.deliver(300)
    assert figures(look(filled, known)) == (1800, 3, "maildirsize")
    assert decide(filled, known) == 1800


@pytest.mark.parametrize("file", ["", "garbage\n", "1000S\n10 1\n"])
def test_a_delivery_without_a_believed_file_is_seen_at_once(filled: Box, file: str) -> None:
    """By INBOX's directories, as often as mail comes, also where a file lies there that nobody keeps."""
    if file:
        filled.file.write_text(file)
    known = look(filled)
    used = 4000
    for place in ("new", "new", "cur"):
        filled.put(10, place)
        used += 10
        assert decide(filled, known) == used
        known = count_inbox(filled.store, filled.maildir, known)
        assert known.used == used


def test_other_folders_come_in_rounds(filled: Box) -> None:
    """For an answer only INBOX is counted; the next measurement counts the rest."""
    known = look(filled)
    filled.put(700, ".Sent/cur")
    assert decide(filled, known) == 4000
    assert look(filled, known).used == 4700


def test_a_file_that_appears_or_goes(filled: Box) -> None:
    """Dovecot's own file is believed from the moment it is there; when it goes, the folders count."""
    scanned = look(filled)
    filled.file.write_text("5000S\n1234 1\n")
    believed = look(filled, scanned)
    assert figures(believed) == (1234, 1, "maildirsize")
    assert decide(filled, scanned) == 1234
    filled.file.unlink()
    assert figures(look(filled, believed)) == (4000, 2, "scan")
    assert decide(filled, believed) == 4000


def test_a_file_that_is_replaced(filled: Box) -> None:
    """Also where time and size are the same as before."""
    filled.file.write_text("5000S\n1000 1\n")
    known = look(filled)
    status = filled.file.stat()
    fresh = filled.path / "maildirsizehost.1.0"
    fresh.write_text("5000S\n2000 1\n")
    os.utime(fresh, ns=(status.st_atime_ns, status.st_mtime_ns))
    fresh.rename(filled.file)
    assert figures(look(filled, known)) == (2000, 1, "maildirsize")


def test_another_limit(filled: Box) -> None:
    """A file of another limit is not believed, nor what was known of it once the ledger forgot its stamp."""
    filled.file.write_text("5000S\n1000 1\n")
    known = look(filled)
    forgotten = Measurement(known.used, known.messages, known.source, None, None, known.folders, known.complete)
    assert figures(look(filled, forgotten, limit=7000)) == (4000, 2, "scan")
    assert figures(look(filled, forgotten, limit=5000)) == (1000, 1, "maildirsize")


def test_a_young_claim_of_too_much_expires(filled: Box) -> None:
    """It is believed for 15 minutes after it was written, then the folders are counted."""
    filled.file.write_text("5000S\n9000 2\n")
    os.utime(filled.file, (NOW, NOW))
    known = look(filled, now=NOW + 60)
    assert figures(known) == (9000, 2, "maildirsize")
    assert ask(filled, known, now=NOW + FRESH_SECONDS - 1) is ProbeOutcome.UNCHANGED
    assert look(filled, known, now=NOW + FRESH_SECONDS).used == 9000
    assert ask(filled, known, now=NOW + FRESH_SECONDS + 1) is ProbeOutcome.COUNT_DUE
    assert figures(look(filled, known, now=NOW + FRESH_SECONDS + 1)) == (4000, 2, "scan")
    assert ask(filled, now=NOW + FRESH_SECONDS + 1) is ProbeOutcome.COUNT_DUE


def test_a_claim_of_too_little_never_expires(filled: Box) -> None:
    """Dovecot believes it for ever, so it is believed here too."""
    filled.file.write_text("5000S\n10 1\n")
    os.utime(filled.file, (NOW, NOW))
    known = look(filled, now=NOW)
    assert ask(filled, known, now=NOW + 10**8) is ProbeOutcome.UNCHANGED
    assert look(filled, now=NOW + 10**8).used == 10


# ---- Trash


def trash(box: Box, known: Measurement) -> tuple[int, int]:
    """Bytes and messages of Trash in what is known."""
    found = [folder for folder in known.folders or () if box.store.is_trash(folder.name)]
    return sum(folder.bytes for folder in found), sum(folder.messages for folder in found)


@pytest.mark.parametrize("file", ["5000S\n4350 5\n", ""])
def test_share_of_trash(filled: Box, file: str) -> None:
    """Trash and what lies below it, from its folders whatever the use comes from; it counts in the use."""
    for size, place in ((200, ".Trash/cur"), (100, ".Trash.Old/new"), (50, ".Papierkorb/cur")):
        filled.put(size, place)
    filled.put(0, ".Trashy/cur")
    filled.settle()
    if file:
        filled.file.write_text(file)
    known = look(filled)
    assert known.used == 4350
    assert trash(filled, known) == (350, 3)


def test_trash_is_looked_at_again_after_each_change(filled: Box) -> None:
    """A probe takes the use alone and leaves the share to the next measuring."""
    filled.put(200, ".Trash/cur")
    filled.settle()
    filled.file.write_text("5000S\n4200 3\n")
    known = look(filled)
    filled.put(100, ".Trash/cur")
    filled.append(100, 1)
    probed = ask(filled, known)
    assert isinstance(probed, Measurement)
    assert not probed.complete
    assert (probed.used, trash(filled, probed)) == (4300, (200, 1))
    assert trash(filled, look(filled, probed)) == (300, 2)


def test_a_young_trash_is_looked_at_until_it_rests(filled: Box) -> None:
    """A directory that changed within the last second may change again without a new time."""
    filled.put(200, ".Trash/cur")
    filled.file.write_text("5000S\n4200 3\n")
    known = look(filled)
    assert not known.complete
    filled.settle()
    known = look(filled, known)
    assert known.complete
    assert look(filled, known) is known


# ---- what the file has recorded


@pytest.mark.parametrize(
    ("text", "expected"), [("5000S\n9000 1\n9000 1\n", (18000, 2)), ("1S\n5 1\n", (5, 1)), ("nothing\nat all\n", None)]
)
def test_recorded(box: Box, text: str, expected: tuple[int, int] | None) -> None:
    """The sums as they are in the file, believed or not."""
    box.file.write_text(text)
    assert recorded(box.maildir) == expected


@pytest.mark.parametrize("make", [lambda _: None, fifo, dangling, looping, lambda box: box.file.mkdir()])
def test_nothing_recorded(box: Box, make: Callable[[Box], None]) -> None:
    """None where there is no readable file; a FIFO does not make the call hang."""
    make(box)
    assert recorded(box.maildir) is None
