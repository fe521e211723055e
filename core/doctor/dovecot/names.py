"""Checks whether Dovecot looks up the names of all accounts. Dovecot itself is asked about unusual names. Pure."""

from __future__ import annotations

from ...base.text import shown
from ...base.units import format_count
from ..model import Check, Outcome, fail, ok, together
from .common import append, dovecot_check, see_log
from .facts import USERNAME_CHARACTERS, DovecotFacts
from .probe_accounts import lacking

_HARMLESS = frozenset("'+=!&~^|")  # characters that mean nothing in paths or in Dovecot's variables
_SHOWN = 3  # names in one sentence


def _characters(facts: DovecotFacts) -> Outcome:
    names = facts.names
    if not names.count:
        usual = "letters, digits and .-_@"
        return ok(f"the names of all {format_count(facts.accounts)} accounts have only {usual}")
    asked = f"asked Dovecot about {len(names.asked)} of {format_count(names.count)} accounts with unusual names"
    # Without an answer of Dovecot its settings count.
    bad = names.unknown if names.asked else names.refused
    by_setting = tuple(one for one in bad if lacking(one, _allowed(facts)))
    others = tuple(one for one in bad if one not in by_setting)
    outcomes = [_refused(facts, by_setting, asked)] if by_setting else []
    outcomes += [fail(f"{asked}: it has no user {_listed(others)}", see_log(facts))] if others else []
    if not names.asked and not outcomes:
        return ok(f"auth_username_chars has the characters of all names; {asked}")
    return together(outcomes, ok(f"{asked}: it looks them up"))


def _allowed(facts: DovecotFacts) -> str | None:
    return facts.conf.values.get("auth_username_chars")


def _refused(facts: DovecotFacts, names: tuple[str, ...], asked: str) -> Outcome:
    """The outcome for accounts that ``auth_username_chars`` keeps out."""
    allowed = _allowed(facts)
    characters = "".join(sorted(set().union(*(lacking(one, allowed) for one in names))))
    found = (
        f"auth_username_chars lacks {shown(characters)}: accounts such as {_listed(names)} do not exist for Dovecot"
        f" ({asked})"
    )
    if not _HARMLESS.issuperset(characters):
        return fail(found, "# give these accounts other names, or allow their characters in auth_username_chars")
    return fail(found, append(facts, f"auth_username_chars = {allowed or USERNAME_CHARACTERS}{characters}"))


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(map(shown, names[:_SHOWN]))}{more}"


NAME_CHECKS: tuple[Check, ...] = (
    dovecot_check(
        "username-characters",
        "To Dovecot a name with any other character is unknown: such a user can't log in and gets no mail.",
        _characters,
    ),
)
