"""HELO, sender, client and folder names that try to be more than text: in the log, on paper, on the screen, in JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.core.clients import PolicyClient
from tests.core.engines import ROOT, serving
from tests.core.worlds import FULL, OVERQUOTA, SmallWorld
from tests.mailserver.fixture import require_servers
from tests.real.beside import Tmux
from tests.truth.scale import count

HOSTILE = [
    b"\x1b]0;owned\x07\x1b[2J\x1b[31mred",
    b"[bold red]markup[/] [@click=app.quit]x[/]",
    b"\xff\xfe\x80 not UTF-8 \xed\xa0\x80",
    "\u202egnp.exe \u2066 bidi \u200b".encode(),
    b"a\rb\tc\x00d\x7fe\x9bf",
    b"{0} %s %(x)s ${HOME} `id` $(id) '; DROP TABLE journal; --",
    b"x" * 100_000,
    "C1 \x9b31m \x9d0;owned\x9c \x85 lines\u2028\u2029 \U000e0041".encode(),
    "\N{PILE OF POO}\N{COMBINING ACUTE ACCENT}".encode() * 50,
    b'"quoted" \\backslash </script><b>',
]
ATTRIBUTES = [b"sender", b"helo_name", b"client_name", b"client_address", b"size", b"sasl_username"]
FOLDERS = [
    b".&bad\x1b[2J",
    b".\x1b[31mred",
    b".[bold]x[/]",
    b".a\nb",
    b".Trash.\xe2\x80\xae",
    b"." + b"n" * 250,
    b".&AAs-&-",
]


@pytest.fixture
def world(small_world: SmallWorld) -> SmallWorld:
    """With such folders, and an alias and an account of such a name."""
    for name in FOLDERS:
        directory = os.fsencode(small_world.maildir(FULL)) + b"/" + name + b"/cur"
        os.makedirs(directory)
        Path(os.fsdecode(directory + b"/1,S=1:2,S\x1b[2J")).touch()
    small_world.add_account("\x1b[2J[bold]x[/]@example.org")
    small_world.add_alias("\x1b[31m\nalias@example.org", FULL)
    return small_world


def hostile_requests() -> list[bytes]:
    """Each text as sender, HELO name, client, size and protocol state in turn."""
    requests = []
    for text in HOSTILE:
        line = text.replace(b"\n", b"").replace(b"\0", b"")[:30_000]  # no request may have more than 64 KiB
        about = b"protocol_state=RCPT\nrecipient=" + FULL.encode()
        requests += [b"%b\n%b=%b\n\n" % (about, name, line) for name in ATTRIBUTES]
        requests.append(b"protocol_state=%b\nrecipient=%b\n\n" % (line, line))
        requests.append(b"recipient=%b+%b\n\n" % (line, FULL.encode()))
    return requests


def printable(text: str) -> bool:
    """What can't do anything to a terminal."""
    return all(line.isprintable() for line in text.split("\n"))


def run(world: SmallWorld, *words: str) -> str:
    command = [sys.executable, "-m", "mailquota", "--config", str(world.config), *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, stdin=subprocess.DEVNULL, timeout=60)
    assert printable(done.stderr.decode()), done.stderr
    return done.stdout.decode()


def test_on_paper_in_json_and_in_the_log(world: SmallWorld) -> None:
    """Text comes out as text, JSON as JSON, and the log has one line for each record."""
    with serving(world) as running, PolicyClient(world.policy_socket) as postfix:
        answers = set()
        for request in hostile_requests():
            postfix.socket.sendall(request)
            answers.add(postfix.read())
        assert answers == {OVERQUOTA, "DUNNO"}
        for words in (("show", FULL), ("list",)):
            assert printable(run(world, *words)), words
            _strict(run(world, *words, "--json"))
        senders = {refusal["sender"] for refusal in _strict(run(world, "show", FULL, "--json"))["refusals"]}
        assert any("\x9b31m" in sender for sender in senders)  # as an escape, which is the same to a program
        for text in HOSTILE[: count(2, len(HOSTILE))]:
            word = text.replace(b"\0", b"")[:1000].decode("utf-8", "surrogateescape")
            assert printable(run(world, "explain", "--", word))
            assert printable(run(world, "list", "--", word))
        running.terminate()
        log = running.communicate(timeout=10)[1]
    assert printable(log)
    assert all(line.split(" ")[0] in {"INFO", "WARNING", "ERROR"} for line in log.splitlines()), log


def _strict(text: str) -> Any:
    """One document of UTF-8, without anything that a terminal does not print."""
    assert printable(text)
    return json.loads(text)


def test_on_the_screen(world: SmallWorld, tmp_path: Path) -> None:
    """A console that shows such accounts, folders and decisions goes on, and its title and colours are its own."""
    require_servers("tmux", root=False)
    with serving(world), PolicyClient(world.policy_socket) as postfix:
        terminal = Tmux(f"{sys.executable} -m mailquota --config {world.config}", 120, 32, tmp_path.name)
        try:
            terminal.wait_for(FULL)
            for request in reversed(hostile_requests()):  # the first ones last, as they stay on the screen
                postfix.socket.sendall(request)
                postfix.read()
            terminal.wait_for("[2J")
            terminal.keys("Enter")
            terminal.wait_for("INBOX")
            terminal.keys("Escape")
            terminal.wait_for("Decisions")
            assert "owned" not in terminal.title()
        finally:
            terminal.close()
