"""``mailquota --serve`` and ``--demo --serve`` as processes."""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.core.commands.command_line import COMMAND, ROOT, SECONDS, CommandLine, environment, run_command, stop
from tests.core.worlds import FULL, JOHN, OVERQUOTA
from tests.mailserver.ports import free_port
from tests.mailserver.process import wait_until


def ask(path: Path, recipient: str) -> str:
    """One policy request, as Postfix makes it; its answer."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(SECONDS)
        assert wait_until(path.exists, SECONDS)  # the control socket may answer before it
        client.connect(str(path))
        client.sendall(f"request=smtpd_access_policy\nprotocol_state=RCPT\nrecipient={recipient}\n\n".encode())
        return client.recv(4096).decode()


def test_it_answers_and_leaves_nothing_behind(alone: CommandLine) -> None:
    """Logs to stderr in lines with a level; SIGTERM ends it with 0, and its sockets go."""
    engine = alone.start_engine()
    assert ask(alone.world.policy_socket, FULL) == f"action={OVERQUOTA}\n\n"
    engine.send_signal(signal.SIGTERM)
    _, log = engine.communicate(timeout=SECONDS)
    assert engine.returncode == 0
    assert f"INFO answering on unix:{alone.world.policy_socket}\n" in log
    assert not [line for line in log.splitlines() if line.split(" ")[0] not in {"INFO", "WARNING"}]
    assert not alone.world.policy_socket.exists()
    assert not alone.world.control_socket.exists()


def test_the_journal_gets_priorities(alone: CommandLine) -> None:
    """Where stderr is the stream that JOURNAL_STREAM names, and only there."""
    reader, writer = os.pipe()
    found = os.fstat(writer)
    stream = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
    alone.world.settings["policy"]["listen"] = ["unix:/nonexistent/policy.sock"]
    alone.world.write_settings()
    command = [*COMMAND, "--serve", "--config", str(alone.world.config)]
    done = subprocess.run(command, cwd=ROOT, stderr=writer, env=environment(stream), timeout=SECONDS, check=False)
    os.close(writer)
    with open(reader, encoding="utf-8") as log:
        lines = log.read().splitlines()
    assert done.returncode == 2
    assert lines[-1].startswith("<3>can't listen on unix:/nonexistent/policy.sock")
    plain = alone("--serve", env=stream)
    assert plain.stderr.splitlines()[-1].startswith("mailquota: can't listen")


def test_a_file_gets_the_time_of_each_line(alone: CommandLine) -> None:
    """Without systemd nothing else writes the time down."""
    log = alone.world.folder / "log"
    with log.open("w") as file:
        command = [*COMMAND, "--serve", "--config", str(alone.world.config)]
        engine = subprocess.Popen(command, cwd=ROOT, stderr=file, env=environment())
    assert wait_until(lambda: "answering" in log.read_text(), SECONDS)
    engine.terminate()
    engine.wait(SECONDS)
    lines = log.read_text().splitlines()
    assert all(re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8},[0-9]{3} INFO ", line) for line in lines), lines


def test_an_engine_that_nobody_could_ask_is_refused(alone: CommandLine) -> None:
    """An empty list is a settings error with words, for every command."""
    alone.world.settings["policy"]["listen"] = []
    alone.world.write_settings()
    for words in (("--serve",), ("list",), ("config",), ("install",)):
        done = alone(*words)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert "policy.listen: found none, expected an address that Postfix asks" in done.stderr


def test_the_second_engine_gives_up(beside: CommandLine) -> None:
    """Exit code 1, and the first one goes on."""
    done = beside("--serve")
    assert done.returncode == 1
    assert "another server answers there" in done.stderr
    assert ask(beside.world.policy_socket, FULL) == f"action={OVERQUOTA}\n\n"


def test_a_place_that_can_t_be_used_for_a_socket(alone: CommandLine) -> None:
    """Exit code 2 and a message that names it: folder missing, not to be written, a file in its place."""
    file = alone.world.folder / "file"
    file.write_text("")
    for path in ("/nonexistent/policy.sock", "/proc/policy.sock", f"{file}", f"{file}/policy.sock"):
        alone.world.settings["policy"]["listen"] = [f"unix:{path}"]
        alone.world.write_settings()
        done = alone("--serve")
        assert done.returncode == 2
        assert path in done.stderr
        assert "Traceback" not in done.stderr
        assert not alone.world.control_socket.exists()
    assert file.exists()


def test_a_killed_engine_is_replaced(alone: CommandLine) -> None:
    """Its sockets are stale: commands act by themselves, and the next engine takes their places."""
    engine = alone.start_engine()
    engine.kill()
    engine.communicate()
    assert alone.world.control_socket.exists()
    assert len(alone.json("list")) == 5
    assert alone("status").returncode == 5
    with alone.engine():
        assert wait_until(lambda: ask(alone.world.policy_socket, FULL) == f"action={OVERQUOTA}\n\n", SECONDS)


def test_hangup_reloads(beside: CommandLine) -> None:
    """SIGHUP and ``reload`` do the same."""
    beside.world.settings["policy"]["overquota"] = "552 5.2.2 No room"
    beside.world.write_settings()
    os.kill(engine_pid(beside), signal.SIGHUP)
    assert wait_until(lambda: "No room" in ask(beside.world.policy_socket, FULL), SECONDS)


def engine_pid(line: CommandLine) -> int:
    """As the status for people says it."""
    text = line("status").stdout
    return int(next(row.split()[1] for row in text.splitlines() if row.startswith("process")))


def test_an_engine_takes_no_read_only() -> None:
    """An engine has to change things."""
    assert run_command("--serve", "--read-only").returncode == 2


@contextmanager
def demo(*words: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """``mailquota --demo --serve`` and what it prints on stdout first."""
    command = [*COMMAND, "--demo", "--serve", *words]
    env = environment({"MAILQUOTA_CONFIG": "/nonexistent.toml"})
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, text=True
    )
    try:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().rstrip("\n"))
    finally:
        stop(process)


def test_the_demo_prints_where_its_settings_are_and_goes_away() -> None:
    """A path, absolute, and nothing else; the whole folder is gone after SIGTERM; settings elsewhere are not read."""
    with demo("--accounts", "30", "--config", "/nonexistent.toml") as (process, settings):
        assert settings.is_absolute()
        assert settings.name == "mailquota.toml"
        line = ("--config", str(settings))
        rows = json.loads(run_command(*line, "list", "--json").stdout)
        assert len(rows) == 30
        assert {"over", "unlimited"} <= {row["level"] for row in rows}
        assert run_command(*line, "set", rows[0]["address"], "+1G").returncode == 0
        assert wait_until(lambda: json.loads(run_command(*line, "status", "--json").stdout)["requests"] > 0, SECONDS)
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=SECONDS)
        assert (process.returncode, rest) == (0, "")
        assert not settings.parent.exists()


def test_the_demo_without_a_terminal_prints_its_table() -> None:
    """The world is gone afterwards."""
    done = run_command("--demo", "--accounts", "25")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 26
    assert JOHN in done.stdout


def unix_inode(path: Path) -> str | None:
    """Of the socket that listens at a path; None before there is one."""
    sockets = Path("/proc/net/unix").read_text().splitlines()
    found = (line.split()[6] for line in sockets if line.endswith(f" {path}") and " 00010000 " in line)
    return next(found, None)


def tcp_inode(port: int) -> str:
    """The inode of a listening socket at a port of 127.0.0.1."""
    sockets = Path("/proc/net/tcp").read_text().splitlines()
    return next(line.split()[9] for line in sockets if f" 0100007F:{port:04X} 00000000:0000 0A " in line)


def shut_down(pid: int, inode: str) -> None:
    """Shut a socket of another process down, from outside."""
    handles = Path(f"/proc/{pid}/fd").iterdir()
    number = next(int(handle.name) for handle in handles if os.readlink(handle) == f"socket:[{inode}]")
    process = os.pidfd_open(pid)
    handle = ctypes.CDLL(None, use_errno=True).syscall(438, process, number, 0)  # pidfd_getfd
    os.close(process)
    assert handle >= 0, os.strerror(ctypes.get_errno())
    with socket.socket(fileno=handle) as sock:
        sock.shutdown(socket.SHUT_RDWR)


def test_what_was_started_again_is_shown(alone: CommandLine) -> None:
    """By `status`, in both forms, and only where there is something to show."""
    port = free_port()
    alone.world.settings["policy"]["listen"] = [f"inet:127.0.0.1:{port}"]
    alone.world.write_settings()
    with alone.engine() as engine:
        assert "restarts" not in alone.json("status")
        assert "restarted" not in alone("status").stdout
        shut_down(engine.pid, tcp_inode(port))
        name = f"listening on inet:127.0.0.1:{port}"
        assert wait_until(lambda: alone.json("status").get("restarts") == {name: 1}, SECONDS)
        assert f"{name} 1 times; why: see the log" in alone("status").stdout


@pytest.mark.parametrize("which", ["policy", "control"])
def test_an_engine_whose_socket_is_dead_ends(alone: CommandLine, which: str) -> None:
    """With 1 and a reason, in the log and in the journal; the next one makes its sockets anew."""
    path = alone.world.policy_socket if which == "policy" else alone.world.control_socket
    process = alone.start_engine()
    try:
        assert wait_until(lambda: unix_inode(path) is not None, SECONDS)
        shut_down(process.pid, str(unix_inode(path)))
        _, log = process.communicate(timeout=20)
    finally:
        stop(process)
    assert process.returncode == 1
    assert f"ERROR listening on unix:{path}: ended, and is started again" in log
    assert f"CRITICAL unix:{path} takes no connections any more: this engine ends" in log
    with alone.engine():
        assert wait_until(lambda: unix_inode(alone.world.policy_socket) is not None, SECONDS)
        assert wait_until(lambda: ask(alone.world.policy_socket, FULL) == f"action={OVERQUOTA}\n\n", SECONDS)
        (ending,) = (entry for entry in alone.json("journal") if entry["kind"] == "stop")
    assert ending["reason"].startswith(f"unix:{path} takes no connections any more")
