"""Smoke tests of the private mail server: it is the tutorial's, it works, and it leaves nothing behind."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pymysql
import pytest

from tests.mailserver import MailServer
from tests.mailserver.fixture import require_mailserver, temporary_folder
from tests.mailserver.mail import ask_policy
from tests.mailserver.mariadb import MariaDB
from tests.mailserver.ports import HOST
from tests.mailserver.process import ServerFailedError, session_members, wait_until
from tests.mailserver.recorder import recorded_policy

pytestmark = pytest.mark.server

FULL = "452 4.2.2 Mailbox is full and cannot receive any more emails"


@pytest.fixture
def server(mailserver: MailServer) -> Iterator[MailServer]:
    """The session's server, without anybody's accounts and mail."""
    mailserver.clear()
    yield mailserver
    mailserver.clear()


@pytest.fixture
def folder() -> Iterator[Path]:
    with temporary_folder() as folder:
        yield folder


def test_tables_are_those_of_the_tutorial(mariadb: MariaDB) -> None:
    """Names, types, defaults and foreign keys are the tutorial's."""
    columns = mariadb.sql(
        "SELECT table_name t, column_name c, column_type k, is_nullable n, column_default d "
        "FROM information_schema.columns WHERE table_schema = 'mailserver' ORDER BY table_name, ordinal_position"
    )
    assert [(row["t"], row["c"], row["k"].partition("(")[0], row["n"], row["d"]) for row in columns] == [
        ("virtual_aliases", "id", "int", "NO", None),
        ("virtual_aliases", "domain_id", "int", "NO", None),
        ("virtual_aliases", "source", "varchar", "NO", None),
        ("virtual_aliases", "destination", "varchar", "NO", None),
        ("virtual_domains", "id", "int", "NO", None),
        ("virtual_domains", "name", "varchar", "NO", None),
        ("virtual_users", "id", "int", "NO", None),
        ("virtual_users", "domain_id", "int", "NO", None),
        ("virtual_users", "email", "varchar", "NO", None),
        ("virtual_users", "password", "varchar", "NO", None),
        ("virtual_users", "quota", "bigint", "NO", "0"),
    ]


def test_users_and_aliases_go_with_their_domain(mariadb: MariaDB) -> None:
    """Both tables have a foreign key to virtual_domains that cascades."""
    mariadb.add_user("john@cascade.example")
    mariadb.add_alias("jack@cascade.example", "john@cascade.example")
    mariadb.sql("DELETE FROM virtual_domains WHERE name = 'cascade.example'")
    assert mariadb.sql("SELECT email FROM virtual_users WHERE email = 'john@cascade.example'") == []
    assert mariadb.sql("SELECT source FROM virtual_aliases WHERE source = 'jack@cascade.example'") == []


def test_reading_account_may_not_write(mariadb: MariaDB) -> None:
    """`mailserver` has SELECT alone; `mailadmin` changes limits."""
    mariadb.add_user("john@rights.example", quota=5000)
    update = "UPDATE virtual_users SET quota = 7000 WHERE email = 'john@rights.example'"
    with mariadb.connect() as reader, reader.cursor() as cursor:
        with pytest.raises(pymysql.err.OperationalError, match="UPDATE command denied"):
            cursor.execute(update)
        with mariadb.connect(mariadb.writer) as writer, writer.cursor() as writing:
            assert writing.execute(update) == 1
        cursor.execute("SELECT quota FROM virtual_users WHERE email = 'john@rights.example'")
        assert list(cursor.fetchall()) == [{"quota": 7000}]


def test_database_comes_back_with_its_data(mariadb: MariaDB) -> None:
    """A restart keeps port and rows, and in between nobody answers."""
    mariadb.add_user("john@restart.example")
    port = mariadb.port
    with mariadb.stopped(), pytest.raises(pymysql.err.OperationalError, match="Connection refused"):
        mariadb.connect()
    assert mariadb.port == port
    with mariadb.connect() as reader, reader.cursor() as cursor:
        assert cursor.execute("SELECT email FROM virtual_users WHERE email = 'john@restart.example'") == 1


def test_failed_start_shows_the_log(mariadb: MariaDB, folder: Path) -> None:
    """Whoever reads the exception sees why, and no process stays."""
    second = MariaDB(folder / "mariadb")
    second.port = mariadb.port
    with pytest.raises(ServerFailedError, match="Address already in use"):
        second.start()
    assert not second.running


def test_mail_is_accepted_and_counted_without_a_policy_service(server: MailServer) -> None:
    """default_action=DUNNO: mail goes on while mailquota is down, and Dovecot counts it to the byte."""
    server.add_user("john@example.org", quota=50_000)
    code, text = server.send_mail("john@example.org", size=3000)
    assert (code, text.partition(":")[0]) == (250, "2.0.0 Ok")
    server.wait_queue_empty()
    (message,) = (server.maildir("john@example.org") / "new").iterdir()
    header, *lines = (server.maildir("john@example.org") / "maildirsize").read_text().splitlines()
    assert header == "50000S"
    assert [sum(column) for column in zip(*(map(int, line.split()) for line in lines), strict=True)] == [
        message.stat().st_size,
        1,
    ]


def test_postfix_asks_the_mailquota_socket(server: MailServer) -> None:
    """The question has recipient and announced size, and the answer reaches the client as the tutorial shows it."""
    server.add_user("john@example.org")
    with recorded_policy(server.policy_socket, FULL) as questions:
        answer = server.send_mail("john@example.org", size=3000, announce_size=True)
    assert answer == (
        452,
        "4.2.2 <john@example.org>: Recipient address rejected: Mailbox is full and cannot receive any more emails",
    )
    (question,) = questions
    assert (question["protocol_state"], question["recipient"], question["size"]) == ("RCPT", "john@example.org", "3000")


def test_postfix_does_not_ask_about_foreign_mail(server: MailServer) -> None:
    """The policy check stands after reject_unauth_destination, and nothing leaves the machine."""
    with recorded_policy(server.policy_socket, FULL) as questions:
        assert server.send_mail("somebody@example.com")[0] == 554
    assert questions == []


def test_quota_status_answers_as_the_tutorial_says(server: MailServer) -> None:
    """Over both of its sockets: DUNNO with room and for strangers, 452 when full."""
    server.add_user("john@example.org", quota=5000)
    tcp = (HOST, server.dovecot.quota_status_port)
    assert ask_policy(server.quota_status_socket, "john@example.org") == "DUNNO"
    assert ask_policy(tcp, "john@example.org", size=6000) == FULL
    assert server.deliver_lmtp("john@example.org", size=4500)[0] == 250
    server.set_quota("john@example.org", 4000)
    assert ask_policy(server.quota_status_socket, "john@example.org") == FULL
    assert ask_policy(tcp, "nobody@example.org") == "DUNNO"


def test_dovecot_refuses_what_does_not_fit(server: MailServer) -> None:
    """Without a policy check before it, LMTP is where a full mailbox shows: with 552, at the end of the data."""
    server.add_user("john@example.org", quota=5000)
    assert server.deliver_lmtp("john@example.org", size=9000) == (
        552,
        "5.2.2 <john@example.org> Quota exceeded (mailbox for user is full)",
    )


def test_mail_flows_at_once_when_the_database_is_back(server: MailServer) -> None:
    """Without it Postfix can't tell recipients and defers; nothing of that lingers."""
    server.add_user("john@example.org")
    with recorded_policy(server.policy_socket, "DUNNO"):
        with server.database_stopped():
            assert server.send_mail("john@example.org")[0] == 451
        assert server.send_mail("john@example.org")[0] == 250
        server.wait_queue_empty()


def test_doveadm_knows_all_users(server: MailServer) -> None:
    """`doveadm -A` works, and figures are KiB rounded up."""
    server.add_users([("john@example.org", 50_000), ("jane@example.org", 0)])
    assert server.deliver_lmtp("john@example.org", size=3000)[0] == 250
    assert server.doveadm_quota("john@example.org") == (4, 1)
    table = server.run_doveadm("-f", "tab", "quota", "get", "-A").splitlines()
    assert {row.split("\t")[0] for row in table[1:]} == {"john@example.org", "jane@example.org"}


def test_aliases_lead_to_mailboxes(server: MailServer) -> None:
    """An alias and a catch-all deliver to their mailbox; a mailbox beside the catch-all keeps its mail."""
    server.add_users([("john@example.org", 0), ("jane@example.org", 0)])
    server.add_alias("jack@example.org", "john@example.org")
    server.add_alias("@example.org", "john@example.org")
    with recorded_policy(server.policy_socket, "DUNNO"):
        for recipient in ("jack@example.org", "anybody@example.org", "jane@example.org"):
            assert server.send_mail(recipient)[0] == 250
    server.wait_queue_empty()
    found = [len(list((server.maildir(user) / "new").iterdir())) for user in ("john@example.org", "jane@example.org")]
    assert found == [2, 1]


def test_imap_has_quota_and_trash(server: MailServer) -> None:
    """A mailbox's owner can log in, sees the limit, and finds Trash marked as such."""
    server.add_user("john@example.org", quota=50_000)
    with server.imap("john@example.org") as client:
        assert b"QUOTA" in client.capability()[1][0].split()
        assert client.getquotaroot("INBOX")[1][1] == [b'"User quota" (STORAGE 0 49)']
        client.create("Trash")
        assert any(b"\\Trash" in line for line in client.list()[1] if isinstance(line, bytes))
    with pytest.raises(Exception, match="AUTHENTICATIONFAILED"):
        server.imap("john@example.org", password="wrong")


def test_everything_stops_and_starts_again_on_the_same_folder(folder: Path) -> None:
    """No process and no open port stays; mail and accounts do, whatever the options of the next start."""
    require_mailserver()
    with MailServer(folder, driver="count", tuned=True) as server:
        server.add_user("john@example.org", quota=50_000)
        assert server.deliver_lmtp("john@example.org", size=3000)[0] == 250
        assert server.doveadm_quota("john@example.org")[1] == 1
        assert not (server.maildir("john@example.org") / "maildirsize").exists()
        assert wait_until(lambda: _names(server.dovecot.pid).count("quota-status") == 4, 10)
        leaders = [daemon.pid for daemon in (server.mariadb, server.dovecot, server.postfix)]
    assert [session_members(leader) for leader in leaders] == [[], [], []]
    assert not any(_listens(port) for port in (server.mariadb.port, server.smtp_port, server.imap_port))
    with MailServer(folder) as server:
        assert server.doveadm_quota("john@example.org")[1] == 1
        assert (server.maildir("john@example.org") / "maildirsize").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_command_line_leaves_nothing_running(folder: Path, number: signal.Signals) -> None:
    """Killed or ended, `python -m tests.mailserver` takes its servers along."""
    require_mailserver()
    command = [sys.executable, "-m", "tests.mailserver", str(folder), "--user", "john@example.org"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        leaders = _leaders(process)
        assert all(session_members(leader) for leader in leaders)
        process.send_signal(number)
    assert wait_until(lambda: not any(session_members(leader) for leader in leaders), 20)
    assert process.returncode == (0 if number == signal.SIGTERM else -signal.SIGKILL)


def _leaders(process: subprocess.Popen[str]) -> list[int]:
    """The process ids that the command prints; read up to its last line, when it waits."""
    assert process.stdout
    facts: dict[str, str] = {}
    for line in process.stdout:
        name, _, value = line.rstrip().partition(" = ")
        facts[name] = value
        if "Running" in line:
            break
    return [int(pid) for pid in facts["processes"].split()]


def _names(leader: int) -> list[str]:
    names = []
    for pid in session_members(leader):
        with suppress(OSError):  # ended since it was listed
            names.append(Path(f"/proc/{pid}/comm").read_text().strip())
    return names


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((HOST, port)) == 0
