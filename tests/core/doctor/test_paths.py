"""Files as they look from outside, and who may do what with them."""

from __future__ import annotations

import os
import pwd
import socket
from pathlib import Path

import pytest

from mailquota.core.doctor import paths
from mailquota.core.doctor.paths import ENTER, READ, WRITE, PathFacts, UserFacts, allows, folders_above, look

MAIL = UserFacts("vmail", 5000, (5000, 105))


@pytest.mark.parametrize(
    ("uid", "gid", "mode", "right", "may"),
    [
        (5000, 0, 0o200, WRITE, True),
        (5000, 105, 0o077, READ, False),  # the owner's own rights count, however many others have
        (0, 105, 0o020, WRITE, True),
        (0, 105, 0o707, ENTER, False),
        (0, 0, 0o001, ENTER, True),
        (0, 0, 0o770, READ, False),
    ],
)
def test_the_first_that_fits_decides(uid: int, gid: int, mode: int, right: int, may: bool) -> None:
    assert allows(PathFacts("/x", "file", mode, uid, gid), MAIL, right) is may


def test_an_access_list_is_not_judged_and_root_may_all() -> None:
    listed = PathFacts("/x", "file", 0, 0, 0, acl=True)
    assert allows(listed, MAIL, READ) is None
    assert allows(listed, UserFacts("root", 0, (0,)), READ) is True


def test_kinds(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("four")
    (tmp_path / "file").chmod(0o640)
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
    kinds = {name: look(str(tmp_path / name)).kind for name in ("file", "link", "pipe", "socket", "none", "file/none")}
    assert kinds == {
        "file": "file", "link": "file", "pipe": "other", "socket": "socket", "none": "missing", "file/none": "missing",
    }  # fmt: skip
    found = look(str(tmp_path / "file"))
    assert (found.size, found.mode, found.owner) == (4, 0o640, pwd.getpwuid(os.geteuid()).pw_name)
    assert found.rights.endswith(" 0640")


@pytest.mark.parametrize("path", ["/a\0b", "/" + "a" * 300])
def test_a_path_that_is_none_is_told(path: str) -> None:
    assert look(path).kind == "closed"
    assert look(path).fault


def test_folders_lead_from_the_root() -> None:
    assert [one.path for one in folders_above("/usr/lib/x")] == ["/", "/usr", "/usr/lib"]
    assert [one.path for one in folders_above("/x")] == ["/"]


def test_names() -> None:
    assert paths.user("root") == UserFacts("root", 0, tuple(os.getgrouplist("root", 0)))
    assert paths.user("no-such-user") is paths.user("") is paths.user("a\0b") is None
    assert paths.group_id("root") == 0
    assert paths.group_id("no-such-group") is None
    assert (paths.user_name(4_000_000), paths.group_name(4_000_000)) == ("4000000", "4000000")
