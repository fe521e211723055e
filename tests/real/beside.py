"""A mailquota beside the private mail server, as an administrator would run it."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from tests.mailserver.server import MailServer

ROOT = Path(__file__).parent.parent.parent
COMMAND = (sys.executable, "-m", "mailquota")


def write_settings(
    server: MailServer, folder: Path, *, doveadm: str | None = None, more: str = "", warnings: str = "thresholds = []"
) -> Path:
    """A settings file; ``doveadm`` is the server's own unless given, ``more`` goes into [policy]."""
    command = shlex.join(server.doveadm) if doveadm is None else doveadm
    path = folder / "mailquota.toml"
    path.write_text(f"""
[accounts]
database = "{server.database_url}"
write_database = "{server.write_database_url}"
refresh = "200ms"
[mailstore]
path = "{server.mailstore}"
doveadm = "{command}"
[policy]
listen = ["unix:{server.policy_socket}"]
{more}
[warnings]
{warnings}
[control]
socket = "{folder}/control.sock"
group = ""
[state]
database = "sqlite:///{folder}/state.db"
""")
    return path


class Mailquota:
    """The command with one settings file; ``with`` runs ``--serve``."""

    def __init__(self, settings: Path, server: MailServer) -> None:
        self.settings = settings
        self._server = server
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """One command."""
        command = [*COMMAND, "--config", str(self.settings), *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=check, stdin=subprocess.DEVNULL)

    def json(self, *words: str) -> Any:
        """The document that a command prints."""
        return json.loads(self.run(*words, "--json").stdout)

    def json_of(self, *words: str) -> Any:
        """The same of a command whose exit code may say that something is wrong."""
        return json.loads(self.run(*words, "--json", check=False).stdout)

    def __enter__(self) -> Mailquota:
        self._process = subprocess.Popen([*COMMAND, "--serve", "--config", str(self.settings)], cwd=ROOT)
        wait_until(self._answers, "mailquota answers")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        assert self._process.wait(10) == 0

    def _answers(self) -> bool:
        return self._server.policy_socket.exists() and self.run("status", check=False).returncode == 0


def wait_until(condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Poll until something holds."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)


class Tmux:
    """A real terminal that runs one command, on a tmux server of its own."""

    def __init__(self, command: str, columns: int, lines: int, name: str) -> None:
        self._name = name
        environment = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
        size = ("-x", str(columns), "-y", str(lines))
        subprocess.run(
            ["tmux", "-L", name, "-f", "/dev/null", "new-session", "-d", *size, command],
            check=True, env=environment, cwd=ROOT,
        )  # fmt: skip

    def keys(self, *keys: str) -> None:
        """Press keys, named as tmux does: Enter, Escape, Tab, or text."""
        self._tmux("send-keys", *keys)

    def screen(self) -> str:
        """What is on the screen now; empty once the command has ended."""
        return self._tmux("capture-pane", "-p").stdout

    def tty(self) -> str:
        """The path of the terminal, on which others may write."""
        return self._tmux("display-message", "-p", "#{pane_tty}").stdout.strip()

    def cursor(self) -> tuple[int, int]:
        """Column and line of the terminal's cursor, from 0."""
        x, y = self._tmux("display-message", "-p", "#{cursor_x} #{cursor_y}").stdout.split()
        return int(x), int(y)

    def signal_child(self, name: str) -> None:
        """Send a signal to the job of the shell that runs in it."""
        shell = self._tmux("display-message", "-p", "#{pane_pid}").stdout.strip()
        (job,) = psutil.Process(int(shell)).children()
        job.send_signal(getattr(signal, name))

    def title(self) -> str:
        """What the program has made of the window's title."""
        return self._tmux("display-message", "-p", "#{pane_title}").stdout

    def wait_for(self, text: str, seconds: float = 60.0) -> None:
        """Until the screen shows a text."""
        try:
            wait_until(lambda: text in self.screen(), text, seconds)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.screen()}") from None

    def close(self) -> None:
        """End the terminal and what runs in it: a console that only lost its terminal would go on enforcing."""
        pid = self._tmux("display-message", "-p", "#{pane_pid}").stdout.strip()
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(int(pid), signal.SIGKILL)
        self._tmux("kill-server")

    def _tmux(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["tmux", "-L", self._name, *words], check=False, capture_output=True, text=True)
