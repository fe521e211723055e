"""The same against Dovecot 2.4 with ``grace = "10M"``.

Known and wanted: to a mail larger than the whole quota, 2.4 answers an empty action, which Postfix takes as permit; we
refuse it. Where a request has two recipients, of which the first is empty, 2.4 takes the second; 2.3 and we do not. 2.4
reads a recipient with 8 bits as UTF-8; to 2.3 and to us it is no address.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.truth.answering import compare as compare_answers
from tests.truth.answering import settle
from tests.truth.dovecot24 import Dovecot24, dovecot24
from tests.truth.figures import compare as compare_figures
from tests.truth.mailboxes import Mailbox
from tests.truth.peers import LARGE, Line, ours
from tests.truth.questions import Case, cases
from tests.truth.scale import count, generate, report
from tests.truth.trees import trees

pytestmark = [pytest.mark.server, pytest.mark.dovecot("2.4"), pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def server() -> Iterator[Dovecot24]:
    with dovecot24() as running:
        yield running


def ours_for(answer: str) -> str:
    """The empty answer is the one that we never give."""
    return answer or LARGE


def without_second_recipient(request: bytes) -> bytes:
    """An empty first recipient is the recipient."""
    lines = request.split(b"\n")
    first = next((line for line in lines if line.startswith(b"recipient=")), b"")
    if first != b"recipient=":
        return request
    return b"\n".join(line for line in lines if line == first or not line.startswith(b"recipient="))


def _in_ascii(case: Case) -> bool:
    return all(line.isascii() for line in case.lines if line.startswith(b"recipient="))


def test_answers_are_those_of_dovecot(server: Dovecot24) -> None:
    generated = generate(cases().filter(_in_ascii), count(100, 5000), 24)
    differences = compare_answers(server, generated, server.grace, without_second_recipient, ours_for)
    report("answers, Dovecot 2.4", len(generated), differences)


def test_figures_are_those_of_dovecot(server: Dovecot24) -> None:
    generated = generate(trees(), count(60, 1000), 24)
    report("figures, Dovecot 2.4", len(generated), compare_figures(server, generated))


def test_a_mail_larger_than_the_quota_is_refused(server: Dovecot24) -> None:
    """At RCPT and at the end of the message, full or not, where 2.4 itself answers with nothing."""
    full = Mailbox(5000, (("", "cur", 5000),), b"", "missing", 0.0, True, True)
    empty = Mailbox(5000, (), b"", "missing", 0.0, True, True)
    large = b"%d" % (20 * 2**20)
    settle(server, {name: Case(box, ()) for name, box in (("full", full), ("empty", empty))})
    with ours(server, 2, server.grace) as running, Line(running.policy_socket) as mine:
        for user in (b"full", b"empty"):
            for state in (b"RCPT", b"END-OF-MESSAGE"):
                request = b"protocol_state=%b\nrecipient=%b@truth.example\nsize=%b\n\n" % (state, user, large)
                assert mine.ask(request) == LARGE
                with Line(server.quota_status()) as theirs:
                    assert theirs.ask(request) == ""
