"""Checks of quota-status, Dovecot's own policy service, and of how Dovecot refuses mail to a full mailbox. Pure.

mailquota replaces quota-status, but it may still run, be asked beside mailquota, or be used again later. Where Postfix
does not ask it, its answers have no effect.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ...base.text import shown, visible
from ...servers.dovecot.conf import size_of
from ...settings.actions import permits
from ..model import Check, Facts, Outcome, fail, ok, skip, together, warn
from ..postfix.lists import asked_anywhere
from .common import (
    append,
    combined_check,
    is_asked,
    is_modern,
    quota_status,
    setting,
    value,
    version,
)
from .facts import DovecotFacts

_NO_SERVICE = ok("no quota-status service is configured")
_NOT_ASKED = "Postfix does not ask quota-status about recipients"
_TOOLARGE_FAULT = ((2, 4, 0), (2, 4, 4))
_UNKNOWN_USER = "REJECT Unknown user"  # the default
_UNLIMITED = {"", "0", "unlimited"}
_OVERQUOTA = "452 4.2.2 Mailbox is full and cannot receive any more emails"
_ENHANCED = re.compile(r"([0-9]{3}) +([0-9])\.[0-9]{1,3}\.[0-9]{1,3}(?: |$)")
_REPLY = re.compile(r"[0-9]{3}(?: |$)")
_KNOWN = {"421", "450", "451", "452", "521", "550", "551", "552", "553", "554"}


def _where_asked(judge: Callable[[Facts], Outcome]) -> Callable[[Facts], Outcome]:
    """The same check, ok where Postfix does not ask quota-status. Where that is not known, its answers are judged."""

    def judged(facts: Facts) -> Outcome:
        if quota_status(facts.dovecot) is None:
            return _NO_SERVICE
        return judge(facts) if is_asked(facts) is not False else ok(_NOT_ASKED)

    return judged


def _answers(facts: Facts) -> Outcome:
    bad = [_permits(facts.dovecot, "success", "OK"), _permits(facts.dovecot, "nouser", _UNKNOWN_USER), _rejects(facts)]
    return together(bad, ok("success and nouser answers leave the decision to the other restrictions"))


def _permits(facts: DovecotFacts, answer: str, default: str) -> Outcome:
    """The outcome for an answer with which Postfix should go on; ``default`` is that of Dovecot."""
    name = f"quota_status_{answer}"
    text = value(facts, name, name) or default
    if permits(text):
        return fail(f"{name} is {shown(text)}", setting(facts, name, name, "DUNNO"))
    return ok(f"{name} is {shown(text)}")


def _rejects(facts: Facts) -> Outcome:
    """The outcome for an answer that refuses unknown users: Dovecot does not know aliases, but is asked about them."""
    name = "quota_status_nouser"
    text = value(facts.dovecot, name, name) or _UNKNOWN_USER
    if not text.upper().startswith(("REJECT", "4", "5")):
        return ok(f"{name} is {shown(text)}")
    fix = setting(facts.dovecot, name, name, "DUNNO")
    if facts.postfix.values.get("virtual_alias_maps"):
        return fail(f"{name} is {shown(text)}, and Postfix has virtual_alias_maps", fix)
    return warn(f"{name} is {shown(text)}", fix)


def _refusals(known: Facts) -> Outcome:
    facts = known.dovecot
    names = ["quota_status_overquota"] if is_modern(facts) else ["quota_status_overquota", "quota_status_toolarge"]
    set_ones = [(name, value(facts, name, name)) for name in names if value(facts, name, name)]
    return together(
        (_refusal(facts, name, text) for name, text in set_ones),
        ok("the answers refuse with the reply codes that they have"),
    )


def _refusal(facts: DovecotFacts, name: str, text: str) -> Outcome:
    fix = setting(facts, name, name, _OVERQUOTA)
    if permits(text):
        return fail(f"{name} is {shown(text)}, which permits", fix)
    if not _REPLY.match(text):
        return ok(f"{name} is {shown(text)}")
    if text[:3] not in _KNOWN:
        return warn(f"{name} is {shown(text)}: {text[:3]} is not a reply code about a mailbox", fix)
    match = _ENHANCED.match(text)
    if match is None:
        return warn(
            f"{name} is {shown(text)}: without an enhanced code Postfix adds {text[0]}.7.1, that of a policy", fix
        )
    if match[2] != text[0]:
        return warn(
            f"{name} is {shown(text)}: {text[:3]} and {match[2]}.x.x disagree, Postfix makes it {text[0]}.x.x", fix
        )
    return ok(f"{name} is {shown(text)}")


def _variables(known: Facts) -> Outcome:
    facts = known.dovecot
    text = value(facts, "quota_status_overquota", "quota_status_overquota")
    if not is_modern(facts):
        return ok("needed only for quota-status of Dovecot 2.4")
    others = [name for name in re.findall(r"%\{([^}]*)\}?", text) if name.strip() != "error"]
    if not others:
        return ok("quota_status_overquota has no variable of a user")
    plain = re.sub(r"\s*%\{(?!error\})[^}]*\}?", "", text)
    return fail(f"quota_status_overquota has {shown(text)}", append(facts, f"quota_status_overquota = {plain}"))


def _toolarge(facts: Facts) -> Outcome:
    dovecot = facts.dovecot
    first, last = _TOOLARGE_FAULT
    if quota_status(dovecot) is None:
        return _NO_SERVICE
    if not first <= dovecot.release <= last:
        return ok(f"{version(dovecot)} does not have this fault")
    if value(dovecot, "", "quota_status_toolarge"):
        return ok("quota_status_toolarge is set, which avoids the fault")
    found = f"quota_status_toolarge is empty on {version(dovecot)}"
    fix = append(dovecot, "quota_status_toolarge = 552 5.2.3 The message is larger than the whole mailbox")
    asked = is_asked(facts)
    if asked is None:
        return skip(f"{found}; whether Postfix asks quota-status is not known: {visible(facts.postfix.fault)}", fix)
    return fail(found, fix) if asked else ok(f"{found}, but {_NOT_ASKED}")


def _message_count(known: Facts) -> Outcome:
    facts = known.dovecot
    count = facts.conf.values.get("quota_mailbox_message_count", "")
    if not is_modern(facts) or count in _UNLIMITED:
        return ok("quota_mailbox_message_count is not set")
    return fail(
        f"quota_mailbox_message_count is {visible(count)}", append(facts, "quota_mailbox_message_count = unlimited")
    )


def _mail_size(facts: Facts) -> Outcome:
    name = "quota_mail_size" if is_modern(facts.dovecot) else "quota_max_mail_size"
    size = value(facts.dovecot, name, name)
    if size in _UNLIMITED:
        return ok(f"{name} is not set")
    if not is_modern(facts.dovecot):
        return ok(f"{name} is {visible(size)}: quota-status and mailquota refuse larger mail at RCPT")
    most = facts.postfix.values.get("message_size_limit", "0")
    if 0 < (size_of(most) or 0) <= (size_of(size) or 0):
        return ok(f"{name} is {visible(size)}; Postfix's message_size_limit of {most} refuses larger mail before")
    fix = append(facts.dovecot, f"{name} = unlimited")
    hint = f"# to refuse large mail at once: postconf -e 'message_size_limit = BYTES', in place of {visible(size)} here"
    return warn(f"{name} is {visible(size)}", f"{fix}\n{hint}")


def _aliases(facts: Facts) -> Outcome:
    asked = is_asked(facts)
    if asked is None:
        return skip(f"whether Postfix asks quota-status is not known: {visible(facts.postfix.fault)}")
    if not asked:
        return ok(_NOT_ASKED)
    return ok(
        "Postfix asks quota-status, which knows no aliases: mail to an alias of a full mailbox is accepted and bounces"
        " at delivery. mailquota resolves aliases to their mailboxes"
    )


def _bounces(facts: Facts) -> Outcome:
    values = facts.dovecot.conf.values
    if values.get("quota_full_tempfail") == "yes":
        return ok("quota_full_tempfail = yes: mail that the check at RCPT did not refuse waits in Postfix's queue")
    if values.get("lmtp_rcpt_check_quota") == "yes":
        return ok(
            "lmtp_rcpt_check_quota = yes: LMTP refuses a full mailbox before it accepts the mail, which Postfix bounces"
        )
    if not facts.postfix.fault and not is_asked(facts) and not asked_anywhere(facts):
        fix = append(facts.dovecot, "quota_full_tempfail = yes")
        return warn("Postfix asks no service whether a mailbox is full, and Dovecot refuses with 552 at delivery", fix)
    return ok(
        "Dovecot refuses a full mailbox with 552 after the mail was accepted: mail that was not refused at RCPT"
        " bounces to its sender, who may be forged. quota_full_tempfail = yes would keep it in Postfix's queue"
    )


STATUS_CHECKS: tuple[Check, ...] = (
    combined_check(
        "quota-status-answers",
        "With OK, an empty answer or a number alone Postfix skips all restrictions after the check; REJECT for a user"
        " that Dovecot does not know refuses all mail to aliases.",
        _where_asked(_answers),
    ),
    combined_check(
        "quota-status-codes",
        "By the reply code the sending server tries again or gives up, and its users read the text.",
        _where_asked(_refusals),
    ),
    combined_check(
        "quota-status-variables",
        "Dovecot 2.4 has only %{error} there: with any other variable the answer is a temporary internal error.",
        _where_asked(_variables),
    ),
    combined_check(
        "quota-status-toolarge",
        "Without a text the answer to a mail larger than the whole limit is empty, which Postfix takes as permit: it"
        " skips all restrictions after the check, and the mail bounces at delivery.",
        _toolarge,
    ),
    combined_check(
        "quota-message-count",
        "With it quota-status of Dovecot 2.4 ends with a panic at every request, and Postfix defers all mail.",
        _where_asked(_message_count),
    ),
    combined_check(
        "quota-mail-size",
        "It has no effect at RCPT, and LMTP refuses with a temporary code: larger mail is retried for days before its"
        " sender gets a bounce.",
        _mail_size,
    ),
    combined_check("quota-status-aliases", "Postfix asks before it resolves aliases.", _aliases),
    combined_check(
        "quota-bounces",
        "A mail may still reach a full mailbox: its size was not announced, two came at once, or the check was"
        " stopped. If Dovecot then refuses it, it bounces to its sender, who may be forged.",
        _bounces,
    ),
)
