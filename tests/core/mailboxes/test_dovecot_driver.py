"""The driver ``doveadm``: which age of a figure will do, what happens when Dovecot is slow, down, or rounds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from mailquota.core.base.errors import MailquotaError, NoSuchAccountError, UnreachableError
from mailquota.core.mailboxes import asking
from mailquota.core.mailboxes.dovecot_driver import ALONE, FRESH, LOOK, USABLE, DoveadmDriver
from mailquota.core.mailboxes.measure import Measurement, ProbeOutcome, Unmeasurable
from mailquota.core.servers.dovecot.quota_rows import KIB, MailboxSize, Quota
from tests.core.mailboxes.boxes import ADDRESS, Box
from tests.mailserver.process import wait_until

LIMIT = 10 * KIB
NOW = 1_800_000_000.0


class FakeTool:
    """Dovecot with one mailbox of so many bytes in INBOX, and a Trash."""

    def __init__(self) -> None:
        self.inbox = 3000
        self.trash_size = 0
        self.less = 0  # by how much the quota is smaller than the virtual sizes
        self.fault: Exception | None = None
        self.listing: Exception | None = None
        self.calls: list[str] = []
        self.go_on = threading.Event()
        self.go_on.set()

    def _call(self, name: str) -> None:
        self.calls.append(name)
        assert self.go_on.wait(20)
        if self.fault is not None:
            raise self.fault

    def quota(self, user: str) -> Quota:
        self._call("quota")
        return self._quota()

    def _quota(self) -> Quota:
        return Quota(-(-(self.inbox + self.trash_size - self.less) // KIB), 3)

    def quota_all(self) -> Iterator[tuple[str, Quota | MailquotaError | None]]:
        self._call("all")
        if self.listing is not None:
            raise self.listing
        yield ADDRESS.upper(), self._quota()
        yield "broken@example.org", None
        yield "Refused@example.org", MailquotaError("doveadm: Failed to initialize quota: no")

    def sizes(self, user: str) -> list[MailboxSize]:
        self._call("sizes")
        return [MailboxSize("INBOX", 2, self.inbox), MailboxSize("Papierkorb", 1, self.trash_size)]

    def recalc(self, user: str) -> None:
        self._call("recalc")


class Desk(DoveadmDriver):
    """The driver, with its tool, and the time: ``at(now)`` has it go by, ``set_back`` turns the clock on the wall."""

    def __init__(self, box: Box, tool: FakeTool) -> None:
        super().__init__(box.store, tool, lambda: self.now)  # type: ignore[arg-type]  # what is not used is not there
        self.tool = tool
        self.now = NOW

    def at(self, now: float) -> float:
        """Set both clocks."""
        self.now = now
        return now

    def decide(
        self, now: float, known: Measurement | None = None, limit: int | None = LIMIT, set_back: float = 0.0
    ) -> Measurement:
        """Probe, and count where that is due, as for an answer to Postfix."""
        wall = self.at(now) - set_back
        found = self.probe(ADDRESS, limit, known, wall)
        return found if isinstance(found, Measurement) else self.count(ADDRESS, limit, known, wall)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(asking, "WAIT", 20.0)
    return Desk(Box(tmp_path), FakeTool())


def test_a_decision_asks_and_remembers(desk: Desk) -> None:
    known = desk.decide(NOW)
    assert (known.used, known.messages, known.source, known.measured_at) == (3 * KIB, 3, "doveadm", NOW)
    assert desk.decide(NOW + FRESH, known) is known
    assert desk.tool.calls == ["quota"]
    assert desk.decide(NOW + FRESH + 1, known).measured_at == NOW + FRESH + 1
    assert desk.tool.calls == ["quota", "quota"]


BACK = 86400.0


def test_a_clock_that_is_set_back_makes_no_figure_young(desk: Desk) -> None:
    """Dovecot is asked as before; the time of a figure is the time of day when it was asked for."""
    known = desk.decide(NOW)
    desk.tool.inbox = 5000
    known = desk.decide(NOW + FRESH + 1, known, set_back=BACK)
    assert (known.used, known.measured_at) == (5 * KIB, NOW + FRESH + 1 - BACK)
    desk.tool.inbox = 7000
    known = desk.look(ADDRESS, LIMIT, known, desk.at(NOW + 2 * LOOK) - 2 * BACK)
    assert known.used == 7000
    desk.tool.inbox = 9000
    assert desk.measure(ADDRESS, LIMIT, known, desk.at(NOW + 2 * LOOK + 1) - 3 * BACK).used == 9000


def test_a_clock_that_is_set_back_stops_no_round(desk: Desk) -> None:
    """Whether all accounts are asked for by one query, or each alone."""
    known = desk.survey(ADDRESS, LIMIT, None, NOW)

    def used(now: float) -> int | None:
        """None while the round that was just begun has not ended."""
        with suppress(Unmeasurable):
            return desk.survey(ADDRESS, LIMIT, known, now).used
        return None

    desk.tool.inbox = 5000
    later = desk.at(NOW + 100)
    assert wait_until(lambda: used(later - BACK) == 5 * KIB, 10)
    desk.tool.listing, desk.tool.inbox = MailquotaError("doveadm: User listing returned failure"), 7000
    much_later = desk.at(NOW + 1000)
    assert wait_until(lambda: used(much_later - 2 * BACK) == 7 * KIB, 10)


def test_a_clock_that_is_set_forward_makes_no_figure_old(desk: Desk) -> None:
    known = desk.decide(NOW)
    desk.tool.fault = UnreachableError("down")
    assert desk.decide(NOW + USABLE, known, set_back=-BACK) is known


@contextmanager
def overtaking(desk: Desk, monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[None]:
    """An answer of 3,000 bytes was given before the block and comes in after it; meanwhile there are 9,000."""
    tool, asked, go_on = desk.tool, threading.Event(), threading.Event()
    original = getattr(tool, name)

    def late(*user: str) -> object:
        answer = original(*user)
        answer = list(answer) if name == "quota_all" else answer
        asked.set()
        assert go_on.wait(20)
        return answer

    with monkeypatch.context() as patched:
        patched.setattr(tool, name, late)
        ask = desk.survey if name == "quota_all" else desk.measure
        thread = threading.Thread(target=ask, args=(ADDRESS, LIMIT, None, NOW))
        thread.start()
        assert asked.wait(20)
    tool.inbox = 9000
    yield
    go_on.set()
    thread.join(20)


@pytest.mark.parametrize("name", ["quota", "quota_all"])
def test_an_older_answer_never_takes_the_place_of_a_newer_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Of two queries for one account that overlap, or of one for all accounts and one for it, the later one counts."""
    with overtaking(desk, monkeypatch, name):
        known = desk.decide(NOW + 1)
        assert known.used == 9 * KIB
    assert desk.decide(NOW + 1, known).used in {9000, 9 * KIB}


def test_a_slow_dovecot_makes_answers_older_not_late(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reply serves a later answer; meanwhile Dovecot is asked once."""
    known = desk.decide(NOW)
    monkeypatch.setattr(asking, "WAIT", 0.01)
    desk.tool.go_on.clear()
    desk.tool.inbox = 9000
    for second in (10, 11, 12):
        assert desk.decide(NOW + second, known) is known
    desk.tool.go_on.set()
    assert wait_until(lambda: desk.decide(NOW + 13, known).used == 9 * KIB, 10)
    assert desk.tool.calls == ["quota", "quota"]


def test_nobody_waits_behind_a_slow_one(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait ends a fixed time after the query was put, however many requests wait for it, and from when."""
    monkeypatch.setattr(asking, "WAIT", 0.01)
    desk.tool.go_on.clear()
    with pytest.raises(Unmeasurable, match="not answered yet"):
        desk.decide(NOW)
    monkeypatch.setattr(asking, "WAIT", 1000.0)
    with pytest.raises(Unmeasurable, match="not answered yet"):
        desk.decide(NOW)
    desk.tool.go_on.set()
    assert wait_until(lambda: desk.probe(ADDRESS, LIMIT, None, NOW) is not ProbeOutcome.COUNT_DUE, 10)
    assert desk.decide(NOW).used == 3 * KIB


def test_many_are_asked_about_at_the_same_time(desk: Desk) -> None:
    """``count`` finds the query of ``probe`` under way; one query serves all requests of one moment."""
    desk.tool.go_on.clear()
    addresses = [f"user{number}@example.org" for number in range(20)]
    for address in addresses * 2:
        assert desk.probe(address, LIMIT, None, NOW) is ProbeOutcome.COUNT_DUE
    assert wait_until(lambda: len(desk.tool.calls) == 4, 10)
    desk.tool.go_on.set()
    for address in addresses:
        assert desk.count(address, LIMIT, None, NOW).used == 3 * KIB
    assert desk.tool.calls == ["quota"] * 20


def test_a_slow_answer_is_not_for_ever(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next question is waited for again."""
    known = desk.decide(NOW)
    monkeypatch.setattr(asking, "WAIT", 0.0)
    desk.tool.go_on.clear()
    assert desk.decide(NOW + 10, known) is known
    desk.tool.go_on.set()
    assert wait_until(lambda: desk.probe(ADDRESS, LIMIT, known, desk.at(NOW + 10)) is not ProbeOutcome.COUNT_DUE, 10)
    monkeypatch.setattr(asking, "WAIT", 20.0)
    desk.tool.inbox = 9000
    assert desk.decide(NOW + 20, known).used == 9 * KIB


def test_a_dovecot_that_is_down(desk: Desk) -> None:
    """The last figure is used for ``USABLE`` seconds, then the usage is not known."""
    known = desk.decide(NOW)
    desk.tool.fault = UnreachableError("doveadm: Connection refused")
    assert desk.decide(NOW + USABLE, known) is known
    with pytest.raises(Unmeasurable, match="Connection refused"):
        desk.decide(NOW + USABLE + 1, known)
    desk.tool.fault = None
    assert desk.decide(NOW + USABLE + 2, known).used == 3 * KIB


def test_a_user_that_dovecot_does_not_know(desk: Desk) -> None:
    known = desk.decide(NOW)
    desk.tool.fault = NoSuchAccountError(ADDRESS)
    with pytest.raises(Unmeasurable, match="no such user"):
        desk.decide(NOW + FRESH + 1, known)


def test_a_fault_of_ours_keeps_nobody_waiting(desk: Desk) -> None:
    desk.tool.fault = ValueError("a fault")
    with pytest.raises(Unmeasurable, match="a fault"):
        desk.decide(NOW)
    desk.tool.fault = None
    assert desk.decide(NOW + 1).used == 3 * KIB


def test_on_the_edge_the_mailboxes_are_added_up(desk: Desk) -> None:
    """With a limit of 10 KiB less a byte, a usage of 10 KiB after rounding may be full or not."""
    desk.tool.inbox = 10 * KIB - 2
    known = desk.decide(NOW, limit=10 * KIB - 1)
    assert known.used == 10 * KIB - 2
    assert desk.tool.calls == ["quota", "sizes"]
    assert desk.decide(NOW + 1, known, limit=10 * KIB - 1) is known
    desk.tool.inbox = 10 * KIB - 1
    assert desk.decide(NOW + 10, known, limit=10 * KIB - 1).used == 10 * KIB - 1


def test_on_the_edge_nobody_is_refused_because_of_a_rounding(desk: Desk) -> None:
    """Where Dovecot counts sizes on disk, its mailboxes don't add up to the same."""
    desk.tool.inbox, desk.tool.less = 14_000, 3800
    assert desk.decide(NOW, limit=10 * KIB - 1).used == 9 * KIB + 1
    assert desk.decide(NOW + 10, limit=9 * KIB).used == 10 * KIB


def test_a_look_adds_mailboxes(desk: Desk) -> None:
    desk.tool.trash_size = 500
    known = desk.look(ADDRESS, LIMIT, desk.decide(NOW), NOW)
    assert known.used == 3500
    assert [(f.name, f.bytes, f.messages) for f in known.folders or ()] == [("INBOX", 3000, 2), ("Papierkorb", 500, 1)]
    calls = len(desk.tool.calls)
    assert desk.look(ADDRESS, LIMIT, known, desk.at(NOW + LOOK - 1)) is known
    assert len(desk.tool.calls) == calls
    desk.tool.inbox += 5000
    assert desk.look(ADDRESS, LIMIT, known, desk.at(NOW + LOOK)).used == 8500
    assert desk.tool.calls[calls:] == ["quota", "sizes"]
    assert desk.measure(ADDRESS, LIMIT, known, desk.at(NOW + LOOK)).used == 8500
    assert desk.tool.calls[calls + 2 :] == ["quota", "sizes"]


def test_a_look_in_vain(desk: Desk) -> None:
    desk.tool.fault = MailquotaError("doveadm: no")
    for ask in (desk.look, desk.measure):
        with pytest.raises(Unmeasurable, match="no"):
            ask(ADDRESS, LIMIT, None, NOW)
    with pytest.raises(Unmeasurable):
        desk.folders(ADDRESS)


def test_a_round_asks_once_for_everybody(desk: Desk) -> None:
    known = desk.survey(ADDRESS, LIMIT, None, NOW)
    assert known.used == 3 * KIB
    for address in ("broken@example.org", "new@example.org"):
        with pytest.raises(Unmeasurable, match="no figure"):
            desk.survey(address, LIMIT, None, NOW)
    with pytest.raises(Unmeasurable, match="doveadm: Failed to initialize quota: no"):
        desk.survey("refused@example.org", LIMIT, None, NOW)
    assert desk.tool.calls == ["all"]
    desk.tool.inbox = 5000
    assert wait_until(lambda: desk.survey(ADDRESS, LIMIT, known, desk.at(NOW + 100)).used == 5 * KIB, 10)
    assert desk.tool.calls == ["all", "all"]


def test_a_round_where_dovecot_can_not_list_its_users(desk: Desk) -> None:
    desk.tool.listing = MailquotaError("doveadm: User listing returned failure")
    known = desk.survey(ADDRESS, LIMIT, None, NOW)
    assert known.used == 3 * KIB
    desk.survey(ADDRESS, LIMIT, known, desk.at(NOW + ALONE))
    assert desk.tool.calls.count("quota") == 1
    desk.survey(ADDRESS, LIMIT, known, desk.at(NOW + ALONE + 1))
    assert desk.tool.calls.count("quota") == 2
    desk.tool.fault = UnreachableError("down")
    with pytest.raises(Unmeasurable, match="down"):
        desk.survey("new@example.org", LIMIT, None, NOW)


def test_a_round_where_no_thread_may_be_started(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a limit of the system is reached: the last figure is used, and the next round asks."""
    known = desk.survey(ADDRESS, LIMIT, None, NOW)
    desk.tool.inbox = 5000
    with monkeypatch.context() as limited:
        limited.setattr(threading.Thread, "start", refuse)
        assert desk.survey(ADDRESS, LIMIT, known, desk.at(NOW + 100)).used == 3 * KIB
    assert wait_until(lambda: desk.survey(ADDRESS, LIMIT, known, desk.at(NOW + 200)).used == 5 * KIB, 10)


def refuse(_thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_a_recount(desk: Desk) -> None:
    assert desk.recount(ADDRESS, LIMIT) == "doveadm"
    assert desk.recorded(ADDRESS) is None
    assert desk.tool.calls == ["recalc"]
