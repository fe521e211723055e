"""Sockets in a folder of another user, as Postfix's private/ is one: no rights move to other files, nothing hangs."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.core.clients import ask, until
from tests.core.engines import is_answering, process, serving
from tests.core.others import OWNER, STRANGER, as_root, do, holding_a_lock
from tests.core.worlds import FULL, OVERQUOTA, SmallWorld

pytestmark = as_root


@pytest.fixture
def private(small_world: SmallWorld) -> Path:
    """The folder of the policy socket, of that other user."""
    folder = small_world.folder / "private"
    folder.mkdir(mode=0o755)
    os.chown(folder, OWNER, OWNER)
    small_world.folder.chmod(0o755)
    small_world.policy_socket = folder / "policy.sock"
    small_world.settings["policy"] |= {"listen": [f"unix:{small_world.policy_socket}"], "socket_mode": "0660"}
    small_world.write_settings()
    return folder


@pytest.fixture
def secret(small_world: SmallWorld) -> Iterator[Path]:
    """A file of root's, which stays as it is."""
    path = small_world.folder / "secret"
    path.touch(0o600)
    yield path
    found = path.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (0, 0, 0o600)


def log_of(running: object) -> str:
    """What an engine that ended wrote."""
    assert hasattr(running, "stderr")
    return str(running.stderr.read())


def test_the_socket_is_made_for_its_owner(small_world: SmallWorld, private: Path) -> None:
    """And is gone with the engine, as is its lock."""
    with serving(small_world) as running:
        found = small_world.policy_socket.stat()
        assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (0, 0o660)
        assert ask(small_world.policy_socket, FULL) == OVERQUOTA
        running.terminate()
        assert running.wait(20) == 0
    assert os.listdir(private) == []


def test_a_link_in_place_of_the_socket_is_not_followed_by_a_reload(
    small_world: SmallWorld, private: Path, secret: Path
) -> None:
    """It is told that the socket is another one."""
    small_world.settings["policy"]["socket_user"] = "nobody"
    small_world.write_settings()
    with serving(small_world) as running:
        do(OWNER, "rm", small_world.policy_socket)
        do(OWNER, "ln", "-s", secret, small_world.policy_socket)
        running.send_signal(signal.SIGHUP)
        assert running.stderr is not None
        lines = iter(running.stderr.readline, "")
        assert any("is not the socket that this engine made" in line for line in lines)
        assert any("were read again" in line for line in lines)
        running.terminate()
        running.wait(20)
    assert small_world.policy_socket.is_symlink()


IN_ITS_PLACE = {
    "a link to nothing": "ln -s {secret}.new {socket}",
    "a link to a folder": "ln -s {folder} {socket}",
    "a link to a link": "ln -s {secret} {socket}.two; ln -s {socket}.two {socket}",
    "a link to a device": "ln -s /dev/null {socket}",
    "a folder": "mkdir {socket}",
    "a named pipe": "mkfifo {socket}",
    "a file": "touch {socket}",
    "a socket of his": """/usr/bin/python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("{socket}")'""",
}


def spoil(world: SmallWorld, secret: Path, script: str) -> None:
    words = script.format(secret=secret, socket=world.policy_socket, folder=world.folder)
    do(OWNER, "sh", "-ec", f"rm -f {world.policy_socket}; {words}")


def facts(path: Path) -> tuple[int, int, int]:
    found = path.lstat()
    return found.st_uid, found.st_gid, found.st_mode


@pytest.mark.parametrize("script", IN_ITS_PLACE.values(), ids=IN_ITS_PLACE)
def test_nothing_in_place_of_the_socket_gets_its_rights(
    small_world: SmallWorld, private: Path, secret: Path, script: str
) -> None:
    """By a reload, and by the end of the engine, which leaves it where it is."""
    small_world.settings["policy"]["socket_user"] = "nobody"
    small_world.write_settings()
    with serving(small_world) as running:
        spoil(small_world, secret, script)
        places = [small_world.policy_socket, small_world.folder, Path("/dev/null")]
        before = [facts(place) for place in places]
        running.send_signal(signal.SIGHUP)
        assert running.stderr is not None
        assert any("were read again" in line for line in iter(running.stderr.readline, ""))
        assert [facts(place) for place in places] == before
        running.terminate()
        assert running.wait(20) == 0
    assert [facts(place) for place in places] == before
    assert not secret.with_name("secret.new").exists()


@pytest.mark.parametrize("script", IN_ITS_PLACE.values(), ids=IN_ITS_PLACE)
def test_nor_does_it_by_a_start(small_world: SmallWorld, private: Path, secret: Path, script: str) -> None:
    """A dead socket is replaced, all else is told."""
    spoil(small_world, secret, script)
    places = [small_world.folder, Path("/dev/null")]
    before = [facts(place) for place in places]
    if "bind" in script:
        with serving(small_world):
            assert ask(small_world.policy_socket, FULL) == OVERQUOTA
    else:
        with process(small_world) as running:
            assert running.wait(60) == 2
            assert "there is a file that is not a socket" in log_of(running)
        assert small_world.policy_socket.lstat().st_uid == OWNER
    assert [facts(place) for place in places] == before
    assert not secret.with_name("secret.new").exists()


def test_a_link_in_place_of_the_socket_is_not_followed_after_a_hand_over(
    small_world: SmallWorld, private: Path, secret: Path
) -> None:
    """The new engine knows which file the old one made."""
    from mailquota.core.control.messages import HandOver, Reload
    from tests.core.clients import Console

    small_world.settings["policy"]["socket_user"] = "nobody"
    small_world.write_settings()
    with serving(small_world) as running:
        do(OWNER, "rm", small_world.policy_socket)
        do(OWNER, "ln", "-s", secret, small_world.policy_socket)
        with Console(small_world.control_socket) as client:
            successor = client.ask(HandOver, int)
        running.wait(20)
        try:
            with Console(small_world.control_socket) as client:
                client.ask(Reload, object)
        finally:
            os.kill(successor, signal.SIGTERM)
            until(lambda: not small_world.control_socket.exists(), "the end of the new engine", 20)
    assert small_world.policy_socket.is_symlink()


def test_a_folder_that_leads_elsewhere_is_refused(small_world: SmallWorld, private: Path, secret: Path) -> None:
    """Also the one of the control socket, which is made where it is missing."""
    vault = small_world.folder / "vault"
    vault.mkdir(mode=0o700)
    do(OWNER, "ln", "-s", vault, private / "run")
    small_world.control_socket = private / "run/mailquota/control.sock"
    small_world.settings["control"]["socket"] = str(small_world.control_socket)
    small_world.write_settings()
    with process(small_world) as running:
        assert running.wait(20) == 2
        assert "a link to a folder of another owner" in log_of(running)
    assert os.listdir(vault) == []


@pytest.mark.parametrize("mode", [0o755, 0o777])
def test_a_lock_of_a_stranger_on_the_folder_stops_nothing(small_world: SmallWorld, private: Path, mode: int) -> None:
    """A start, answers during a reload, and the end."""
    private.chmod(mode)
    with (
        holding_a_lock(STRANGER, private),
        holding_a_lock(STRANGER, small_world.folder),
        serving(small_world) as running,
    ):
        running.send_signal(signal.SIGHUP)
        assert ask(small_world.policy_socket, FULL) == OVERQUOTA
        running.terminate()
        assert running.wait(20) == 0
    assert os.listdir(private) == []


def test_a_lock_file_of_the_folders_owner_stops_nothing(small_world: SmallWorld, private: Path) -> None:
    """It is not the engine's own, and that is logged."""
    lock = private / ".policy.sock.lock"
    do(OWNER, "touch", lock)
    do(OWNER, "chmod", "600", lock)
    with holding_a_lock(OWNER, lock), serving(small_world) as running:
        assert ask(small_world.policy_socket, FULL) == OVERQUOTA
        running.terminate()
        assert running.wait(20) == 0
        assert f"{lock} belongs to another user; it is done without that lock" in log_of(running)
    assert os.listdir(private) == [lock.name]


def test_a_lock_that_is_really_ours_is_waited_for_a_second(small_world: SmallWorld, private: Path) -> None:
    """By then an engine that starts would be done."""
    lock = private / ".policy.sock.lock"
    lock.touch(0o600)
    with holding_a_lock(0, lock), serving(small_world) as running:
        assert ask(small_world.policy_socket, FULL) == OVERQUOTA
        running.terminate()
        assert running.wait(20) == 0
        assert "is held by another process since 1 s; it is done without" in log_of(running)


def test_answers_go_on_while_a_reload_waits(small_world: SmallWorld, private: Path) -> None:
    """It asks the server of a new address whether it lives, which takes a second where that does not accept."""
    busy = small_world.folder / "busy.sock"
    with socket.socket(socket.AF_UNIX) as server, serving(small_world) as running:
        server.bind(str(busy))
        server.listen(0)
        lock = small_world.folder / ".busy.sock.lock"
        lock.touch(0o600)
        small_world.settings["policy"]["listen"] = [f"unix:{small_world.policy_socket}", f"unix:{busy}"]
        small_world.write_settings()
        with holding_a_lock(0, lock):
            running.send_signal(signal.SIGHUP)
            assert running.stderr is not None
            asked = 0
            os.set_blocking(running.stderr.fileno(), False)
            log = ""
            while "reload failed" not in log:
                assert ask(small_world.policy_socket, FULL) == OVERQUOTA
                asked += 1
                with contextlib.suppress(BlockingIOError):
                    log += os.read(running.stderr.fileno(), 65536).decode()
        assert "is held by another process" in log
        assert asked > 1  # on the loop that answers, the first of them would have waited until then
        assert is_answering(small_world)
