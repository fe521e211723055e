"""Which method is tried next, and when none may be: no mail is delivered twice, and none is lost without an error."""

from __future__ import annotations

import pytest

from mailquota.core.alerts.deliver import Deliverer, Search
from mailquota.core.alerts.programs import HungError
from mailquota.core.base.errors import DeliveryError

JOHN = "john@example.org"
MAIL = b"Subject: x\nMessage-ID: <1@example.org>\n\nhello\n"
MISSING = DeliveryError("is not there", temporary=True)
REFUSED = DeliveryError("no such user", temporary=False)
FAILED = DeliveryError("exit code 75", temporary=True, unclear=True)
HUNG = HungError("dovecot-lda")


class Way:
    """A method that fails, or does it."""

    def __init__(self, name: str, error: DeliveryError | None = None) -> None:
        self.name = name
        self.error = error
        self.given: list[tuple[str, bytes]] = []

    def deliver(self, address: str, message: bytes) -> None:
        """See Method."""
        self.given.append((address, message))
        if self.error is not None:
            raise self.error


def answering(answer: bool | None) -> Search:
    return lambda _address, _message_id: answer


def deliverer(*ways: Way, searches: tuple[Search, ...] = (), mailer: Way | None = None) -> Deliverer:
    def check(address: str) -> None:
        if "*" in address:
            raise REFUSED

    return Deliverer(ways, check, searches, mailer)


def test_the_first_method_does_it() -> None:
    first, second = Way("dovecot-lda"), Way("doveadm")
    assert deliverer(first, second).deliver(JOHN, MAIL) == "dovecot-lda"
    assert (first.given, second.given) == ([(JOHN, MAIL)], [])


@pytest.mark.parametrize("error", [MISSING, REFUSED])
def test_the_next_where_it_is_sure_that_nothing_was_stored(error: DeliveryError) -> None:
    """The mailbox is not even looked at."""

    def search(_address: str, _message_id: str) -> bool:
        raise AssertionError

    second = Way("doveadm")
    assert deliverer(Way("dovecot-lda", error), second, searches=(search,)).deliver(JOHN, MAIL) == "doveadm"
    assert second.given == [(JOHN, MAIL)]


def test_the_next_where_a_look_finds_nothing() -> None:
    ways = Way("dovecot-lda", FAILED), Way("doveadm")
    assert deliverer(*ways, searches=(answering(False),)).deliver(JOHN, MAIL) == "doveadm"


@pytest.mark.parametrize("error", [FAILED, HUNG])
def test_none_where_it_is_there_all_the_same(error: DeliveryError) -> None:
    second = Way("doveadm")
    tried = deliverer(Way("dovecot-lda", error), second, searches=(answering(True),))
    assert tried.deliver(JOHN, MAIL) == "dovecot-lda"
    assert second.given == []


@pytest.mark.parametrize(("error", "seen"), [(FAILED, None), (HUNG, None), (HUNG, False)])
def test_none_where_it_may_be_there_or_come(error: DeliveryError, seen: bool | None) -> None:
    second = Way("doveadm")
    with pytest.raises(DeliveryError) as caught:
        deliverer(Way("dovecot-lda", error), second, searches=(answering(seen),)).deliver(JOHN, MAIL)
    assert (caught.value, second.given) == (error, [])


def test_the_next_try_looks_first() -> None:
    """What hung did it after all; the one after that is another mail."""
    way = Way("dovecot-lda", HUNG)
    answers = [False, True]
    tried = deliverer(way, searches=(lambda *_: answers.pop(0),))
    with pytest.raises(HungError):
        tried.deliver(JOHN, MAIL)
    assert tried.deliver(JOHN, MAIL) == "dovecot-lda"
    assert len(way.given) == 1
    way.error = None
    tried.deliver(JOHN, MAIL.replace(b"<1@", b"<2@"))
    tried.deliver(JOHN, MAIL)
    assert (len(way.given), answers) == (3, [])


def test_the_next_try_delivers_where_a_look_finds_nothing() -> None:
    way = Way("dovecot-lda", HUNG)
    tried = deliverer(way, searches=(answering(False),))
    with pytest.raises(HungError):
        tried.deliver(JOHN, MAIL)
    way.error = None
    assert tried.deliver(JOHN, MAIL) == "dovecot-lda"
    assert len(way.given) == 2


def test_where_no_method_works_the_error_has_each_reason() -> None:
    """It may be worth another try if one of them is."""
    with pytest.raises(DeliveryError, match=r"^is not there; no such user$") as caught:
        deliverer(Way("dovecot-lda", MISSING), Way("maildir", REFUSED)).deliver(JOHN, MAIL)
    assert caught.value.temporary
    with pytest.raises(DeliveryError) as caught:
        deliverer(Way("doveadm", REFUSED), Way("maildir", REFUSED)).deliver(JOHN, MAIL)
    assert not caught.value.temporary


def test_an_address_that_is_many_is_seen_by_none() -> None:
    way = Way("doveadm")
    tried = deliverer(way, searches=(answering(True),))
    with pytest.raises(DeliveryError):
        tried.deliver("*@example.org", MAIL)
    assert tried.was_delivered("*@example.org", "<1@example.org>") is None
    assert way.given == []


@pytest.mark.parametrize(
    ("answers", "seen"),
    [((), None), ((True, None), True), ((False, None), None), ((False, True), True), ((None, False), False)],
)
def test_of_several_looks(answers: tuple[bool | None, ...], seen: bool | None) -> None:
    """Each one's yes counts, and the last one's no."""
    assert deliverer(searches=tuple(map(answering, answers))).was_delivered(JOHN, "<1@example.org>") is seen


def test_a_mail_without_message_id_is_not_looked_for() -> None:
    with pytest.raises(DeliveryError):
        deliverer(Way("doveadm", FAILED), searches=(answering(True),)).deliver(JOHN, b"Subject: x\n\nhello\n")


def test_mail_to_others_goes_by_sendmail() -> None:
    way, mailer = Way("maildir"), Way("sendmail")
    deliverer(way, mailer=mailer).send("admin@elsewhere.example", MAIL)
    assert (way.given, mailer.given) == ([], [("admin@elsewhere.example", MAIL)])


@pytest.mark.parametrize("to", ["-f@example.org", "", "a@b, c@d", "a@b\nBcc: c@d", "a\0@b"])
def test_what_is_no_address_is_never_mailed(to: str) -> None:
    mailer = Way("sendmail")
    with pytest.raises(DeliveryError) as caught:
        deliverer(mailer=mailer).send(to, MAIL)
    assert (caught.value.temporary, mailer.given) == (False, [])


def test_errors_of_sendmail_are_raised() -> None:
    with pytest.raises(DeliveryError, match="exit code 75"):
        deliverer(mailer=Way("sendmail", FAILED)).send(JOHN, MAIL)
