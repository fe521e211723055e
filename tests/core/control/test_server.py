"""The engine's end of the control socket: who may connect, who may do what, and that nobody harms others."""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
import sqlite3
import struct
import threading
import time
from functools import partial
from types import SimpleNamespace

import pytest

from mailquota.core.base.errors import MailquotaError, UsageError
from mailquota.core.control.client import RequestFailedError
from mailquota.core.control.contents import FolderContents
from mailquota.core.control.framing import encode
from mailquota.core.control.messages import (
    VERSION,
    Cancel,
    Delta,
    EmptyTrash,
    Explain,
    GetAccounts,
    GetDetails,
    GetFolder,
    GetJournal,
    GetStatus,
    Head,
    Hello,
    Progress,
    Recalc,
    Reload,
    Request,
    SetLimit,
    Snapshot,
    TrialWarning,
    Undo,
    Warn,
    Watch,
)
from mailquota.core.control.peers import Peer, Rights, peer_of
from mailquota.core.control.results import (
    Details,
    JournalRow,
    RecalcResult,
    SetResult,
    Status,
    TrashResult,
)
from mailquota.core.engine.serve import Embedded
from mailquota.core.mailboxes.mailstore import Mailstore
from mailquota.core.mailboxes.recount import rewrite
from tests.core.changes.edits import journal
from tests.core.clients import Console, ask, until
from tests.core.engines import console, embedded, inner, measured, rows
from tests.core.worlds import ANNA, FREE, FULL, JOHN, LIMIT, TRASH, SmallWorld

# ---- who


def caller(uid: int, gid: int) -> socket.socket:
    """A connection whose other end is that user's, as the kernel would say."""
    return SimpleNamespace(getsockopt=lambda *_: struct.pack("3i", 4711, uid, gid))  # type: ignore[return-value]


GROUPS = {
    "operators": SimpleNamespace(gr_gid=2000, gr_mem=["mary"]),
    "watchers": SimpleNamespace(gr_gid=3000, gr_mem=["mary", "walt"]),
}
USERS = {0: "root", 1001: "mary", 1002: "walt", 1003: "stan"}


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Users and groups of a server; the engine runs as a user of its own."""
    monkeypatch.setattr("mailquota.core.control.peers.pwd.getpwuid", lambda uid: SimpleNamespace(pw_name=USERS[uid]))
    monkeypatch.setattr("mailquota.core.control.peers.grp.getgrnam", GROUPS.__getitem__)
    monkeypatch.setattr("mailquota.core.control.peers.os.geteuid", lambda: 500)


@pytest.mark.parametrize(
    ("uid", "gid", "rights", "expected"),
    [
        (0, 0, Rights("", ""), Peer("root", 0, True)),
        (500, 500, Rights("", ""), Peer("500", 500, False, only_warns=True)),
        (500, 2000, Rights("operators", ""), Peer("500", 500, False, only_warns=True)),
        (500, 500, Rights("", "", maker=500), Peer("500", 500, True)),
        (1001, 1001, Rights("operators", ""), Peer("mary", 1001, True)),
        (1001, 1001, Rights("operators", "watchers"), Peer("mary", 1001, True)),
        (1001, 1001, Rights("", "watchers"), Peer("mary", 1001, False)),
        (1002, 1002, Rights("operators", "watchers"), Peer("walt", 1002, False)),
        (1002, 1002, Rights("operators", ""), None),
        (1003, 2000, Rights("operators", "watchers"), Peer("stan", 1003, True)),
        (1003, 3000, Rights("operators", "watchers"), Peer("stan", 1003, False)),
        (1003, 1003, Rights("operators", "watchers"), None),
        (1003, 1003, Rights("", ""), None),
        (1001, 1001, Rights("no such group", ""), None),
        (4000, 4000, Rights("operators", "watchers"), None),
        (1003, 1003, Rights("operators", "watchers", 1003), Peer("stan", 1003, False, only_warns=True)),
        (1002, 1002, Rights("operators", "watchers", 1002), Peer("walt", 1002, False, only_warns=True)),
        (1001, 1001, Rights("operators", "watchers", 1001), Peer("mary", 1001, False, only_warns=True)),
        (1002, 1002, Rights("operators", "", 1003), None),
        (4000, 2000, Rights("operators", ""), Peer("4000", 4000, True)),
    ],
)
@pytest.mark.usefixtures("names")
def test_rights_follow_from_user_and_groups(uid: int, gid: int, rights: Rights, expected: Peer | None) -> None:
    """Root and the group may change, the other group may look, others may not connect.

    The owner of the mailboxes and the user of the engine may only warn, whatever groups they are in.
    """
    assert peer_of(caller(uid, gid), rights) == expected


def test_names_are_looked_up_beside_the_loop(
    engine: Embedded, small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory server that does not answer holds that one client, and what it said meanwhile is not lost."""
    answering = threading.Event()
    real = pwd.getpwuid

    def slow(uid: int) -> pwd.struct_passwd:
        assert answering.wait(10)
        return real(uid)

    monkeypatch.setattr("mailquota.core.control.peers.pwd.getpwuid", slow)
    with console(engine) as waiting:
        waiting.send(GetStatus(1))
        assert ask(small_world.policy_socket, JOHN) == "DUNNO"
        assert not waiting.events
        answering.set()
        assert waiting.welcome().may_change
        waiting.answer(1, Status)


# ---- the first words


def test_the_engine_introduces_itself(engine: Embedded) -> None:
    with console(engine) as client:
        welcome = client.welcome()
    assert (welcome.version, welcome.mode, welcome.may_change, welcome.demo) == (VERSION, "enforce", True, False)


def test_another_version_is_told_both_numbers(engine: Embedded) -> None:
    with Console(engine.connect(), hello=Hello(VERSION + 1, "newer")) as client:
        assert client.goodbye() == f"this engine speaks version {VERSION} of the control protocol, you speak 2"
        with pytest.raises(EOFError):
            client.read()


def test_an_order_before_hello_ends_the_connection(engine: Embedded, small_world: SmallWorld) -> None:
    """And is not carried out."""
    with Console(engine.connect(), hello=SetLimit(1, [JOHN], "1G")) as client:
        assert "not Hello" in client.goodbye()
    assert small_world.limit_of(JOHN) == LIMIT


def test_junk_ends_one_connection_and_no_other(engine: Embedded) -> None:
    with console(engine) as quiet, console(engine) as noisy:
        quiet.welcome()
        noisy.welcome()
        noisy.socket.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert "bytes" in noisy.goodbye()
        assert quiet.ask(GetStatus, Status).accounts == 5


# ---- read-only

CHANGES: list[Request] = [
    SetLimit(1, [JOHN], "1G"),
    Undo(1),
    Recalc(1, [JOHN]),
    EmptyTrash(1, [TRASH]),
    Reload(1),
    Undo(1),
    Warn(1, [FULL], "95"),
    TrialWarning(1, FULL, "95", JOHN),
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda order: type(order).__name__)
def test_a_read_only_client_changes_nothing(engine: Embedded, small_world: SmallWorld, change: Request) -> None:
    """Not even where its user might."""
    with console(engine, read_only=True) as client:
        assert not client.welcome().may_change
        client.send(change)
        with pytest.raises(RequestFailedError, match="read-only: nothing was changed") as caught:
            client.answer(1)
    assert caught.value.exit_code == MailquotaError.exit_code
    assert small_world.limit_of(JOHN) == LIMIT
    assert len(list((small_world.maildir(TRASH) / ".Trash/cur").iterdir())) == 3
    assert journal(engine) == []


def test_a_read_only_client_may_look_and_try(engine: Embedded) -> None:
    """Dry runs, details, what is in a folder, and explain are looks."""
    with console(engine, read_only=True) as client:
        (plan,) = client.ask(lambda n: SetLimit(n, [JOHN], "+1G", dry_run=True), list[SetResult])
        assert (plan.old_bytes, plan.new_bytes, plan.journal_id) == (LIMIT, LIMIT + 2**30, None)
        (trash,) = client.ask(lambda n: EmptyTrash(n, [TRASH], dry_run=True), list[TrashResult])
        assert (trash.messages, trash.bytes) == (3, 3000)
        assert client.ask(lambda n: GetDetails(n, JOHN), Details).row.used_bytes == 4000
        assert client.ask(lambda n: GetFolder(n, TRASH, "Trash"), FolderContents).messages == 3
        assert client.ask(lambda n: Explain(n, FULL), dict[str, object])["verdict"] == "over_quota"


# ---- many, and bad ones


def test_many_consoles_at_once_each_get_their_own_answers(engine: Embedded) -> None:
    consoles = [console(engine) for _ in range(40)]
    try:
        for number, client in enumerate(consoles):
            client.send(GetDetails(number, [JOHN, FULL, FREE][number % 3]))
        for number, client in enumerate(consoles):
            details = client.answer(number, Details)
            assert details.row.address == [JOHN, FULL, FREE][number % 3]
    finally:
        for client in consoles:
            client.close()


def test_a_client_that_never_reads_is_dropped(
    engine: Embedded, small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others get their answers, and the engine its memory back."""
    monkeypatch.setattr("mailquota.core.control.server._BEHIND", 500_000)
    with console(engine) as deaf, console(engine) as good:
        deaf.welcome()
        good.welcome()
        with contextlib.suppress(ConnectionError):  # that is how it learns of it
            for number in range(100_000):
                deaf.send(GetStatus(number))
        until(lambda: len(inner(engine).control.connections) == 1, "the deaf client is dropped")
        assert good.ask(GetStatus, Status).accounts == 5
    assert ask(small_world.policy_socket, FULL).startswith("452")


def test_watching_ends_with_the_connection(engine: Embedded) -> None:
    watched = inner(engine).poller._watched
    with console(engine) as client:
        client.send(Watch([JOHN]))
        until(lambda: len(watched) == 1, "it is watched")
    until(lambda: not watched, "it is watched no more")


def test_a_goodbye_comes_when_the_engine_stops(engine: Embedded) -> None:
    with console(engine) as client:
        client.welcome()
        engine.stop()
        assert client.goodbye() == "the engine was stopped"


# ---- orders


def test_all_rows_once_need_no_subscription(engine: Embedded) -> None:
    with console(engine) as client:
        client.ask(GetAccounts)
        parts = [event for event in client.events if isinstance(event, Snapshot)]
    assert {row.address for part in parts for row in part.rows} == {JOHN, FULL, FREE, ANNA, TRASH}
    assert [(part.first, part.last, part.total) for part in parts] == [(True, True, 5)]


def test_subscribers_are_told_what_changes(engine: Embedded, small_world: SmallWorld) -> None:
    """First everything, then each change, and the head once a second."""
    with console(engine).subscribe() as client:
        assert client.wait_for(Head).status.accounts == 5
        assert len(client.wait_for(Snapshot).rows) == 5
        small_world.set_limit(JOHN, 20_000)
        client.wait_for(Delta, lambda delta: [row for row in delta.rows if row.limit_bytes == 20_000])
        small_world.remove_account(JOHN)
        assert client.wait_for(Delta, lambda delta: delta.removed).removed == [JOHN]
        client.wait_for(Head, lambda head: head.status.accounts == 4)


def test_details_have_folders_aliases_and_refusals(engine: Embedded, small_world: SmallWorld) -> None:
    assert ask(small_world.policy_socket, TRASH, 5000).startswith("452")
    with console(engine) as client:
        details = client.ask(lambda n: GetDetails(n, TRASH), Details)
        assert [(f.name, f.messages, f.bytes, f.trash) for f in details.folders] == [
            ("INBOX", 3, 6000, False),
            ("Trash", 3, 3000, True),
        ]
        assert (details.row.trash_bytes, details.row.trash_messages) == (3000, 3)
        assert [(row.verdict, row.size) for row in details.refusals] == [("over_quota", 5000)]
        assert client.ask(lambda n: GetDetails(n, JOHN), Details).aliases == ["info@example.org"]


def test_details_of_nobody_fail_as_the_command_line_wants(engine: Embedded) -> None:
    with console(engine) as client, pytest.raises(RequestFailedError, match="no such account: x@y") as caught:
        client.ask(lambda n: GetDetails(n, "x@y"))
    assert caught.value.exit_code == 4


def test_an_account_that_was_made_a_moment_ago_is_found(small_world: SmallWorld) -> None:
    """An order about it reads the accounts again, long before the next refresh."""
    small_world.settings["accounts"]["refresh"] = "1h"
    small_world.write_settings()
    with embedded(small_world) as engine, console(engine) as client:
        measured(engine)
        small_world.add_mailbox("new@example.org", [100])
        assert client.ask(lambda n: GetDetails(n, "new@example.org"), Details).row.used_bytes == 100
        small_world.add_mailbox("newer@example.org", [100])
        (done,) = client.ask(lambda n: SetLimit(n, ["newer@example.org"], "+1K"), list[SetResult])
        assert (done.error, done.new_bytes) == (None, LIMIT + 1024)


def test_limits_until_a_day_that_is_gone_are_refused(engine: Embedded, small_world: SmallWorld) -> None:
    """Or until none at all."""
    with console(engine) as client:
        for date in ("2001-01-01", "some day"):
            order = partial(SetLimit, addresses=[JOHN], size="1G", until=date)
            with pytest.raises(RequestFailedError, match="accepted: 2026-12-24") as caught:
                client.ask(order)
            assert caught.value.exit_code == UsageError.exit_code
    assert small_world.limit_of(JOHN) == LIMIT


def test_a_fault_in_an_order_fails_that_order(
    engine: Embedded, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The connection and the engine go on, and the log has it; bytes that are no text do no harm in it."""

    async def broken(*_: object) -> None:
        raise RuntimeError("disk on fire: \udcff")

    monkeypatch.setattr(inner(engine).enforcer, "explain", broken)
    with console(engine) as client:
        with pytest.raises(RequestFailedError, match=r"internal error: disk on fire: \\udcff") as caught:
            client.ask(lambda n: Explain(n, JOHN))
        assert caught.value.exit_code == 1
        assert client.ask(GetStatus, Status).accounts == 5
    assert "an order failed: Explain" in caplog.text


def test_a_fault_while_telling_ends_that_client_alone(engine: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(inner(engine).publisher, "snapshot", broken)
    with console(engine) as client, console(engine) as other:
        assert client.subscribe().goodbye().startswith("internal error")
        assert other.ask(GetStatus, Status).accounts == 5


class Gate:
    """Recounts that wait: ``arrived`` is set when one has begun, ``open`` lets it go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.arrived, self.open = threading.Semaphore(0), threading.Event()

        def waiting(store: Mailstore, maildir: str, limit: int | None, most: int | None) -> str:
            self.arrived.release()
            assert self.open.wait(10)
            return rewrite(store, maildir, limit, most)

        monkeypatch.setattr("mailquota.core.mailboxes.driver.rewrite", waiting)


def test_cancel_stops_a_recount_after_the_account_it_is_at(engine: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer holds what was done; another request goes on."""
    gate = Gate(monkeypatch)
    with console(engine) as client:
        client.send(Recalc(1, [JOHN, FULL, FREE, ANNA, TRASH]))
        client.send(Recalc(2, [FULL, FREE]))
        assert gate.arrived.acquire(timeout=10)
        client.send(Cancel(3, 1))
        operators = next(iter(inner(engine).control.connections)).operators
        until(lambda: operators[1].cancelled, "it is cancelled")
        gate.open.set()
        assert [done.address for done in client.answer(1, list[RecalcResult])] == [JOHN]
        assert [done.address for done in client.answer(2, list[RecalcResult])] == [FULL, FREE]
        assert [(e.done, e.total, e.note) for e in client.events if isinstance(e, Progress) and e.id == 1] == [
            (1, 5, JOHN)
        ]


def test_a_change_goes_on_when_its_client_leaves(engine: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    """And it is in the journal, under the name of who ordered it."""
    gate = Gate(monkeypatch)
    with console(engine) as client:
        client.send(Recalc(1, [JOHN, FULL]))
        assert gate.arrived.acquire(timeout=10)
    until(lambda: not inner(engine).control.connections, "the client is gone")
    gate.open.set()
    with console(engine) as client:
        until(lambda: len(journal(engine)) == 2, "both are in the journal")
        (newest,) = client.ask(lambda n: GetJournal(n, FULL), list[JournalRow])
    me = pwd.getpwuid(os.geteuid()).pw_name
    assert (newest.operator, newest.origin, newest.kind, newest.address) == (me, "sudo:mary", "recalc", FULL)


def test_a_stop_waits_for_the_account_that_is_changed(
    engine: Embedded, small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that no change lacks its journal entry; the accounts after it are left."""
    gate = Gate(monkeypatch)
    with console(engine) as client:
        client.send(Recalc(1, [JOHN, FULL]))
        assert gate.arrived.acquire(timeout=10)
        stopping = threading.Thread(target=engine.stop)
        stopping.start()
        until(inner(engine).ending.due.is_set, "the engine is stopping")
        gate.open.set()
        stopping.join(10)
        assert [done.address for done in client.answer(1, list[RecalcResult])] == [JOHN]
    with contextlib.closing(sqlite3.connect(small_world.state)) as connection:
        assert connection.execute("SELECT address FROM journal WHERE kind = 'recalc'").fetchall() == [(JOHN,)]


def test_orders_glued_to_hello_are_taken(engine: Embedded) -> None:
    ours = engine.connect()
    with Console(ours, hello=Hello(VERSION, "test")) as client:
        client.socket.sendall(encode(GetStatus(1)) + encode(GetStatus(2)))
        client.answer(1, Status)
        client.answer(2, Status)


def test_rows_follow_a_refusal(engine: Embedded, small_world: SmallWorld) -> None:
    """The time of the last refusal is in the row."""
    before = time.time()
    ask(small_world.policy_socket, FULL)
    assert (rows(engine)[FULL].refused_at or 0.0) >= before
