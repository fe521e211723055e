"""A recording is read as it was written; of one that is cut off, damaged or foreign as much as can be."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailquota.core.base.errors import MailquotaError
from mailquota.core.recordings import blocks, reading
from mailquota.core.recordings.periods import DamagedError, Period, decode, encode
from mailquota.core.recordings.reading import open_file, open_folder
from tests.core.others import STRANGER, as_root
from tests.core.recordings.made import ANNA, JOHN, MIB, NIGHT, answer, night, row, warning, write


def periods(path: Path) -> list[Period]:
    """All that can be read."""
    recording = open_file(str(path))
    try:
        return [recording.read(number) for number in range(len(recording.blocks))]
    finally:
        recording.close()


def test_all_comes_back(tmp_path: Path) -> None:
    """Usage in short rows, where nothing else of an account changed."""
    wanted, found = night(), periods(write(tmp_path, night()))
    assert [p.decisions for p in found] == [p.decisions for p in wanted]
    assert [(p.journal, p.warnings, p.status, p.start, p.end) for p in found] == [
        (p.journal, p.warnings, p.status, p.start, p.end) for p in wanted
    ]
    assert found[0].accounts == wanted[0].accounts
    assert [[(u.address, u.used_bytes) for u in p.usages] for p in found[1:]] == [
        [(JOHN, (81 + number) * MIB)] for number in range(1, 6)
    ]


def test_an_account_that_changed_otherwise_comes_as_a_whole_row(tmp_path: Path) -> None:
    limited = msgspec.structs.replace(row(JOHN, 82 * MIB), limit_bytes=5 * MIB)
    made = [night()[0], Period(start=NIGHT + 10, end=NIGHT + 20, accounts=[limited, row(ANNA, 5)])]
    assert periods(write(tmp_path, made))[1].accounts == [limited, row(ANNA, 5)]


@pytest.mark.parametrize("cut", [1, 20, 41, 42, 100, 300])
def test_a_file_that_is_cut_off_ends_with_its_last_whole_block(tmp_path: Path, cut: int) -> None:
    """As after kill -9, or while it is written."""
    path = write(tmp_path, night())
    os.truncate(path, path.stat().st_size - cut)
    recording = open_file(str(path))
    assert 4 <= len(recording.blocks) <= 5
    assert recording.time_at(recording.length) == NIGHT + 10 * len(recording.blocks)
    recording.close()


def test_a_damaged_block_is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path, night())
    recording = open_file(str(path))
    place = recording.blocks[3].offset + blocks.HEADER_SIZE + 7
    with path.open("r+b") as file:
        file.seek(place)
        file.write(b"\xff\x00\xff")
    with pytest.raises(DamagedError, match="damaged"):
        recording.read(3)
    assert recording.read(4).decisions
    recording.close()


def test_damaged_headers_end_the_file_and_it_is_said(tmp_path: Path) -> None:
    path = write(tmp_path, night())
    recording = open_file(str(path))
    with path.open("r+b") as file:
        file.seek(recording.blocks[3].offset)
        file.write(b"????")
    recording.close()
    recording = open_file(str(path))
    assert (len(recording.blocks), recording.remark) == (3, "the recording is damaged")
    recording.close()


@pytest.mark.parametrize("content", [b"", b"x", b"SQLite format 3\0" * 9, b"mailquota recording 2\n", b"\0" * 100_000])
def test_what_is_no_recording_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "some.mqr"
    path.write_bytes(content)
    with pytest.raises(MailquotaError, match=r"some\.mqr: it is no recording"):
        open_file(str(path))


def test_a_first_line_alone_has_nothing_yet(tmp_path: Path) -> None:
    path = tmp_path / "some.mqr"
    path.write_bytes(blocks.FIRST_LINE)
    with pytest.raises(MailquotaError, match="nothing is recorded"):
        open_file(str(path))


@pytest.mark.parametrize("kind", ["folder", "pipe", "link"])
def test_what_is_no_ordinary_file_is_refused(tmp_path: Path, kind: str) -> None:
    """A pipe without being waited for."""
    path = tmp_path / "some.mqr"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/etc/passwd")
    with pytest.raises(MailquotaError, match=r"no ordinary file|a link"):
        open_file(str(path))


def block(data: bytes, **how: Any) -> bytes:
    """With a header that fits, whatever the data are."""
    return blocks.pack(data, how.get("start", NIGHT), how.get("end", NIGHT + 10), first=True)


def test_a_bomb_takes_no_memory(tmp_path: Path) -> None:
    """Neither one that its header admits, nor one that it hides."""
    bomb = block(b"\0" * (64 * MIB))
    path = tmp_path / "some.mqr"
    path.write_bytes(blocks.FIRST_LINE + bomb)
    with pytest.raises(MailquotaError, match="damaged"):
        open_file(str(path))
    header = struct.Struct(">4sBIIIdd")
    fields = list(header.unpack(bomb[: header.size]))
    fields[3] = 1000
    path.write_bytes(blocks.FIRST_LINE + header.pack(*fields) + bomb[header.size :])
    recording = open_file(str(path))
    with pytest.raises(DamagedError, match="another length"):
        recording.read(0)
    recording.close()


def test_many_parts_are_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_MOST_BLOCKS", 5)
    with pytest.raises(MailquotaError, match="it has over 5 parts"):
        open_file(str(write(tmp_path, night(6))))


@pytest.mark.parametrize("at", [float("nan"), float("inf"), -1.0, 1e300])
def test_a_time_that_can_not_be_shown_is_no_header(tmp_path: Path, at: float) -> None:
    path = tmp_path / "some.mqr"
    path.write_bytes(blocks.FIRST_LINE + block(encode(night()[0]), start=at))
    with pytest.raises(MailquotaError, match="damaged"):
        open_file(str(path))


@pytest.mark.parametrize("change", [
    {"warnings": [msgspec.structs.replace(warning(1, NIGHT), percent=float("nan"))]},
    {"decisions": [msgspec.structs.replace(answer(NIGHT), at=1e300)]},
    {"accounts": [row(JOHN, 5, days_to_full=float("inf"))]},
    {"accounts": [msgspec.structs.replace(row(JOHN, 5), week="9x")]},
    {"accounts": [msgspec.structs.replace(row(JOHN, 5), used_bytes=2**64 - 1)]},
])  # fmt: skip
def test_what_the_console_could_not_show_is_no_period(change: dict[str, Any]) -> None:
    with pytest.raises(DamagedError):
        decode(encode(msgspec.structs.replace(night()[0], **change)))


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_FIELDS = st.sampled_from(
    ("start", "end", "status", "decisions", "accounts", "usages", "removed", "journal", "warnings")
)


@given(st.dictionaries(_FIELDS, _VALUES) | _VALUES | st.binary())
@settings(deadline=None)
def test_anything_else_is_refused(value: Any) -> None:
    """With the one error that the replay knows, or it is a period."""
    data = value if isinstance(value, bytes) else msgspec.msgpack.encode(value)
    try:
        decode(data)
    except DamagedError:
        return


@given(st.integers(0), st.binary(min_size=1, max_size=8))
@settings(deadline=None)
def test_no_byte_matters(place: int, change: bytes) -> None:
    """Of a whole file: it can be played, or there is a sentence. The check sums are made right."""
    data = bytearray(encode(night()[2]))
    place %= len(data)
    data[place : place + len(change)] = change
    try:
        period = decode(bytes(data))
    except DamagedError:
        return
    assert period.start <= 1e11


# ---- times


def test_places_and_times_where_the_clock_was_set_back(tmp_path: Path) -> None:
    """What comes later is shown later, whatever time it has; a jump leads to the first of two."""
    set_back = [*night(3), *[msgspec.structs.replace(p, first=False) for p in night(3, NIGHT - 5)][1:]]
    recording = open_file(str(write(tmp_path, set_back)))
    assert recording.length == 50.0
    assert [recording.time_at(place) - NIGHT for place in (0, 12, 29, 32, 50)] == [0, 12, 29, 7, 25]
    assert recording.place_of(NIGHT + 12) == 12.0
    recording.close()


def test_a_time_without_a_recording_is_passed_over(tmp_path: Path) -> None:
    """The engine did not run for an hour."""
    recording = open_file(str(write(tmp_path, [*night(3), night(2, NIGHT + 3590)[1]])))
    assert recording.length == 40.0
    assert recording.time_at(31) == NIGHT + 3601
    assert recording.place_of(NIGHT + 1800) == 30.0
    assert recording.place_of(NIGHT + 9999) == 40.0
    recording.close()


def test_two_engines_at_once_are_shown_together(tmp_path: Path) -> None:
    """Each has files of its own; a file that ended before the time that is asked for is not opened."""
    old = write(tmp_path, night(3, NIGHT - 9000), now=lambda: NIGHT - 9000)
    os.utime(old, (NIGHT - 8970, NIGHT - 8970))
    write(tmp_path, night(4))
    write(tmp_path, night(4, NIGHT + 5), now=lambda: NIGHT + 5)
    recording = open_folder(str(tmp_path), NIGHT, NIGHT + 60)
    assert [block.header.start - NIGHT for block in recording.blocks] == [0, 5, 10, 15, 20, 25, 30, 35]
    recording.close()


def test_of_a_folder_what_is_damaged_is_said_and_left_out(tmp_path: Path) -> None:
    write(tmp_path, night())
    (tmp_path / "20270115T090000Z-1.mqr").write_bytes(b"no recording")
    (tmp_path / "notes.txt").write_text("mine")
    recording = open_folder(str(tmp_path), 0.0, NIGHT)
    assert len(recording.blocks) == 6
    assert "20270115T090000Z-1.mqr: it is no recording" in recording.remark
    recording.close()


@as_root
def test_a_link_in_the_folder_of_another_leads_nowhere(tmp_path: Path) -> None:
    """Root does not read what somebody else points at."""
    theirs, mine = tmp_path / "theirs", tmp_path / "mine"
    theirs.mkdir()
    path = write(mine, night())
    (theirs / path.name).symlink_to(path)
    os.chown(theirs, STRANGER, STRANGER)
    with pytest.raises(MailquotaError, match="a link"):
        open_folder(str(theirs), 0.0, NIGHT)


def test_check_sums_are_of_what_is_stored() -> None:
    data = block(b"some bytes")
    header = blocks.header_of(data[: blocks.HEADER_SIZE])
    assert header.check == zlib.crc32(data[blocks.HEADER_SIZE :])
    assert blocks.unpack(header, data[blocks.HEADER_SIZE :]) == b"some bytes"
