"""Questions in threads of our own: one that dies is replaced, and one that can't be started is tried again."""

from __future__ import annotations

import threading

import pytest

from mailquota.core.base import restarts
from mailquota.core.mailboxes import asking
from mailquota.core.mailboxes.asking import UsageQueries


class Clock:
    """Each call is a second later."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits are long enough for any machine."""
    monkeypatch.setattr(asking, "WAIT", 20.0)


def test_a_thread_that_dies_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    """Its query ends, and the queries behind it are answered."""
    answered: list[str] = []

    def work(address: str, _limit: int | None, _now: float) -> None:
        if address == "deadly":
            raise SystemExit
        answered.append(address)

    before = restarts.counts().get("thread for asked", 0)
    questions = UsageQueries("asked", work, 1, (), Clock())
    for name in ("deadly", "a", "deadly", "b"):
        assert questions.ask(name, None, 0.0) is None
    assert answered == ["a", "b"]
    assert restarts.counts()["thread for asked"] - before == 2
    assert "thread for asked: ended by a fault, and is started again" in caplog.text


def test_where_no_thread_may_be_started_the_next_question_tries_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As where a limit of the system is reached; what was asked meanwhile is answered, too."""
    start, refused, answered = threading.Thread.start, list[None](), list[str]()

    def refuse(thread: threading.Thread) -> None:
        if not refused:
            refused.append(None)
            raise RuntimeError("can't start new thread")
        start(thread)

    questions = UsageQueries("asked", lambda address, _limit, _now: answered.append(address), 1, (), Clock())
    monkeypatch.setattr(threading.Thread, "start", refuse)
    first = questions.put("a", None, 0.0)
    assert "no thread can be started, so nothing is looked up now: can't start new thread" in caplog.text
    assert questions.ask("b", None, 0.0) is None
    assert first.done.wait(20)
    assert answered == ["a", "b"]
