"""Random limits of bytes and messages by the user query: the real quota-status and mailquota give the same answers.

mailquota reads the limits through Dovecot's own settings. It is asked twice: before Dovecot has written maildirsize, so
that it counts, and afterwards, so that it believes the file with both limits in its header.
"""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import strategies as st

from mailquota.core.accounts.from_settings import make_store
from mailquota.core.base.model import Account
from mailquota.core.mailboxes.mailstore import Mailstore
from mailquota.core.policy.decision import VerdictActions
from mailquota.core.servers.dovecot.folder_names import TrashNames
from mailquota.core.settings.config import load
from tests.core.enforcing import Desk, open_desk
from tests.core.loops import run
from tests.core.policy.clients import Client, request
from tests.mailserver import MailServer
from tests.mailserver.dovecot import VMAIL_UID
from tests.mailserver.fixture import temporary_folder
from tests.mailserver.series import dovecot_series
from tests.truth.scale import count, generate, report

pytestmark = [pytest.mark.server, pytest.mark.timeout(1800)]

TROUBLE, TRIES = "trouble", 3
FULL = "452 4.2.2 Mailbox is full and cannot receive any more emails"
OLD = "concat('*:bytes=', quota) AS quota_rule"
OLD_CHANGED = "concat('*:bytes=', quota, ':messages=', coalesce(most, 0)) AS quota_rule"
NEW = "concat(quota, 'B') AS quota_storage_size"
PART = 60  # cases that are put in the time that a test has for its loop
DEFAULT = 7000  # bytes, where the row says nothing


class Case(NamedTuple):
    """A row, a mailbox with messages of one size, and the size of a mail."""

    limit: int | None
    most: int | None
    messages: int
    each: int
    size: int


CASES = st.builds(
    Case,
    st.sampled_from([None, 0, 1, 4999, 5000, 10**9]),
    st.none() | st.integers(0, 4),
    st.integers(0, 5),
    st.sampled_from([1, 1000, 1666, 2500]),
    st.sampled_from([0, 1, 500, 501, 2500, 5000, 5001, 5501, 10**10]),
)


def lay_out(server: MailServer, user: str, case: Case) -> None:
    """The row and the mail of a case."""
    server.mariadb.sql("UPDATE virtual_users SET quota = %s, most = %s WHERE email = %s", case.limit, case.most, user)
    maildir = server.maildir(user)
    for part in ("cur", "new", "tmp"):
        (maildir / part).mkdir(parents=True)
    for number in range(case.messages):
        path = maildir / f"cur/18000000{number:02}.M1P1.mail,S={case.each},W={case.each}:2,S"
        path.write_bytes(b"x" * case.each)
    for path in (maildir.parent, maildir, *maildir.rglob("*")):
        os.chown(path, VMAIL_UID, VMAIL_UID)


def accounts(server: MailServer, folder: Path) -> list[Account]:
    """As mailquota reads them."""
    file = folder / "mailquota.toml"
    file.write_text(
        f'[accounts]\ndatabase = "{server.database_url}"\n[policy]\n'
        f'[mailstore]\npath = "{server.mailstore}"\ndoveadm = "{" ".join(server.doveadm)}"\n'
    )
    with closing(make_store(load(file, {}))) as store:
        return store.read().accounts


async def compare(server: MailServer, folder: Path, cases: dict[str, Case]) -> list[str]:
    differences = []
    async with open_desk(folder, Mailstore(server.mailstore, TrashNames(()))) as desk:
        desk.accounts = {account.address: account for account in accounts(server, folder)}
        desk.read()
        desk.change(
            actions=VerdictActions(accept="DUNNO", over_quota=FULL, too_large=FULL, unknown="who", trouble=TROUBLE)
        )
        theirs, ours = await Client.connect(server.quota_status_socket), await desk.connect()
        for user, case in cases.items():
            answers = [await ask(one, user, case) for one in (ours, theirs, ours)]
            if len(set(answers)) > 1 or not _by_the_file(desk, user):
                differences.append(f"{case}: {desk.entry(user.partition('@')[0]).limit_messages} {answers}")
        await theirs.close()
    return differences


def _by_the_file(desk: Desk, user: str) -> bool:
    """Whether the last answer about a limited mailbox was by Dovecot's file, which it writes where it is the driver."""
    known = desk.entry(user.partition("@")[0]).known
    return known is None or known.source == "maildirsize"


async def ask(client: Client, user: str, case: Case) -> str:
    """A machine that stood still for the length of our deadline makes an answer ``trouble``; asked again it is not."""
    for _ in range(TRIES):
        client.send(request(user, case.size))
        answer = await client.answer()
        if answer != TROUBLE:
            break
    return answer


def test_answers_are_those_of_dovecot(mailserver: MailServer) -> None:
    """On both series, with the driver maildir."""
    generated = generate(CASES, count(60, 600))
    cases = {f"m{number}@example.org": case for number, case in enumerate(generated)}
    mailserver.clear()
    mailserver.mariadb.sql("ALTER TABLE virtual_users MODIFY quota BIGINT NULL, ADD COLUMN most INT")
    folder = mailserver.dovecot.folder

    def change(text: str) -> str:
        if dovecot_series() == "2.4":
            grace = text.replace("concat(quota DIV 10, 'B')", f"concat(coalesce(quota, {DEFAULT}) DIV 10, 'B')")
            return grace.replace(NEW, f"{NEW}, most AS quota_message_count") + f"quota_storage_size = {DEFAULT}B\n"
        query = (folder / "dovecot-sql.conf.ext").read_text().replace(OLD, OLD_CHANGED)
        (folder / "changed.conf.ext").write_text(query)
        changed = text.replace(f"{folder}/dovecot-sql.conf.ext", f"{folder}/changed.conf.ext")
        return f"{changed}plugin {{\n  quota_rule = *:bytes={DEFAULT}\n}}\n"

    try:
        with mailserver.dovecot.changed(change), temporary_folder() as own:
            mailserver.mariadb.add_users((user, 1) for user in cases)
            for user, case in cases.items():
                lay_out(mailserver, user, case)
            users = list(cases)
            parts = [users[start : start + PART] for start in range(0, len(users), PART)]
            differences = []
            for part in parts:
                differences += run(compare(mailserver, own, {user: cases[user] for user in part}))
        report(f"limits of messages, Dovecot {dovecot_series()}", len(cases), differences)
    finally:
        mailserver.clear()
        mailserver.mariadb.sql("ALTER TABLE virtual_users DROP COLUMN most, MODIFY quota BIGINT NOT NULL DEFAULT 0")
