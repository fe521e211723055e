"""Settings of Postfix that nobody foresaw: no check fails itself, and no fix lets them reach the shell."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailquota.core.doctor.postfix.checks import POSTFIX_CHECKS
from mailquota.core.doctor.postfix.facts import PARAMETERS, RECIPIENT, PostfixFacts
from mailquota.core.doctor.postfix.probe import parse_master
from mailquota.core.servers.postfix.maps import parse_map_file
from tests.core.doctor.healthy import CHECK, VALUES, facts, outcome, postfix

WORDS = st.sampled_from(
    [
        CHECK, "permit", "reject", "permit_mynetworks", "reject_unauth_destination", "warn_if_reject", "{", "}", ",",
        "check_policy_service", "unix:", "unix:private/mailquota", "inet:", "inet:1:x", "check_x_access", "'; reboot #",
        "$(reboot)", "`reboot`", "\x1b[31m", "=", "0.0.0.0/0", "smtp inet n - y - - smtpd", "smtp/inet/", "10s", "ä",
    ]
)  # fmt: skip
TEXTS = st.lists(WORDS, max_size=8).map(" ".join)


@given(
    values=st.dictionaries(st.sampled_from(PARAMETERS), TEXTS),
    lines=st.lists(TEXTS).map("\n".join),
    options=st.lists(TEXTS).map("\n".join),
)
def test_no_check_fails_itself(values: dict[str, str], lines: str, options: str) -> None:
    found = PostfixFacts(
        fault="", values=VALUES | values, smtpds=parse_master(lines, options, dash_is_chroot=False),
        sockets=postfix().sockets,
    )  # fmt: skip
    for check in POSTFIX_CHECKS:
        said = check.judge(facts(found))
        assert said.found
        shlex.split(said.fix, comments=True)


@given(st.text(max_size=200))
def test_no_text_of_postconf_is_an_error(text: str) -> None:
    parse_map_file(text)
    assert isinstance(parse_master(text, text, dash_is_chroot=True), tuple)


@pytest.mark.parametrize("hostile", ["'; reboot #", "$(reboot)", "`reboot`", "a\\'b"])
def test_a_fix_keeps_a_list_as_one_word(hostile: str) -> None:
    said = outcome("policy-service-listed", facts(postfix(f"check_client_access {{ {hostile} }}")))
    command, name, value = shlex.split(said.fix.splitlines()[0])
    assert (command, name) == ("postconf", "-e")
    assert value == f"{RECIPIENT} = check_client_access {{ {hostile} }}, {CHECK}"
