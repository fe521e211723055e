"""Folders of other users: no link of theirs leads out, and root makes there only what they could make themselves."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailquota.core.base.others_folders import FOREIGN_LINK, Folder, give, opened, set_mode
from tests.core.others import OWNER, STRANGER, as_root
from tests.mailserver.fixture import temporary_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """Open to all."""
    with temporary_folder() as found:
        found.chmod(0o755)
        yield found


def made(path: Path, owner: int = 0, mode: int = 0o755) -> Path:
    path.mkdir()
    os.chown(path, owner, owner)
    path.chmod(mode)
    return path


def link(path: Path, target: object, owner: int) -> Path:
    path.symlink_to(str(target))
    os.lchown(path, owner, owner)
    return path


def test_a_path_is_the_folder_that_the_kernel_finds(folder: Path) -> None:
    """Also through links, dots and slashes."""
    (folder / "a/b").mkdir(parents=True)
    (folder / "absolute").symlink_to(folder / "a")
    (folder / "relative").symlink_to("a/../absolute/")
    for text in ("a/b", "absolute/b", "relative/b", "./a//b/", "a/b/../b"):
        with opened(f"{folder}/{text}") as found:
            assert os.path.samestat(found.status, os.stat(folder / "a/b"))
    with opened("/") as found:
        assert os.path.samestat(found.status, os.stat("/"))


def test_a_relative_path_begins_where_the_process_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "a").mkdir()
    monkeypatch.chdir(folder)
    for text, expected in (("a", folder / "a"), ("", folder), ("a/..", folder)):
        with opened(text) as found:
            assert os.path.samestat(found.status, os.stat(expected))


@pytest.mark.parametrize(
    ("name", "error"),
    [("none", FileNotFoundError), ("file", NotADirectoryError), ("file/x", NotADirectoryError), ("loop", OSError)],
)
def test_what_is_no_folder_is_an_error_with_its_path(folder: Path, name: str, error: type[OSError]) -> None:
    (folder / "file").touch()
    (folder / "loop").symlink_to("loop")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(error) as caught, opened(f"{folder}/{name}"):
        pass
    assert str(folder) in str(caught.value.filename)
    assert len(os.listdir("/proc/self/fd")) == before


def test_missing_folders_are_made_with_their_mode(folder: Path) -> None:
    """Whatever the umask is."""
    before = os.umask(0o077)
    try:
        with opened(f"{folder}/a/b", make=0o755) as found:
            assert os.path.samestat(found.status, os.stat(folder / "a/b"))
    finally:
        os.umask(before)
    assert [stat.S_IMODE((folder / name).stat().st_mode) for name in ("a", "a/b")] == [0o755, 0o755]


@as_root
def test_a_link_leads_only_to_folders_of_its_owner(folder: Path) -> None:
    """At each step; root's leads anywhere."""
    mine, theirs = made(folder / "mine", OWNER), made(folder / "theirs", STRANGER)
    made(mine / "inner", OWNER)
    made(theirs / "inner", STRANGER)
    for name, target, owner in [
        ("own", mine / "inner", OWNER), ("roots", theirs, 0), ("foreign", theirs, OWNER), ("outside", folder, OWNER)
    ]:  # fmt: skip
        link(mine / name, target, owner)
    link(mine / "detour", "foreign/inner", OWNER)
    for name in ("own", "roots", "roots/inner"):
        with opened(f"{mine}/{name}") as found:
            assert os.path.samestat(found.status, os.stat(mine / name))
    for name in ("foreign", "foreign/inner", "outside", "outside/mine/inner", "detour"):
        with pytest.raises(PermissionError, match=FOREIGN_LINK), opened(f"{mine}/{name}"):
            pass


@as_root
def test_the_first_less_trusted_owner_on_the_way_counts(folder: Path) -> None:
    """He can exchange all that is below, whoever that belongs to."""
    made(made(folder / "theirs", OWNER) / "roots")
    with opened(f"{folder}/theirs/roots") as found:
        assert found.outsider is not None
        assert found.outsider.st_uid == OWNER
    with opened(str(folder)) as found:
        assert found.outsider is None


@as_root
def test_root_makes_there_only_what_the_owner_could_make(folder: Path) -> None:
    """And is root again afterwards."""
    theirs = made(folder / "theirs", OWNER)
    secret = made(folder / "secret", mode=0o700)
    with opened(str(theirs)) as found:
        with found.as_outsider():
            (theirs / "made").touch()
            for path in (secret / "made", folder / "made"):
                with pytest.raises(PermissionError):
                    path.touch()
        (secret / "later").touch()
        assert found.look("made").st_uid == OWNER
    with opened(f"{theirs}/a/b", make=0o755):
        assert (theirs / "a/b").stat().st_uid == OWNER
    link(theirs / "out", secret, 0)
    with pytest.raises(PermissionError), opened(f"{theirs}/out/b", make=0o755):
        pass
    assert os.listdir(secret) == ["later"]


@as_root
@pytest.mark.parametrize("groups", [[0], [4, 42]])
def test_root_lends_that_owner_none_of_its_groups(folder: Path, groups: list[int]) -> None:
    """A login of root has group 0; its files may be ones that this group may write."""
    theirs, before = made(folder / "theirs", OWNER), os.getgroups()
    made(folder / "shared", mode=0o775)
    for number in groups:
        (folder / f"shared/{number}").touch()
        os.chown(folder / f"shared/{number}", 0, number)
        (folder / f"shared/{number}").chmod(0o660)
    os.setgroups(groups)
    try:
        with opened(str(theirs)) as found, found.as_outsider():
            for number in groups:
                for flags in (os.O_RDONLY, os.O_WRONLY):
                    with pytest.raises(PermissionError):
                        os.open(folder / f"shared/{number}", flags)
            with pytest.raises(PermissionError):
                (folder / "shared/new").touch()
    finally:
        os.setgroups(before)


@as_root
def test_rights_are_given_to_the_link_or_file_itself(folder: Path) -> None:
    secret = folder / "secret"
    secret.touch(0o600)
    (folder / "link").symlink_to(secret)
    with opened(str(folder)) as found, found.pinned("link") as pinned:
        give(pinned, OWNER, OWNER)
        with pytest.raises(OSError, match="not supported"):
            set_mode(pinned, 0o666)
    assert (secret.stat().st_uid, stat.S_IMODE(secret.stat().st_mode)) == (0, 0o600)
    assert (folder / "link").lstat().st_uid == OWNER


def put(found: Folder, name: str, flags: int) -> None:
    os.close(found.open(name, flags))


def test_names_are_never_followed(folder: Path) -> None:
    """Of files that are opened or made, and of folders."""
    (folder / "away").symlink_to(folder / "made-by-us")
    (folder / "dir").symlink_to("/")
    with opened(str(folder)) as found:
        for flags in (os.O_RDONLY, os.O_WRONLY | os.O_CREAT, os.O_WRONLY | os.O_CREAT | os.O_EXCL):
            with pytest.raises(OSError, match=r"symbolic links|exists"):
                put(found, "away", flags)
        with pytest.raises(NotADirectoryError), found.inner("dir"):
            pass
        assert sorted(found.names()) == ["away", "dir"]


def test_a_name_is_of_the_folder_that_was_opened(folder: Path) -> None:
    """Also where its path leads elsewhere by then."""
    inner, other = made(folder / "inner"), made(folder / "other")
    (inner / "old").touch()
    with opened(str(inner)) as found:
        inner.rename(folder / "moved")
        inner.symlink_to(other)
        put(found, "new", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        found.rename("new", "newer")
        found.unlink("old")
    assert os.listdir(folder / "moved") == ["newer"]
    assert os.listdir(other) == []
