"""``mailquota warn``: by hand and as Dovecot's quota-warning, with an engine and without."""

from __future__ import annotations

import contextlib
import email
import os
import subprocess
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import pytest

from tests.core.commands.command_line import COMMAND, ROOT, CommandLine, Done
from tests.core.worlds import FREE, FULL, JOHN, SmallWorld
from tests.mailserver.process import wait_until


def mails(world: SmallWorld, address: str) -> list[EmailMessage]:
    """The warnings that were delivered."""
    found = [
        email.message_from_bytes(file.read_bytes(), policy=default) for file in world.maildir(address).glob("new/*")
    ]
    return [mail for mail in found if mail["Auto-Submitted"]]


def as_dovecot(line: CommandLine, *words: str) -> Done:
    """With an empty environment, as a script service has it."""
    command = [*COMMAND, "--config", str(line.world.config), "warn", *words]
    environment = {"PYTHONPATH": str(ROOT / "packaging")}  # of this checkout; an installed command needs none
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=30)


def test_a_warning_is_delivered(mailquota: CommandLine) -> None:
    done = mailquota("warn", "100", FULL)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"sent to {FULL} (maildir)\n", "")
    (mail,) = mails(mailquota.world, FULL)
    assert mail["To"] == FULL
    assert "full" in mail["Subject"]


def test_now_is_the_warning_that_the_usage_calls_for(mailquota: CommandLine) -> None:
    assert mailquota.json("warn", "now", FULL)["state"] == "sent"
    (mail,) = mails(mailquota.world, FULL)
    assert "full" in mail["Subject"]


def test_as_json(mailquota: CommandLine) -> None:
    assert mailquota.json("warn", "95", FULL) == {
        "address": FULL, "mark": "95%", "state": "sent", "method": "maildir", "error": None, "remark": None
    }  # fmt: skip


def test_it_is_shown_and_in_the_journal(mailquota: CommandLine) -> None:
    mailquota("warn", "100", FULL)
    (row,) = mailquota.json("show", FULL)["warnings"]
    assert (row["mark"], row["percent"], row["used_bytes"], row["limit_bytes"]) == ("100%", 100.0, 10_000, 10_000)
    assert (row["state"], row["source"], row["method"], row["error"]) == ("sent", "operator", "maildir", None)
    assert row["sent_at"].endswith("Z")
    assert "100%" in mailquota("show", FULL).stdout
    entries = [entry for entry in mailquota.json("journal") if entry["kind"] == "warning"]
    assert [(entry["address"], entry["new"], entry["reason"]) for entry in entries] == [(FULL, "100%", "maildir")]


def test_an_owner_who_was_warned_just_now_is_not_warned_again_but_on_demand(mailquota: CommandLine) -> None:
    mailquota("warn", "95", FULL)
    again = mailquota("warn", "95", FULL)
    assert again.returncode == 0
    assert again.stdout.startswith(f"not sent to {FULL}: warned ")
    assert mailquota("warn", "95", FULL, "--again").stdout == f"sent to {FULL} (maildir)\n"
    assert len(mails(mailquota.world, FULL)) == 2


def test_below_says_that_there_is_room(mailquota: CommandLine) -> None:
    assert mailquota("warn", "below", JOHN).returncode == 0
    (mail,) = mails(mailquota.world, JOHN)
    assert "room" in mail["Subject"]


def test_an_unlimited_account_can_be_told_by_hand(mailquota: CommandLine) -> None:
    assert mailquota("warn", "80", FREE).returncode == 0
    assert len(mails(mailquota.world, FREE)) == 1


def test_a_test_goes_to_another_address(mailquota: CommandLine) -> None:
    """Labelled as one. The owner gets nothing, and the warning can still be sent."""
    done = mailquota("warn", "95", FULL, "--test-to", JOHN)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"sent to {JOHN} (maildir)\n", "")
    (mail,) = mails(mailquota.world, JOHN)
    assert "test" in mail["Subject"].lower()
    assert mails(mailquota.world, FULL) == []
    assert mailquota.json("show", FULL)["warnings"] == []
    assert mailquota("warn", "95", FULL).stdout == f"sent to {FULL} (maildir)\n"
    assert mailquota.json("warn", "now", FULL, "--test-to", JOHN)["address"] == FULL


@pytest.mark.parametrize("to", ["me", "me@example.org\nBcc: all@example.org", "@", "a b@example.org"])
def test_a_test_goes_only_to_an_address(alone: CommandLine, to: str) -> None:
    done = alone("warn", "95", FULL, "--test-to", to)
    assert (done.returncode != 0, done.stdout, done.stderr.count("\n")) == (True, "", 1)


def test_who_may_only_look_sends_no_test(mailquota: CommandLine) -> None:
    done = mailquota("--read-only", "warn", "95", FULL, "--test-to", JOHN)
    assert (done.returncode, mails(mailquota.world, JOHN)) == (1, [])


@pytest.mark.parametrize("words", [("full", JOHN), ("", JOHN), ("0", JOHN), ("95",), ("95", JOHN, FULL), ("-5", JOHN)])
def test_wrong_words_are_usage(alone: CommandLine, words: tuple[str, ...]) -> None:
    assert alone("warn", *words).returncode == 2


def test_an_unknown_account_is_no_such_account(mailquota: CommandLine) -> None:
    done = mailquota("warn", "95", "nobody@example.org")
    assert done.returncode == 4
    assert "no such account: nobody@example.org" in done.stderr


def test_who_may_only_look_may_not_warn(mailquota: CommandLine) -> None:
    done = mailquota("--read-only", "warn", "95", FULL)
    assert (done.returncode, mails(mailquota.world, FULL)) == (1, [])
    assert "read-only" in done.stderr


def test_dovecots_service_has_no_environment(mailquota: CommandLine) -> None:
    """Dovecot may order a warning twice; it is sent once."""
    for _ in range(2):
        done = as_dovecot(mailquota, "100", FULL)
        assert (done.returncode, done.stderr) == (0, "")
    assert len(mails(mailquota.world, FULL)) == 1
    assert [row["source"] for row in mailquota.json("show", FULL)["warnings"]] == ["dovecot"]


def _replaced_by_a_folder(state: Path) -> bool:
    """An engine beside may have made it anew between the two."""
    for file in state.parent.glob(f"{state.name}*"):
        file.unlink(missing_ok=True)
    with contextlib.suppress(FileExistsError):
        state.mkdir()
    return state.is_dir()


def test_without_a_state_database_it_is_delivered(mailquota: CommandLine) -> None:
    """It can't be written, neither here nor by the engine."""
    assert wait_until(lambda: _replaced_by_a_folder(Path(mailquota.world.state)), 10)
    done = as_dovecot(mailquota, "95", FULL)
    assert done.returncode == 0
    assert len(mails(mailquota.world, FULL)) == 1


@pytest.mark.parametrize("spoil", ["database", "mailbox is not readable"])
def test_without_accounts_it_is_delivered_with_what_the_mailbox_says(alone: CommandLine, spoil: str) -> None:
    """Dovecot may run it as a user who can't read the password of the database."""
    alone.world.database.unlink()
    if spoil != "database":
        (alone.world.maildir(FULL) / "maildirsize").write_text("nonsense")
    done = as_dovecot(alone, "95", FULL)
    assert (done.returncode, done.stderr) == (0, "")  # Dovecot would log an error
    assert done.stdout.startswith(f"sent to {FULL} (maildir): done without engine and accounts: ")
    (mail,) = mails(alone.world, FULL)
    text = mail.get_body(("plain",))
    assert text is not None
    assert "no limit" not in text.get_content()


def test_without_accounts_what_is_no_user_name_is_no_account(alone: CommandLine) -> None:
    """An address can't lead out of the mailstore."""
    alone.world.database.unlink()
    assert as_dovecot(alone, "95", "../../etc@example.org").returncode == 4


def test_an_engine_that_does_not_answer_keeps_no_warning_back(alone: CommandLine) -> None:
    """A socket that takes connections and says nothing."""
    import socket

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(alone.world.control_socket))
        listener.listen()
        done = as_dovecot(alone, "95", FULL)
    os.unlink(alone.world.control_socket)
    assert done.returncode == 0
    assert len(mails(alone.world, FULL)) == 1
