"""Each part of a running engine is killed: it is started again, counted and shown; or the engine ends."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mailquota.core.base import restarts
from mailquota.core.base.errors import UnreachableError
from mailquota.core.base.lanes import Lane
from mailquota.core.control.messages import Delta, GetDetails, GetStatus, Watch
from mailquota.core.control.results import Details, Status
from mailquota.core.engine.engine import Engine
from mailquota.core.engine.exporter import MetricsServer
from mailquota.core.engine.serve import Embedded
from mailquota.core.servers.mail_log import subprocess_reader
from mailquota.core.servers.mail_log.source import LogFiles
from mailquota.core.servers.mail_log.subprocess_reader import read_apart
from tests.core.clients import Console, PolicyClient, ask, until
from tests.core.engines import console, embedded, inner, measured, on_loop, rows
from tests.core.worlds import ANNA, FULL, JOHN, OVERQUOTA, SmallWorld
from tests.mailserver.ports import free_port

TASKS = [
    "accounts", "rounds", "looks", "publisher", "status", "sockets", "watches", "history", "growth", "warnings",
    "delivery", "administrators", "temporary limits", "background check", "metrics",
]  # fmt: skip


@pytest.fixture
def world(small_world: SmallWorld) -> SmallWorld:
    """A world with every optional part switched on."""
    small_world.settings["metrics"] = {"listen": f"127.0.0.1:{free_port()}"}
    small_world.settings["warnings"] = {"thresholds": [80], "delivery": "maildir", "templates": ""}
    small_world.write_settings()
    return small_world


@pytest.fixture
def engine(world: SmallWorld) -> Iterator[Embedded]:
    with embedded(world) as running:
        yield measured(running)


def tasks(running: Embedded) -> dict[str, asyncio.Task[Any]]:
    """Those of the engine that have a name, by it."""
    return running.call(_tasks())


async def _tasks() -> dict[str, asyncio.Task[Any]]:
    return {task.get_name(): task for task in asyncio.all_tasks() if task.get_name() in TASKS}


def status(running: Embedded) -> Status:
    with console(running) as client:
        found: Status = client.ask(GetStatus, Status)
    return found


def more(before: dict[str, int]) -> dict[str, int]:
    """What was started again since then."""
    now = restarts.counts()
    return {part: now[part] - before.get(part, 0) for part in now if now[part] > before.get(part, 0)}


def test_each_task_of_an_engine_is_one_of_them(engine: Embedded) -> None:
    """Every task is started again where it dies, but those for clients and for one request."""
    until(lambda: set(tasks(engine)) == set(TASKS), "everything goes on")


def test_every_task_that_is_killed_is_there_again(engine: Embedded, world: SmallWorld) -> None:
    """All at once; then they work as before, and the status and the metrics say which they were."""
    before = restarts.counts()
    until(lambda: set(tasks(engine)) == set(TASKS), "everything goes on")
    killed = tasks(engine)
    for task in killed.values():
        on_loop(engine, lambda _engine, task=task: task.cancel())  # type: ignore[misc]
    until(lambda: more(before) == dict.fromkeys(TASKS, 1), "all are counted")
    until(lambda: set(tasks(engine)) == set(TASKS), "all are there again")
    assert not set(tasks(engine).values()) & set(killed.values())
    check_everything(engine, world)
    shown = status(engine).restarts
    assert {part: shown[part] - before.get(part, 0) for part in TASKS} == dict.fromkeys(TASKS, 1)
    assert more(before) == dict.fromkeys(TASKS, 1)


def check_everything(running: Embedded, world: SmallWorld) -> None:
    """Answers, figures, limits, news for consoles, warnings, history and metrics are those of now."""
    with console(running) as client, PolicyClient(world.policy_socket) as postfix:
        client.subscribe()
        world.set_limit(JOHN, 20_000)
        until(lambda: rows(running)[JOHN].limit_bytes == 20_000, "accounts")
        client.wait_for(Delta, lambda delta: any(row.address == JOHN for row in delta.rows))
        world.put_mail(ANNA, 4000)
        until(lambda: rows(running)[ANNA].used_bytes == 9000, "rounds")
        assert postfix.ask(FULL) == OVERQUOTA
    found = inner(running)
    until(lambda: found.alerts.thresholds.last_warnings.get(ANNA), "warnings")
    until(lambda: list((world.maildir(ANNA) / "new").iterdir()), "delivery")
    until(lambda: found.history.samples.series(ANNA, 0.0, 4e9), "history")
    until(lambda: "mailquota_part_restarts_total" in page(world), "metrics")


def page(world: SmallWorld) -> str:
    """The page of the metrics, "" where it does not answer."""
    host, _, port = str(world.settings["metrics"]["listen"]).partition(":")
    try:
        with socket.create_connection((host, int(port)), 5) as client:
            client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            return b"".join(iter(lambda: client.recv(65536), b"")).decode()
    except OSError:
        return ""


# ---- threads


def lanes(found: Engine) -> dict[str, Lane[Any, Any]]:
    """Those for decisions and those of the poller."""
    lookup = found.enforcer.lookup
    return {"probe": lookup._probes, "count": lookup._counts, **found.poller._lanes}


@pytest.mark.parametrize("name", ["probe", "count", "rounds", "looks", "orders"])
def test_a_thread_that_dies_at_a_mailbox_is_replaced(
    engine: Embedded, world: SmallWorld, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That mailbox is trouble once; nothing is taken for a file system that hangs."""
    before, lane = restarts.counts(), lanes(inner(engine))[name]
    work = lane.work

    def die(item: Any) -> Any:
        monkeypatch.setattr(lane, "work", work)
        raise SystemExit

    monkeypatch.setattr(lane, "work", die)
    (world.maildir(FULL) / "maildirsize").write_text("10000S\n10001 1\n1 1\n")  # not believed: it is counted
    with console(engine) as client:
        client.send(Watch([JOHN]))
        client.ask(lambda number: GetDetails(number, JOHN), Details)
        ask(world.policy_socket, FULL)
        until(lambda: more(before) == {f"thread for {name}": 1}, "it is counted")
        until(lambda: ask(world.policy_socket, FULL) == OVERQUOTA, "decisions are right again")
        assert client.ask(lambda number: GetDetails(number, JOHN), Details).row.used_bytes == 4000
    assert [one.hanging_threads for one in lanes(inner(engine)).values()] == [0] * 5

    def forget(found: Engine) -> None:
        for entry in found.ledger.entries.values():
            found.ledger.set_trouble(entry, "forgotten")

    on_loop(engine, forget)
    until(lambda: all(row.used_bytes is not None for row in rows(engine).values()), "rounds go on")


def test_the_thread_of_the_metrics_is_started_again(engine: Embedded, world: SmallWorld) -> None:
    """With a server that answers."""
    until(lambda: "mailquota_uptime_seconds" in page(world), "they are there")
    before = restarts.counts()
    frame = tasks(engine)["metrics"].get_coro().cr_frame  # type: ignore[union-attr]
    server: MetricsServer = frame.f_locals["server"]

    def end() -> None:
        raise SystemExit

    server._loop.call_soon_threadsafe(end)
    until(lambda: more(before) == {"metrics": 1}, "it is counted")
    until(lambda: 'mailquota_part_restarts_total{part="metrics"}' in page(world), "they are there again, and say so")


@pytest.mark.parametrize("program", ["import os; os.kill(os.getpid(), 9)", "print('[]')"], ids=["killed", "odd"])
def test_a_reader_of_the_mail_log_that_fails_is_another_one_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    """The error is reported in place of the events."""
    log = tmp_path / "mail.log"
    log.write_text("Nov 27 10:00:00 mail postfix/lmtp[1]: 1: to=<a@x>, dsn=4.2.2, status=deferred (full)\n")
    with monkeypatch.context() as patched:
        patched.setattr(subprocess_reader, "_PROGRAM", program)
        fault = read_apart(LogFiles((str(log),))).fault
    assert "ended with -9" in fault or "the output of its reader can't be read" in fault
    assert read_apart(LogFiles((str(log),))).fault == ""


# ---- what the kernel gives


def test_change_notification_that_breaks_is_begun_anew(engine: Embedded, world: SmallWorld) -> None:
    """Nothing is taken for fresh meanwhile, and what is asked about is watched again."""
    assert ask(world.policy_socket, JOHN, 5000) == "DUNNO"
    before, watch = restarts.counts(), inner(engine).enforcer.lookup.watch

    def break_it(_engine: Engine) -> None:
        assert watch._notify is not None
        with open(os.devnull, "rb") as nothing:
            os.dup2(nothing.fileno(), watch._notify.fd)

    on_loop(engine, break_it)
    world.deliver(JOHN, 6000)
    assert ask(world.policy_socket, JOHN, 5000) == OVERQUOTA
    assert more(before) == {"change notification": 1}
    entry = inner(engine).ledger.entries[JOHN]
    until(lambda: ask(world.policy_socket, JOHN) and entry.fresh_until > 0, "it is watched")
    assert more(before) == {"change notification": 1}


@pytest.mark.parametrize("which", ["policy", "control"])
def test_a_listener_that_the_loop_has_lost_is_made_anew(engine: Embedded, world: SmallWorld, which: str) -> None:
    """Clients that waited are answered, and from then on answers are quick again."""
    before = restarts.counts()

    def lose(found: Engine) -> None:
        (found.policy if which == "policy" else found.control).stop_accepting()

    on_loop(engine, lose)
    path = world.policy_socket if which == "policy" else world.control_socket

    def speak() -> object:
        if which == "policy":
            return ask(path, FULL) == OVERQUOTA
        with Console(path) as client:
            return client.ask(GetStatus, Status)

    until(lambda: speak() and more(before) == {f"listening on unix:{path}": 1}, "it is counted")
    server = inner(engine).policy if which == "policy" else inner(engine).control
    taken = server.accepted
    for _ in range(20):
        assert speak()
    assert server.accepted == taken + 20
    assert more(before) == {f"listening on unix:{path}": 1}


def test_a_tcp_socket_that_was_shut_down_listens_again(small_world: SmallWorld) -> None:
    """And goes on doing so."""
    place = ("127.0.0.1", free_port())
    name = f"inet:{place[0]}:{place[1]}"
    small_world.settings["policy"]["listen"] = [name]
    small_world.write_settings()
    with embedded(small_world) as running:
        measured(running)
        before = restarts.counts()
        on_loop(running, lambda found: found.listeners.policy[name].shutdown(socket.SHUT_RDWR))
        until(lambda: more(before) == {f"listening on {name}": 1}, "it is counted")
        assert ask(place, FULL) == OVERQUOTA
        check = inner(running).listen_check
        for _ in range(3):
            running.call(check.look())
        assert (ask(place, FULL), inner(running).ending.failed) == (OVERQUOTA, "")
        assert more(before) == {f"listening on {name}": 1}


def test_a_console_is_told_why_its_engine_ended(engine: Embedded) -> None:
    """There is no service manager to start another one."""
    with console(engine) as client:
        on_loop(engine, lambda found: found.ending.fail("unix:/x takes no connections any more"))
        assert client.goodbye() == "the engine ended: unix:/x takes no connections any more"
    until(lambda: not engine._thread.is_alive(), "it has ended")
    with pytest.raises(UnreachableError, match="the engine has ended: unix:/x takes"):
        engine.connect()


def test_an_engine_that_can_not_begin_to_measure_ends(world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answering by nothing would be worse."""
    monkeypatch.setattr("mailquota.core.mailboxes.rounds.Poller.start", lambda _self: 1 / 0)
    with embedded(world) as running:
        until(lambda: not running._thread.is_alive(), "it has ended")
        assert inner(running).ending.failed.startswith("measuring could not begin: ZeroDivisionError")
