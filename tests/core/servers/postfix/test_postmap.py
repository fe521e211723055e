"""Maps asked through postmap: the real one, and programs of its name that misbehave."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from mailquota.core.servers.postfix import postmap as module
from mailquota.core.servers.postfix.postmap import QUEUED, MapAnswer, MapAsker, MapError, Postmap, ask_once
from tests.mailserver.fixture import require_servers
from tests.mailserver.process import SEARCH_PATH, wait_until
from tests.mailserver.socketmap import Socketmap

FOUND = "x@y.example, z@w.example"


@pytest.fixture
def real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A texthash map for the real program."""
    require_servers("postmap", root=False)
    monkeypatch.setenv("PATH", SEARCH_PATH)
    (tmp_path / "main.cf").write_text("compatibility_level = 3.6\nmaillog_file = /dev/stdout\n")
    (tmp_path / "map").write_text(f"a@b.example {FOUND}\n")
    for file in tmp_path.iterdir():
        os.utime(file, (0, 0))
    monkeypatch.setenv("MAIL_CONFIG", str(tmp_path))
    return f"texthash:{tmp_path}/map"


Fake = Callable[[str], None]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """A shell script in the place of postmap."""
    monkeypatch.setattr("mailquota.core.base.programs._MORE_PLACES", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))

    def write(script: str) -> None:
        (tmp_path / "postmap").write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
        (tmp_path / "postmap").chmod(0o755)

    return write


def test_answers(real: str) -> None:
    """Of one process, batch after batch; whatever fills its buffers."""
    with _ended(Postmap(real)) as postmap:
        for keys in (["a@b.example"], ["n@b.example"], ["a@b.example", "n@b.example"] * 30, ["a@b.example"] * 5000):
            assert postmap.ask(keys) == [FOUND if key.startswith("a") else None for key in keys]
    assert ask_once(real, ["a@b.example", "no"] * 100) == [FOUND, None] * 100


@contextmanager
def _ended(postmap: Postmap) -> Iterator[Postmap]:
    try:
        yield postmap
    finally:
        postmap.end()


def test_a_map_that_fails_says_why(real: str) -> None:
    with pytest.raises(MapError, match="No such file") as raised:
        ask_once("socketmap:unix:/nowhere/at/all:rows", ["a@b.example"])
    assert raised.value.one_key
    with pytest.raises(MapError, match="unsupported"):
        ask_once("nosuchtype:x", ["a@b.example"])
    assert real


GARBAGE = [
    "echo nonsense; exec sleep 9",
    "yes",
    "cat",
    "head -c 100 /dev/urandom; exec sleep 9",
    "exit 0",
    "kill -9 $$",
]


@pytest.mark.parametrize("script", [*GARBAGE, "exec sleep 9"])
def test_garbage_is_no_answer(fake: Fake, script: str) -> None:
    fake(f"exec {script}" if script in {"cat", "yes"} else script)
    with _ended(Postmap("hash:/x")) as postmap, pytest.raises(MapError):
        postmap.ask(["a@b.example"], 0.3)


def test_no_postmap(fake: Fake) -> None:
    with pytest.raises(MapError, match="not installed"):
        ask_once("hash:/x", ["a@b.example"])
    fake("")
    with pytest.raises(MapError):
        ask_once("hash:/x", ["a@b.example"])


def test_an_answer_with_line_breaks_answers_for_nobody_else(real: str) -> None:
    with _socketmap() as server:
        server.rows = {"evil@b.example": "x@y.example\nvictim@b.example\tattacker@c.example"}
        with pytest.raises(MapError):
            ask_once(server.name, ["evil@b.example", "victim@b.example"])
    assert real


@contextmanager
def _socketmap() -> Iterator[Socketmap]:
    with closing(Socketmap()) as server:
        yield server


class Answers:
    """What an asker has answered."""

    def __init__(self, name: str) -> None:
        self.found: dict[str, MapAnswer] = {}
        self.asker = MapAsker(name, self._take)
        self._lock = threading.Lock()

    def _take(self, found: list[MapAnswer]) -> None:
        with self._lock:
            self.found |= {answer.key: answer for answer in found}

    def ask(self, *keys: str) -> list[bool]:
        return [self.asker.ask(key) for key in keys]

    def wait(self, number: int) -> None:
        assert wait_until(lambda: len(self.found) >= number, 20), self.found


@pytest.fixture
def asker() -> Iterator[Callable[[str], Answers]]:
    made: list[Answers] = []

    def make(name: str) -> Answers:
        made.append(Answers(name))
        return made[-1]

    yield make
    for one in made:
        one.asker.close()
    assert wait_until(lambda: not any(one.asker._threads for one in made), 10)


def test_many_keys(real: str, asker: Callable[[str], Answers]) -> None:
    answers = asker(real)
    assert all(answers.ask("a@b.example", *(f"n{number}@b.example" for number in range(QUEUED - 1))))
    answers.wait(QUEUED)
    assert answers.found["a@b.example"].value == FOUND
    assert not any(answer.value or answer.fault for key, answer in answers.found.items() if key != "a@b.example")


def test_one_bad_key_costs_no_other(real: str, asker: Callable[[str], Answers]) -> None:
    """An empty answer ends postmap, by its own rule for socketmap: the keys are then asked one by one."""
    with _socketmap() as server:
        server.rows = {"bad@b.example": "x\ny", "good@b.example": FOUND}
        answers = asker(server.name)
        answers.ask("good@b.example")
        answers.wait(1)
        answers.ask("bad@b.example", "good@b.example", "none@b.example")
        assert wait_until(lambda: "bad@b.example" in answers.found, 10)
    assert answers.found["good@b.example"].value == FOUND
    assert real


def test_a_dead_map_is_left_alone(real: str, asker: Callable[[str], Answers]) -> None:
    answers = asker("socketmap:unix:/nowhere/at/all:rows")
    answers.ask(*(f"n{number}@b.example" for number in range(200)))
    answers.wait(200)
    assert all(answer.fault for answer in answers.found.values())
    assert answers.asker.resting
    assert answers.ask("more@b.example") == [False]
    assert "No such file" in answers.asker.fault
    assert real


def test_a_silent_map_is_left_alone(
    real: str, asker: Callable[[str], Answers], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Postmap.ask, "__defaults__", (0.2,))
    with _socketmap() as server:
        server.silent = True
        answers = asker(server.name)
        answers.ask("a@b.example", "b@b.example")
        answers.wait(2)
        assert all("in time" in answer.fault for answer in answers.found.values())
        assert answers.asker.resting
        server.silent, server.rows = False, {"a@b.example": FOUND}
        answers.found.clear()
        assert wait_until(lambda: any(answers.ask("a@b.example")), 10)
        answers.wait(1)
        assert answers.found["a@b.example"].value == FOUND
    assert real


def test_the_queue_is_bounded(real: str, asker: Callable[[str], Answers]) -> None:
    with _socketmap() as server:
        server.silent = True
        answers = asker(server.name)
        taken = answers.ask(*(f"n{number}@b.example" for number in range(module.QUEUED + 500)))
        assert module.QUEUED <= sum(taken) < module.QUEUED + 500
        assert not taken[-1]
        answers.asker.close()
    assert real


def test_an_edited_map_is_seen(real: str, asker: Callable[[str], Answers]) -> None:
    answers, file = asker(real), Path(real.partition(":")[2])
    answers.ask("new@b.example")
    answers.wait(1)
    file.write_text(f"new@b.example {FOUND}\n")
    os.utime(file, (1, 1))

    def seen() -> bool:
        answers.ask("new@b.example")
        time.sleep(0.05)
        return answers.found["new@b.example"].value == FOUND

    assert wait_until(seen, 10)
