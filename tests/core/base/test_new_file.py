"""A file that an operator asks for: his alone, never over another one unasked, never through a link."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailquota.core.base.new_file import write_file


def test_it_is_private_whatever_the_umask_is(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_file(str(tmp_path / "new"), ["a", "b\n"])
    finally:
        os.umask(before)
    assert (tmp_path / "new").read_text() == "ab\n"
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600


def test_what_is_there_stays_unless_it_is_to_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "there"
    path.write_text("old")
    path.chmod(0o644)
    with pytest.raises(FileExistsError):
        write_file(str(path), ["new"])
    assert path.read_text() == "old"
    write_file(str(path), ["new"], replace=True)
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("target", ["victim", "nothing"])
def test_a_link_is_neither_followed_nor_replaced(tmp_path: Path, target: str) -> None:
    victim, link = tmp_path / "victim", tmp_path / "link"
    victim.write_text("precious")
    link.symlink_to(tmp_path / target)
    with pytest.raises(FileExistsError):
        write_file(str(link), ["new"])
    with pytest.raises(PermissionError, match="a link"):
        write_file(str(link), ["new"], replace=True)
    assert victim.read_text() == "precious"
    assert link.is_symlink()
    assert not (tmp_path / "nothing").exists()


def test_a_pipe_or_a_folder_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(PermissionError, match="no ordinary file"):
            write_file(str(tmp_path / name), ["new"], replace=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="files of two users are made by root")
def test_a_link_of_somebody_else_on_the_way_is_not_followed(tmp_path: Path) -> None:
    """Nor is a file of somebody else replaced."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir()
    theirs.mkdir()
    os.chown(theirs, 12345, 12345)
    (theirs / "way").symlink_to(ours)
    os.chown(theirs / "way", 12345, 12345, follow_symlinks=False)
    with pytest.raises(PermissionError):
        write_file(str(theirs / "way" / "new"), ["new"])
    assert not list(ours.iterdir())
    (theirs / "file").write_text("theirs")
    os.chown(theirs / "file", 12345, 12345)
    with pytest.raises(PermissionError, match="another user"):
        write_file(str(theirs / "file"), ["new"], replace=True)
    assert (theirs / "file").read_text() == "theirs"


def test_after_a_failure_nothing_is_left(tmp_path: Path) -> None:
    def parts() -> Iterator[str]:
        yield "a"
        raise OSError("full")

    (tmp_path / "old").write_text("old")
    with pytest.raises(OSError, match="full"):
        write_file(str(tmp_path / "new"), parts())
    with pytest.raises(OSError, match="full"):
        write_file(str(tmp_path / "old"), parts(), replace=True)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old").read_text() == "old"
