"""Restriction lists of Postfix, taken apart and put together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailquota.core.servers.postfix.restrictions import (
    Entry,
    entries,
    our_check,
    place,
    policy_check,
    postfix_service,
    without,
)

SERVICE = "unix:private/mailquota"
OURS = "check_policy_service { unix:private/mailquota, timeout=10s, default_action=DUNNO }"


def test_a_list_is_words_with_arguments() -> None:
    text = "permit_mynetworks,\n  permit_SASL_authenticated check_recipient_access hash:/etc/access"
    assert entries(text) == (
        Entry("permit_mynetworks"),
        Entry("permit_sasl_authenticated"),
        Entry("check_recipient_access", "hash:/etc/access"),
    )


def test_braces_are_one_argument_and_may_nest() -> None:
    text = "check_policy_service { inet:127.0.0.1:12340, { default_action = 451 4.3.5 come back }, timeout=3s }, permit"
    first, second = entries(text)
    check = policy_check(first)
    assert check
    assert check.service == "inet:127.0.0.1:12340"
    assert check.options == {"default_action": "451 4.3.5 come back", "timeout": "3s"}
    assert second == Entry("permit")


@pytest.mark.parametrize(
    ("options", "malformed"),
    [
        ("timeout=10s, { default_action = 451 4.3.5 x }, max_ttl=5", ""),
        ("timeout = 10s", "timeout"),
        ("default_action=451 4.3.5 x", "4.3.5"),
        ("timeuot=10s", "timeuot"),
    ],
)
def test_what_postfix_does_not_take_for_an_option_is_told(options: str, malformed: str) -> None:
    """smtpd ends at it: "malformed option", "unknown option"."""
    (entry,) = entries(f"check_policy_service {{ {SERVICE}, {options} }}")
    check = policy_check(entry)
    assert check is not None
    assert check.malformed == malformed


def test_an_access_map_may_stand_alone() -> None:
    assert entries("hash:/etc/postfix/Access, permit") == (Entry("hash:/etc/postfix/Access"), Entry("permit"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", OURS),
        ("reject_unauth_destination", f"reject_unauth_destination, {OURS}"),
        (
            "permit_mynetworks reject_unauth_destination permit",
            f"permit_mynetworks, reject_unauth_destination, {OURS}, permit",
        ),
        (f"check_policy_service {SERVICE}, reject_unauth_destination", f"reject_unauth_destination, {OURS}"),
        (f"{OURS}, {OURS}", OURS),
        ("permit_auth_destination, reject", f"{OURS}, permit_auth_destination, reject"),
        (f"permit_mynetworks, warn_if_reject, {OURS}", f"permit_mynetworks, {OURS}"),
        ("permit_mynetworks, warn_if_reject reject", f"permit_mynetworks, {OURS}, warn_if_reject, reject"),
        ("permit_mynetworks warn_if_reject", f"permit_mynetworks, {OURS}, warn_if_reject"),
    ],
)
def test_our_check_stands_once_and_last(before: str, after: str) -> None:
    assert our_check(SERVICE) == OURS
    assert place(before, SERVICE) == after


def test_taken_out_the_rest_stays() -> None:
    text = f"permit_mynetworks, {OURS}, check_policy_service unix:private/quota-status"
    assert without(text, {SERVICE}) == "permit_mynetworks, check_policy_service unix:private/quota-status"


@pytest.mark.parametrize(
    ("listen", "service"),
    [
        ("unix:/var/spool/postfix/private/mailquota", "unix:private/mailquota"),
        ("unix:/run/mailquota/policy", "unix:/run/mailquota/policy"),
        ("inet:127.0.0.1:12345", "inet:127.0.0.1:12345"),
    ],
)
def test_what_postfix_calls_us(listen: str, service: str) -> None:
    assert postfix_service(listen, "/var/spool/postfix") == service


@given(st.text(alphabet="ab{},= \n:", max_size=60))
def test_any_text_is_taken_apart_and_placing_twice_changes_nothing(text: str) -> None:
    once = place(text.replace("{", "").replace("}", ""), SERVICE)
    assert place(once, SERVICE) == once
    entries(text)
