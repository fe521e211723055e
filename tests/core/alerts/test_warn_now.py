"""``mailquota warn``: merged with what we say of our own accord, and never lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from mailquota.core.alerts.warn_now import MERGE_SECONDS, parse_mark
from mailquota.core.base.errors import MailquotaError, UsageError
from mailquota.core.base.model import LastWarning
from mailquota.core.control.results import WarnResult
from tests.core.loops import run
from tests.core.town import JOHN, Town, failing


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    with closing(Town(tmp_path / "state.db")) as found:
        yield found


def warned(town: Town, mark: str, source: str = "dovecot") -> WarnResult:
    return run(town.warn_now.warn(JOHN, mark, source))


@pytest.mark.parametrize(
    ("text", "mark"),
    [("95", "95%"), (" 95% ", "95%"), ("100", "100%"), ("below", "below"), ("BELOW", "below"), ("", "")],
)
def test_marks_are_read(text: str, mark: str) -> None:
    assert parse_mark(text) == mark


@pytest.mark.parametrize("text", ["0", "-5", "full", "95 96", "1000", "9\n5", "%"])
def test_other_words_are_told_with_what_is_accepted(text: str) -> None:
    with pytest.raises(UsageError, match="accepted: a percentage like 95, or below"):
        parse_mark(text)


def test_one_that_nobody_was_told_of_is_sent_at_once(town: Town) -> None:
    town.set(JOHN, 850)
    assert warned(town, "80") == WarnResult(JOHN, "80%", "sent", "maildir")
    assert town.sender.sent == [(JOHN, "80%")]
    assert town.measured == [JOHN]
    assert [row.source for row in town.rows()] == ["dovecot"]


def test_dovecot_first_then_the_state(town: Town) -> None:
    """The account is not told again of what Dovecot saw already; of the next mark it is."""

    async def scene() -> None:
        town.set(JOHN, 850)
        await town.warn_now.warn(JOHN, "80", "dovecot")
        await town.step()
        town.set(JOHN, 960)
        await town.step()
        assert town.sender.sent == [(JOHN, "80%"), (JOHN, "95%")]

    run(scene())


@pytest.mark.parametrize("later", [1.0, 3 * 86400.0])
def test_the_state_first_then_dovecot(town: Town, later: float) -> None:
    """Dovecot has no memory and says it at each crossing."""

    async def scene() -> WarnResult:
        town.set(JOHN, 850)
        await town.step()
        town.later(later)
        return await town.warn_now.warn(JOHN, "80", "dovecot")

    result = run(scene())
    assert (result.state, town.sender.sent) == ("merged", [(JOHN, "80%")])
    assert result.remark is not None
    assert result.remark.startswith("told ")


def test_below_is_merged_both_ways(town: Town) -> None:
    async def scene() -> None:
        town.set(JOHN, 960)
        await town.step()
        town.set(JOHN, 100)
        result = await town.warn_now.warn(JOHN, "below", "dovecot")
        await town.step()
        assert result.state == "sent"
        assert (await town.warn_now.warn(JOHN, "below", "dovecot")).state == "merged"
        assert town.sender.sent == [(JOHN, "95%"), (JOHN, "below")]

    run(scene())


def test_full_again_after_room_is_news(town: Town) -> None:
    async def scene() -> None:
        town.set(JOHN, 960)
        await town.step()
        town.set(JOHN, 100)
        await town.step()
        town.set(JOHN, 960)
        assert (await town.warn_now.warn(JOHN, "95", "dovecot")).state == "sent"

    run(scene())


def test_a_mark_of_dovecots_that_is_not_ours(town: Town) -> None:
    async def scene() -> None:
        town.set(JOHN, 910)
        await town.step()
        assert (await town.warn_now.warn(JOHN, "90", "dovecot")).state == "sent"
        assert (await town.warn_now.warn(JOHN, "90", "dovecot")).state == "merged"
        town.set(JOHN, 960)
        await town.step()
        assert town.sender.sent == [(JOHN, "80%"), (JOHN, "90%"), (JOHN, "95%")]

    run(scene())


def test_a_person_is_obeyed_but_for_the_last_minutes(town: Town) -> None:
    async def scene() -> None:
        town.set(JOHN, 850)
        await town.step()
        assert (await town.warn_now.warn(JOHN, "80", "operator")).state == "merged"
        assert (await town.warn_now.warn(JOHN, "80", "again")).state == "sent"
        town.later(MERGE_SECONDS + 1)
        assert (await town.warn_now.warn(JOHN, "80", "operator")).state == "sent"
        assert len(town.sender.sent) == 3

    run(scene())


def test_what_the_figures_do_not_bear_out_is_sent_and_not_remembered(town: Town) -> None:
    """Else there would soon be a mail that there is room again."""

    async def scene() -> None:
        town.set(JOHN, 100)
        assert (await town.warn_now.warn(JOHN, "95", "operator")).state == "sent"
        town.set(JOHN, 110)
        await town.step()
        assert town.sender.sent == [(JOHN, "95%")]

    run(scene())


def test_without_a_mark_it_is_the_present_state(town: Town) -> None:
    async def scene() -> None:
        for used, mark in ((960, "95%"), (421, "42%")):
            town.set(JOHN, used)
            assert (await town.warn_now.warn(JOHN, "", "again")).mark == mark

    run(scene())


def test_without_thresholds_a_warning_is_still_sent_and_no_room_again(tmp_path: Path) -> None:
    async def scene(town: Town) -> None:
        town.set(JOHN, 960)
        assert (await town.warn_now.warn(JOHN, "95", "dovecot")).state == "sent"
        town.set(JOHN, 100)
        await town.step(MERGE_SECONDS + 1)
        town.set(JOHN, 960)
        assert (await town.warn_now.warn(JOHN, "95", "dovecot")).state == "sent"
        assert town.sender.sent == [(JOHN, "95%")] * 2

    with closing(Town(tmp_path / "state.db", thresholds=())) as town:
        run(scene(town))


def test_at_quiet_hours_dovecots_word_waits_and_a_persons_does_not(tmp_path: Path) -> None:
    async def scene(town: Town) -> None:
        town.now = datetime(2026, 3, 10, 23, 0).astimezone().timestamp()
        town.set(JOHN, 850)
        assert (await town.warn_now.warn(JOHN, "80", "dovecot")).state == "queued"
        assert town.sender.sent == []
        assert (await town.warn_now.warn(JOHN, "80", "again")).state == "sent"

    with closing(Town(tmp_path / "state.db", quiet_hours="22:00-07:00")) as town:
        run(scene(town))


def test_above_the_rate_it_waits(tmp_path: Path) -> None:
    async def scene(town: Town) -> None:
        town.set(JOHN, 850)
        await town.warn_now.warn(JOHN, "80", "again")
        assert (await town.warn_now.warn(JOHN, "80", "again")).state == "queued"
        await town.step(61.0)
        assert len(town.sender.sent) == 2

    with closing(Town(tmp_path / "state.db", max_per_minute=1)) as town:
        run(scene(town))


def test_one_that_can_not_be_delivered_stays_in_the_queue(town: Town) -> None:
    town.set(JOHN, 850)
    town.sender.refuse = failing("no rights")
    result = warned(town, "80")
    assert (result.state, result.remark) == ("queued", "will be tried again: no rights")
    assert [row.state for row in town.rows()] == ["queued"]


def test_an_unknown_account_is_named(town: Town) -> None:
    result = warned(town, "80")
    assert (result.state, result.code) == ("failed", 4)
    assert "no such account" in (result.error or "")


def test_without_a_state_database_it_is_sent(tmp_path: Path) -> None:
    """And whoever asked is told that nobody will remember it."""
    (tmp_path / "state.db").mkdir()
    with closing(Town(tmp_path / "state.db")) as town:
        town.set(JOHN, 850)
        result = warned(town, "80")
        assert (result.state, result.method) == ("sent", "maildir")
        assert "not remembered" in (result.remark or "")
        assert town.sender.sent == [(JOHN, "80%")]
        town.sender.refuse = failing("no rights")
        assert warned(town, "80").error == "no rights"


def test_what_dovecot_says_is_remembered_as_our_own(town: Town) -> None:
    town.set(JOHN, 1000)
    warned(town, "95")
    assert town.book.told() == {JOHN: LastWarning(95.0, town.now, True, True)}
    assert town.thresholds.told == town.book.told()


def test_two_who_say_it_at_once_make_one_mail(town: Town) -> None:
    async def scene() -> None:
        import asyncio

        town.set(JOHN, 850)
        results = await asyncio.gather(*(town.warn_now.warn(JOHN, "80", "dovecot") for _ in range(5)), town.step())
        assert town.sender.sent == [(JOHN, "80%")]
        assert {result.state for result in results if result} <= {"sent", "merged"}

    run(scene())


def test_errors_have_their_exit_code(town: Town) -> None:
    town.set(JOHN, 850)
    assert warned(town, "full").code == UsageError.exit_code
    assert MailquotaError.exit_code == 1
