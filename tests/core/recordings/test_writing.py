"""Recordings take no more room than they may, whatever happens to folder, clock and file system."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from mailquota.core.recordings.reading import open_file
from mailquota.core.recordings.writing import Limits, Writer, name_of, time_of
from tests.core.others import OWNER, as_root
from tests.core.recordings.made import NIGHT, ROOMY, night, write


def test_a_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Whatever the umask is; the folder too."""
    before = os.umask(0)
    try:
        path = write(tmp_path / "recordings", night())
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert time_of(path.name) == NIGHT


@pytest.mark.parametrize(
    "name", ["x.mqr", "20270230T250000Z-1.mqr", "20270115T080000Z-1.mqr.gz", "../20270115T080000Z-1.mqr"]
)
def test_other_names_have_no_time(name: str) -> None:
    assert time_of(name) is None


def test_a_name_that_is_there_gets_a_number(tmp_path: Path) -> None:
    """The clock was set back, to the second at which this process began a file."""
    names = {write(tmp_path, night()).name for _ in range(3)}
    assert names == {name_of(NIGHT), name_of(NIGHT, 1), name_of(NIGHT, 2)}


def old_files(folder: Path, times: list[float], size: int = 1000) -> list[Path]:
    made = []
    for at in times:
        path = folder / name_of(at)
        path.write_bytes(bytes(size))
        os.utime(path, (at + 3600, at + 3600))
        made.append(path)
    return made


def test_the_oldest_make_room(tmp_path: Path) -> None:
    """Those in the future count as the oldest; files of others stay."""
    paths = old_files(tmp_path, [NIGHT - 4 * 3600, NIGHT - 3 * 3600, NIGHT - 2 * 3600, NIGHT + 9e6])
    notes = tmp_path / "notes.txt"
    notes.write_bytes(bytes(5000))
    (tmp_path / "20270115T070000Z-1.mqr").mkdir()
    Writer(str(tmp_path), now=lambda: NIGHT).thin_out(Limits(2000, 7 * 86400.0))
    assert [path.exists() for path in (*paths, notes)] == [False, True, True, False, True]


def test_what_is_too_old_goes(tmp_path: Path) -> None:
    paths = old_files(tmp_path, [NIGHT - 9 * 86400, NIGHT - 6 * 86400])
    Writer(str(tmp_path), now=lambda: NIGHT).thin_out(ROOMY)
    assert [path.exists() for path in paths] == [False, True]


def test_a_new_file_begins_after_an_hour_or_where_one_gets_large(tmp_path: Path) -> None:
    now = [0.0]
    writer = Writer(str(tmp_path), now=lambda: NIGHT + now[0], steady=lambda: now[0], free_bytes=0)
    assert writer.wants_whole(ROOMY)
    table, *others = night(40)
    writer.write(table, ROOMY)
    assert not writer.wants_whole(ROOMY)
    for period in others:
        writer.write(period, ROOMY)
    assert writer.wants_whole(Limits(8000, 1e6))
    now[0] = 3600.0
    assert writer.wants_whole(ROOMY)
    writer.close()


def test_a_table_that_is_most_of_the_file_is_not_written_again_each_hour(tmp_path: Path) -> None:
    """But after a day."""
    now = [0.0]
    writer = Writer(str(tmp_path), steady=lambda: now[0], free_bytes=0)
    writer.write(night()[0], ROOMY)
    now[0] = 7200.0
    assert not writer.wants_whole(ROOMY)
    now[0] = 86400.0
    assert writer.wants_whole(ROOMY)
    writer.close()


def test_a_file_system_that_is_nearly_full_gets_nothing_more(tmp_path: Path) -> None:
    """What is there can be read; once there is room, a new file begins."""
    writer = Writer(str(tmp_path), now=lambda: NIGHT, free_bytes=0)
    first, second, third = night(3)
    writer.write(first, ROOMY)
    writer._free_bytes = 1 << 62
    with pytest.raises(OSError, match="nearly full") as caught:
        writer.write(second, ROOMY)
    assert caught.value.errno == errno.ENOSPC
    writer._free_bytes = 0
    assert writer.wants_whole(ROOMY)
    with pytest.raises(OSError, match="no file is open"):
        writer.write(third, ROOMY)
    writer.write(first, ROOMY)
    writer.close()
    assert len(os.listdir(tmp_path)) == 2


def test_half_a_block_at_the_end_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that became full within a write."""
    writer = Writer(str(tmp_path), now=lambda: NIGHT, free_bytes=0)
    first, second = night(2)
    writer.write(first, ROOMY)
    write_all = os.write

    def half(handle: int, data: bytes) -> int:
        if len(data) < 50:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write_all(handle, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError, match="No space"):
        writer.write(second, ROOMY)
    monkeypatch.undo()
    (name,) = os.listdir(tmp_path)
    recording = open_file(str(tmp_path / name))
    assert len(recording.blocks) == 1
    recording.close()


def test_a_file_that_was_removed_is_begun_anew(tmp_path: Path) -> None:
    writer = Writer(str(tmp_path), now=lambda: NIGHT, free_bytes=0)
    first, second = night(2)
    writer.write(first, ROOMY)
    (tmp_path / os.listdir(tmp_path)[0]).unlink()
    with pytest.raises(FileNotFoundError):
        writer.write(second, ROOMY)
    assert writer.wants_whole(ROOMY)


@as_root
def test_in_a_folder_of_another_user_it_is_his_file(tmp_path: Path) -> None:
    """Root makes it with his rights, so a link of his leads root nowhere."""
    state, vault = tmp_path / "state", tmp_path / "vault"
    state.mkdir()
    vault.mkdir(mode=0o700)
    tmp_path.chmod(0o755)
    os.chown(state, OWNER, OWNER)
    path = write(state / "recordings", night())
    assert path.stat().st_uid == OWNER
    (state / "recordings2").symlink_to(vault)
    os.chown(state / "recordings2", OWNER, OWNER, follow_symlinks=False)
    with pytest.raises(PermissionError):
        write(state / "recordings2", night())
    assert os.listdir(vault) == []
