"""Mail comes in as the policy server answers, and the figures stay right."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from mailquota.core.base.model import Level
from mailquota.core.demo.owners import Owners
from mailquota.core.demo.traffic import Event, Traffic
from mailquota.core.demo.world import World
from mailquota.core.policy.protocol import question, text_attribute
from mailquota.core.policy.recipient import user_name
from tests.core.demo.figures import by_address, check_message, check_record, counted, level, messages_of
from tests.core.demo.scripted import DUNNO, FULL, ScriptedPolicy, dunno

# What Postfix 3.7 sends at RCPT TO, in its order.
_ATTRIBUTES = """
    request protocol_state protocol_name client_address client_name client_port reverse_client_name server_address
    server_port helo_name sender recipient recipient_count queue_id instance size etrn_domain stress sasl_method
    sasl_username sasl_sender ccert_subject ccert_issuer ccert_fingerprint ccert_pubkey_fingerprint
    encryption_protocol encryption_cipher encryption_keysize policy_context
"""


def _until(traffic: Traffic, wanted: Callable[[Event], bool]) -> Event:
    """Step until an event of this kind."""
    for _ in range(3000):
        event = traffic.step()
        if wanted(event):
            return event
    raise AssertionError("it never happened")


def _files(world: World) -> set[tuple[str, int]]:
    return {(str(path), path.stat().st_size) for path in Path(world.mailstore.base).rglob("*") if path.is_file()}


def _wait(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


# ---- one mail


def test_a_permitted_mail_is_delivered(world: World, policy: ScriptedPolicy, traffic: Traffic) -> None:
    """DUNNO, and there is one file more in new; the mailbox's figure grew by its size."""
    before = {person.address: counted(world, person) for person in world.people}
    event = _until(traffic, lambda event: len(event.delivered) == 1)
    person = by_address(world)[event.delivered[0]]
    maildir = world.mailstore.maildir(person.address)
    newest = max(messages_of(maildir), key=lambda path: path.stat().st_mtime)
    assert newest.parent == Path(maildir, "new")
    assert check_message(newest) == event.size
    assert counted(world, person) == (before[person.address][0] + event.size, before[person.address][1] + 1)
    check_record(world, person)
    assert text_attribute(policy.requests[-1], "recipient") == event.recipient


@pytest.mark.parametrize("action", [FULL, "554 5.2.2 no", "DEFER_IF_PERMIT later", "reject", "452x"])
def test_a_refused_mail_changes_nothing(
    world: World, policy: ScriptedPolicy, traffic: Traffic, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    """Whatever the words of the refusal, no file is touched."""
    monkeypatch.setattr(Owners, "tidy", lambda _owners, _people: None)
    policy.decide = lambda _recipient: action
    before = _files(world)
    event = _until(traffic, lambda event: event.kind != "nothing")
    assert (event.kind, event.action, event.delivered) == ("refused", action, ())
    assert _files(world) == before


@pytest.mark.parametrize("action", ["OK", "", "452", "dunno and some text"])
def test_what_postfix_takes_as_permission(policy: ScriptedPolicy, traffic: Traffic, action: str) -> None:
    """Also digits alone and nothing at all, as in access(5)."""
    policy.decide = lambda _recipient: action
    assert _until(traffic, lambda event: event.action is not None).kind == "delivered"


def test_requests_are_in_postfix_words(policy: ScriptedPolicy, traffic: Traffic) -> None:
    """All attributes in order; sizes, senders and clients differ, and some announce nothing."""
    for _ in range(150):
        traffic.step()
    expected = _ATTRIBUTES.split()
    for request in policy.requests:
        names = [line.partition(b"=")[0].decode() for line in request.strip(b"\n").split(b"\n")]
        assert names == expected
        asked = question(request)
        assert asked.state == b"RCPT"
        assert user_name(asked.recipient, "+") is not None
        assert re.fullmatch(r"\S+@\S+\.example", text_attribute(request, "sender"))
    found = {name: {text_attribute(request, name) for request in policy.requests} for name in expected}
    assert "0" in found["size"]
    assert min(map(len, (found["size"], found["sender"], found["recipient"]))) > 20
    assert len(found["instance"]) == len(policy.requests)
    assert len(found["client_name"]) > 5


def test_connections_are_kept(policy: ScriptedPolicy, traffic: Traffic) -> None:
    """A few smtpd processes, each with one connection."""
    for _ in range(100):
        traffic.step()
    assert policy.connections <= 5 < len(policy.requests)


def test_tags_capitals_and_guesses(world: World, policy: ScriptedPolicy, traffic: Traffic) -> None:
    """Mail with a tag or capitals is delivered, mail to a guessed name is not."""
    tagged = _until(traffic, lambda event: "+" in event.recipient)
    assert tagged.delivered == (user_name(tagged.recipient.encode(), "+"),)
    capital = _until(traffic, lambda event: event.recipient != event.recipient.lower())
    assert capital.delivered == (capital.recipient.lower(),)
    known = {*by_address(world), *(alias.source for alias in world.aliases)}
    guessed = _until(traffic, lambda event: event.kind == "delivered" and not event.delivered)
    assert guessed.recipient not in known


def test_an_alias_reaches_whom_it_leads_to(world: World, policy: ScriptedPolicy, traffic: Traffic) -> None:
    """All its mailboxes that have room: the full one of john gets nothing, though Postfix accepted the mail."""
    event = _until(traffic, lambda event: event.recipient == "team@example.org")
    assert event.delivered == ("anna@example.org", "peter.lang@example.org")


def test_a_limit_edited_elsewhere_counts_at_once(world: World, policy: ScriptedPolicy, traffic: Traffic) -> None:
    """The next delivery writes it into the header, as Dovecot does; a deleted account gets no mail."""
    with contextlib.closing(sqlite3.connect(world.database)) as connection, connection:
        connection.execute("UPDATE virtual_users SET quota = 0 WHERE email = 'newsletter@example.org'")
        connection.execute("DELETE FROM virtual_users WHERE email = 'jobs@example.com'")
    _until(traffic, lambda event: event.delivered == ("newsletter@example.org",))
    maildir = world.mailstore.maildir("newsletter@example.org")
    assert Path(maildir, "maildirsize").read_text().startswith("0S\n")
    assert _until(traffic, lambda event: event.recipient.lower() == "jobs@example.com").delivered == ()


# ---- the engine comes and goes


def test_without_an_engine_mail_waits(world: World, traffic: Traffic) -> None:
    """Nothing is delivered until an engine answers; a new one on the same socket is found."""
    before = _files(world)
    for _ in range(20):
        assert traffic.step().kind in {"unanswered", "tidied", "nothing"}
    policy = ScriptedPolicy()
    for _ in range(3):
        with policy.listening(world.policy_socket):
            assert _until(traffic, lambda event: event.kind not in {"tidied", "nothing"}).kind == "delivered"
        assert _until(traffic, lambda event: event.kind == "unanswered").delivered == ()
    assert _files(world) != before


def test_it_stops_at_once_though_nobody_answers(
    policy: ScriptedPolicy, traffic: Traffic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that takes a request and says nothing does not hold the end up."""
    monkeypatch.setattr("mailquota.core.demo.smtpd._TIMEOUT", 10_000.0)  # so this test would not end
    policy.decide = lambda _recipient: None
    with traffic.running():
        assert policy.asked.wait(30)
    assert len(policy.requests) == 1


def test_it_runs_by_itself(policy: ScriptedPolicy, traffic: Traffic) -> None:
    """Mail keeps coming while it runs; afterwards its thread is gone."""
    with traffic.running():
        _wait(lambda: len(policy.requests) >= 5)
    assert not any(thread.name == "mailquota-traffic" for thread in threading.enumerate())


def test_a_silent_server_is_given_up(policy: ScriptedPolicy, traffic: Traffic, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time, and a second try on a new connection, the mail waits; a later one may be answered."""
    monkeypatch.setattr("mailquota.core.demo.smtpd._TIMEOUT", 0.05)
    policy.decide = lambda _recipient: None
    assert _until(traffic, lambda event: event.kind not in {"tidied", "nothing"}).kind == "unanswered"
    assert len(policy.requests) == policy.connections == 2
    monkeypatch.setattr("mailquota.core.demo.smtpd._TIMEOUT", 30.0)
    policy.decide = dunno
    assert _until(traffic, lambda event: event.action is not None).kind == "delivered"


def test_a_fault_does_not_end_it(
    policy: ScriptedPolicy, traffic: Traffic, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged once, however often it comes, and mail goes on afterwards."""
    real, faults = traffic.step, [0]

    def step() -> Event:
        faults[0] += 1
        if faults[0] <= 3:
            raise OSError(28, "No space left on device")
        return real()

    monkeypatch.setattr(traffic, "step", step)
    monkeypatch.setattr("mailquota.core.demo.traffic._SLOWEST", 50.0)
    monkeypatch.setattr("mailquota.core.demo.traffic._FASTEST", 50.0)
    with caplog.at_level(logging.INFO), traffic.running():
        assert policy.asked.wait(30)
    assert len(caplog.records) == 1
    assert caplog.records[0].exc_info


# ---- hours


def _honest(world: World) -> Callable[[str], str]:
    """Refuse as the product would, by a count of the folders."""
    people = by_address(world)

    def decide(recipient: str) -> str:
        person = people.get(user_name(recipient.encode(), "+") or "")
        if person is None or person.limit is None:
            return DUNNO
        return FULL if counted(world, person)[0] >= person.limit else DUNNO

    return decide


def test_hours_of_mail(world: World, policy: ScriptedPolicy, traffic: Traffic) -> None:
    """Figures agree at the end, levels went both ways, all kinds of things happened, and nothing grew without end."""
    policy.decide = _honest(world)
    before = Counter(level(world, person) for person in world.people)
    favourite = world.people[1]
    assert favourite.limit is not None
    kinds: Counter[str] = Counter()
    shares = []
    for _ in range(2500):
        kinds[traffic.step().kind] += 1
        shares.append(counted(world, favourite)[0] / favourite.limit)
    assert set(kinds) >= {"delivered", "refused", "tidied"}
    assert kinds["delivered"] > kinds["refused"] > 50
    assert max(shares) >= 1
    assert min(shares[shares.index(max(shares)) :]) < 0.9
    for person in world.people:
        check_record(world, person)
        assert counted(world, person)[1] < person.messages + 350
        for path in messages_of(world.mailstore.maildir(person.address)):
            check_message(path)
    levels = Counter(level(world, person) for person in world.people)
    assert {Level.OVER, Level.OK, Level.UNLIMITED, Level.UNKNOWN} <= set(levels)
    assert levels[Level.OK] >= before[Level.OK] - 2


def test_the_world_may_be_changed_meanwhile(world: World, policy: ScriptedPolicy, traffic: Traffic) -> None:
    """Trash is emptied and maildirsize removed by another process; usage and count agree again."""
    for person in world.people:
        maildir = world.mailstore.maildir(person.address)
        with contextlib.suppress(OSError):
            os.unlink(f"{maildir}/maildirsize")
        for path in messages_of(f"{maildir}/.{person.trash_name}"):
            path.unlink()
    delivered = {address for _ in range(400) for address in traffic.step().delivered}
    assert len(delivered) > 15
    for person in world.people:
        check_record(world, person)


def test_a_mailbox_still_to_come_gets_no_mail(world: World, policy: ScriptedPolicy, traffic: Traffic) -> None:
    """Only those are written to whose Maildir is complete."""
    world.ready = 2
    for _ in range(60):
        assert set(traffic.step().delivered) <= {"john@example.org", "newsletter@example.org"}
    world.ready = 0
    assert traffic.step().kind == "nothing"
