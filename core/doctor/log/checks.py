"""Checks of the mail log of the last day. Pure."""

from __future__ import annotations

from collections.abc import Callable

from ...base.endpoints import host_port
from ...base.times import format_age, local_time
from ...servers.mail_log.lines import Kind
from ..model import Check, Facts, Outcome, fail, ok, skip, together, warn
from . import fixes
from .facts import EventGroup, LogFacts, Tally

_NAMED = 5
_HOUR = 3600.0


def _readable(facts: Facts) -> Outcome:
    log = facts.log
    if log.fault:
        return skip(log.fault, _rights(log))
    read = f"read {', '.join(log.sources)} back to {local_time(log.since)}"
    if not log.complete:
        read += "; the log is longer, reading stopped there"
    return skip(f"{read}, but {log.unread}", _rights(log)) if log.unread else ok(read)


def _rights(log: LogFacts) -> str:
    closed = log.fault or "can't be read" in log.unread
    return fixes.AS_ROOT if closed and not log.absent else ""


def _refusals(facts: Facts) -> Outcome:
    tally = facts.log.tally("refused")
    return ok(f"{_times(tally.count, facts.log)}{_most(tally)}")


def _policy_trouble(facts: Facts) -> Outcome:
    log = facts.log
    outcomes = [_silent_server(facts, group) for group in log.tally("policy-trouble").groups if group.fresh]
    return together(outcomes, _past(log.tally("policy-trouble"), log))


def _silent_server(facts: Facts, group: EventGroup) -> Outcome:
    server, reason = group.newest.subject, group.newest.text
    found = f"Postfix could not ask {server}: {reason} ({_count(group, facts.log)})"
    ours = _is_ours(facts, server)
    if not ours and "quota" not in server:
        return warn(f"{found}; this service is not about quota, but Postfix can't decide about mail without it")
    fix = fixes.policy(facts, group, ours=ours)
    return fail(found, fix) if abs(facts.log.now - group.newest.at) < _HOUR else warn(found, fix)


def _is_ours(facts: Facts, server: str) -> bool:
    """Whether a server of the log, ``private/mailquota`` or ``HOST:PORT``, is one of mailquota's addresses."""
    listen = facts.config.settings.policy.listen_addresses
    return any(
        one.path == server or one.path.endswith(f"/{server}") if one.path else host_port(one.host, one.port) == server
        for one in listen
    )


def _empty_answers(facts: Facts) -> Outcome:
    tally = facts.log.tally("empty-answer")
    outcomes = [
        fail(
            f"{group.newest.subject} gave an empty answer ({_count(group, facts.log)})",
            fixes.empty_answer(facts.dovecot),
        )
        for group in tally.groups
        if group.fresh
    ]
    return together(outcomes, _past(tally, facts.log))


def _bounces(facts: Facts) -> Outcome:
    log = facts.log
    tally, waiting = log.tally("bounced"), log.tally("deferred")
    if tally.fresh:
        found = (
            f"accepted, then refused by Dovecot as over quota, and bounced: {_times(tally.fresh, log)}{_most(tally)}"
        )
        return warn(found, fixes.bounces(facts.dovecot))
    if waiting.count and not tally.count:
        return ok(
            f"none; mail for full mailboxes waits in Postfix's queue: {_times(waiting.count, log)}{_most(waiting)}"
        )
    return _past(tally, log)


def _memory(facts: Facts) -> Outcome:
    log = facts.log
    outcomes = [
        fail(
            f"{_service(group)} ran out of memory ({_count(group, log)}); that is no full mailbox",
            fixes.memory(facts.dovecot, group),
        )
        for group in log.tally("out-of-memory").groups
        if group.fresh
    ]
    return together(outcomes, _past(log.tally("out-of-memory"), log))


def _service(group: EventGroup) -> str:
    limit = f" (vsz_limit {group.newest.limit})" if group.newest.limit else ""
    user = f", last for {group.newest.text}" if group.newest.text else ""
    return f"Dovecot's service {group.newest.subject}{limit}{user}"


def _quota_errors(facts: Facts) -> Outcome:
    return _errors(facts, "quota-error", fixes.quota_error)


def _warning_errors(facts: Facts) -> Outcome:
    return _errors(facts, "warning-error", fixes.warning_error)


def _errors(facts: Facts, kind: Kind, fix: Callable[[Facts, EventGroup], str]) -> Outcome:
    log = facts.log
    tally = log.tally(kind)
    outcomes = [
        warn(
            ": ".join(filter(None, (group.newest.subject, f"{group.newest.text} ({_count(group, log)})"))),
            fix(facts, group),
        )
        for group in tally.groups[:_NAMED]
        if group.fresh
    ]
    return together(outcomes, _past(tally, log))


# ---- parts of messages


def _times(count: int, log: LogFacts) -> str:
    return f"{count or 'none'} since {local_time(log.since)}"


def _most(tally: Tally) -> str:
    names = [f"{group.newest.subject} {group.count}" for group in tally.groups[:_NAMED]]
    more = len(tally.groups) > _NAMED
    return f", most for {', '.join(names)}{' …' if more else ''}" if names else ""


def _count(group: EventGroup, log: LogFacts) -> str:
    last = f"last {format_age(log.now - group.newest.at)} ago"
    return f"{group.fresh} times, {last}" if group.fresh > 1 else last


def _past(tally: Tally, log: LogFacts) -> Outcome:
    """The outcome where no event is fresh: none at all, or only events before the last change of the settings."""
    if not tally.count:
        return ok(f"none since {local_time(log.since)}")
    newest = max(group.newest.at for group in tally.groups)
    return ok(f"none since the last change of the settings; before it {tally.count}, the last at {local_time(newest)}")


def _log(name: str, why: str, judge: Callable[[Facts], Outcome]) -> Check:
    """A check of the log, which is skipped where the log can't be read."""

    def judged(facts: Facts) -> Outcome:
        if facts.log.fault:
            return skip(f"the mail log: {facts.log.fault}", _rights(facts.log))
        outcome = judge(facts)
        if outcome.state == "ok" and facts.log.unread:
            return skip(f"{outcome.found}; but {facts.log.unread}", _rights(facts.log))
        return outcome

    return Check(name, why, judged)


LOG_CHECKS: tuple[Check, ...] = (
    Check(
        "mail-log",
        "Postfix and Dovecot report what went wrong with a mail in the mail log and nowhere else.",
        _readable,
    ),
    _log("refusals", "Senders were told that a mailbox is full; its owner does not learn of these mails.", _refusals),
    _log(
        "policy-trouble",
        "While Postfix gets no answer from its policy service it defers every mail with 451, or, with a default_action "
        "such as DUNNO, accepts mail beyond the limits.",
        _policy_trouble,
    ),
    _log(
        "empty-answers",
        "Postfix takes an empty answer as permit: it skips all later restrictions and accepts the mail, which bounces "
        "at the full mailbox. Dovecot 2.4's quota-status answers so while quota_status_toolarge is empty.",
        _empty_answers,
    ),
    _log(
        "bounces",
        "A mail that is refused only after it was accepted bounces to its sender, who may be forged: servers that send "
        "such bounces get onto blocklists. Its client was not checked for quota, or announced no size.",
        _bounces,
    ),
    _log(
        "out-of-memory",
        "A process that reaches its vsz_limit ends in the middle of its work: mail can't be read or delivered, which "
        "users mistake for a full mailbox.",
        _memory,
    ),
    _log(
        "quota-errors",
        "Where Dovecot can't find out usage or limit it delivers beyond the limit, or refuses with 450.",
        _quota_errors,
    ),
    _log("warning-errors", "Owners get no warning from Dovecot before their mailbox is full.", _warning_errors),
)
