"""Where Postfix asks mailquota: every state of the checks of restriction lists, relaying, and of Postfix as a whole."""

from __future__ import annotations

import pytest

from mailquota.core.doctor.postfix.checks import POSTFIX_CHECKS
from mailquota.core.doctor.postfix.facts import RECIPIENT, RELAY, PostfixFacts, Smtpd
from tests.core.doctor.healthy import BARE, CHECK, QUOTA_STATUS, SUBMISSION, config, facts, outcome, postfix

SENDER = "smtpd_sender_restrictions"
END = "smtpd_end_of_data_restrictions"
GUARD = "reject_unauth_destination"
SMTP = "smtp/inet"


def test_a_healthy_server_gets_no_alarm() -> None:
    assert {
        check.name: check.judge(facts()).found for check in POSTFIX_CHECKS if check.judge(facts()).state != "ok"
    } == {}


NEED_POSTFIX = {check.name for check in POSTFIX_CHECKS} - {
    "policy-socket", "policy-service-answers", "answer-codes", "answer-no-such-user", "answer-otherwise",
}  # fmt: skip


@pytest.mark.parametrize("check", sorted(NEED_POSTFIX))
def test_postfix_that_can_not_be_asked_is_told(check: str) -> None:
    said = outcome(check, facts(PostfixFacts(fault="postconf is not installed")))
    assert (said.state, said.fix) == ("skip", "")
    assert "postconf is not installed" in said.found


@pytest.mark.parametrize(
    "check",
    ["policy-service-once", "policy-service-place", "policy-service-override", "senders-not-checked",
     "policy-service-timeout", "policy-service-default-action", "policy-socket-jail"],
)  # fmt: skip
def test_what_is_about_our_entry_waits_for_one(check: str) -> None:
    said = outcome(check, facts(postfix(GUARD)))
    assert said.state == "skip"
    assert "policy-service-listed" in said.found


@pytest.mark.parametrize(
    ("version", "state"), [("3.7.11", "ok"), ("3.10.13", "ok"), ("2.11.3", "warn"), ("", "skip"), ("new", "skip")]
)
def test_version(version: str, state: str) -> None:
    assert outcome("postfix-version", facts(postfix(values={"mail_version": version}))).state == state


def test_master_cf_that_can_not_be_read_is_told() -> None:
    found = facts(postfix(master_fault="postconf ended with 1: open master.cf: Permission denied", smtpds=()))
    for check in ("postfix-settings", "policy-service-override", "policy-socket-jail", "submission-relay"):
        assert outcome(check, found).state == "skip"
        assert "master.cf" in outcome(check, found).found


# ---- policy-service-listed


@pytest.mark.parametrize(
    ("listen", "service"),
    [
        ("unix:/var/spool/postfix/private/mailquota", "unix:private/mailquota"),
        ("unix:/var/spool/postfix/private/mailquota", "unix:/var/spool/postfix/private/mailquota"),
        ("unix:/run/mailquota/policy", "unix:/run/mailquota/policy"),
        ("inet:127.0.0.1:10040", "inet:127.0.0.1:10040"),
        ("inet:127.0.0.1:10040", "inet:localhost:10040"),
        ("inet:127.0.0.1:10040", "inet:[127.0.0.1]:10040"),
        ("inet:[::1]:10040", "inet:[::1]:10040"),
        ("inet:0.0.0.0:10040", "inet:127.0.0.1:10040"),
    ],
)
def test_our_address_is_known_in_every_form(listen: str, service: str) -> None:
    ours = config(policy={"listen": (listen,)})
    asked = postfix(f"{GUARD}, check_policy_service {{ {service}, timeout=5s }}")
    assert outcome("policy-service-listed", facts(asked, config_=ours)).state == "ok"


def test_nobody_asks() -> None:
    said = outcome("policy-service-listed", facts(postfix(GUARD)))
    assert said.state == "fail"
    assert said.fix == f"postconf -e '{RECIPIENT} = {GUARD}, {CHECK}'\npostfix reload"


def test_an_option_that_stops_smtpd() -> None:
    said = outcome("policy-service-listed", facts(postfix(f"{GUARD}, {CHECK.replace('timeout=10s', 'timeout = 10s')}")))
    assert (said.state, said.fix) == ("fail", f"postconf -e '{RECIPIENT} = {GUARD}, {CHECK}'\npostfix reload")
    assert "'timeout', which is not an option" in said.found


def test_another_service_is_not_ours() -> None:
    asked = postfix(f"{GUARD}, check_policy_service inet:127.0.0.1:10023")
    assert outcome("policy-service-listed", facts(asked)).state == "fail"


def test_a_slip_of_the_pen_is_replaced() -> None:
    typed, grey = "unix:private/mailqouta", "unix:private/postgrey"
    asked = f"{GUARD}, check_policy_service {grey}, check_policy_service {typed}"
    said = outcome("policy-service-listed", facts(postfix(asked, absent=(grey, typed))))
    assert f"there is no {typed}" in said.found
    assert said.fix == f"postconf -e '{RECIPIENT} = {GUARD}, check_policy_service {grey}, {CHECK}'\npostfix reload"
    assert typed in outcome("policy-service-listed", facts(postfix(asked))).fix  # it is there, so it is meant


def test_a_place_where_nobody_listens_any_more_is_left() -> None:
    """A wrong port, or our socket from before the settings named a port."""
    ours = config(policy={"listen": ("inet:127.0.0.1:12345",)})
    for old in ("inet:127.0.0.1:12354", "unix:private/mailquota"):
        asked = f"{GUARD}, check_policy_service inet:127.0.0.1:10023, check_policy_service {old}"
        dead = postfix(asked, absent=(old, "inet:127.0.0.1:10023"))
        said = outcome("policy-service-listed", facts(dead, config_=ours))
        assert f"there is no {old}, so" in said.found
        assert old not in said.fix
        assert "inet:127.0.0.1:10023" in said.fix  # another's, which may be back tomorrow


def test_what_only_looks_like_a_slip_stays() -> None:
    """A greylisting that is away just now, a port beside ours; and with ours in the list nothing is a slip of it."""
    ours = config(policy={"listen": ("inet:127.0.0.1:10041",)})
    others = "check_policy_service inet:127.0.0.1:10023, check_policy_service inet:127.0.0.1:12045"
    dead = ("inet:127.0.0.1:10023", "inet:127.0.0.1:12045")
    said = outcome("policy-service-listed", facts(postfix(f"{GUARD}, {others}", absent=dead), config_=ours))
    assert others in said.fix
    beside = "check_policy_service inet:127.0.0.1:10040"
    malformed = "check_policy_service { inet:127.0.0.1:10041, timeout }"
    asked = postfix(f"{GUARD}, {beside}, {malformed}", absent=("inet:127.0.0.1:10040",))
    assert beside in outcome("policy-service-listed", facts(asked, config_=ours)).fix


def test_quota_status_is_replaced() -> None:
    said = outcome("policy-service-listed", facts(postfix(f"{GUARD}, {QUOTA_STATUS}")))
    assert said.state == "warn"
    assert "the move from quota-status" in said.why
    assert said.fix == f"postconf -e '{RECIPIENT} = {GUARD}, {CHECK}'\npostfix reload"


def test_in_shadow_mode_quota_status_goes_on_deciding() -> None:
    shadow = config(policy={"mode": "shadow"})
    said = outcome("policy-service-listed", facts(postfix(f"{GUARD}, {QUOTA_STATUS}"), config_=shadow))
    assert f"{GUARD}, {QUOTA_STATUS}, {CHECK}" in said.fix


@pytest.mark.parametrize(
    ("parameter", "delayed", "state", "words"),
    [
        (SENDER, "yes", "warn", "only while smtpd_delay_reject = yes"),
        (SENDER, "no", "fail", "in the state MAIL"),
        ("smtpd_client_restrictions", "no", "fail", "in the state CONNECT"),
        ("smtpd_data_restrictions", "yes", "fail", "in the state DATA"),
        ("smtpd_etrn_restrictions", "yes", "fail", "in the state ETRN"),
        (END, "yes", "fail", "several recipients"),
        (RELAY, "yes", "warn", "before other restrictions"),
    ],
)
def test_only_another_list_asks(parameter: str, delayed: str, state: str, words: str) -> None:
    found = postfix(GUARD, values={parameter: f"permit_mynetworks, {CHECK}", "smtpd_delay_reject": delayed})
    said = outcome("policy-service-listed", facts(found))
    assert said.state == state
    assert words in said.found
    assert (f"postconf -e '{parameter} = permit_mynetworks'" in said.fix) == (parameter != END)
    assert f"postconf -e '{RECIPIENT} = {GUARD}, {CHECK}'" in said.fix


def test_a_restriction_class_is_not_covered() -> None:
    classes = {"smtpd_restriction_classes": "full, other", "full": CHECK, "other": "permit"}
    said = outcome("policy-service-listed", facts(postfix("full", values=classes)))
    assert said.state == "skip"
    assert "restriction class full" in said.found


# ---- once, place


def test_asked_twice() -> None:
    said = outcome("policy-service-once", facts(postfix(f"{GUARD}, {CHECK}, {BARE}")))
    assert (said.state, said.fix.splitlines()[0]) == ("warn", f"postconf -e '{RECIPIENT} = {GUARD}, {CHECK}'")


def test_asked_in_two_lists() -> None:
    said = outcome("policy-service-once", facts(postfix(values={SENDER: CHECK})))
    assert (said.state, said.fix) == ("warn", f"postconf -e '{SENDER} = '\npostfix reload")


def test_a_second_question_after_the_data_is_meant() -> None:
    assert outcome("policy-service-once", facts(postfix(values={END: CHECK}))).state == "ok"


@pytest.mark.parametrize(
    ("before", "state", "after"),
    [
        (f"{GUARD}, {CHECK}", "ok", None),
        (f"permit_mynetworks, {GUARD}, reject_unlisted_recipient, {CHECK}", "ok", None),
        (f"{GUARD}, {CHECK}, permit", "ok", None),
        (f"{CHECK}, permit_auth_destination, reject", "ok", None),
        (f"{GUARD}, {CHECK}, check_policy_service inet:127.0.0.1:10023", "ok", None),
        (f"permit, {CHECK}", "fail", f"{CHECK}, permit"),
        (f"{GUARD}, defer, {CHECK}", "fail", f"{GUARD}, {CHECK}, defer"),
        (f"permit_auth_destination, {CHECK}, reject", "fail", f"{CHECK}, permit_auth_destination, reject"),
        (f"{GUARD}, warn_if_reject, {CHECK}", "fail", f"{GUARD}, {CHECK}"),
        (f"{CHECK}, {GUARD}", "warn", f"{GUARD}, {CHECK}"),
        (f"{GUARD}, {CHECK}, permit_mynetworks", "warn", f"{GUARD}, permit_mynetworks, {CHECK}"),
        (f"{GUARD}, {CHECK}, reject_rbl_client b.example", "warn", f"{GUARD}, reject_rbl_client b.example, {CHECK}"),
    ],
)
def test_place(before: str, state: str, after: str | None) -> None:
    """The fix gives the list that is right, and only where something is wrong."""
    said = outcome("policy-service-place", facts(postfix(before)))
    assert said.state == state
    assert said.fix == ("" if after is None else f"postconf -e '{RECIPIENT} = {after}'\npostfix reload")


# ---- master.cf


def overridden(text: str) -> PostfixFacts:
    return postfix(smtpds=(Smtpd(SMTP, chroot=True, overrides={RECIPIENT: text}), SUBMISSION))


def test_an_option_hides_our_entry() -> None:
    said = outcome("policy-service-override", facts(overridden(GUARD)))
    name = "mailquota_smtp_inet_recipient_restrictions"
    assert said.state == "fail"
    assert f"{RECIPIENT} of {SMTP} in master.cf" in said.found
    assert said.fix == (
        f"postconf -e '{name} = {GUARD}, {CHECK}'\npostconf -P '{SMTP}/{RECIPIENT}=${name}'\npostfix reload"
    )


def test_an_option_that_asks_quota_status_asks_us_in_its_place() -> None:
    fix = outcome("policy-service-override", facts(overridden(f"{GUARD}, {QUOTA_STATUS}"))).fix
    assert "quota-status" not in fix
    assert f"{GUARD}, {CHECK}'" in fix


def test_an_empty_option_is_removed() -> None:
    said = outcome("policy-service-override", facts(overridden("")))
    assert (said.state, said.fix) == ("fail", f"postconf -PX {SMTP}/{RECIPIENT}\npostfix reload")


def test_an_option_that_asks_is_judged_in_place_of_main_cf() -> None:
    found = facts(overridden(f"permit, {CHECK}"))
    assert outcome("policy-service-override", found).state == "ok"
    assert outcome("policy-service-place", found).state == "fail"
    assert f"{SMTP}/{RECIPIENT}" in outcome("policy-service-place", found).fix


def test_who_hands_in_mail_elsewhere_is_told() -> None:
    assert "submission/inet in master.cf does not ask it" in outcome("policy-service-override", facts()).found


@pytest.mark.parametrize("service", ["smtpd/pass", "192.0.2.1:smtp/inet", "25/inet", "10026/inet"])
def test_the_service_for_mail_from_outside_is_known(service: str) -> None:
    """By its port, behind postscreen, or as the only one."""
    hidden = postfix(smtpds=(SUBMISSION, Smtpd(service, chroot=False, overrides={RECIPIENT: GUARD})))
    assert outcome("policy-service-override", facts(hidden)).state == "fail"


def test_mail_that_comes_back_from_a_filter_may_have_a_list_of_its_own() -> None:
    back = Smtpd("127.0.0.1:10025/inet", chroot=False, overrides={RECIPIENT: "permit_mynetworks,reject", RELAY: ""})
    found = facts(postfix(smtpds=(Smtpd(SMTP, chroot=True), back)))
    assert outcome("policy-service-override", found).state == "ok"
    assert outcome("relay-control", found).state == "ok"


# ---- who is not checked, and who else decides


def test_who_passes_unchecked_is_named() -> None:
    passing = postfix(f"permit_mynetworks, permit_sasl_authenticated, check_client_access hash:/etc/ok, {CHECK}")
    said = outcome("senders-not-checked", facts(passing))
    assert said.state == "ok"
    for words in ("mynetworks (127.0.0.0/8", "logged in", "check_client_access hash:/etc/ok", "submission/inet"):
        assert words in said.found


def test_many_networks_are_not_all_shown() -> None:
    many = postfix(f"permit_mynetworks, {CHECK}", values={"mynetworks": "10.0.0.1 " * 100_000})
    assert len(outcome("senders-not-checked", facts(many)).found) < 500


def test_nobody_passes_unchecked() -> None:
    alone = postfix(smtpds=(Smtpd(SMTP, chroot=True),))
    assert outcome("senders-not-checked", facts(alone)).found.startswith("all mail that comes in by SMTP is checked")


@pytest.mark.parametrize("other", [QUOTA_STATUS, "check_policy_service inet:127.0.0.1:12340"])
def test_two_enforcers(other: str) -> None:
    said = outcome("two-enforcers", facts(postfix(f"{GUARD}, {other}, {CHECK}")))
    assert said.state == "warn"
    assert said.fix == f"postconf -e '{RECIPIENT} = {GUARD}, {CHECK}'\npostfix reload"


def test_a_second_one_that_is_compared_with_is_known_by_that() -> None:
    compared = config(policy={"compare_with": "inet:127.0.0.1:4711"})
    found = postfix(f"{GUARD}, check_policy_service inet:127.0.0.1:4711, {CHECK}")
    assert outcome("two-enforcers", facts(found, config_=compared)).state == "warn"
    assert outcome("two-enforcers", facts(found)).state == "ok"


def test_while_moving_both_are_asked() -> None:
    shadow = config(policy={"mode": "shadow"})
    said = outcome("two-enforcers", facts(postfix(f"{GUARD}, {QUOTA_STATUS}, {CHECK}"), config_=shadow))
    assert said.state == "ok"
    assert "quota-status alone decides" in said.found


def test_one_alone_is_not_two() -> None:
    assert outcome("two-enforcers", facts(postfix(f"{GUARD}, {QUOTA_STATUS}"))).state == "ok"
    assert outcome("two-enforcers", facts()).state == "ok"


# ---- relaying


@pytest.mark.parametrize(
    ("relay", "recipient", "state"),
    [
        ("permit_mynetworks, defer_unauth_destination", CHECK, "ok"),
        ("", f"{GUARD}, {CHECK}", "ok"),
        ("permit_mynetworks, permit", f"permit_mynetworks, reject_unauth_destination, {CHECK}", "ok"),
        ("", CHECK, "fail"),
        ("permit_mynetworks", f"permit, {GUARD}, {CHECK}", "fail"),
    ],
)
def test_relay_control(relay: str, recipient: str, state: str) -> None:
    said = outcome("relay-control", facts(postfix(recipient, values={RELAY: relay})))
    assert said.state == state
    assert ("defer_unauth_destination" in said.fix) == (state == "fail")


def test_an_option_opens_the_relay() -> None:
    opened = Smtpd(SMTP, chroot=True, overrides={RELAY: "permit"})
    said = outcome("relay-control", facts(postfix(CHECK, smtpds=(opened,))))
    assert said.state == "fail"
    assert said.fix.startswith(f"postconf -PX {SMTP}/{RELAY}\n")


@pytest.mark.parametrize(
    ("networks", "state"),
    [
        ("127.0.0.0/8, 192.168.0.0/16", "ok"),
        ("10.0.0.0/8", "ok"),
        ("hash:/etc/postfix/networks, !192.0.2.1", "ok"),
        ("127.0.0.0/8 0.0.0.0/0", "fail"),
        ("[::]/0", "fail"),
    ],
)
def test_networks_that_may_relay(networks: str, state: str) -> None:
    assert outcome("relay-control", facts(postfix(values={"mynetworks": networks}))).state == state


def users_meet(text: str) -> PostfixFacts:
    """Submission without a list of its own."""
    bare = Smtpd("submission/inet", chroot=True, overrides={"smtpd_sasl_auth_enable": "yes"})
    return postfix(text, smtpds=(Smtpd(SMTP, chroot=True), bare))


@pytest.mark.parametrize(
    ("text", "state"),
    [
        (f"permit_sasl_authenticated, {GUARD}, {CHECK}", "ok"),
        (CHECK, "ok"),
        (f"{GUARD}, {CHECK}", "fail"),
        (f"permit_mynetworks, {GUARD}, permit_sasl_authenticated, {CHECK}", "fail"),
    ],
)
def test_users_may_send_to_everybody(text: str, state: str) -> None:
    said = outcome("submission-relay", facts(users_meet(text)))
    assert said.state == state
    if state == "fail":
        assert f"'{RECIPIENT} = permit_sasl_authenticated, " in said.fix
        assert said.fix.count("permit_sasl_authenticated") == 1


def test_users_who_log_in_at_port_25_count_where_there_is_no_submission() -> None:
    sasl = {"smtpd_sasl_auth_enable": "yes"}
    alone = (Smtpd(SMTP, chroot=True),)
    assert outcome("submission-relay", facts(postfix(values=sasl, smtpds=alone))).state == "fail"
    assert outcome("submission-relay", facts(postfix(values=sasl))).state == "ok"
    assert outcome("submission-relay", facts(postfix(smtpds=alone))).found == "users can't log in to Postfix"


def test_narrow_networks_stay() -> None:
    said = outcome("relay-control", facts(postfix(values={"mynetworks": "192.168.1.0/24 0.0.0.0/0 !10.0.0.1"})))
    local = "127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128"
    assert said.fix == f"postconf -e 'mynetworks = {local} 192.168.1.0/24 !10.0.0.1'\npostfix reload"
