"""Settings and templates: root takes none that others may change, by whatever way."""

from __future__ import annotations

import json
import os
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailquota.core.alerts.own_templates import TemplateError, render_own
from mailquota.core.base import guarded
from mailquota.core.base.trusted import UntrustedError, distrust, read_trusted
from mailquota.core.settings.config import UntrustedSettingsError, load
from tests.core.commands.command_line import CommandLine
from tests.core.others import OWNER, as_root, code_of
from tests.core.worlds import SmallWorld
from tests.mailserver.fixture import temporary_folder

pytestmark = as_root


@pytest.fixture
def file() -> Iterator[Path]:
    """A file of root's in two folders of root's."""
    with temporary_folder() as folder:
        folder.chmod(0o755)
        (folder / "etc/mailquota").mkdir(parents=True)
        path = folder / "etc/mailquota/file"
        path.write_text("content")
        yield path


def by_owner(path: Path) -> str:
    os.chown(path, OWNER, 0)
    return f"belongs to user {OWNER}"


def by_all(path: Path) -> str:
    path.chmod(path.stat().st_mode | 0o002)
    return "may be written by everybody"


def by_group(path: Path) -> str:
    os.chown(path, 0, OWNER)
    path.chmod(path.stat().st_mode | 0o020)
    return f"may be written by the group {OWNER}"


def by_access_list(path: Path) -> str:
    entries = [(0x01, 7, -1), (0x02, 7, OWNER), (0x04, 5, -1), (0x10, 7, -1), (0x20, 5, -1)]  # acl(5)
    os.setxattr(
        path, "system.posix_acl_access", struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *e) for e in entries)
    )
    return "may be written by the group root"


@pytest.mark.parametrize("spoil", [by_owner, by_all, by_group, by_access_list])
@pytest.mark.parametrize("part", ["file", "folder", "folder above"])
def test_what_others_may_change_is_not_read(file: Path, spoil: Callable[[Path], str], part: str) -> None:
    """Neither the file, nor a folder in which it could be exchanged."""
    assert read_trusted(str(file), 3) == b"con"
    path = {"file": file, "folder": file.parent, "folder above": file.parents[1]}[part]
    text = spoil(path)
    with pytest.raises(UntrustedError, match=f"^{path} {text}"):
        read_trusted(str(file), 100)
    error = distrust(str(file))
    assert error is not None
    subprocess.run(["/bin/sh", "-c", error.fix], check=True)
    assert distrust(str(file)) is None
    assert read_trusted(str(file), 100) == b"content"


def test_a_sticky_folder_of_roots_is_like_tmp(file: Path) -> None:
    """Others may make files there, but not exchange those of root."""
    file.parent.chmod(0o1777)
    assert read_trusted(str(file), 100) == b"content"


def test_links_of_root_are_followed_to_what_is_looked_at_too(file: Path) -> None:
    theirs = file.parents[1] / "theirs"
    theirs.mkdir()
    (theirs / "file").write_text("evil")
    link = file.with_name("link")
    link.symlink_to("../theirs/file")
    assert read_trusted(str(link), 100) == b"evil"
    os.chown(theirs, OWNER, OWNER)
    with pytest.raises(UntrustedError, match="theirs belongs to user"):
        read_trusted(str(link), 100)


def test_a_link_of_another_user_is_not_followed(file: Path) -> None:
    file.parent.chmod(0o1777)
    link = file.with_name("link")
    link.symlink_to(file)
    os.lchown(link, OWNER, OWNER)
    with pytest.raises(UntrustedError, match=f"^{link} is a link of another user") as caught:
        read_trusted(str(link), 100)
    subprocess.run(["/bin/sh", "-c", caught.value.fix], check=True)
    assert not link.is_symlink()
    assert read_trusted(str(file), 100) == b"content"


def test_the_fix_for_a_link_removes_nothing_else(file: Path) -> None:
    """Its owner may have put a file, or a folder that is a link, in its place by then."""
    file.parent.chmod(0o1777)
    link = file.with_name("link")
    link.symlink_to(file)
    os.lchown(link, OWNER, OWNER)
    error = distrust(str(link))
    assert error is not None
    link.unlink()
    file.rename(link)
    subprocess.run(["/bin/sh", "-c", error.fix], check=True)
    assert link.read_bytes() == b"content"
    os.rename(file.parent, f"{file.parent}.moved")
    link.parent.symlink_to(f"{file.parent}.moved")
    subprocess.run(["/bin/sh", "-c", error.fix], check=True)
    assert link.read_bytes() == b"content"


def test_the_fix_is_for_the_file_that_was_looked_at(file: Path) -> None:
    """Not for one that a link in its place leads to by then."""
    file.chmod(0o666)
    error = distrust(str(file))
    assert error is not None
    other = file.with_name("other")
    file.rename(other)
    file.symlink_to(other)
    subprocess.run(["/bin/sh", "-c", error.fix], check=True)
    assert other.stat().st_mode & 0o777 == 0o666


def test_root_alone_may_be_in_its_group(file: Path) -> None:
    file.chmod(0o664)
    assert read_trusted(str(file), 100) == b"content"


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "fifo"])
def test_what_is_no_file_is_not_waited_for(file: Path, path: str) -> None:
    """Nor read without end."""
    os.mkfifo(file.with_name("fifo"))
    with pytest.raises(OSError, match="is not a file"):
        read_trusted(os.path.join(file.parent, path), 100)


READ = """
from mailquota.core.base.trusted import read_trusted
print(read_trusted(sys.argv[1], 100).decode())
"""


def test_another_user_decides_for_itself(file: Path) -> None:
    """Its own settings are its own affair, and root's are root's."""
    by_owner(file)
    with code_of(OWNER, READ, file) as running:
        assert running.communicate(timeout=60)[0] == "content\n"


# ---- settings


@pytest.fixture
def evil(small_world: SmallWorld) -> Path:
    """A program that a settings file of somebody else's names; the file that it would leave behind."""
    left = small_world.folder / "left"
    program = small_world.folder / "evil"
    program.write_text(f"#!/bin/sh\ntouch {left}\n")
    program.chmod(0o755)
    small_world.settings["mailstore"]["doveadm"] = str(program)
    small_world.write_settings()
    return left


@pytest.mark.parametrize("spoil", [by_owner, by_all, by_group])
@pytest.mark.parametrize("command", [["recalc", "--all"], ["list"], ["config"], ["--serve"], ["warn", "90", "x@y.org"]])
def test_root_runs_nothing_that_others_name(
    small_world: SmallWorld, evil: Path, spoil: Callable[[Path], str], command: list[str]
) -> None:
    """Exit code 2, and a command that ends it."""
    text = spoil(small_world.config)
    done = CommandLine(small_world)(*command)
    assert done.returncode == 2
    assert f"{small_world.config}: root does not use it: {small_world.config} {text}" in done.stderr
    assert f"test ! -L ./mailquota.toml && ch{'own -h root' if spoil is by_owner else 'mod'} " in done.stderr
    assert not evil.exists()


@pytest.mark.parametrize("part", ["config", "folder"])
def test_the_doctor_tells_it(small_world: SmallWorld, evil: Path, part: str) -> None:
    """And examines nothing that these settings name."""
    by_owner(getattr(small_world, part))
    done = CommandLine(small_world)("doctor", "--json")
    assert done.returncode == 1
    found = {one["check"]: one for one in json.loads(done.stdout)}
    assert found["settings-file"]["state"] == "fail"
    assert f"belongs to user {OWNER}" in found["settings-file"]["found"]
    assert found["settings-file"]["fix"] == guarded.line(str(getattr(small_world, part)), guarded.owner_to("root"))
    assert {one["state"] for name, one in found.items() if name != "settings-file"} == {"skip"}
    assert not evil.exists()


def test_the_doctor_tells_of_a_group_that_may_write(small_world: SmallWorld) -> None:
    """Also where root is alone in it, today."""
    small_world.config.chmod(0o664)
    found = {one["check"]: one for one in json.loads(CommandLine(small_world)("doctor", "--json").stdout)}
    assert found["settings-file"]["state"] == "warn"
    assert found["settings-file"]["fix"] == guarded.line(str(small_world.config), guarded.mode_by("root", "g-w"))


def test_settings_without_end_are_told(small_world: SmallWorld) -> None:
    with small_world.config.open("a") as file:
        file.write("#" * 2_000_000)
    done = CommandLine(small_world)("list")
    assert done.returncode == 2
    assert "found more than 1048576 bytes, expected a settings file" in done.stderr


def test_a_reload_keeps_the_old_settings(small_world: SmallWorld) -> None:
    """As for any error in them."""
    by_group(small_world.config)
    with pytest.raises(UntrustedSettingsError):
        load(small_world.config, {})


# ---- templates


@pytest.mark.parametrize("spoil", [by_owner, by_all, by_group])
@pytest.mark.parametrize("part", ["warning.txt", ".", ".."])
def test_templates_that_others_may_change_are_not_used(
    small_world: SmallWorld, spoil: Callable[[Path], str], part: str
) -> None:
    """The built-in ones are, and the doctor tells it."""
    folder = small_world.folder / "templates"
    (folder / "en").mkdir(parents=True)
    (folder / "en/warning.txt").write_text("Subject: x\n\ny\n")
    small_world.settings["warnings"]["templates"] = str(folder)
    small_world.write_settings()
    assert render_own(folder, ["en/warning.txt"], "en", {}, 1.0) == {"en/warning.txt": "Subject: x\n\ny\n"}
    path = (folder / "en" / part).resolve()
    text = spoil(path)
    with pytest.raises(TemplateError, match=f"warning.txt: root does not use it: {path} {text}"):
        render_own(folder, ["en/warning.txt"], "en", {}, 1.0)
    found = {one["check"]: one for one in json.loads(CommandLine(small_world)("doctor", "--json").stdout)}
    assert found["settings-file"]["state"] == "fail"
    assert f"{path} {text}" in found["settings-file"]["found"]
