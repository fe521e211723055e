"""kill -9 at random moments of a recount, of emptying Trash, and of an edit of limits: nothing lost or half-done.

Whatever the moment: mail outside Trash is all there, a figure that is believed is true, and a limit is the old or the
new one. The journal may lack the last change where the kill came between the change and its entry; it never has one
that was not made.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mailquota.core.base.mysql import Target
from mailquota.core.control.messages import EmptyTrash, GetJournal, Recalc, Request, SetLimit
from mailquota.core.control.results import JournalRow
from mailquota.core.history.database import StateDatabase
from mailquota.core.history.journal import Journal
from mailquota.core.mailboxes.folders import sum_folders
from mailquota.core.mailboxes.from_settings import make_mailstore
from mailquota.core.mailboxes.measure import measure
from tests.core.clients import Console, until
from tests.core.engines import serving
from tests.core.worlds import SmallWorld
from tests.truth.scale import SEED, count

WHO = "victim@example.org"
OTHERS = [f"other{number}@example.org" for number in range(20)]
LIMIT = 10_000_000
KEPT, TRASHED = 50, 1500
Order = Callable[[int], Request]


def furnish(world: SmallWorld) -> set[str]:
    """Mail in INBOX and in Trash; the names of that in INBOX."""
    world.add_mailbox(WHO, [1000] * KEPT, LIMIT)
    fill_trash(world)
    for address in OTHERS:
        world.add_account(address, 5000)
    return names(world)


def fill_trash(world: SmallWorld) -> None:
    """Up to ``TRASHED``, each with its line where there is a file."""
    file = world.maildir(WHO) / "maildirsize"
    missing = TRASHED - len(list((world.maildir(WHO) / ".Trash").glob("cur/*")))
    for _ in range(missing):
        world.put_mail(WHO, 2000, ".Trash")
    file.write_text(f"{LIMIT}S\n{sum(folder.bytes for folder in sum_folders(str(file.parent)))} {KEPT + TRASHED}\n")
    world.settle(WHO)


def names(world: SmallWorld) -> set[str]:
    return {path.name for path in (world.maildir(WHO) / "cur").iterdir()}


def believed(world: SmallWorld, limit: int) -> tuple[int, int]:
    """What anybody would now take for the use."""
    store = make_mailstore(world.load())
    known = measure(store, store.maildir(WHO), limit, None, time.time())
    return known.used, known.messages


def counted(world: SmallWorld) -> tuple[int, int]:
    folders = sum_folders(str(world.maildir(WHO)))
    return sum(folder.bytes for folder in folders), sum(folder.messages for folder in folders)


def kill_during(world: SmallWorld, order: Order, rng: random.Random, longest: float) -> bool:
    """Order something and kill the engine within the time that it takes; whether it was done before."""
    with serving(world) as running, Console(world.control_socket) as client:
        client.welcome()
        moment = threading.Timer(rng.uniform(0, longest), running.kill)
        moment.start()
        try:
            client.ask(order, Any)
        except (EOFError, OSError):
            return False
        finally:
            moment.join()
            running.wait(10)
        return True


@pytest.mark.timeout(1800)
def test_killed_while_trash_is_emptied(small_world: SmallWorld) -> None:
    inbox, rng = furnish(small_world), random.Random(f"{SEED} trash")
    done = cut = 0
    for _ in range(count(3, 70)):
        fill_trash(small_world)
        done += kill_during(small_world, lambda number: EmptyTrash(number, [WHO]), rng, 0.06)
        left = counted(small_world)
        assert names(small_world) == inbox
        assert believed(small_world, LIMIT) == left
        cut += KEPT < left[1] < KEPT + TRASHED
    print(f"emptying Trash: {count(3, 70)} kills, {done} after it, {cut} in the middle")


@pytest.mark.timeout(1800)
def test_killed_while_recounting(small_world: SmallWorld) -> None:
    """A file that claims too little is as it was, is right, or is gone."""
    inbox, rng = furnish(small_world), random.Random(f"{SEED} recalc")
    file = small_world.maildir(WHO) / "maildirsize"
    wrong = f"{LIMIT}S\n5 1\n"
    done = 0
    for _ in range(count(3, 60)):
        file.write_text(wrong)
        small_world.settle(WHO)
        done += kill_during(small_world, lambda number: Recalc(number, [WHO]), rng, 0.03)
        assert names(small_world) == inbox
        assert believed(small_world, LIMIT) in {counted(small_world), (5, 1)}
        assert counted(small_world)[1] == KEPT + TRASHED
    print(f"recounts: {count(3, 60)} kills, {done} after it")


@pytest.mark.timeout(1800)
def test_killed_while_limits_are_edited(small_world: SmallWorld) -> None:
    """All of one order or none; what the journal says was done is so. What was done is there, if only as unclear."""
    furnish(small_world)
    rng = random.Random(f"{SEED} limits")
    done = made = missing = 0
    limit = 5000
    for _ in range(count(4, 70)):
        new = limit + 1000
        done += kill_during(small_world, partial(SetLimit, addresses=OTHERS, size=str(new)), rng, 0.06)
        found = {small_world.limit_of(address) for address in OTHERS}
        assert found in ({limit}, {new})
        kinds = [row.kind for row in journal(small_world.state) if row.new == str(new)]
        entries = [kind for kind in kinds if kind != "unclear"]
        assert found == {new} or not entries
        assert len(entries) in {0, len(OTHERS)}
        assert kinds or found == {limit}  # the intent was written before
        made += found == {new}
        missing += found == {new} and not entries
        (limit,) = found  # type: ignore[assignment]
    print(f"edits: {count(4, 70)} kills, {made} made, {missing} of them unclear, {done} answered")


@pytest.mark.timeout(1800)
def test_killed_while_limits_are_set_until_a_day(small_world: SmallWorld) -> None:
    """Whatever was raised is remembered, so that it goes back; what was not leaves nothing behind."""
    furnish(small_world)
    rng = random.Random(f"{SEED} until")
    done = made = 0
    for turn in range(count(4, 50)):
        size = str(6000 + turn)
        order = partial(SetLimit, addresses=OTHERS, size=size, until="1d")
        done += kill_during(small_world, order, rng, 0.06)
        found = {small_world.limit_of(address) for address in OTHERS}
        assert found in ({5000}, {int(size)})
        raised = len([row for row in journal(small_world.state) if row.new == size and row.kind != "unclear"])
        assert raised in ({0} if found == {5000} else {0, len(OTHERS)})
        made += found != {5000}
        its_day(small_world.state)
        with serving(small_world):
            until(lambda: {small_world.limit_of(address) for address in OTHERS} == {5000}, "all are back")
            until(lambda: running(small_world.state) == 0, "all have ended")
        rows = [row for row in journal(small_world.state) if size in {row.new, row.old} and row.kind != "unclear"]
        assert len(rows) == (0 if found == {5000} else 2 * len(OTHERS))
        assert {row.undoes for row in rows if row.old == size} == {row.id for row in rows if row.new == size}
    print(f"until: {count(4, 50)} kills, {made} made, {done} answered")


def its_day(path: Path) -> None:
    """The day on which temporary limits end is here."""
    with closing(StateDatabase(Target("sqlite", path=path))) as state:
        state.write(lambda sql: sql.change("UPDATE temporary_limits SET until = 1"))


def running(path: Path) -> int:
    with closing(StateDatabase(Target("sqlite", path=path))) as state:
        return int(state.rows("SELECT COUNT(*) FROM temporary_limits WHERE ended_at IS NULL")[0][0])


def journal(path: Path) -> list[JournalRow]:
    with closing(StateDatabase(Target("sqlite", path=path))) as state:
        return Journal(state).read()


def test_the_next_start_answers(small_world: SmallWorld) -> None:
    """With a database, a journal and sockets that a killed engine left behind."""
    furnish(small_world)
    kill_during(small_world, lambda number: SetLimit(number, OTHERS, "7000"), random.Random(SEED), 0.05)
    with serving(small_world), Console(small_world.control_socket) as client:
        client.ask(GetJournal, list[JournalRow])
        client.ask(lambda number: SetLimit(number, OTHERS, "8000"), Any)
    assert {small_world.limit_of(address) for address in OTHERS} == {8000}
