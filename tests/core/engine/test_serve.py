"""``mailquota --serve`` as a process: signals, systemd, restarts; and an engine beside a console that misbehaves."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from mailquota.core.control.messages import GetStatus, SetLimit
from mailquota.core.control.results import Status
from mailquota.core.engine.serve import Embedded
from tests.core.clients import Console, PolicyClient, ask, request, until
from tests.core.engines import ROOT, console, embedded, is_answering, on_loop, process, serving
from tests.core.worlds import FULL, JOHN, LIMIT, OVERQUOTA, SmallWorld

# ---- signals and systemd


@pytest.fixture
def told(small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The messages that systemd gets."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(small_world.folder / "notify"))
        manager.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(small_world.folder / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "1000000")
        yield manager


def hear(manager: socket.socket, word: str) -> str:
    """The next message that begins with a word; life signs between are passed over."""
    while not (text := manager.recv(4096).decode()).startswith(word):
        assert text == "WATCHDOG=1", text
    return text


def test_systemd_hears_of_start_life_reload_and_end(small_world: SmallWorld, told: socket.socket) -> None:
    """In this order, and what it hears is true."""
    with process(small_world) as running:
        assert hear(told, "READY=1") == f"READY=1\nSTATUS=answering on unix:{small_world.policy_socket}"
        assert ask(small_world.policy_socket, FULL) == OVERQUOTA
        hear(told, "WATCHDOG=1")
        small_world.settings["policy"]["overquota"] = "552 5.2.2 Full"
        small_world.write_settings()
        running.send_signal(signal.SIGHUP)
        hear(told, "RELOADING=1\nMONOTONIC_USEC=")
        hear(told, "READY=1")
        assert ask(small_world.policy_socket, FULL) == "552 5.2.2 Full"
        small_world.config.write_text("[policy\n")
        running.send_signal(signal.SIGHUP)
        hear(told, "RELOADING=1")
        hear(told, "READY=1")
        assert ask(small_world.policy_socket, FULL) == "552 5.2.2 Full"
        with PolicyClient(small_world.policy_socket) as postfix:
            assert postfix.ask(JOHN) == "DUNNO"
            postfix.socket.sendall(request(FULL))
            running.send_signal(signal.SIGTERM)
            assert postfix.read() == "552 5.2.2 Full"
        hear(told, "STOPPING=1")
        assert running.wait(60) == 0
        log = running.communicate()[1]
    assert "settings and accounts were read again" in log
    assert "reload failed, the old settings go on" in log
    assert not small_world.policy_socket.exists()


def is_silent(manager: socket.socket) -> bool:
    """Whether nothing comes for a while, but for what was under way."""
    try:
        for _ in range(3):
            manager.recv(4096)
    except TimeoutError:
        return True
    return False


def test_a_loop_that_hangs_gives_no_sign_of_life(
    small_world: SmallWorld, told: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signs come from the loop that answers Postfix, so that systemd replaces an engine that does not."""
    thaw = threading.Event()
    with embedded(small_world) as engine:
        told.settimeout(0.7)  # signs are half a second apart
        hear(told, "WATCHDOG=1")
        stuck = threading.Thread(target=on_loop, args=(engine, lambda _: thaw.wait(10)))
        stuck.start()
        assert is_silent(told)
        thaw.set()
        stuck.join()
        hear(told, "WATCHDOG=1")


def test_after_a_kill_the_next_start_takes_the_stale_sockets(small_world: SmallWorld) -> None:
    with serving(small_world) as running:
        running.kill()
        running.wait(60)
    assert small_world.policy_socket.exists()
    assert not is_answering(small_world)
    with serving(small_world):
        assert ask(small_world.policy_socket, FULL) == OVERQUOTA


def test_a_start_that_can_not_be_says_why(engine: Embedded, small_world: SmallWorld) -> None:
    """A second engine, and a folder that is not there: one line, and the exit code of its kind."""
    with process(small_world) as second:
        assert second.communicate(timeout=20)[1].count("another server answers there") == 1
        assert second.returncode == 1
    small_world.settings["control"]["socket"] = f"{small_world.folder}/other.sock"
    small_world.settings["policy"]["listen"] = ["unix:/no/such/folder/mailquota"]
    small_world.write_settings()
    with process(small_world) as lost:
        assert "the folder /no/such/folder does not exist" in lost.communicate(timeout=20)[1]
        assert lost.returncode == 2
    assert ask(small_world.policy_socket, FULL) == OVERQUOTA


def test_a_socket_unit_passes_its_socket_on(small_world: SmallWorld) -> None:
    """As descriptor 3; the file is systemd's and stays."""
    mailquota = [sys.executable, "-m", "mailquota", "--serve", "--config", str(small_world.config)]
    with socket.socket(socket.AF_UNIX) as unit, contextlib.ExitStack() as stack:
        unit.bind(str(small_world.policy_socket))
        unit.listen()
        script = f"exec 3<&{unit.fileno()}; LISTEN_FDS=1 LISTEN_PID=$$ exec {shlex.join(mailquota)}"
        running = stack.enter_context(
            subprocess.Popen(["bash", "-c", script], pass_fds=[unit.fileno()], cwd=ROOT, stderr=subprocess.DEVNULL)
        )
        stack.callback(running.kill)
        assert ask(small_world.policy_socket, FULL) == OVERQUOTA
        running.terminate()
        assert running.wait(60) == 0
        assert small_world.policy_socket.exists()


# ---- another user


VISIT = """
import os, sys
from pathlib import Path
from mailquota.core.control.client import RequestFailedError
from mailquota.core.control.messages import Explain, SetLimit
from tests.core.clients import Console
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
with Console(Path(sys.argv[1])) as client:
    client.read()
    print(type(client.events[0]).__name__, getattr(client.events[0], "may_change", ""))
    if client.events[0].__class__.__name__ == "Welcome":
        print(client.ask(lambda n: Explain(n, sys.argv[2]), dict)["verdict"])
        try:
            client.ask(lambda n: SetLimit(n, [sys.argv[2]], "1G"))
        except RequestFailedError as error:
            print(error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
@pytest.mark.parametrize(
    ("group", "expected"),
    [("nogroup", ["Welcome False", "over_quota", "read-only: nothing was changed"]), ("daemon", ["Goodbye"])],
)
def test_another_user_may_look_where_the_settings_say_so(
    small_world: SmallWorld, group: str, expected: list[str]
) -> None:
    """The kernel says who it is, and the socket lets the group of lookers in."""
    small_world.settings["control"]["read_only_group"] = group
    small_world.write_settings()
    with serving(small_world):
        command = [sys.executable, "-c", VISIT, str(small_world.control_socket), FULL]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert [line.strip() for line in done.stdout.splitlines()] == expected
    assert small_world.limit_of(FULL) == LIMIT


# ---- isolation


class Postfix(threading.Thread):
    """Asks all the time; ``wrong`` is every answer that is not right, ``answers`` how many came."""

    def __init__(self, world: SmallWorld) -> None:
        super().__init__()
        self._client = PolicyClient(world.policy_socket)
        self._ending = threading.Event()
        self.answers = 0
        self.wrong: list[str] = []

    def run(self) -> None:
        with self._client as client:
            while not self._ending.is_set():
                if (action := client.ask(FULL)) != OVERQUOTA:
                    self.wrong.append(action)
                self.answers += 1

    def __enter__(self) -> Postfix:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self.join()


def busy(until_set: threading.Event) -> None:
    """A screen that computes and computes."""
    while not until_set.is_set():
        sum(range(1000))


def frozen(until_set: threading.Event) -> None:
    """A screen that waits for something that never comes."""
    until_set.wait(10)


@pytest.mark.parametrize("screen", [busy, frozen])
def test_a_screen_that_hangs_does_not_stop_the_answers(
    engine: Embedded, small_world: SmallWorld, screen: object
) -> None:
    """It shares nothing with them but the processor, and its connection may fill up."""
    thaw = threading.Event()
    assert callable(screen)
    with console(engine).subscribe(), Postfix(small_world) as postfix:
        thread = threading.Thread(target=screen, args=(thaw,))
        thread.start()
        before = postfix.answers
        until(lambda: postfix.answers > before + 500, "answers go on")
        with console(engine) as other:
            assert other.ask(GetStatus, Status).accounts == 5
        thaw.set()
        thread.join()
    assert not postfix.wrong


def test_a_screen_that_falls_over_does_not_stop_the_answers(
    engine: Embedded, small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of an order, with its connection half open."""
    monkeypatch.setattr(threading, "excepthook", lambda _: None)

    def fall_over() -> None:
        client = console(engine).subscribe()
        client.send(SetLimit(1, [JOHN], "20000"))
        client.close()
        raise RuntimeError("no such widget")

    with Postfix(small_world) as postfix:
        thread = threading.Thread(target=fall_over)
        thread.start()
        thread.join()
        before = postfix.answers
        until(lambda: postfix.answers > before + 200, "answers go on")
    assert not postfix.wrong


def test_the_interpreter_changes_hands_quickly(engine: Embedded) -> None:
    """That is what an answer waits for while a screen is drawn; Python's own interval is ten times as long."""
    assert sys.getswitchinterval() == pytest.approx(0.0005)


def test_a_socket_that_is_idle_for_long_is_kept(engine: Embedded, small_world: SmallWorld) -> None:
    """Postfix takes a close after an answer as a fault."""
    with PolicyClient(small_world.policy_socket) as postfix:
        assert postfix.ask(JOHN) == "DUNNO"
        postfix.socket.setblocking(False)
        deadline = time.monotonic() + 0.3
        while time.monotonic() < deadline:
            with contextlib.suppress(BlockingIOError):
                raise AssertionError(postfix.socket.recv(1))
        postfix.socket.settimeout(10)
        assert postfix.ask(JOHN) == "DUNNO"


def test_console_over_the_file_and_console_in_the_process_are_the_same(
    engine: Embedded, small_world: SmallWorld
) -> None:
    with console(engine) as inside, Console(small_world.control_socket) as outside:
        assert inside.welcome() == outside.welcome()
