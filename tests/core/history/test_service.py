"""The history in an engine: written in the background through all faults of its database, which are reported."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest

from mailquota.core.base.model import Account, Trend
from mailquota.core.base.mysql import Target
from mailquota.core.control.messages import GetDetails, GetStatus
from mailquota.core.control.results import Details, Status
from mailquota.core.engine.serve import Embedded
from mailquota.core.history.connection import StateError
from mailquota.core.history.database import StateDatabase
from mailquota.core.history.samples import AccountUsage, Change, Samples
from mailquota.core.history.service import HistoryService
from mailquota.core.mailboxes.ledger import Ledger
from mailquota.core.mailboxes.measure import Measurement
from mailquota.core.mailboxes.refusals import RefusalTally
from mailquota.core.policy.protocol import text_attribute
from mailquota.core.servers.dovecot.folder_names import TrashNames
from mailquota.core.settings.config import Config
from tests.core import loops
from tests.core.clients import ask, until
from tests.core.commands.command_line import CommandLine
from tests.core.engines import console, embedded, inner, measured, on_loop, rows
from tests.core.histories import DAY
from tests.core.worlds import ANNA, FREE, FULL, JOHN, LIMIT, OVERQUOTA, TRASH, SmallWorld
from tests.mailserver.mariadb import MariaDB

BACK = 100 * DAY


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds and retries come at once, and a changed usage is always in another slot."""
    for name in ("_ROUND_SECONDS", "_RETRY_SECONDS", "_TREND_SECONDS"):
        monkeypatch.setattr(f"mailquota.core.history.service.{name}", 0.05)
    monkeypatch.setattr("mailquota.core.history.sampling.Sampler._was_written", lambda *_: False)
    monkeypatch.setattr("mailquota.core.history.sqlite._BUSY_SECONDS", 0.05)


def sender_of(request: bytes) -> str:
    return text_attribute(request, "sender")


def uses(path: Path, address: str = JOHN) -> list[int]:
    """What the history has, as another reader sees it; nothing where it can't be read."""
    with closing(StateDatabase(Target("sqlite", path=path))) as state, contextlib.suppress(Exception):
        return [point.used_bytes for point in Samples(state).series(address, 0.0, time.time())]
    return []


def past(world: SmallWorld, address: str, growth: int, days: int = 40) -> None:
    """A mailbox that has been growing up to what it holds now."""
    now = time.time()
    used, messages = (4000, 4) if address == JOHN else (10_000, 2)
    with closing(StateDatabase(Target("sqlite", path=world.state))) as state:
        for day in range(days, -1, -1):
            Samples(state).write([AccountUsage(address, used - day * growth, messages)], now - day * DAY)


def problem(engine: Embedded) -> str:
    with console(engine) as client:
        return str(client.ask(GetStatus, Status).state_problem)


# ---- everyday life


def test_an_engine_writes_what_it_measures(engine: Embedded, small_world: SmallWorld) -> None:
    until(lambda: [uses(small_world.state, a) for a in (JOHN, FULL, FREE)] == [[4000], [10_000], [2100]], "written")
    small_world.deliver(JOHN, 500)
    until(lambda: uses(small_world.state)[-1:] == [4500], "a change is written")
    assert rows(engine)[JOHN].changed_at is not None
    assert problem(engine) == ""


def test_an_engine_remembers_and_the_table_shows_it(small_world: SmallWorld) -> None:
    past(small_world, JOHN, 50)
    with embedded(small_world) as engine:
        until(lambda: rows(measured(engine))[JOHN].growth_bytes_per_day == 50, "it is reckoned")
        row = rows(engine)[JOHN]
        assert (row.days_to_full, row.week) == (120.0, "2233344")
        assert rows(engine)[FULL].days_to_full == 0.0
        with console(engine) as client:
            details = client.ask(lambda number: GetDetails(number, JOHN), Details)
    assert [point.used_bytes for point in details.points] == [4000 - day * 50 for day in range(40, -1, -1)]
    assert details.trend == Trend(50, 50, 50)
    assert details.forecast is not None
    assert details.forecast.days == 120.0
    assert details.limits == [(0.0, LIMIT)]


def test_the_card_has_the_usage_of_now_and_the_limits_since(engine: Embedded, small_world: SmallWorld) -> None:
    until(lambda: uses(small_world.state) == [4000], "written")
    line = CommandLine(small_world)
    for size in ("20000", "unlimited", "30000"):
        assert line("set", JOHN, size).returncode == 0
    small_world.deliver(JOHN, 777)
    with console(engine) as client:
        details = client.ask(lambda number: GetDetails(number, JOHN), Details)
    assert details.points[-1].used_bytes == 4777
    assert [limit for _, limit in details.limits] == [LIMIT, 20_000, None, 30_000]
    assert details.trend is None
    small_world.set_limit(JOHN, 12_345)
    until(lambda: rows(engine)[JOHN].limit_bytes == 12_345, "an edit made elsewhere is seen")
    with console(engine) as client:
        details = client.ask(lambda number: GetDetails(number, JOHN), Details)
    assert [limit for _, limit in details.limits][-2:] == [30_000, 12_345]


def test_a_deleted_account_is_noted_and_goes_on_when_it_comes_back(engine: Embedded, small_world: SmallWorld) -> None:
    def gone_at() -> float | None:
        with closing(StateDatabase(Target("sqlite", path=small_world.state))) as state:
            return next(row.gone_at for row in Samples(state).page(0) if row.address == ANNA)

    until(lambda: uses(small_world.state, ANNA) == [5000], "written")
    small_world.remove_account(ANNA)
    until(gone_at, "it is noted")
    small_world.add_account(ANNA)
    small_world.put_mail(ANNA, 100)
    until(lambda: uses(small_world.state, ANNA)[-1:] == [5100], "it goes on")
    assert gone_at() is None


def test_the_end_writes_what_waits_and_gives_the_file_back(
    small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailquota.core.history.service._ROUND_SECONDS", 1000.0)
    with embedded(small_world) as engine:
        measured(engine)
        until(lambda: uses(small_world.state) == [4000] or inner(engine).ledger._unsampled, "the first round")
        small_world.deliver(JOHN, 250)
        until(lambda: rows(engine)[JOHN].used_bytes == 4250, "the delivery is seen")
    assert uses(small_world.state)[-1] == 4250
    assert not small_world.state.with_name("state.db-wal").exists()


# ---- commands


@pytest.mark.parametrize("place", ["alone", "beside"])
def test_the_command_line_shows_growth(small_world: SmallWorld, place: str, request: pytest.FixtureRequest) -> None:
    """With an engine and without one."""
    past(small_world, JOHN, 50)
    past(small_world, FULL, 0)
    line = request.getfixturevalue(f"line_{place}")
    until(lambda: place == "alone" or line.json("list", "growing"), "it is reckoned")
    shown = line.json("show", JOHN)
    assert (shown["growth_bytes_per_day"], shown["days_to_full"]) == (50, 120.0)
    text = line("show", JOHN).stdout
    assert "growth       50 B a day\n" in text
    assert "full         in about 120 days\n" in text
    assert "last 7 days  ▃▃▄▄▄▅▅\n" in text
    if place == "alone":
        with embedded(small_world) as engine:  # only an engine reckons for everybody
            until(lambda: rows(measured(engine))[JOHN].growth_bytes_per_day == 50, "it is reckoned")
    assert [row["address"] for row in line.json("list", "growing")] == [JOHN]
    assert [row["address"] for row in line.json("list", "--sort", "days")][:2] == [FULL, JOHN]
    assert next(row["address"] for row in line.json("list", "--sort", "growth")) == JOHN
    assert [row["address"] for row in line.json("list", "idle>30d")] == [FULL]
    assert " 50 B/d   120  " in line("list").stdout


@pytest.fixture
def line_alone(small_world: SmallWorld) -> CommandLine:
    return CommandLine(small_world)


@pytest.fixture
def line_beside(small_world: SmallWorld) -> Iterator[CommandLine]:
    line = CommandLine(small_world)
    with line.engine():
        yield line


def test_a_filter_that_needs_the_past_fails_without_it(small_world: SmallWorld) -> None:
    """Turned round it would choose everybody. What does not need it goes on, and says what is missing."""
    small_world.state.mkdir()
    line = CommandLine(small_world)
    for words in (("list", "!growing"), ("empty-trash", "--where", "!idle>90d", "--yes")):
        done = line(*words)
        assert (done.returncode, done.stdout) == (1, "")
        assert "state database" in done.stderr
    done = line("list", "--json")
    assert (done.returncode, len(json.loads(done.stdout))) == (0, 5)
    assert done.stderr.startswith("mailquota: growth can't be shown: state database")


# ---- faults

Fault = Callable[[SmallWorld, Embedded], AbstractContextManager[str]]


@contextmanager
def locked(world: SmallWorld, _engine: Embedded) -> Iterator[str]:
    """Somebody holds it for long."""
    with closing(sqlite3.connect(world.state)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield "locked"
        other.rollback()


@contextmanager
def full(world: SmallWorld, engine: Embedded) -> Iterator[str]:
    """As a full disk shows: no page more than there are, until there is room again."""
    state = inner(engine).history.state
    write = state.write

    def cramped(work: Callable[..., object]) -> object:
        def first_cramp(sql: object) -> object:
            sql.rows("PRAGMA max_page_count = 1")  # type: ignore[attr-defined]
            sql.change("INSERT INTO journal (at, operator, origin, kind, address, reason)"  # type: ignore[attr-defined]
                       " VALUES (0, '', '', '', '', ?)", ("x" * 200_000,))  # fmt: skip
            return work(sql)

        return write(first_cramp)

    state.write = cramped  # type: ignore[method-assign,assignment]
    yield "full"
    state.write = write  # type: ignore[method-assign]


@contextmanager
def newer(world: SmallWorld, engine: Embedded) -> Iterator[str]:
    """A later mailquota has been here, and the database is opened again."""
    with closing(sqlite3.connect(world.state)) as other:
        (version,) = other.execute("PRAGMA user_version").fetchone()
        other.execute("PRAGMA user_version = 999")
        on_loop(engine, lambda found: found.history.state.close())
        yield "newer version"
        other.execute(f"PRAGMA user_version = {version}")


@pytest.mark.parametrize("fault", [locked, full, newer])
def test_a_state_database_that_fails_stops_nothing_and_is_reported(
    small_world: SmallWorld, caplog: pytest.LogCaptureFixture, fault: Fault
) -> None:
    """In the status, as text and as JSON, and once in the log; what was to be written is written afterwards."""
    caplog.set_level(logging.INFO)
    line = CommandLine(small_world)
    with embedded(small_world) as engine:
        until(lambda: uses(small_world.state) == [4000], "written")
        with fault(small_world, engine) as why:
            small_world.deliver(JOHN, 500)
            until(lambda: why in problem(engine), "it is told")
            status = line.json("status")
            assert why in status["state_problem"]
            assert re.search(f"^history +can't be kept: .*{why}", line("status").stdout, re.MULTILINE)
            assert ask(small_world.policy_socket, FULL) == OVERQUOTA
            assert ask(small_world.policy_socket, JOHN) == "DUNNO"
            assert rows(engine)[JOHN].used_bytes == 4500
        until(lambda: uses(small_world.state)[-1:] == [4500], "it is written afterwards")
        until(lambda: problem(engine) == "", "nothing is wrong any more")
        assert "state_problem" not in line.json("status")
    told = [record.getMessage() for record in caplog.records if record.getMessage().startswith("history: ")]
    assert len(told) == 2
    assert why in told[0]
    assert told[1] == "history: it works again"


def damage(state: StateDatabase, path: Path) -> None:
    """While nobody uses it: one that opened it again in between would go on with what it holds."""
    with state._lock:
        state._close()
        path.write_bytes(b"\xff" * os.path.getsize(path))


def test_a_database_that_is_damaged_while_it_is_used_is_begun_anew(
    small_world: SmallWorld, caplog: pytest.LogCaptureFixture
) -> None:
    with embedded(small_world) as engine:
        until(lambda: uses(small_world.state) == [4000], "written")
        on_loop(engine, lambda found: damage(found.history.state, small_world.state))
        small_world.deliver(JOHN, 500)
        until(lambda: uses(small_world.state) == [4500], "a new one holds what is measured")
        until(lambda: uses(small_world.state, FULL) == [10_000], "also of those where nothing changed")
        until(lambda: problem(engine) == "", "nothing is wrong any more")
        small_world.deliver(JOHN, 500)
        until(lambda: uses(small_world.state)[-1:] == [5000], "it goes on")
    assert "the state database was damaged" in caplog.text
    assert list(small_world.folder.glob("state.db.damaged-*"))


def test_one_that_is_gone_at_the_start_is_waited_for(small_world: SmallWorld) -> None:
    """The engine answers meanwhile."""
    small_world.state.mkdir()
    with embedded(small_world) as engine:
        until(lambda: "state database" in problem(engine), "it is told")
        measured(engine)
        assert ask(small_world.policy_socket, FULL) == OVERQUOTA
        small_world.state.rmdir()
        until(lambda: uses(small_world.state, TRASH) == [9000], "it is written")


@pytest.mark.server
def test_a_mariadb_that_is_gone_comes_back(small_world: SmallWorld, maria_state: str, mariadb: MariaDB) -> None:
    """The engine goes on; what changed meanwhile is written, and nothing of before is lost."""
    small_world.settings["state"]["database"] = maria_state
    small_world.write_settings()

    def kept(address: str) -> list[int]:
        return [point.used_bytes for point in inner(engine).history.samples.series(address, 0.0, time.time())]

    with embedded(small_world) as engine:
        until(lambda: mariadb_rows(mariadb) >= 5, "written")
        with mariadb.stopped():
            small_world.deliver(JOHN, 500)
            until(lambda: problem(engine), "it is told")
            assert ask(small_world.policy_socket, FULL) == OVERQUOTA
        until(lambda: problem(engine) == "", "it works again")
        until(lambda: kept(JOHN)[-1:] == [4500], "what changed meanwhile is written")
        assert kept(ANNA) == [5000]


@pytest.fixture
def maria_state(mariadb: MariaDB) -> Iterator[str]:
    """An empty state database there."""
    mariadb.sql("CREATE OR REPLACE DATABASE history_test CHARACTER SET utf8mb4")
    mariadb.sql(f"CREATE USER IF NOT EXISTS history@{mariadb.host} IDENTIFIED BY '{mariadb.password}'")
    mariadb.sql(f"GRANT ALL ON history_test.* TO history@{mariadb.host}")
    yield f"mysql://history:{mariadb.password}@{mariadb.host}:{mariadb.port}/history_test"
    mariadb.sql("DROP DATABASE history_test")


def mariadb_rows(mariadb: MariaDB) -> int:
    with contextlib.suppress(Exception):
        return int(mariadb.sql("SELECT COUNT(*) AS n FROM history_test.sample")[0]["n"])
    return 0


def test_an_internal_error_does_not_end_the_history(
    small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged once, with its traceback."""
    faulty = monkeypatch.context()
    with embedded(small_world) as engine:
        until(lambda: uses(small_world.state) == [4000], "written")
        with faulty as broken:
            broken.setattr("mailquota.core.history.sampling._usages", lambda _: 1 / 0)
            small_world.deliver(JOHN, 500)
            until(lambda: "sampling failed: division by zero" in problem(engine), "it is told")
        until(lambda: uses(small_world.state)[-1:] == [4500], "it goes on")
    assert caplog.text.count("Traceback") == 1


# ---- the end


def test_a_database_that_hangs_does_not_hold_the_end(small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()

    async def scene() -> None:
        history = made(small_world.load())
        monkeypatch.setattr(history.samples, "write", lambda *_: go_on.wait(20))
        monkeypatch.setattr(history.state, "close", lambda: go_on.wait(20))
        history.start()
        await asyncio.sleep(0)
        await asyncio.wait_for(history.stop(), 10)
        assert not go_on.is_set()

    try:
        asyncio.run(scene())
    finally:
        go_on.set()


def test_what_is_being_written_at_the_end_is_written(small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """A round that is cut off gives back what it had taken before that is looked at."""
    begun, go_on = threading.Event(), threading.Event()

    async def scene() -> None:
        history = made(small_world.load())
        write = history.samples.write

        def first_hangs(figures: list[AccountUsage], now: float) -> list[Change]:
            if begun.is_set():
                return write(figures, now)
            begun.set()
            go_on.wait(20)
            raise StateError("too late")

        monkeypatch.setattr(history.samples, "write", first_hangs)
        history._ledger.set_accounts([Account(JOHN, LIMIT)])
        entry = history._ledger.entries[JOHN]
        history._ledger.set_known(entry, None, Measurement(4000, 4, "scan", 0), 1.0)
        history.start()
        await loops.until(begun.is_set)
        await history.stop()

    try:
        asyncio.run(scene())
    finally:
        go_on.set()
    assert uses(small_world.state) == [4000]


def made(config: Config) -> HistoryService:
    return HistoryService(config, Ledger(TrashNames(["Trash"])), RefusalTally(0.0, sender_of))


def test_one_that_was_never_started_only_closes(small_world: SmallWorld) -> None:
    async def scene() -> None:
        history = made(small_world.load())
        await history.load()
        await history.stop()

    asyncio.run(scene())
    assert not small_world.state.exists()
