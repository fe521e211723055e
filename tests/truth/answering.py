"""Cases are laid out all at once, then put to both sides over kept connections; where do they disagree?

Ours is asked first, because it writes nothing, while Dovecot repairs the file that it is asked about.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.mailserver.mail import Address
from tests.truth.mailboxes import lay_out
from tests.truth.peers import TROUBLE, Line, Peer, ours
from tests.truth.questions import DOMAIN, Case

# Dovecot keeps a size for the next request of a connection (contract: not copied), so each case begins with this.
_FORGET = b"protocol_state=RCPT\nsize=0\n\n"
_TRIES = 3

Adjust = Callable[[bytes], bytes]  # a request as that version of Dovecot must be asked
Read = Callable[[str], str]  # an answer of that version in our words


def compare(peer: Peer, cases: Sequence[Case], grace: str, adjust: Adjust, read: Read = str) -> list[str]:
    """A line for each disagreement."""
    users = [f"c{number}" for number in range(len(cases))]
    settle(peer, dict(zip(users, cases, strict=True)))
    requests = [case.request(user) for user, case in zip(users, cases, strict=True)]
    with ours(peer, len(cases), grace) as running:
        mine = _ask_ours(running.policy_socket, requests)
    theirs = _ask_dovecot(peer.quota_status(), [adjust(request) for request in requests], read)
    return [
        f"{case!r}\n  grace {grace}, {request!r}\n  ours: {a}\n  Dovecot: {b}"
        for case, request, a, b in zip(cases, requests, mine, theirs, strict=True)
        if a != b
    ]


def settle(peer: Peer, cases: dict[str, Case]) -> None:
    """Users and mail of these cases, and of nobody else."""
    domain = DOMAIN.decode()
    for folder in peer.mail_folder.iterdir():
        shutil.rmtree(folder)
    peer.set_users((f"{user}@{domain}", case.mailbox.limit) for user, case in cases.items())
    for user, case in cases.items():
        lay_out(case.mailbox, peer.mail_folder / domain / user / "Maildir")


def _ask_ours(address: Path, requests: Sequence[bytes]) -> list[str]:
    """A machine that stood still for the length of our deadline makes an answer ``trouble``; asked again it is not."""
    answers = []
    with Line(address) as line:
        for request in requests:
            tries = (line.ask(request) for _ in range(_TRIES))
            answer = next((answer for answer in tries if answer != TROUBLE), TROUBLE)
            assert answer, f"an empty answer to {request!r}"
            answers.append(answer)
    return answers


def _ask_dovecot(address: Address, requests: Sequence[bytes], read: Read) -> list[str]:
    answers = []
    with Line(address) as line:
        for request in requests:
            line.ask(_FORGET)
            answer = line.ask(request)
            answers.append(TROUBLE if answer.startswith(TROUBLE) else read(answer))
    return answers


_END_OF_MESSAGE = re.compile(rb"^(protocol_state=)end-of-message$", re.IGNORECASE | re.MULTILINE)


def as_recipient(request: bytes) -> bytes:
    """For 2.3, which does not decide at END-OF-MESSAGE, while we do: the same question at RCPT."""
    return _END_OF_MESSAGE.sub(rb"\1RCPT", request)
