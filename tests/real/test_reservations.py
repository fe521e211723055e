"""Parallel senders that announce sizes, through the real Postfix into the real Dovecot, with reservations and without.

With them, what was accepted is delivered. Without them all senders are told of the same free space, and what does not
fit any more bounces: a mail that was accepted goes back to a sender who may be forged.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.mailserver.fixture import temporary_folder
from tests.mailserver.mail import SENDER, build_message, send_smtp
from tests.mailserver.server import MailServer
from tests.real.beside import Mailquota, wait_until, write_settings
from tests.truth.scale import count

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]

LIMIT = 10_000_000  # bytes
SIZE = 900_000  # of a mail: eleven fill the mailbox, the grace takes one more
CLIENTS = 40
_TRIES = 5  # chance may have it that senders come one after another


@dataclass(frozen=True)
class Outcome:
    """Of the mails of one burst: what SMTP said, and what became of those that it took."""

    accepted: int
    refused: int
    delivered: int
    bounced: int


@contextmanager
def serving(server: MailServer, reserve: str) -> Iterator[Mailquota]:
    with temporary_folder() as folder:
        more = f'reserve = "{reserve}"'
        with Mailquota(write_settings(server, folder, more=more), server) as running:
            yield running


def burst(server: MailServer, mailquota: Mailquota, address: str) -> Outcome:
    """As many clients as there are put a mail each into a new mailbox at once."""
    server.add_user(address, LIMIT)
    assert server.deliver_lmtp(address, 3000)[0] == 250
    wait_until(lambda: mailquota.json("list", address), "the account is read")
    start, codes = threading.Barrier(CLIENTS), list[int]()

    def send() -> None:
        message = build_message(address, SENDER, SIZE)
        start.wait()
        codes.append(send_smtp(server.smtp_port, message, address, SENDER, announce_size=True)[0])

    threads = [threading.Thread(target=send) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.wait_queue_empty(60)
    said, became = Counter(codes), fates(server.postfix.log, address)
    assert said[250] + said[452] == CLIENTS == len(codes), said
    return Outcome(said[250], said[452], became["sent"], became["bounced"])


def fates(log: Path, address: str) -> Counter[str]:
    """By Postfix's log, how often mail for an address was sent, bounced or deferred."""
    found = re.findall(rf"to=<{re.escape(address)}>.* status=(\w+)", log.read_text(errors="replace"))
    return Counter(found)


def test_what_was_accepted_is_delivered(mailserver: MailServer) -> None:
    """Nothing that Postfix took is refused by Dovecot afterwards; and the mailbox was filled, not spared."""
    with serving(mailserver, "30s") as mailquota:
        for number in range(count(1, 5)):
            outcome = burst(mailserver, mailquota, f"reserved{number}@parallel.example")
            print(outcome)
            assert outcome.bounced == 0
            assert outcome.delivered == outcome.accepted
            assert outcome.accepted >= LIMIT // SIZE
            assert outcome.refused > 0


def test_without_reservations_some_of_it_bounces(mailserver: MailServer) -> None:
    """So the test above does not pass by itself."""
    with serving(mailserver, "0s") as mailquota:
        for number in range(_TRIES):
            outcome = burst(mailserver, mailquota, f"loose{number}@parallel.example")
            print(outcome)
            assert outcome.delivered + outcome.bounced == outcome.accepted
            if outcome.bounced:
                return
    raise AssertionError(f"no mail bounced in {_TRIES} bursts")
