"""An engine from its first request to its last, over real sockets, a real database and real mailboxes."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import threading
from collections.abc import Iterator

import pytest

from mailquota.core.base.errors import MailquotaError, UnreachableError
from mailquota.core.base.socket_files import AddressInUseError
from mailquota.core.control.client import RequestFailedError
from mailquota.core.control.messages import Decisions, Explain, GetAccounts, GetRefusals, GetStatus, Reload
from mailquota.core.control.results import DatabaseState, Explanation, Refusals, Status
from mailquota.core.engine import engine as module
from mailquota.core.engine.options import Options
from mailquota.core.engine.serve import Embedded
from tests.core.clients import PolicyClient, ask, request, until
from tests.core.engines import console, embedded, inner, is_answering, options, rows
from tests.core.worlds import ANNA, FREE, FULL, JOHN, OVERQUOTA, SmallWorld

TROUBLE = "451 4.3.0 Try again later"


def database(engine: Embedded) -> DatabaseState:
    with console(engine) as client:
        state = client.ask(GetStatus, Status).database
        assert isinstance(state, DatabaseState)
        return state


@pytest.fixture
def slow_world(small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> SmallWorld:
    """A world whose answer for trouble differs from that for accept, and whose start deadline is short."""
    monkeypatch.setattr("mailquota.core.accounts.sync._RETRY_SECONDS", 0.02)
    small_world.settings["policy"]["trouble"] = TROUBLE
    small_world.write_settings()
    return small_world


# ---- answers


@pytest.mark.parametrize(
    ("recipient", "size", "action"),
    [
        (JOHN, 0, "DUNNO"),
        (JOHN, 7000, "DUNNO"),
        (JOHN, 7001, OVERQUOTA),
        (FULL, 1, OVERQUOTA),
        (FREE, 10**12, "DUNNO"),
        (ANNA, 6000, "DUNNO"),
        (ANNA, 6001, OVERQUOTA),
        ("Full+lists@Example.ORG", 0, OVERQUOTA),
        ("nobody@example.org", 0, "DUNNO"),
        ("", 0, "DUNNO"),
    ],
)
def test_each_recipient_gets_its_answer(
    engine: Embedded, small_world: SmallWorld, recipient: str, size: int, action: str
) -> None:
    """By use, limit and a grace of a tenth; unlimited and unknown ones are left to Postfix."""
    assert ask(small_world.policy_socket, recipient, size) == action


def test_a_delivery_counts_in_the_next_answer(engine: Embedded, small_world: SmallWorld) -> None:
    """With maildirsize and without it."""
    with PolicyClient(small_world.policy_socket) as postfix:
        for address in (JOHN, ANNA):
            assert postfix.ask(address) == "DUNNO"
            (small_world.deliver if address == JOHN else small_world.put_mail)(address, 6000)
            assert postfix.ask(address) == OVERQUOTA


def test_the_table_follows_a_delivery(engine: Embedded, small_world: SmallWorld) -> None:
    with console(engine) as client:
        client.ask(GetAccounts)
        small_world.deliver(JOHN, 1234)
        until(lambda: rows(engine)[JOHN].used_bytes == 5234, "the delivery is seen")


# ---- the database


def test_edits_made_elsewhere_are_enforced(engine: Embedded, small_world: SmallWorld) -> None:
    """Limits, new accounts, and those that are gone."""
    with PolicyClient(small_world.policy_socket) as postfix:
        small_world.set_limit(FULL, 20_000)
        until(lambda: postfix.ask(FULL) == "DUNNO", "the limit is taken")
        small_world.add_mailbox("new@example.org", [9000, 9000])
        until(lambda: postfix.ask("new@example.org") == OVERQUOTA, "the new account is known")
        small_world.remove_account("new@example.org")
        until(lambda: postfix.ask("new@example.org") == "DUNNO", "it is forgotten")
        assert "new@example.org" not in rows(engine)


def test_a_database_that_is_gone_leaves_the_last_limits(engine: Embedded, small_world: SmallWorld) -> None:
    """The state says so with an age, and it comes back without a restart."""
    aside = small_world.database.rename(small_world.folder / "aside.db")
    until(lambda: database(engine).state == "stale", "the fault is seen")
    state = database(engine)
    assert state.age_seconds is not None
    assert "No such file" in state.message
    assert ask(small_world.policy_socket, FULL) == OVERQUOTA
    assert ask(small_world.policy_socket, JOHN) == "DUNNO"
    assert rows(engine)[FULL].limit_bytes == 10_000
    aside.rename(small_world.database)
    until(lambda: database(engine).state == "ok", "it is back")
    small_world.set_limit(FULL, 20_000)
    until(lambda: ask(small_world.policy_socket, FULL) == "DUNNO", "edits are seen again")


def test_requests_before_the_accounts_are_read_wait_for_them(slow_world: SmallWorld) -> None:
    """So that a restart lets no mail through that does not fit."""
    aside = slow_world.database.rename(slow_world.folder / "aside.db")
    with embedded(slow_world) as engine, PolicyClient(slow_world.policy_socket) as postfix:
        postfix.socket.sendall(request(FULL) + request(JOHN))
        until(lambda: database(engine).message, "the database was looked for")
        assert database(engine).state == "down"
        aside.rename(slow_world.database)
        assert (postfix.read(), postfix.read()) == (OVERQUOTA, "DUNNO")


def test_where_they_are_never_read_there_is_trouble(slow_world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a time that Postfix waits for, and then at once; a list would be a lie."""
    monkeypatch.setattr("mailquota.core.policy.answering.START_DEADLINE", 0.2)
    slow_world.database.unlink()
    with embedded(slow_world) as engine, PolicyClient(slow_world.policy_socket) as postfix:
        assert postfix.ask(FULL) == TROUBLE
        assert postfix.ask("nobody@example.org") == TROUBLE
        until(lambda: database(engine).message, "the fault is known")
        with console(engine) as client:
            for order in (GetAccounts, lambda number: Explain(number, FULL)):
                with pytest.raises(RequestFailedError, match="No such file") as caught:
                    client.ask(order)
                assert caught.value.exit_code == UnreachableError.exit_code
            status = client.ask(GetStatus, Status)
            assert (status.database.state, status.trouble) == ("down", 2)


# ---- reload


def reload(engine: Embedded) -> str | None:
    """Reload; which settings need a restart."""
    with console(engine) as client:
        return client.ask(Reload, str | None)  # type: ignore[no-any-return]


def test_a_reload_changes_answers_grace_and_mode_for_open_connections(
    engine: Embedded, small_world: SmallWorld
) -> None:
    with PolicyClient(small_world.policy_socket) as postfix:
        assert postfix.ask(JOHN, 7000) == "DUNNO"
        small_world.settings["policy"] |= {"overquota": "552 5.2.2 Full", "grace": "0"}
        small_world.write_settings()
        reload(engine)
        assert postfix.ask(JOHN, 7000) == "552 5.2.2 Full"
        small_world.settings["policy"]["mode"] = "shadow"
        small_world.write_settings()
        reload(engine)
        assert postfix.ask(JOHN, 7000) == "DUNNO"
        with console(engine) as client:
            status = client.ask(GetStatus, Status)
            assert (status.mode, status.refused, status.would_refuse) == ("shadow", 1, 1)


def test_a_console_that_comes_later_is_told_what_was_decided(engine: Embedded, small_world: SmallWorld) -> None:
    """All of it, in order, and who was refused how often; what is only explained counts nowhere."""
    asked = [JOHN, FULL, FULL, "nobody@example.org"]
    with PolicyClient(small_world.policy_socket) as postfix, console(engine) as client:
        for recipient in asked:
            postfix.ask(recipient)
        client.ask(lambda number: Explain(number, FULL), Explanation)
        report = client.ask(GetRefusals, Refusals)
        assert [(row.address, row.last_hour, row.last_day) for row in report.accounts] == [(FULL, 2, 2)]
        assert report.total == 1
    with console(engine).subscribe() as client:
        told = client.wait_for(Decisions)
        assert told.backlog
        assert [row.recipient for row in told.rows] == asked


def test_a_reload_opens_and_closes_listeners(engine: Embedded, small_world: SmallWorld) -> None:
    """An old one that stays is never closed in between; connections of one that goes are kept."""
    second = small_world.folder / "second.sock"
    small_world.settings["policy"]["listen"] = [f"unix:{small_world.policy_socket}", f"unix:{second}"]
    small_world.write_settings()
    reload(engine)
    assert ask(second, FULL) == ask(small_world.policy_socket, FULL) == OVERQUOTA
    with PolicyClient(small_world.policy_socket) as old:
        small_world.settings["policy"]["listen"] = [f"unix:{second}"]
        small_world.write_settings()
        reload(engine)
        assert not small_world.policy_socket.exists()
        assert ask(second, FULL) == old.ask(FULL) == OVERQUOTA


def test_a_reload_that_would_leave_nobody_to_ask_is_refused(engine: Embedded, small_world: SmallWorld) -> None:
    """The sockets that there are go on answering."""
    small_world.settings["policy"]["listen"] = []
    small_world.write_settings()
    with pytest.raises(RequestFailedError, match=r"policy\.listen: found none") as refused:
        reload(engine)
    assert refused.value.exit_code == 2
    assert ask(small_world.policy_socket, FULL) == OVERQUOTA


def test_a_reload_gives_sockets_their_new_mode(engine: Embedded, small_world: SmallWorld) -> None:
    small_world.settings["policy"]["socket_mode"] = "0600"
    small_world.write_settings()
    reload(engine)
    assert stat.S_IMODE(small_world.policy_socket.stat().st_mode) == 0o600


def test_a_reload_leads_to_another_database(engine: Embedded, small_world: SmallWorld) -> None:
    other = small_world.folder / "other.db"
    other.write_bytes(small_world.database.read_bytes())
    small_world.settings["accounts"]["database"] = f"sqlite:///{other}"
    small_world.set_limit(FULL, 20_000)
    small_world.write_settings()
    reload(engine)
    assert ask(small_world.policy_socket, FULL) == OVERQUOTA
    assert database(engine).state == "ok"


def test_a_new_database_that_is_not_there_keeps_the_limits(engine: Embedded, small_world: SmallWorld) -> None:
    small_world.settings["accounts"]["database"] = f"sqlite:///{small_world.folder}/none.db"
    small_world.write_settings()
    reload(engine)
    assert database(engine).state == "stale"
    assert ask(small_world.policy_socket, FULL) == OVERQUOTA


BROKEN = ["[policy\n", '[policy]\ngrace = "a lot"\n', "[polizei]\n"]


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_file_keeps_the_old_settings(engine: Embedded, small_world: SmallWorld, text: str) -> None:
    small_world.config.write_text(text)
    with pytest.raises(RequestFailedError, match=str(small_world.config)) as caught:
        reload(engine)
    assert caught.value.exit_code == 2
    assert ask(small_world.policy_socket, FULL) == OVERQUOTA


def test_settings_that_can_not_be_followed_change_nothing(engine: Embedded, small_world: SmallWorld) -> None:
    """Not even those beside them: a new socket that opened before the fault is closed again."""
    second = small_world.folder / "second.sock"
    small_world.settings["policy"] |= {
        "listen": [f"unix:{second}", f"unix:{small_world.folder}/none/third.sock"],
        "overquota": "552 5.2.2 Full",
    }
    small_world.write_settings()
    with pytest.raises(RequestFailedError, match="none does not exist"):
        reload(engine)
    assert not second.exists()
    assert ask(small_world.policy_socket, FULL) == OVERQUOTA


def test_a_password_that_can_not_be_read_changes_nothing(engine: Embedded, small_world: SmallWorld) -> None:
    small_world.settings["accounts"] |= {
        "database": "mysql://mailserver@127.0.0.1/mailserver",
        "password_file": "/no/such/file",
    }
    small_world.settings["policy"]["overquota"] = "552 5.2.2 Full"
    small_world.write_settings()
    with pytest.raises(RequestFailedError, match="/no/such/file"):
        reload(engine)
    assert ask(small_world.policy_socket, FULL) == OVERQUOTA


def test_what_needs_a_restart_is_said(
    engine: Embedded, small_world: SmallWorld, caplog: pytest.LogCaptureFixture
) -> None:
    small_world.settings["control"]["socket"] = f"{small_world.folder}/other.sock"
    small_world.settings["state"]["database"] = f"sqlite:///{small_world.folder}/other.db"
    small_world.write_settings()
    assert reload(engine) == "changes in [control] and [state] need a restart"
    assert "need a restart" in caplog.text
    assert is_answering(small_world)


def test_reloads_at_once_come_one_after_the_other(engine: Embedded, small_world: SmallWorld) -> None:
    with console(engine) as client:
        for number in range(1, 9):
            client.send(Reload(number))
        for number in range(1, 9):
            client.answer(number)
    assert ask(small_world.policy_socket, FULL) == OVERQUOTA
    assert database(engine).state == "ok"


def test_the_way_to_the_control_socket_is_open_whatever_the_umask(small_world: SmallWorld) -> None:
    """A folder that an engine makes, like /run/mailquota, lets a group of administrators through to the socket."""
    folder = small_world.folder / "run/mailquota"
    small_world.control_socket = folder / "control.sock"
    small_world.settings["control"]["socket"] = str(small_world.control_socket)
    small_world.write_settings()
    before = os.umask(0o077)
    try:
        with embedded(small_world):
            assert is_answering(small_world)
            assert [stat.S_IMODE(one.stat().st_mode) for one in (folder, folder.parent)] == [0o755, 0o755]
    finally:
        os.umask(before)


# ---- two engines


def test_a_second_engine_finds_the_first(engine: Embedded, small_world: SmallWorld) -> None:
    """And leaves without a trace; the first goes on."""
    second = Embedded(small_world.load(), options(small_world))
    with pytest.raises(AddressInUseError, match=str(small_world.control_socket)):
        second.start()
    assert is_answering(small_world)
    assert ask(small_world.policy_socket, FULL) == OVERQUOTA


def test_a_second_engine_does_not_take_the_policy_socket(engine: Embedded, small_world: SmallWorld) -> None:
    """Where only that address is the same; the sockets that it opened before are closed."""
    other = small_world.folder / "other.sock"
    small_world.settings["control"]["socket"] = str(other)
    small_world.write_settings()
    with pytest.raises(AddressInUseError, match=str(small_world.policy_socket)):
        Embedded(small_world.load(), options(small_world)).start()
    assert not other.exists()
    assert ask(small_world.policy_socket, FULL) == OVERQUOTA


# ---- the end


def test_a_stop_takes_the_socket_files_along(small_world: SmallWorld) -> None:
    with embedded(small_world):
        assert small_world.policy_socket.exists()
    assert not small_world.policy_socket.exists()
    assert not small_world.control_socket.exists()


def test_a_stop_leaves_the_file_of_another_server(small_world: SmallWorld) -> None:
    """The file was removed meanwhile, and another server made one with the same path."""
    with embedded(small_world), socket.socket(socket.AF_UNIX) as other:
        small_world.policy_socket.unlink()
        other.bind(str(small_world.policy_socket))
        other.listen()
    assert small_world.policy_socket.exists()


def test_what_was_sent_before_the_stop_is_answered(small_world: SmallWorld) -> None:
    """On every connection, and then it is closed."""
    for _ in range(5):
        with contextlib.ExitStack() as stack:
            engine = stack.enter_context(embedded(small_world))
            clients = [stack.enter_context(PolicyClient(small_world.policy_socket)) for _ in range(20)]
            for client in clients:
                assert client.ask(JOHN) == "DUNNO"
            for client in clients:
                client.socket.sendall(request(FULL) * 3)
            engine.stop()
            for client in clients:
                assert [client.read() for _ in range(3)] == [OVERQUOTA] * 3
                with pytest.raises(EOFError):
                    client.read()


def test_a_client_that_never_reads_does_not_hold_the_stop(
    small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_STOP_SECONDS", 0.3)
    with embedded(small_world) as engine, PolicyClient(small_world.policy_socket) as deaf, console(engine) as mute:
        mute.subscribe()
        deaf.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                deaf.socket.send(request(FULL) * 100)
        stopping = threading.Thread(target=engine.stop)
        stopping.start()
        stopping.join(5)
        assert not stopping.is_alive()
        assert not engine._thread.is_alive()


def test_a_stop_does_not_wait_for_a_disk_that_hangs(small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    monkeypatch.setattr("mailquota.core.mailboxes.driver.measure", lambda *_, **__: go_on.wait(20))
    with embedded(small_world) as engine:
        until(lambda: len(inner(engine).ledger) == 5, "the accounts are read")
        engine.stop()
        assert not engine._thread.is_alive()
    go_on.set()


def test_an_engine_that_has_ended_says_so(small_world: SmallWorld) -> None:
    """To a console that wants to connect again."""
    with embedded(small_world) as engine:
        engine.stop()
        with pytest.raises(UnreachableError, match="the engine has ended"):
            engine.connect()
        engine.stop()


def test_a_start_that_fails_leaves_nothing(small_world: SmallWorld) -> None:
    small_world.settings["policy"]["listen"] = [f"unix:{small_world.policy_socket}", "unix:/no/such/folder/s"]
    small_world.write_settings()
    engine = Embedded(small_world.load(), options(small_world))
    with pytest.raises(Exception, match="/no/such/folder does not exist"):
        engine.start()
    assert not small_world.policy_socket.exists()
    assert not small_world.control_socket.exists()


# ---- sockets of systemd


@pytest.fixture
def inherited(small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Two inherited sockets: one of policy.listen, and one that is not in the settings."""
    with socket.socket(socket.AF_UNIX) as ours, socket.socket(socket.AF_UNIX) as odd:
        ours.bind(str(small_world.policy_socket))
        odd.bind(str(small_world.folder / "odd.sock"))
        ours.listen()
        odd.listen()
        for number, sock in enumerate((ours, odd), 300):
            os.dup2(sock.fileno(), number)
        monkeypatch.setattr("mailquota.core.base.sockets.LISTEN_FDS_START", 300)
        monkeypatch.setenv("LISTEN_FDS", "2")
        monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
        yield ours


def test_an_inherited_socket_is_used_and_its_file_stays(
    small_world: SmallWorld, inherited: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    """Postfix may connect before the engine runs and after it ended: the next one answers."""
    before = small_world.policy_socket.stat().st_ino
    with PolicyClient(small_world.policy_socket) as early:
        early.socket.sendall(request(FULL))
        with embedded(small_world):
            assert early.read() == OVERQUOTA
    assert small_world.policy_socket.stat().st_ino == before
    assert "odd.sock is not in policy.listen" in caplog.text
    with PolicyClient(small_world.policy_socket):
        inherited.accept()[0].close()


# ---- odds and ends


def test_the_console_shows_remarks_of_the_settings(small_world: SmallWorld, caplog: pytest.LogCaptureFixture) -> None:
    """In the log, where they can be found later."""
    small_world.settings["policy"]["success"] = "REJECT everything"
    small_world.write_settings()
    with embedded(small_world):
        assert "policy.success refuses mail that fits" in caplog.text


@pytest.mark.parametrize(("demo", "pid", "why"), [(True, 99, "a throwaway world"), (False, 1, "process 1")])
def test_what_is_not_handed_over(
    small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch, demo: bool, pid: int, why: str
) -> None:
    """A world that ends with its engine, and the process whose end is the end of a container."""
    engine = Embedded(small_world.load(), Options(small_world.load, embedded=True, demo=demo))
    engine.start()
    try:
        monkeypatch.setattr("mailquota.core.engine.engine.os.getpid", lambda: pid)
        with pytest.raises(MailquotaError, match=why):
            engine.hand_over()
    finally:
        engine.stop()
