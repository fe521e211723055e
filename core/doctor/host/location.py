"""Checks that mailboxes are where mailquota looks for them. Dovecot is asked, as it alone decides that. Pure."""

from __future__ import annotations

import shlex

from ...base.text import shown, visible
from ...base.units import format_count
from ..dovecot.facts import AccountFacts
from ..model import Check, Facts, Outcome, fail, ok, skip

_SHOWN = 3  # accounts in one sentence
_SET = "# set path in [mailstore] to where Dovecot keeps the Maildirs: doveadm user -f {field} ADDRESS"


def _mailstore(facts: Facts) -> Outcome:
    if facts.host.lost.reason or facts.host.engine.mailstore_problem:
        return _lost(facts)
    if facts.config.settings.mailstore.driver == "doveadm":
        return ok("the driver is doveadm: Dovecot knows the paths of mailboxes, mailstore.path is not needed")
    asked = [one for one in facts.dovecot.sample if one.maildir]
    if elsewhere := [one for one in asked if one.elsewhere]:
        return _elsewhere(facts, asked, elsewhere)
    return _folder(facts) or (_agreed(facts, asked) if asked else _unwitnessed(facts))


def _folder(facts: Facts) -> Outcome | None:
    """The outcome where the folder above all mailboxes can't be examined, or is none; else None."""
    store = facts.host.mailstore
    if store is None:
        return skip(f"the mailstore was not examined{_because(facts)}")
    if store.kind == "closed":
        return skip(f"{store.fault}: run the doctor as root")
    if store.kind != "folder":
        template = facts.config.settings.mailstore.path
        return fail(f"{shown(store.path, 200)}, the start of mailstore.path ({template}), is not a folder", _set(facts))
    return None


def _agreed(facts: Facts, asked: list[AccountFacts]) -> Outcome:
    return ok(f"{_asked(facts, asked)}: their mailboxes are where mailstore.path says")


def _because(facts: Facts) -> str:
    return f": {visible(facts.host.fault)}" if facts.host.fault else ""


def _asked(facts: Facts, asked: list[AccountFacts]) -> str:
    return f"asked Dovecot about {len(asked)} of {format_count(facts.dovecot.accounts)} accounts"


def _set(facts: Facts) -> str:
    return _SET.format(field="mail_path" if facts.dovecot.release >= (2, 4) else "home")


def _elsewhere(facts: Facts, asked: list[AccountFacts], elsewhere: list[AccountFacts]) -> Outcome:
    told = "; ".join(
        f"{visible(one.address)} is in {shown(one.maildir, 200)}, mailquota looks in {shown(one.ours, 200)}"
        for one in elsewhere[:_SHOWN]
    )
    more = f"; and {len(elsewhere) - _SHOWN} more" if len(elsewhere) > _SHOWN else ""
    return fail(f"{_asked(facts, asked)}, {len(elsewhere)} have their mailbox elsewhere: {told}{more}", _set(facts))


def _unwitnessed(facts: Facts) -> Outcome:
    """The outcome where Dovecot says of no account where its mailbox is: then only the file system can be asked."""
    dovecot = facts.dovecot
    found = [one for one in facts.host.maildirs if one.folder.kind == "folder"]
    looked = f"{len(found)} of {len(facts.host.maildirs)} mailboxes looked at are where mailstore.path says"
    why = dovecot.fault or dovecot.server_fault or "it names no Maildir"
    unasked = f"Dovecot could not be asked where they are: {visible(why)}"
    if not facts.host.maildirs:
        return ok("there is no account to ask about")
    if found:
        return ok(f"{looked}; {unasked}")
    if facts.host.limits.used:
        return fail(f"{looked}; {unasked}", _set(facts))
    return skip(f"{looked}; {unasked}")


def _lost(facts: Facts) -> Outcome:
    """What is amiss with the mailstore, with Dovecot's own location of one mailbox, and what helps."""
    lost, looked_at = facts.host.lost, len(facts.host.maildirs)
    problem = facts.host.engine.mailstore_problem
    if not lost.reason and facts.config.settings.mailstore.helper and problem.startswith("the helper"):
        return fail(
            visible(problem), "# its log says why: journalctl -u mailquota-helper\nsystemctl restart mailquota-helper"
        )
    if not lost.reason:
        text = f"mailboxes that are there are missing for the engine: {problem}"
        return fail(visible(text), "# it has mounts of its own, from when it was started\nsystemctl restart mailquota")
    text = f"{lost.reason}; so {lost.accounts} of {looked_at} mailboxes looked at are unknown"
    if lost.point:
        mount = f"mount {shlex.quote(lost.point)}"
        away = "is not mounted" in lost.reason
        return fail(visible(text), mount if away else "# bring the mail back to where it was, or find out why it went")
    location = _dovecots_location(facts)
    fix = "# set path in [mailstore] to where Dovecot keeps the Maildirs"
    if location:
        return fail(visible(f"{text}; {location}"), visible(f"{fix}: {location}"))
    return fail(visible(text), f"{fix}: doveadm user -f home ADDRESS")


def _dovecots_location(facts: Facts) -> str:
    for account in facts.dovecot.sample:
        fields = account.fields
        told = {"home": fields.get("home"), "mail": fields.get("mail") or fields.get("mail_path")}
        if any(told.values()):
            parts = ", ".join(f"{name} {shown(value, 200)}" for name, value in told.items() if value)
            return f"Dovecot has for {account.address}: {parts}"
    return ""


LOCATION_CHECKS: tuple[Check, ...] = (
    Check(
        "mailstore",
        "Where mailquota looks for mailboxes at a wrong path they seem to be empty, and never full.",
        _mailstore,
    ),
)
