"""doveadm is called with the right words, and its answers and exit codes are understood, as both versions gave them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailquota.core.base import programs
from mailquota.core.base.errors import MailquotaError, NoSuchAccountError, UnreachableError
from mailquota.core.servers.dovecot import doveadm as doveadm_module
from mailquota.core.servers.dovecot.doveadm import Doveadm, TrashMessage
from mailquota.core.servers.dovecot.quota_rows import Quota, QuotaLimits
from tests.core.servers.dovecot.fake_doveadm import FakeDoveadm

DATA = Path(__file__).parents[3] / "data"
JANE = "jane@example.org"
JOHN = "john@example.org"
SAVED = 1795347351.0  # 2026-11-22 11:35:51 UTC, as recorded


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDoveadm:
    return FakeDoveadm(tmp_path / "bin", monkeypatch)


@pytest.fixture
def doveadm(fake: FakeDoveadm) -> Doveadm:
    """The one that is found on PATH."""
    found = Doveadm.find()
    assert found is not None
    assert found.command == (str(fake.program),)
    return found


def test_received(fake: FakeDoveadm, doveadm: Doveadm) -> None:
    """Sizes and dates, line by line; an error at the end, and what is no message, are errors."""
    fake.answer("*Sent*", out=b"size.physical\tdate.received.unixtime\n6171\t1795347351\n9\t1795347352\n")
    fake.answer("*Odd*", out=b"size.virtual\tdate.received.unixtime\n6171\n")
    fake.answer("*Gone*", code=68, error=f"doveadm({JOHN}): Error: Mailbox doesn't exist: Gone\n".encode())
    assert list(doveadm.received(JOHN, "Sent", virtual=False)) == [(6171, SAVED), (9, SAVED + 1)]
    for folder in ("Odd", "Gone"):
        with pytest.raises(MailquotaError, match="not understood" if folder == "Odd" else "doesn't exist"):
            list(doveadm.received(JOHN, folder, virtual=True))
    assert fake.calls == [
        f"-f|tab|fetch|-u|{JOHN}|size.physical date.received.unixtime|mailbox|Sent|all|",
        f"-f|tab|fetch|-u|{JOHN}|size.virtual date.received.unixtime|mailbox|Odd|all|",
        f"-f|tab|fetch|-u|{JOHN}|size.virtual date.received.unixtime|mailbox|Gone|all|",
    ]


def test_recalc(fake: FakeDoveadm, doveadm: Doveadm) -> None:
    """It prints nothing and is done."""
    doveadm.recalc(JOHN)
    assert fake.calls == [f"quota|recalc|-u|{JOHN}|"]


def test_mailboxes(fake: FakeDoveadm, doveadm: Doveadm) -> None:
    """Names in UTF-8, one a line; what else ends a line in Unicode is part of a name."""
    fake.answer("mailbox*jane*", out=(DATA / "dovecot-2.3/mailbox-list-8.jane.txt").read_bytes())
    fake.answer("mailbox*", out="Trash\u2028x\nTrash.a\x0bb\x85c\n".encode())
    assert " ".join(doveadm.mailboxes(JANE)) == "Entwürfe Archive Archive.2024 Trash Sent Drafts Junk INBOX"
    assert doveadm.mailboxes(JOHN) == ["Trash\u2028x", "Trash.a\x0bb\x85c"]
    assert fake.calls[0] == f"mailbox|list|-8|-u|{JANE}|"


def test_trash(fake: FakeDoveadm, doveadm: Doveadm) -> None:
    """Numbers, sizes as quota counts them, and save times in UTC."""
    fake.answer("*fetch*", out=(DATA / "dovecot-2.3/fetch-trash.john.tab.txt").read_bytes())
    assert doveadm.trash(JOHN, "Trash", None) == [TrashMessage(1, 6171, SAVED), TrashMessage(2, 5184, SAVED)]
    doveadm.trash(JOHN, "Deleted Items", 1_800_000_000.9)
    assert fake.calls == [
        f"-f|tab|fetch|-u|{JOHN}|uid size.physical date.saved|mailbox|Trash|all|",
        f"-f|tab|fetch|-u|{JOHN}|uid size.physical date.saved|mailbox|Deleted Items|savedbefore|1800000000|",
    ]


def test_environment(fake: FakeDoveadm, doveadm: Doveadm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Times are printed in UTC, texts in English, whatever our own environment is."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("DOVECOT_SECRET", "x")
    fake.program.write_text("#!/bin/sh\n/usr/bin/env | /usr/bin/sort\n")
    names = [line.partition("=")[0] for line in doveadm.mailboxes(JOHN)]
    assert {"LC_ALL=C", "TZ=UTC"} <= set(doveadm.mailboxes(JOHN))
    assert "DOVECOT_SECRET" not in names


MANY = [1, 2, 3, 7, 9, 10, 12]


@pytest.mark.parametrize(
    ("uids", "words"),
    [
        (MANY, ["1:3,7,9:10,12"]),
        ([5], ["5"]),
        ([3, 1, 2], ["1:3"]),
        (range(1, 100_001), ["1:100000"]),
        ([], []),
        (range(2, 12_001, 2), [2000, 2000, 2000]),
    ],
)
def test_expunge(fake: FakeDoveadm, doveadm: Doveadm, uids: list[int], words: list[object]) -> None:
    """Exactly these, as ranges, in as many calls as command lines are long."""
    doveadm.expunge(JOHN, "Trash", uids)
    said = [call.removeprefix(f"expunge|-u|{JOHN}|mailbox|Trash|uid|").removesuffix("|") for call in fake.calls]
    assert [text if len(text) < 100 else text.count(",") + 1 for text in said] == words
    assert max(map(len, said), default=0) < 100_000


@pytest.mark.parametrize("version", ["dovecot-2.3", "dovecot-2.4"])
def test_exit_codes(fake: FakeDoveadm, doveadm: Doveadm, version: str) -> None:
    """67: no such user. 75: Dovecot does not answer. Others, and signals: an error with doveadm's last line."""
    fake.answer("*nobody*", error=(DATA / version / "unknown-user.stderr.txt").read_bytes(), code=67)
    fake.answer("*down*", error=(DATA / version / "server-down.stderr.txt").read_bytes(), code=75)
    fake.answer("*usage*", error=b"first\nlast line\n", code=64)
    fake.answer("*silent*", code=1)
    with pytest.raises(NoSuchAccountError, match=r"no such account: nobody@example\.org"):
        doveadm.recalc("nobody@example.org")
    with pytest.raises(UnreachableError, match="User lookup failed: Internal error occurred"):
        doveadm.recalc("down@example.org")
    with pytest.raises(MailquotaError, match=r"^doveadm: last line$") as caught:
        doveadm.recalc("usage@example.org")
    assert caught.value.exit_code == 1
    with pytest.raises(MailquotaError, match="doveadm: exit code 1"):
        doveadm.recalc("silent@example.org")


FAILED = b"doveadm(john@example.org): Error: cmd quota recalc: Recalculating quota failed: it can't be read\n"
HARMLESS = b"""\
doveconf: Warning: Obsolete setting in /etc/dovecot/dovecot.conf:3: 'ssl_protocols' has been replaced
Error: net_connect_unix(/run/dovecot/stats-writer) failed: Permission denied
doveadm(john@example.org)<12><>: Warning: fscking index file /var/vmail/example.org/john/Maildir/dovecot.index
doveadm(anna.o'neil@example.net): Info: cmd quota get: User no longer exists, skipping
doveadm(john@example.org): Debug: Error: not one
"""


def test_errors_without_an_exit_code(fake: FakeDoveadm, doveadm: Doveadm) -> None:
    """An error is one though doveadm ends with 0, whatever stands around it. Of each command."""
    fake.answer("*", out=b"a\nb\n", error=HARMLESS + FAILED + HARMLESS)
    for call in (
        lambda: doveadm.recalc(JOHN),
        lambda: doveadm.mailboxes(JOHN),
        lambda: doveadm.trash(JOHN, "Trash", None),
        lambda: doveadm.expunge(JOHN, "Trash", [1]),
        lambda: doveadm.quota(JOHN),
        lambda: doveadm.sizes(JOHN),
    ):
        with pytest.raises(MailquotaError, match=r"^doveadm: Recalculating quota failed: it can't be read$"):
            call()


def test_harmless_words(fake: FakeDoveadm, doveadm: Doveadm) -> None:
    """Warnings, information, and statistics that the user of the mailboxes may not write, are no failure."""
    fake.answer("*", out=b"a\nb\n", error=HARMLESS)
    doveadm.recalc(JOHN)
    assert doveadm.mailboxes(JOHN) == ["a", "b"]


@pytest.mark.parametrize("version", ["dovecot-2.3", "dovecot-2.4"])
def test_users_that_could_not_be_loaded(fake: FakeDoveadm, doveadm: Doveadm, version: str) -> None:
    """``quota get -A`` ends with 0 without them; why is told in their names, after what all the others hold."""
    recorded = DATA / version / "quota-get-A.bad-limit.tab"
    fake.answer(
        "*", out=recorded.with_suffix(".tab.txt").read_bytes(), error=recorded.with_suffix(".tab.stderr").read_bytes()
    )
    *others, (name, error) = doveadm.quota_all()
    assert name == "edge@example.net"
    assert isinstance(error, MailquotaError)
    assert str(error).startswith("doveadm: Failed to initialize quota: ")
    assert [type(quota) for _, quota in others] == [Quota] * 5


def test_a_mailbox_that_is_none(fake: FakeDoveadm, doveadm: Doveadm) -> None:
    """68: a name that is listed only for those below it, or gone by now, holds nothing."""
    fake.answer("*", error=(DATA / "dovecot-2.3/missing-mailbox.stderr.txt").read_bytes(), code=68)
    assert doveadm.trash(JOHN, "Trash", None) == []
    doveadm.expunge(JOHN, "Trash", [1])


def test_killed(fake: FakeDoveadm, doveadm: Doveadm) -> None:
    """doveadm dies of some bugs of its own."""
    fake.program.write_text("#!/bin/sh\nkill -ABRT $$\n")
    with pytest.raises(MailquotaError, match="doveadm: exit code -6"):
        doveadm.recalc(JOHN)


def test_no_end(fake: FakeDoveadm, doveadm: Doveadm, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that does not end is given up."""
    monkeypatch.setattr("mailquota.core.servers.dovecot.doveadm.TIMEOUT", 0.05)
    fake.program.write_text("#!/bin/sh\nexec sleep 60\n")
    with pytest.raises(UnreachableError, match="did not end"):
        doveadm.recalc(JOHN)


def test_not_there(tmp_path: Path) -> None:
    """A command of the settings that can't be run is told by its name."""
    with pytest.raises(UnreachableError, match="nowhere can't be run"):
        Doveadm([str(tmp_path / "nowhere")]).recalc(JOHN)


def test_never_from_the_working_directory(fake: FakeDoveadm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty PATH, as under Dovecot, means the usual places and not wherever we happen to stand."""
    monkeypatch.chdir(fake.program.parent)
    monkeypatch.setattr("mailquota.core.base.programs._MORE_PLACES", str(tmp_path))
    for path in ("", None):
        monkeypatch.delenv("PATH", raising=False)
        if path is not None:
            monkeypatch.setenv("PATH", path)
        assert Doveadm.find() is None


# ---- many users at once

TABLE = b"Username\tQuota name\tType\tValue\tLimit\t%\n"


def rows_of(user: str) -> bytes:
    return f"{user}\tUser quota\tSTORAGE\t5\t98\t5\n{user}\tUser quota\tMESSAGE\t2\t-\t0\n".encode()


def test_many_users(fake: FakeDoveadm) -> None:
    """doveadm passes over a user that it does not know, and complains about one that it can't load."""
    error = b"doveadm(bad@example.org): Error: User initialization failed: no\n"
    fake.answer("*quota*get*-F*", out=TABLE + rows_of("John@example.org"), error=error)
    answers = Doveadm([str(fake.program)]).quotas_of(["john@example.org", "bad@example.org", "gone@example.org"])
    assert answers.fault is None
    assert answers.found["john@example.org"] == Quota(5, 2, QuotaLimits(98, None))
    assert "initialization failed" in str(answers.found["bad@example.org"])
    assert "does not know it" in str(answers.found["gone@example.org"])


def test_names_are_read_from_standard_input(fake: FakeDoveadm) -> None:
    fake.program.write_text('#!/bin/sh\ncat "$6" | sed "s/.*/doveadm(&): Error: seen/" >&2\nprintf "Username\\t\\n"\n')
    found = Doveadm([str(fake.program)]).quotas_of(["a@x.de", "b@x.de"]).found
    assert {user: str(error) for user, error in found.items()} == {"a@x.de": "doveadm: seen", "b@x.de": "doveadm: seen"}


def test_a_doveadm_that_can_not_read_names_is_asked_one_by_one(fake: FakeDoveadm) -> None:
    fake.answer("*-F*", error=b"Error: read(/dev/stdin) failed: Illegal seek\n", code=75)
    table = TABLE.replace(b"Username\t", b"") + rows_of("x").replace(b"x\t", b"")
    fake.answer("*-u*john*", out=table)
    fake.answer("*-u*gone*", code=67)
    answers = Doveadm([str(fake.program)]).quotas_of(["john@example.org", "gone@example.org"])
    assert answers.found["john@example.org"] == Quota(5, 2, QuotaLimits(98, None))
    assert isinstance(answers.found["gone@example.org"], NoSuchAccountError)
    assert answers.fault is None


@pytest.mark.parametrize("garbage", [b"", b"hello\n", b"\xff\xfe\x00" * 100, b"Name\tValue\n1\t2\n"])
def test_what_is_no_table_is_no_answer(fake: FakeDoveadm, garbage: bytes) -> None:
    fake.answer("*", out=garbage)
    answers = Doveadm([str(fake.program)]).quotas_of(["john@example.org"])
    assert answers.found == {}
    assert answers.fault is not None


def test_a_version_without_limits(fake: FakeDoveadm) -> None:
    table = b"Username\tQuota name\tType\tValue\nj@x.de\tq\tSTORAGE\t5\nj@x.de\tq\tMESSAGE\t2\n"
    fake.answer("*", out=table)
    assert Doveadm([str(fake.program)]).quotas_of(["j@x.de"]).found == {"j@x.de": Quota(5, 2)}


def test_it_floods(fake: FakeDoveadm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "MOST_PRINTED", 1 << 20)
    fake.program.write_text("#!/bin/sh\nexec yes\n")
    answers = Doveadm([str(fake.program)]).quotas_of(["john@example.org"])
    assert (answers.found, "printed more than" in str(answers.fault)) == ({}, True)


def test_it_hangs_at_the_second_user(fake: FakeDoveadm, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it said before counts."""
    monkeypatch.setattr(doveadm_module, "ONE_USER_TIMEOUT", 0.5)
    rows = (TABLE + rows_of("a@x.de")).decode()
    fake.program.write_text(f"#!/bin/sh\ncat <<'END'\n{rows}END\nexec sleep 100\n")
    answers = Doveadm([str(fake.program)]).quotas_of(["a@x.de", "b@x.de"])
    assert list(answers.found) == ["a@x.de"]
    assert isinstance(answers.fault, UnreachableError)


def test_there_is_none() -> None:
    answers = Doveadm(["/nowhere/doveadm"]).quotas_of(["a@x.de"])
    assert (answers.found, isinstance(answers.fault, UnreachableError)) == ({}, True)


ENDLESS = {
    "lines": f"exec yes '{JOHN}\tUser\tSTORAGE\t1\t2\t3'",
    "a line": "exec cat /dev/zero",
    "errors": "exec cat /dev/zero >&2",
}


@pytest.mark.parametrize("body", ENDLESS.values(), ids=ENDLESS)
def test_a_doveadm_that_prints_without_end_is_killed(
    body: str, doveadm: Doveadm, fake: FakeDoveadm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its output is not kept, whatever is asked."""
    monkeypatch.setattr(doveadm_module, "_MOST_PRINTED", 1_000_000)
    fake.program.write_text(f"#!/bin/sh\n{body}\n")
    for ask in (doveadm.mailboxes, doveadm.quota, doveadm.recalc, doveadm.sizes):
        with pytest.raises(UnreachableError, match="without end"):
            ask(JOHN)


@pytest.mark.parametrize("body", [ENDLESS["a line"], ENDLESS["errors"]], ids=["a line", "errors"])
def test_nothing_without_end_is_kept_of_the_usage_of_all_users(
    body: str, doveadm: Doveadm, fake: FakeDoveadm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither in memory nor on the disk."""
    monkeypatch.setattr(doveadm_module, "ALL_USERS_TIMEOUT", 2.0)
    monkeypatch.setattr(doveadm_module, "_LONGEST", 10_000)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    fake.program.write_text(f"#!/bin/sh\n{body}\n")
    with pytest.raises(MailquotaError) as caught:
        list(doveadm.quota_all())
    assert len(str(caught.value)) < 20_000
