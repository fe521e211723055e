"""Checks of mailquota's answers to Postfix, and of how both read addresses. Pure.

Answers that permit never get here: they are errors of the settings (core/settings/actions.py).
"""

from __future__ import annotations

import json
import re
import shlex

from ...base.text import shown
from ...settings.declared import Policy
from ..model import Check, Facts, Outcome, fail, ok, together, warn
from .lists import RELOAD, needs_postfix

_CODE = re.compile(r"([45])[0-9]{2} +(?:([245])\.([0-9]{1,3}\.[0-9]{1,3})(?: |$))?")
# Reply codes about a recipient (RFC 5321, 4.2.3); some senders do not know any other.
_RECIPIENT_CODES = frozenset({"450", "451", "452", "550", "551", "552", "553", "554"})
_NO_REFUSAL = frozenset({"DUNNO", "INFO", "WARN"})


def set_answer(facts: Facts, key: str, value: str) -> str:
    """Commands that set a key of [policy]; a comment where it is not in a settings file."""
    path = facts.config.path
    line = f"{key} = {json.dumps(value, ensure_ascii=False)}"  # a JSON string in one line is valid TOML, too
    if path is None or not _in_file(facts, key):
        return f"# in [policy] of mailquota's settings: {line}"
    literal = re.sub(r"[\\&|]", r"\\\g<0>", line)
    name = shlex.quote(str(path))
    edit = shlex.quote(f"s|^[[:blank:]]*{key}[[:blank:]]*=.*|{literal}|")
    return f"sed -i {edit} {name}\nmailquota --config {name} reload"


def _in_file(facts: Facts, key: str) -> bool:
    return facts.config.origin.get(f"policy.{key}", "").startswith("file ")


def _word(text: str) -> str:
    return text.split(" ", 1)[0].upper()


def _codes(facts: Facts) -> Outcome:
    policy = facts.config.settings.policy
    texts = {key: text for key in ("overquota", "toolarge") if (text := getattr(policy, key))}
    told = [f"{key} is {shown(text)}{_bounces(text)}" for key, text in texts.items()]
    return together((_code(facts, key, text) for key, text in texts.items()), ok("; ".join(told)))


def _bounces(text: str) -> str:
    return ": the sender gets a bounce at once" if text.startswith("5") or _word(text) == "REJECT" else ""


def _code(facts: Facts, key: str, text: str) -> Outcome:
    word = _word(text)
    wanted = set_answer(facts, key, Policy().overquota if key == "overquota" else "")
    if word in _NO_REFUSAL:
        return fail(f"{key} is {shown(text)}, which refuses nothing", wanted)
    match = _CODE.match(text)
    if match is None:
        return warn(f"{key} is {shown(text)}: Postfix sends a general reply code, not that of a full mailbox", wanted)
    if word not in _RECIPIENT_CODES:
        return warn(f"{key} is {shown(text)}: {word} is not a reply code about a recipient (RFC 5321)", wanted)
    if match[2] is None:
        return warn(f"{key} is {shown(text)}: without an enhanced code Postfix makes it {match[1]}.7.1", wanted)
    if match[1] != match[2]:
        right = text.replace(f"{match[2]}.{match[3]}", f"{match[1]}.{match[3]}", 1)
        return warn(
            f"{key} is {shown(text)}: {word} and {match[2]}.{match[3]} do not agree", set_answer(facts, key, right)
        )
    return ok("")


def _no_user(facts: Facts) -> Outcome:
    text = facts.config.settings.policy.nouser
    if _word(text) in _NO_REFUSAL:
        return ok(f"nouser is {shown(text)}: Postfix decides about addresses that are no mailbox")
    return warn(
        f"nouser is {shown(text)}: every address that is no mailbox is refused", set_answer(facts, "nouser", "DUNNO")
    )


def _success(facts: Facts) -> Outcome:
    policy = facts.config.settings.policy
    outcomes = []
    if _word(policy.success) not in _NO_REFUSAL:
        outcomes.append(
            fail(
                f"success is {shown(policy.success)}: mail that fits is refused", set_answer(facts, "success", "DUNNO")
            )
        )
    if policy.trouble.startswith("5") or _word(policy.trouble) == "REJECT":
        outcomes.append(
            warn(
                f"trouble is {shown(policy.trouble)}: mail bounces while the database is away",
                set_answer(facts, "trouble", "DUNNO"),
            )
        )
    if policy.unreadable.startswith("5") or _word(policy.unreadable) == "REJECT":
        outcomes.append(
            warn(
                f"unreadable is {shown(policy.unreadable)}: mail bounces, also where the owner made a mistake",
                set_answer(facts, "unreadable", "452 4.2.0 Mailbox is not available"),
            )
        )
    deferred = _word(policy.trouble) not in _NO_REFUSAL
    told = ": mail is deferred while mailquota can't know" if deferred else ""
    return together(outcomes, ok(f"success is {shown(policy.success)}, trouble is {shown(policy.trouble)}{told}"))


def _delimiter(facts: Facts) -> Outcome:
    theirs = facts.postfix.values.get("recipient_delimiter", "")
    mine = facts.config.settings.policy.recipient_delimiter
    if set(theirs) == set(mine):
        return ok(f"recipient_delimiter is {shown(mine)} on both sides")
    if _in_file(facts, "recipient_delimiter"):
        fix = set_answer(facts, "recipient_delimiter", theirs)
    else:
        fix = f"postconf -e {shlex.quote(f'recipient_delimiter = {mine}')}\n{RELOAD}"
    return warn(f"recipient_delimiter of Postfix is {shown(theirs)}, that of mailquota {shown(mine)}", fix)


ANSWER_CHECKS: tuple[Check, ...] = (
    Check(
        "answer-codes",
        "By the reply code the sending server tries again (4xx) or gives up (5xx); by the enhanced code (4.2.2: "
        "mailbox full) the sender's mail program explains why.",
        _codes,
    ),
    Check(
        "answer-no-such-user",
        "mailquota knows mailboxes and virtual aliases, but not all addresses that Postfix delivers to. Where it "
        "refuses addresses that it does not know, those of other tables get no mail.",
        _no_user,
    ),
    Check(
        "answer-otherwise",
        "For mail that fits, and while mailquota can't decide, Postfix should go on with its next restriction (DUNNO).",
        _success,
    ),
    Check(
        "recipient-delimiter",
        "Where the two differ, mailquota does not find the mailbox of user+extension, and its limit is not enforced "
        "for such mail.",
        needs_postfix(_delimiter),
    ),
)
