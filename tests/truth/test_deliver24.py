"""Warnings get through a full mailbox of Dovecot 2.4, by each method and quota driver."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mailserver.dovecot import VMAIL_UID
from tests.real.full_mailbox import FILLS, LIMIT, METHODS, Mailbox, deliverer
from tests.truth.dovecot24 import Dovecot24, dovecot24

pytestmark = [pytest.mark.server, pytest.mark.dovecot("2.4"), pytest.mark.timeout(3600)]

ADDRESSES = {(method, percent): f"{method}{percent}@deliver.example" for method in METHODS for percent in FILLS}


@pytest.fixture(
    scope="module",
    params=[("maildir", ""), ("count", ""), ("count", "enforce = yes")],
    ids=["maildir", "count", "told to enforce"],
)
def server(request: pytest.FixtureRequest) -> Iterator[Dovecot24]:
    """The last says in its block what is its default, which makes a setting outside of the block too weak."""
    with dovecot24(*request.param) as running:
        running.set_users((address, LIMIT) for address in ADDRESSES.values())
        yield running


def fill(server: Dovecot24, address: str, percent: int) -> Mailbox:
    """With one message that is laid into the mailbox."""
    user, _, domain = address.partition("@")
    maildir = server.mail_folder / domain / user / "Maildir"
    message = b"Subject: filling\n\n" + (b"x" * 79 + b"\n") * (percent * LIMIT // 8000)
    for part in ("cur", "new", "tmp"):
        (maildir / part).mkdir(parents=True)
    (maildir / "new/1.filling").write_bytes(message)
    subprocess.run(["chown", "-R", str(VMAIL_UID), str(maildir.parent)], check=True)
    return Mailbox(address, maildir, server.run)


@pytest.mark.parametrize("percent", FILLS)
@pytest.mark.parametrize("method", METHODS)
def test_it_gets_in_and_is_counted(server: Dovecot24, tmp_path: Path, method: str, percent: int) -> None:
    mailbox = fill(server, ADDRESSES[method, percent], percent)
    mailstore = f"{server.mail_folder}/{{domain}}/{{user}}/Maildir"
    mailbox.takes(deliverer(tmp_path, mailstore, shlex.join(server.doveadm), method), method, percent)
