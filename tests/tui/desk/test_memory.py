"""What the console remembers: the file, whose it is, and what becomes of a bad one."""

from __future__ import annotations

import errno
import json
import os
import pwd
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailquota.core.base.others_folders import Folder
from mailquota.tui.desk import kept as kept_module
from mailquota.tui.desk.kept import MOST_FILTERS, Kept, merged, read, together, written
from mailquota.tui.desk.memory import Memory, folder_of_this_user
from tests.core.others import OWNER, STRANGER, as_root, code_of, do, holding_a_lock

FILTER = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).filter(str.isprintable)
SCREENS = st.sampled_from(["journal", "decisions", "commands"])
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "theme": st.sampled_from(["dark", "light"]),
        "mouse": st.booleans(),
        "sort": st.sampled_from(["used", "left"]),
        "inverted": st.booleans(),
        "columns": st.lists(st.sampled_from(["address", "use", "left"])).map(tuple),
        "filters": st.lists(FILTER, max_size=3).map(tuple),
        "saved": st.dictionaries(st.sampled_from("abZ0"), FILTER | st.none()),
        "past": st.dictionaries(SCREENS, st.lists(FILTER, max_size=3).map(tuple), max_size=2),
        "letters": st.dictionaries(
            SCREENS, st.dictionaries(st.sampled_from("abZ0"), FILTER | st.none(), max_size=2), max_size=2
        ),
    },
)


@given(st.lists(CHANGES))
def test_what_was_written_is_read_again(changes: list[dict[str, Any]]) -> None:
    """Whatever the filters hold; and it stays TOML."""
    kept, content = Kept(), ""
    for change in changes:
        kept, content = merged(kept, change), written(content, change)
    assert read(content) == (kept, [])


@given(st.lists(CHANGES))
def test_changes_that_were_not_written_yet_are_written_together(changes: list[dict[str, Any]]) -> None:
    """The file is then what it would be if each had been written at once."""
    kept, pending = Kept(), dict[str, Any]()
    for change in changes:
        kept, pending = merged(kept, change), together(pending, change)
    found, faults = read(written("", pending))
    assert (found, faults) == (kept, [])


def test_only_the_last_filters_stay() -> None:
    """Each once, the newest first."""
    kept = Kept()
    for number in range(MOST_FILTERS + 5):
        kept = merged(kept, {"filters": (f"user{number}",)})
    kept = merged(kept, {"filters": ("user9",)})
    assert kept.filters[:2] == ("user9", f"user{MOST_FILTERS + 4}")
    assert len(kept.filters) == MOST_FILTERS == len(set(kept.filters))


def test_one_wrong_value_spoils_no_other() -> None:
    """It is named; what another version or a person added stays in the file."""
    content = (
        'theme = "light"\nmouse = "perhaps"\nfuture = [1, 2.5, {a = 2026-11-30}]\n'
        '[saved]\nxy = "over"\n[more]\nb = true\n'
    )
    kept, faults = read(content)
    assert kept == Kept(theme="light")
    assert [fault.split()[0] for fault in faults] == ["mouse", "saved"]
    after = tomllib.loads(written(content, {"theme": "dark", "saved": {"a": "over"}}))
    assert after["theme"] == "dark"
    assert after["saved"] == {"a": "over"}
    assert after["more"] == {"b": True}
    assert after["future"] == tomllib.loads(content)["future"]


def made(folder: Path, **changes: Any) -> Memory:
    """A memory of this folder, with changes that were written."""
    memory = Memory(str(folder))
    memory.load()
    memory.keep(**changes)
    memory.write()
    return memory


def test_the_file_is_for_its_user_alone(tmp_path: Path) -> None:
    """With its folders, whatever the umask is; nothing else is left there."""
    folder = tmp_path / "new" / "mailquota"
    before = os.umask(0)
    try:
        assert not made(folder, theme="light").told
    finally:
        os.umask(before)
    assert [path.name for path in folder.iterdir()] == ["console.toml"]
    assert [oct(path.stat().st_mode & 0o777) for path in (folder.parent, folder, folder / "console.toml")] == [
        "0o700",
        "0o700",
        "0o600",
    ]
    memory = Memory(str(folder))
    memory.load()
    assert memory.kept == Kept(theme="light")


def test_two_consoles_keep_what_each_of_them_changed(tmp_path: Path) -> None:
    """Both read the file before either wrote."""
    one, other = Memory(str(tmp_path)), Memory(str(tmp_path))
    for memory in (one, other):
        memory.load()
    one.keep(theme="light", filters=("over",), saved={"a": "over"})
    other.keep(sort="used", filters=("near",), saved={"b": "near"})
    for memory in (one, other):
        memory.write()
    one.keep(saved={"a": None})
    one.write()
    last = Memory(str(tmp_path))
    last.load()
    assert last.kept == Kept(theme="light", sort="used", filters=("near", "over"), saved={"b": "near"})


_MANY = """
import sys
import threading
from mailquota.tui.desk.memory import Memory
memory = Memory(sys.argv[1])
memory.load()
for number in range(25):
    memory.keep(saved={"abcdefghijklmnopqrstuvwxy"[number]: sys.argv[2]} if number % 4 == int(sys.argv[2]) else {},
                filters=(f"{sys.argv[2]}-{number % 10}",))
    memory.write()
    assert not memory.told, memory.told
"""


def test_many_consoles_at_once_lose_nothing(tmp_path: Path) -> None:
    """Four processes that write without a pause."""
    running = [subprocess.Popen([sys.executable, "-c", _MANY, str(tmp_path), str(n)], cwd=Path.cwd()) for n in range(4)]
    assert [process.wait(60) for process in running] == [0] * 4
    memory = Memory(str(tmp_path))
    memory.load()
    assert memory.kept.saved == {letter: str(n % 4) for n, letter in enumerate("abcdefghijklmnopqrstuvwxy")}
    assert len(memory.kept.filters) == 40
    assert [path.name for path in tmp_path.iterdir()] == ["console.toml"]


BAD: dict[str, Callable[[Path], object]] = {
    "broken": lambda file: file.write_text("theme = light"),
    "no text": lambda file: file.write_bytes(b"theme = '\xff'"),
    "endless": lambda file: file.write_text("#" * 1_100_000),
    "brackets": lambda file: file.write_text("a = " + "[" * 20_000),
    "folder": lambda file: file.mkdir(),
    "pipe": os.mkfifo,
    "link": lambda file: file.symlink_to(file.parent / "other"),
    "link to a text": lambda file: file.symlink_to("/etc/hostname"),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_file_is_told_and_left_alone(tmp_path: Path, bad: str) -> None:
    """In one line that names it. What somebody wrote by hand is not overwritten."""
    file = tmp_path / "console.toml"
    BAD[bad](file)
    before = os.lstat(file).st_ino, sorted(path.name for path in tmp_path.iterdir())
    memory = Memory(str(tmp_path))
    memory.load()
    assert memory.kept == Kept()
    assert memory.told.startswith(f"nothing is remembered: {file}: ")
    assert "\n" not in memory.told
    memory.keep(theme="light")
    memory.write()
    assert memory.kept.theme == "light"  # as long as this console runs
    assert before == (os.lstat(file).st_ino, sorted(path.name for path in tmp_path.iterdir()))


def test_a_disk_that_is_full_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told once, and the console goes on."""
    made(tmp_path, theme="light")

    def full(self: Folder, old: str, new: str, into: Folder | None = None) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Folder, "rename", full)
    memory = made(tmp_path, theme="dark")
    assert memory.told == f"nothing is remembered: {tmp_path}/console.toml: No space left on device"
    assert [path.name for path in tmp_path.iterdir()] == ["console.toml"]
    assert "light" in (tmp_path / "console.toml").read_text()


_WRITE = """
import json, os
from mailquota.tui.desk.memory import Memory
memory = Memory(sys.argv[1])
memory.load()
memory.keep(theme="mono")
memory.write()
print(json.dumps([memory.told, memory.kept.theme]))
"""


def written_by(user: int, folder: Path) -> tuple[str, str]:
    """What a console of this user says of the folder, and its theme."""
    with code_of(user, _WRITE, folder, reads_all=True) as running:
        said, faults = running.communicate(timeout=60)
        assert not faults, faults
        told, theme = json.loads(said)
    return told, theme


@pytest.fixture
def open_path(tmp_path: Path) -> Path:
    """A folder that other users reach."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/") and folder.stat().st_mode & 0o077 == 0:
            folder.chmod(0o755)
    return tmp_path


@as_root
def test_a_read_only_folder_and_one_of_another_user(open_path: Path) -> None:
    """An unprivileged user: the console goes on, and says why nothing is remembered."""
    assert "Permission denied" in written_by(STRANGER, open_path / "mailquota")[0]
    mine = open_path / "mine"
    mine.mkdir()
    os.chown(mine, STRANGER, STRANGER)
    assert written_by(STRANGER, mine) == ("", "mono")
    assert (mine / "console.toml").stat().st_uid == STRANGER
    (mine / "console.toml").write_text('theme = "dark"')
    mine.chmod(0o500)
    with code_of(STRANGER, _WRITE, mine, reads_all=True) as running:
        assert "Permission denied" in running.communicate(timeout=60)[0]
    assert "belongs to another user" in written_by(OWNER, mine)[0]


@as_root
def test_root_is_led_nowhere(open_path: Path) -> None:
    """A folder, a file and a link of another user: root reads none of them, and makes nothing there."""
    victim = open_path / "victim"
    made(victim, theme="light")
    home = open_path / "home"
    home.mkdir()
    os.chown(home, STRANGER, STRANGER)
    do(STRANGER, "ln", "-s", victim, home / "mailquota")
    for folder in (home, home / "mailquota", home / "new"):
        memory = made(folder, theme="dark")
        assert "another" in memory.told, folder
    assert sorted(path.name for path in home.iterdir()) == ["mailquota"]
    assert "light" in (victim / "console.toml").read_text()
    os.chown(victim / "console.toml", STRANGER, STRANGER)
    assert "another user" in made(victim, theme="dark").told


@as_root
def test_a_lock_of_another_user_holds_nobody_up_for_long(open_path: Path) -> None:
    """Who may open the folder may lock it; after a second it is written all the same."""
    folder = open_path / "open"
    folder.mkdir(mode=0o755)
    with holding_a_lock(STRANGER, folder):
        assert not made(folder, theme="light").told
    assert "light" in (folder / "console.toml").read_text()


def test_whose_home(tmp_path: Path) -> None:
    """The one of the user that the console runs as, whatever the environment of who called sudo says."""
    me, home = os.geteuid(), f"{pwd.getpwuid(os.geteuid()).pw_dir}/.config/mailquota"
    mine = str(tmp_path)
    assert folder_of_this_user({"HOME": mine}, me) == f"{mine}/.config/mailquota"
    assert folder_of_this_user({"HOME": mine, "XDG_CONFIG_HOME": f"{mine}/x"}, me) == f"{mine}/x/mailquota"
    assert folder_of_this_user({"HOME": mine, "XDG_CONFIG_HOME": "relative"}, me) == f"{mine}/.config/mailquota"
    assert folder_of_this_user({}, me) == home
    if me == 0:
        os.chown(tmp_path, STRANGER, STRANGER)
        assert folder_of_this_user({"HOME": mine}, me) == home
        assert folder_of_this_user({"HOME": mine, "XDG_CONFIG_HOME": mine}, me) == home
    with pytest.raises(OSError, match="no home"):
        folder_of_this_user({}, STRANGER)


def test_the_memory_of_this_user_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the environment."""
    made(tmp_path / "mailquota", theme="contrast")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert Memory.of_this_user().kept == Kept(theme="contrast")


def test_without_a_folder_nothing_is_written() -> None:
    """As in a demo."""
    memory = Memory()
    memory.keep(theme="light")
    assert not memory.pending
    memory.finish()
    assert memory.kept.theme == "light"
    assert kept_module.read("") == (Kept(), [])


def test_a_home_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file server that is away: the console opens, and says so."""
    came = threading.Event()
    monkeypatch.setattr("mailquota.tui.desk.memory.SECONDS", 0.05)
    monkeypatch.setattr(Memory, "load", lambda _self: came.wait(60))
    try:
        assert Memory.of_this_user().told.startswith("nothing is remembered: no answer within")
    finally:
        came.set()
