"""Checks Dovecot's own databases, by logging in as Dovecot does. Pure."""

from __future__ import annotations

from ...base.endpoints import parse_database_url
from ...base.text import visible
from .. import start_commands
from ..model import Check, Facts, Outcome, fail, ok, skip, together, warn
from .common import combined_check
from .facts import DovecotFacts, SqlLogin

_HERE = ("127.", "localhost", "[::1]", "/")


def unreachable(facts: DovecotFacts) -> str:
    """A text on those of Dovecot's databases that let nobody in at any host, each with host and port; else empty."""
    return "; ".join(_failed(one) for one in facts.databases if _is_away(one))


def _is_away(login: SqlLogin) -> bool:
    return bool(login.failures) and not login.answering


def _failed(login: SqlLogin) -> str:
    reasons = ", ".join(f"{visible(where)}: {why}" for where, why in login.failures)
    return f"Dovecot's database {visible(login.url)} ({visible(login.origin)}) does not let it in: {reasons}"


def _databases(known: Facts) -> Outcome:
    facts = known.dovecot
    if not facts.databases:
        return ok("Dovecot looks users up in no SQL database")
    answered = ", ".join(visible(one.url) for one in facts.databases if one.answering)
    return together([_one(known, one) for one in facts.databases], ok(f"logged in as Dovecot does: {answered}"))


def _one(known: Facts, login: SqlLogin) -> Outcome:
    if login.fault:
        return skip(f"could not log in to Dovecot's database: {visible(login.fault)}")
    if not login.failures:
        return ok("")
    if login.answering:
        away = ", ".join(f"{visible(where)}: {why}" for where, why in login.failures)
        return warn(f"of the hosts of {visible(login.url)} not all answer: {away}", _mend(known, login))
    if _looks_up(known.dovecot):
        # Dovecot is the witness: it gets in by a way that mailquota does not have, as by a certificate.
        return skip(f"Dovecot looks users up, but its login was refused to mailquota: {_failed(login)}")
    if known.host.database.fault and _is_ours(known, login):
        return skip(f"Dovecot's database is the accounts database, {visible(login.url)}: see accounts-database")
    return fail(_failed(login), _mend(known, login))


def _is_ours(known: Facts, login: SqlLogin) -> bool:
    """Whether it is at the same address as the accounts database of the settings."""
    theirs, ours = parse_database_url(login.url), known.config.settings.accounts.url
    return (theirs.kind, theirs.hosts, theirs.path) == (ours.kind, ours.hosts, ours.path)


def _looks_up(facts: DovecotFacts) -> bool:
    return not facts.server_fault and any(not one.unknown for one in facts.sample)


def _mend(known: Facts, login: SqlLogin) -> str:
    """The fix: start the database where it is on this machine and does not run, else what to look at."""
    where, why = login.failures[0]
    refused = why in {"Connection refused", "No such file or directory"}
    if refused and login.url.startswith("mysql:") and where.startswith(_HERE):
        return start_commands.database(known)
    if "Access denied" in why:
        return f"# correct user and password in {visible(login.origin)}, or those of the database"
    return f"# see that {visible(where)} can be reached from here, and that {visible(login.origin)} names it"


DATABASE_CHECKS: tuple[Check, ...] = (
    combined_check(
        "dovecot-database",
        "While Dovecot's own database is away, no user can log in, all mail waits, and quota-status defers it.",
        _databases,
    ),
)
