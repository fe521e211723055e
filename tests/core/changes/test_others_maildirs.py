"""Mailboxes of system users: what their owners put in their place moves nothing of others, also while we work."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mailquota.core.changes.results import trash_result
from mailquota.core.mailboxes.count_driver import CountDriver
from mailquota.core.mailboxes.recount import rewrite
from mailquota.core.mailboxes.trash import append, find_files, remove_files
from tests.core.commands.command_line import CommandLine
from tests.core.mailboxes.boxes import ADDRESS, Box
from tests.core.others import OWNER, STRANGER, as_root, do
from tests.core.worlds import JOHN, SmallWorld

pytestmark = as_root

LIMIT = 5000
JANE = "jane@example.org"


def owned(path: Path, owner: int) -> None:
    """The path and all below it."""
    for each in [path, *path.rglob("*")]:
        os.lchown(each, owner, owner)


def tree(path: Path) -> dict[str, object]:
    """All that is below a path, with what tells a change."""
    found: dict[str, object] = {}
    for each in [path, *path.rglob("*")]:
        status = each.lstat()
        text = each.read_text() if each.is_file() else ""
        found[str(each)] = (status.st_uid, status.st_mode, status.st_mtime_ns, status.st_ino, text)
    return found


@pytest.fixture
def john(small_world: SmallWorld) -> Path:
    """His home; his Maildir is a link of his to that of Jane, who has mail in Trash."""
    small_world.mailstore.chmod(0o755)
    small_world.folder.chmod(0o755)
    small_world.add_mailbox(JANE, [500])
    small_world.deliver(JANE, 1000, ".Trash")
    for address, owner in ((JOHN, OWNER), (JANE, STRANGER)):
        owned(small_world.maildir(address).parent, owner)
    home = small_world.maildir(JOHN).parent
    do(OWNER, "rm", "-r", home / "Maildir")
    do(OWNER, "ln", "-s", small_world.maildir(JANE), home / "Maildir")
    return home


@pytest.mark.parametrize("words", [["empty-trash", "--yes"], ["empty-trash", "--dry-run"], ["recalc"], ["warn", "90"]])
@pytest.mark.parametrize("driver", ["maildir", "count"])
def test_a_maildir_that_leads_to_another_user_is_refused(
    small_world: SmallWorld, john: Path, words: list[str], driver: str
) -> None:
    small_world.settings["mailstore"]["driver"] = driver
    small_world.settings["warnings"] |= {"delivery": "maildir"}
    small_world.write_settings()
    before = tree(small_world.maildir(JANE))
    done = CommandLine(small_world)(*words, JOHN)
    assert done.returncode == (0 if words[0] == "warn" else 1)  # Dovecot would only log the code of a script
    assert f"{small_world.maildir(JOHN)}: a link to a folder of another owner" in done.stdout + done.stderr
    assert tree(small_world.maildir(JANE)) == before
    assert john.is_dir()


def test_so_is_a_folder_on_the_way(small_world: SmallWorld, john: Path) -> None:
    """As the link may be anywhere in the path."""
    do(OWNER, "rm", john / "Maildir")
    small_world.settings["mailstore"]["path"] = f"{small_world.mailstore}/{{domain}}/{{user}}/mail/Maildir"
    small_world.write_settings()
    do(OWNER, "ln", "-s", small_world.maildir(JANE).parent, john / "mail")
    before = tree(small_world.maildir(JANE))
    done = CommandLine(small_world)("empty-trash", "--yes", JOHN)
    assert done.returncode == 1
    assert "a link to a folder of another owner" in done.stdout + done.stderr
    assert tree(small_world.maildir(JANE)) == before


def test_a_link_to_what_is_his_own_is_followed(small_world: SmallWorld, john: Path) -> None:
    do(OWNER, "rm", john / "Maildir")
    do(OWNER, "mkdir", "-p", *(john / "big" / part for part in ("cur", "new", "tmp", ".Trash/cur", ".Trash/new")))
    do(OWNER, "touch", john / "big/.Trash/cur/1.M1.host,S=700,W=710:2,S")
    do(OWNER, "ln", "-s", "big", john / "Maildir")
    assert CommandLine(small_world)("empty-trash", "--yes", JOHN).returncode == 0
    assert os.listdir(john / "big/.Trash/cur") == []


# ---- exchanged while root works


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """A mailbox of that user, in a home of his."""
    for folder in [tmp_path, *tmp_path.parents][:3]:
        folder.chmod(0o755)
    made = Box(tmp_path / "mail")
    made.put(700, "cur")
    made.put(300, ".Trash/cur")
    made.file.write_text("5000S\n9 9\n")
    made.settle()
    (tmp_path / "mail").chmod(0o755)
    owned(tmp_path / "mail", OWNER)
    return made


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    """A folder of root's that looks like a Maildir, and that he would like changed."""
    for part in ("cur", "new", "tmp", ".Trash/cur"):
        (tmp_path / "vault" / part).mkdir(parents=True)
    (tmp_path / "vault/maildirsize").write_text("1S\n1 1\n")
    (tmp_path / "vault/.Trash/cur/1.M1.host,S=700,W=710:2,S").touch()
    return tmp_path / "vault"


SWAP = """
import os, sys
maildir, vault = sys.argv[1:]
while True:
    try:
        os.rename(maildir, maildir + ".mine")
        os.symlink(vault, maildir)
        os.unlink(maildir)
        os.rename(maildir + ".mine", maildir)
    except OSError:
        pass
"""


@contextmanager
def swapping(box: Box, vault: Path) -> Iterator[None]:
    """He exchanges the Maildir for a link to the vault, and back, as fast as he can."""
    command = ["/usr/bin/python3", "-c", SWAP, box.maildir, str(vault)]
    with subprocess.Popen(command, user=OWNER, group=OWNER, extra_groups=[]) as swapper:
        try:
            yield
        finally:
            swapper.kill()


def recount(box: Box) -> object:
    return rewrite(box.store, box.maildir, LIMIT)


def recount_by_count(box: Box) -> object:
    return CountDriver(box.store).recount(ADDRESS, LIMIT)


def empty(box: Box) -> object:
    return trash_result(ADDRESS, remove_files(box.maildir, find_files(box.store, box.maildir, None)), "")


def append_to_it(box: Box) -> object:
    append(box.maildir, 100, 1)
    return None


@pytest.mark.parametrize("work", [recount, recount_by_count, empty, append_to_it], ids=lambda work: work.__name__)
def test_nothing_outside_is_touched(box: Box, vault: Path, work: Callable[[Box], object]) -> None:
    """Hundreds of times, at any moment."""
    before = tree(vault)
    with swapping(box, vault):
        for _ in range(300):
            with contextlib.suppress(OSError):
                work(box)
    assert tree(vault) == before


def test_a_recount_in_the_middle_of_which_it_is_exchanged(
    box: Box, vault: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right before the new record is written, and right before it gets its name."""
    import mailquota.core.mailboxes.recount as module

    for place in ("sum_folders", "_write"):
        original = getattr(module, place)

        def exchange(*args: object, original: Callable[..., object] = original) -> object:
            result = original(*args)
            if not os.path.islink(box.maildir):
                do(OWNER, "mv", box.maildir, f"{box.maildir}.mine")
                do(OWNER, "ln", "-s", vault, box.maildir)
            return result

        before = tree(vault)
        with monkeypatch.context() as patch:
            patch.setattr(module, place, exchange)
            assert recount(box) == "unlink"
        assert tree(vault) == before
        assert [name for name in os.listdir(f"{box.maildir}.mine") if name.startswith("maildirsize")] == []
        os.unlink(box.maildir)
        shutil.move(f"{box.maildir}.mine", box.maildir)
        do(OWNER, "cp", vault / "maildirsize", box.file)
