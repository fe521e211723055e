"""The lines that root pastes, run by a real shell where a real user has put links in the way."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mailquota.core.base.guarded import all_to, aside, line, mode_by, mode_by_handle, owner_to, removed

NOBODY = pwd.getpwnam("nobody").pw_uid
STEPS = {
    "chown": (owner_to("nobody"),),
    "chown -R": (all_to("nobody"),),
    "chmod": (mode_by("nobody", "0777"),),
    "chmod -R": (mode_by("nobody", "a+rwX", everything=True),),
    "chown, then chmod": (owner_to("nobody"), mode_by("nobody", "0777")),
    "chmod by number": (mode_by(str(NOBODY), "0777"),),
    "chmod of root": (mode_by("root", "0777"),),
    "chmod by handle": (mode_by_handle("0777"),),
    "mv": (aside(),),
    "rm": (removed(),),
}


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A folder of nobody's, beside one of root's that is not his business."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == "root" and folder != Path("/"):
            folder.chmod(stat.S_IMODE(folder.stat().st_mode) | 0o011)
    for name in ("root", "his"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
        (tmp_path / name / "file").chmod(0o600)
    for path in (tmp_path / "his", tmp_path / "his" / "file"):
        os.chown(path, NOBODY, -1)
    return tmp_path


def run(shell: str, text: str) -> str:
    done = subprocess.run([shell], input=text + "\necho alive\n", capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout.endswith("alive\n")
    return done.stdout


def of_root(world: Path) -> list[tuple[str, int, int, str]]:
    files = [world / "root", *sorted((world / "root").iterdir())]
    return [
        (one.name, one.stat().st_uid, one.stat().st_mode, one.read_text() if one.is_file() else "") for one in files
    ]


def link_itself(world: Path) -> None:
    (world / "his" / "file").unlink()
    (world / "his" / "file").symlink_to(world / "root" / "file")


def link_to_folder(world: Path) -> None:
    (world / "his" / "file").unlink()
    (world / "his" / "file").symlink_to(world / "root")


def link_above(world: Path) -> None:
    (world / "his").rename(world / "old")
    (world / "his").symlink_to(world / "root")


@pytest.mark.skipif(os.geteuid() != 0, reason="root pastes it")
@pytest.mark.parametrize("shell", ["sh", "bash"])
@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("link", [link_itself, link_to_folder, link_above])
def test_nothing_follows_a_link(world: Path, link: Callable[[Path], None], steps: tuple[str, ...], shell: str) -> None:
    """What comes after in the same line is not done, either; the shell goes on."""
    link(world)
    before = of_root(world)
    told = run(shell, line(str(world / "his" / "file"), *steps, then=f"touch {world}/after"))
    assert of_root(world) == before
    assert told.startswith("not done: is there a link in this path?")
    assert not (world / "after").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="root pastes it")
@pytest.mark.parametrize("steps", [owner_to("nobody"), all_to("nobody"), "true {}"])
def test_no_link_that_came_in_between_is_followed(world: Path, steps: str) -> None:
    """He puts it there after the line has looked: the step before does it for him."""
    file = world / "his" / "file"
    swap = f"ln -sf {world}/root/file {{}}"
    before = of_root(world)
    run("sh", line(str(file), swap, steps, mode_by("nobody", "0777")))
    assert file.is_symlink()
    assert of_root(world) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="root pastes it")
def test_no_link_that_came_in_between_is_followed_by_roots_chmod(world: Path) -> None:
    """chmod follows links: it would open a file of root's for all."""
    file = world / "his" / "file"
    before = of_root(world)
    told = run("sh", line(str(file), f"ln -sf {world}/root/file {{}}", mode_by_handle("0777")))
    assert file.is_symlink()
    assert of_root(world) == before
    assert told.startswith("not done: is there a link in this path?")


@pytest.mark.skipif(os.geteuid() != 0, reason="root pastes it")
def test_a_named_pipe_is_not_waited_for(world: Path) -> None:
    file = world / "his" / "file"
    file.unlink()
    os.mkfifo(file)
    assert run("sh", line(str(file), mode_by_handle("0777"))).startswith("not done")


@pytest.mark.skipif(os.geteuid() != 0, reason="root pastes it")
@pytest.mark.parametrize("shell", ["sh", "bash"])
@pytest.mark.parametrize("name", ["plain", "it's {} {path} $HOME;x", "a folder", "blank at the end "])
def test_a_mode_is_changed_by_root(world: Path, name: str, shell: str) -> None:
    file = world / "root" / name
    file.mkdir() if "folder" in name else file.write_text("")
    told = run(shell, line(str(file), mode_by_handle("0751"), then=f"touch {world}/after"))
    assert (stat.S_IMODE(file.stat().st_mode), told) == (0o751, "alive\n")
    assert (world / "after").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="root pastes it")
def test_without_a_link_it_is_done(world: Path) -> None:
    file = world / "his" / "it's {} $HOME;x"
    file.write_text("")
    run("sh", line(str(file), owner_to("nobody"), mode_by("nobody", "0640"), then=f"touch {world}/after"))
    assert (file.stat().st_uid, stat.S_IMODE(file.stat().st_mode)) == (NOBODY, 0o640)
    assert (world / "after").exists()
    run("sh", line(str(file), aside()))
    assert (file.exists(), file.with_name(file.name + ".old").exists()) == (False, True)
    run("sh", line(str(world / "his") + "/", all_to("root")))
    assert (world / "his" / "file").stat().st_uid == 0
