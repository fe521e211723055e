"""What Dovecot's own policy service, quota-status, answers Postfix, and how Dovecot refuses a full mailbox. Pure.

mailquota takes its place, but it may still run, be asked beside us, or be gone back to. Where Postfix does not ask it
its answers harm nobody.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from mailquota.core.base.text import shown, visible
from mailquota.core.doctor.dovecot.common import (
    append,
    combined_check,
    is_asked,
    is_modern,
    quota_status,
    setting,
    value,
    version,
)
from mailquota.core.doctor.dovecot.differences import size_of
from mailquota.core.doctor.dovecot.facts import DovecotFacts
from mailquota.core.doctor.model import Check, Facts, Outcome, fail, ok, skip, together, warn
from mailquota.core.doctor.postfix.lists import asked_anywhere
from mailquota.core.settings.actions import permits

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
    """Nothing is wrong with answers that nobody asks for; where Postfix can't be asked, they are judged."""

    def judged(facts: Facts) -> Outcome:
        if quota_status(facts.dovecot) is None:
            return _NO_SERVICE
        return judge(facts) if is_asked(facts) is not False else ok(_NOT_ASKED)

    return judged


def _answers(facts: Facts) -> Outcome:
    bad = [_permits(facts.dovecot, "success", "OK"), _permits(facts.dovecot, "nouser", _UNKNOWN_USER), _rejects(facts)]
    return together(bad, ok("success and nouser answers leave the decision to the other restrictions"))


def _permits(facts: DovecotFacts, answer: str, default: str) -> Outcome:
    """An answer that should leave the decision to others."""
    name = f"quota_status_{answer}"
    text = value(facts, name, name) or default
    if permits(text):
        return fail(f"{name} is {shown(text)}", setting(facts, name, name, "DUNNO"))
    return ok(f"{name} is {shown(text)}")


def _rejects(facts: Facts) -> Outcome:
    """Users are what Dovecot knows; Postfix asks about aliases too."""
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
    return together((_refusal(facts, name, text) for name, text in set_ones), ok("the answers refuse as they say"))


def _refusal(facts: DovecotFacts, name: str, text: str) -> Outcome:
    fix = setting(facts, name, name, _OVERQUOTA)
    if permits(text):
        return fail(f"{name} is {shown(text)}, which permits", fix)
    if not _REPLY.match(text):
        return ok(f"{name} is {shown(text)}")
    if text[:3] not in _KNOWN:
        return warn(f"{name} is {shown(text)}: {text[:3]} is no reply code of SMTP for a mailbox", fix)
    match = _ENHANCED.match(text)
    if match is None:
        return warn(f"{name} is {shown(text)}: without an enhanced code Postfix adds {text[0]}.7.1, a policy", fix)
    if match[2] != text[0]:
        return warn(f"{name} is {shown(text)}: {text[:3]} and {match[2]}.x.x disagree, Postfix makes it {text[0]}", fix)
    return ok(f"{name} is {shown(text)}")


def _variables(known: Facts) -> Outcome:
    facts = known.dovecot
    text = value(facts, "quota_status_overquota", "quota_status_overquota")
    if not is_modern(facts):
        return ok("concerns quota-status of Dovecot 2.4 alone")
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
        return ok(f"{version(dovecot)} has not this fault")
    if value(dovecot, "", "quota_status_toolarge"):
        return ok("quota_status_toolarge is set, which is what avoids it")
    found = f"quota_status_toolarge is empty on {version(dovecot)}"
    fix = append(dovecot, "quota_status_toolarge = 552 5.2.3 The message is larger than the whole mailbox")
    asked = is_asked(facts)
    if asked is None:
        return skip(
            f"{found}; whether Postfix asks quota-status could not be seen: {visible(facts.postfix.fault)}", fix
        )
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
        return ok(f"{name} is {visible(size)}: quota-status refuses larger mail at RCPT, mailquota does not")
    most = facts.postfix.values.get("message_size_limit", "0")
    if 0 < (size_of(most) or 0) <= (size_of(size) or 0):
        return ok(f"{name} is {visible(size)}; Postfix's message_size_limit of {most} refuses larger mail before")
    fix = append(facts.dovecot, f"{name} = unlimited")
    hint = f"# to refuse large mail at once: postconf -e 'message_size_limit = BYTES', in place of {visible(size)} here"
    return warn(f"{name} is {visible(size)}", f"{fix}\n{hint}")


def _aliases(facts: Facts) -> Outcome:
    asked = is_asked(facts)
    if asked is None:
        return skip(f"whether Postfix asks quota-status could not be seen: {visible(facts.postfix.fault)}")
    if not asked:
        return ok(_NOT_ASKED)
    return ok(
        "Postfix asks quota-status, which knows no aliases: what is sent to the alias of a full mailbox is accepted,"
        " and bounces at delivery. mailquota follows aliases to their mailboxes"
    )


def _bounces(facts: Facts) -> Outcome:
    values = facts.dovecot.conf.values
    if values.get("quota_full_tempfail") == "yes":
        return ok("quota_full_tempfail = yes: what slips past the check waits in Postfix's queue")
    if values.get("lmtp_rcpt_check_quota") == "yes":
        return ok(
            "lmtp_rcpt_check_quota = yes: LMTP refuses a full mailbox before it takes the mail; Postfix bounces it"
        )
    if not facts.postfix.fault and not is_asked(facts) and not asked_anywhere(facts):
        fix = append(facts.dovecot, "quota_full_tempfail = yes")
        return warn("Postfix asks nobody whether a mailbox is full, and Dovecot refuses with 552 at delivery", fix)
    return ok(
        "Dovecot refuses a full mailbox with 552 after the mail was taken: what slips past the check at RCPT bounces to"
        " its sender, who may be forged. quota_full_tempfail = yes would keep it in Postfix's queue"
    )


STATUS_CHECKS: tuple[Check, ...] = (
    combined_check(
        "quota-status-answers",
        "OK, an empty answer and a bare number let Postfix skip every restriction behind the check; REJECT for a user"
        " that Dovecot does not know refuses all mail to aliases.",
        _where_asked(_answers),
    ),
    combined_check(
        "quota-status-codes",
        "The sending server decides by the code whether it tries again, and its users read the text.",
        _where_asked(_refusals),
    ),
    combined_check(
        "quota-status-variables",
        "Dovecot 2.4 knows only %{error} there: with any other variable a full mailbox is a temporary internal error.",
        _where_asked(_variables),
    ),
    combined_check(
        "quota-status-toolarge",
        "The answer to a mail larger than the whole limit is then empty, which Postfix takes as permit: it skips all"
        " restrictions behind the check, and the mail bounces at delivery.",
        _toolarge,
    ),
    combined_check(
        "quota-message-count",
        "quota-status of Dovecot 2.4 ends with a panic at every question, and Postfix defers all mail.",
        _where_asked(_message_count),
    ),
    combined_check(
        "quota-mail-size",
        "It has no effect at RCPT, and LMTP refuses with a temporary code: larger mail is retried for days before its"
        " sender is told.",
        _mail_size,
    ),
    combined_check("quota-status-aliases", "Postfix asks before it resolves aliases.", _aliases),
    combined_check(
        "quota-bounces",
        "A size that was not announced, mails at the same moment, or a check that is away let a mail through to a full"
        " mailbox. What is refused only then bounces to its sender, who may be forged.",
        _bounces,
    ),
)
