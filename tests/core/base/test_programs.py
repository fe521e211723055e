"""Programs and files that are not ours: whatever they do, who asks gets an answer and its reason."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mailquota.core.base import programs
from mailquota.core.base.errors import SettingsError
from mailquota.core.base.threads import within
from mailquota.core.servers.dovecot.doveadm import Doveadm
from mailquota.core.servers.postfix.postmap import MapError, Postmap
from mailquota.core.settings.passwords import read_password
from tests.core.worlds import SmallWorld

Program = Callable[[str, str], str]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Makes one of a name, first on PATH; nothing that hung before is remembered."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(programs, "_hung", {})

    def make(name: str, body: str) -> str:
        (tmp_path / name).write_text(f"#!/bin/sh\necho >> {tmp_path}/{name}.runs\n{body}\n")
        (tmp_path / name).chmod(0o755)
        return name

    return make


@pytest.mark.parametrize("path", [None, "", ":", "/usr/bin:", ".", "bin"])
def test_no_program_of_the_current_folder_is_run(
    path: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As without a PATH, or with an empty or relative folder in it: the current folder may be another user's."""
    for place in (tmp_path, tmp_path / "bin"):
        place.mkdir(exist_ok=True)
        for name in ("postconf", "doveadm", "postmap", "sh"):
            (place / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/was-run\necho theirs\n")
            (place / name).chmod(0o755)
    monkeypatch.chdir(tmp_path)
    if path is None:
        monkeypatch.delenv("PATH")
    else:
        monkeypatch.setenv("PATH", path)
    monkeypatch.setattr(programs, "_hung", {})
    for name in ("postconf", "doveadm", "postmap"):
        programs.run([name])
        assert str(programs.find(name)).startswith(("/", "None"))
    programs.run(["env", "sh", "-c", "echo ours"])  # nor by a program that was run
    with contextlib.suppress(MapError), contextlib.ExitStack() as stack:
        running = Postmap("static:x")
        stack.callback(running.end)
        running.ask(["a"])
    assert Doveadm.find() is None or os.path.isabs(Doveadm.find().command[0])  # type: ignore[union-attr]
    assert not (tmp_path / "was-run").exists()


def runs(tmp_path: Path, name: str) -> int:
    """How often it was started."""
    return len((tmp_path / f"{name}.runs").read_text().splitlines())


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("echo out; echo err >&2", programs.ProgramResult("out\n", "err\n", 0, "")),
        ("echo a >&2; echo b >&2; exit 89", programs.ProgramResult("", "a\nb\n", 89, "p ended with 89: b")),
        ("kill -9 $$", programs.ProgramResult("", "", -9, "p ended with -9")),
        (r"printf '\377\n'", programs.ProgramResult("\ufffd\n", "", 0, "")),
    ],
)  # fmt: skip
def test_what_a_program_says_is_kept_with_its_end(body: str, said: programs.ProgramResult, program: Program) -> None:
    assert programs.run([program("p", body)]) == said


def test_a_program_that_is_not_there() -> None:
    assert programs.run(["no-such-program"]).fault == "no-such-program is not installed"


def test_one_that_hangs_is_waited_for_once(program: Program, tmp_path: Path) -> None:
    hangs = program("hangs", "exec sleep 60")
    assert programs.run([hangs, "-n"], patience=0.5).fault == "hangs took longer than 0.5 s"
    assert programs.run([hangs, "-x"], patience=0.5).fault == "hangs took longer than 0.5 s"
    assert runs(tmp_path, "hangs") == 1


def test_a_child_that_lives_on_with_our_pipe_is_not_waited_for(program: Program, tmp_path: Path) -> None:
    child = tmp_path / "child"
    try:
        assert programs.run([program("parent", f"sleep 60 &\necho $! > {child}\necho done")], patience=0.5).code is None
    finally:
        os.kill(int(child.read_text()), signal.SIGKILL)


def test_what_is_printed_without_end_is_no_answer(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "MOST_PRINTED", 1 << 20)
    assert "printed more than 1 MiB" in programs.run([program("yes-man", "exec yes")]).fault


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    """At a FIFO nobody may ever write."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "it is a FIFO, not a file" in programs.read(str(tmp_path / "fifo")).fault
    assert "Is a directory" in programs.read(str(tmp_path)).fault
    assert "it is a device, not a file" in programs.read("/dev/zero").fault
    assert "Too many levels" in programs.read(str(tmp_path / "loop")).fault
    assert "No such file" in programs.read(str(tmp_path / "missing")).fault
    assert programs.read(os.devnull).text == ""


def test_a_fifo_as_password_file_is_an_error(small_world: SmallWorld) -> None:
    os.mkfifo(small_world.folder / "fifo")
    database = {"database": "mysql://u@127.0.0.1/x", "password_file": str(small_world.folder / "fifo")}
    small_world.settings["accounts"] |= database
    small_world.write_settings()
    config = small_world.load()
    with pytest.raises(SettingsError, match="it is a FIFO"):
        read_password(config, "database")


def test_work_that_never_ends_is_left_behind() -> None:
    never = threading.Event()
    with pytest.raises(TimeoutError, match="no answer within"):
        within(0.05, never.wait)
    never.set()
    assert within(5, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 // 0)
