"""Files of a machine are written without taking over what a link leads to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mailquota.core.commands.install.machine import Machine


def test_a_masked_unit_does_not_become_writable_for_all(tmp_path: Path) -> None:
    unit = tmp_path / "etc/mailquota.service"
    unit.parent.mkdir()
    unit.symlink_to("/dev/null")
    Machine(tmp_path).write("/etc/mailquota.service", "[Unit]\n", 0o644)
    assert (unit.is_symlink(), unit.read_text(), unit.stat().st_mode & 0o7777) == (False, "[Unit]\n", 0o644)


def test_an_existing_file_gives_its_mode(tmp_path: Path) -> None:
    (tmp_path / "file").touch(0o600)
    Machine(tmp_path).write("/file", "text\n", 0o644)
    assert (tmp_path / "file").stat().st_mode & 0o7777 == 0o600


OTHER = 64102  # a user without any right here


@pytest.fixture
def others(tmp_path: Path) -> Path:
    """A folder of that user, with links of his to a folder and a file of root's."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to another user")
    roots = tmp_path / "roots"
    roots.mkdir()
    (roots / "file").write_text("root's")
    folder = tmp_path / "home/sub"
    folder.mkdir(parents=True)
    (folder / "link").symlink_to(roots)
    for path in (folder.parent, folder, folder / "link"):
        os.chown(path, OTHER, OTHER, follow_symlinks=False)
    return folder


@pytest.mark.parametrize("place", ["home/sub/link/new", "home/sub/link/file", "home/sub/link/a/b/new", "home/sub/new"])
def test_nothing_is_made_or_removed_where_another_user_has_a_folder_on_the_way(
    tmp_path: Path, others: Path, place: str
) -> None:
    """He could lead it elsewhere with a link, at any moment. The folders that are missing are not made either."""
    machine = Machine(tmp_path)
    fault = machine.distrust(f"/{place}")
    assert fault is not None
    assert str(others.parent) in str(fault)
    with pytest.raises(PermissionError, match=r"belongs to|link of another user"):
        machine.write(f"/{place}", "x", 0o644)
    for folder in (False, True):
        with pytest.raises(PermissionError, match=r"belongs to|link of another user"):
            machine.remove(f"/{place}", folder=folder)
    assert [path.name for path in (tmp_path / "roots").iterdir()] == ["file"]
    assert (tmp_path / "roots/file").read_text() == "root's"
    assert [path.name for path in others.iterdir()] == ["link"]


def test_what_another_user_has_inside_is_removed_with_it(tmp_path: Path, others: Path) -> None:
    """As the state folder, which is the mail user's in a folder of root's; what its links lead to stays."""
    others.parent.rename(tmp_path / "roots/state")
    Machine(tmp_path).remove("/roots/state", folder=True)
    assert [path.name for path in (tmp_path / "roots").iterdir()] == ["file"]
