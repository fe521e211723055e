"""Checks of where mail goes by Postfix's maps. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ...base.text import visible
from ..model import Check, Facts, Outcome, ok, skip, together, warn
from .facts import LedElsewhere, MapFacts
from .lists import needs_postfix

_SHOWN = 3
_NOT_FOLLOWED = "aliases are not followed (policy.aliases is false): their mail may bounce at a full mailbox"
_VACATION = "autoreply."


def _followed(facts: Facts) -> Outcome:
    if not facts.config.settings.policy.aliases:
        return ok(_NOT_FOLLOWED)
    rewriting = facts.rewriting
    if rewriting.fault:
        return _without_maps(facts)
    outcomes = [outcome for one in rewriting.maps if (outcome := _map(one)) is not None]
    if rewriting.problem:
        outcomes.append(warn(f"the engine says: {visible(rewriting.problem)}", _rights()))
    outcomes += [
        warn(f"Postfix leads recipients on by {visible(one)}, which mailquota does not follow", "# no fix in mailquota")
        for one in rewriting.unfollowed
    ]
    return together(outcomes, ok(_all_well(facts)))


def _without_maps(facts: Facts) -> Outcome:
    """Which maps there are is not known: the accounts database alone is followed."""
    maps = facts.postfix.values.get("virtual_alias_maps", "").replace(",", " ").split()
    if facts.rewriting.fault == "not asked" or not maps:
        return skip(f"which maps lead recipients on is not known: {visible(facts.rewriting.fault)}")
    return ok(f"virtual aliases of the database are followed; {visible(facts.rewriting.fault)}")


def _map(one: MapFacts) -> Outcome | None:
    name = visible(one.name)
    if one.differs:
        count = len(one.differs)
        return warn(
            f"{name} answers otherwise than the accounts database about {_names(one.differs)}"
            f" ({count} of {one.checked}); Postfix's answer counts",
            f"# compare: postmap -q {visible(one.differs[0])} {name}",
        )
    if one.fault and not one.rows:
        return warn(
            f"{name} can't be asked: {visible(one.fault)}; its recipients are judged by the accounts database",
            _rights(),
        )
    return None


def _rights() -> str:
    return "# postmap -q KEY MAP has to work as the user that mailquota runs as: give it the right to read that map"


def _all_well(facts: Facts) -> str:
    rewriting = facts.rewriting
    held = [one for one in rewriting.maps if one.rows]
    checked = sum(one.checked for one in held)
    text = f"postmap agrees with the accounts database about {checked} keys" if checked else "all maps are followed"
    asked = [visible(one.name) for one in rewriting.maps if not one.rows]
    closed = [visible(one.name) for one in held if one.fault]
    text += f"; asked through postmap: {', '.join(asked)}" if asked else ""
    text += f"; {', '.join(closed)} could not be asked, so only the database is known" if closed else ""
    return text + (f"; copies of mail by {visible(', '.join(rewriting.copies))}" if rewriting.copies else "")


def _reached(facts: Facts) -> Outcome:
    rewriting = facts.rewriting
    if rewriting.fault:
        return skip(f"where mail goes is not known: {visible(rewriting.fault)}")
    if not rewriting.unreached:
        return ok(f"no catch-all takes the mail of any of the {rewriting.looked_at} mailboxes looked at")
    return warn(
        f"a catch-all takes the mail of {len(rewriting.unreached)} of {rewriting.looked_at} mailboxes:"
        f" {_led(rewriting.unreached)}",
        "# add a map that leads each mailbox onto itself to virtual_alias_maps (in the tutorial: email2email)",
    )


def _refusable(facts: Facts) -> Outcome:
    rewriting = facts.rewriting
    if rewriting.fault:
        return skip(f"where mail goes is not known: {visible(rewriting.fault)}")
    if not rewriting.never_refused:
        return ok(f"mail to each of the {rewriting.looked_at} mailboxes looked at can be refused when it is full")
    vacation = [one for one in rewriting.never_refused if any(_is_vacation(other) for other in one.others)]
    outside = [one for one in rewriting.never_refused if one not in vacation]
    parts = [f"{len(outside)} with a copy to an address elsewhere: {_led(outside)}"] if outside else []
    parts += [f"{len(vacation)} with a vacation address: {_led(vacation)}"] if vacation else []
    return warn(
        f"mail to {len(rewriting.never_refused)} mailboxes is never refused, however full they are: {'; '.join(parts)}",
        "# remove the other address from the alias, such as that of a vacation that is over",
    )


def _is_vacation(address: str) -> bool:
    return "#" in address or address.rpartition("@")[2].startswith(_VACATION)


def _led(found: Sequence[LedElsewhere]) -> str:
    shown = [f"{visible(one.mailbox)} → {visible(', '.join(one.others[:_SHOWN]))}" for one in found[:_SHOWN]]
    return "; ".join(shown) + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")


def _names(found: Sequence[str]) -> str:
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return visible(", ".join(found[:_SHOWN])) + more


REWRITING_CHECKS: tuple[Check, ...] = (
    Check(
        "aliases-followed",
        "Postfix asks about the alias, not the mailbox that it resolves to. Where mailquota can't resolve it, its mail "
        "is accepted, and bounces if the mailbox is full.",
        needs_postfix(_followed),
    ),
    Check(
        "mailboxes-reached",
        "Where no map leads a mailbox onto itself, a catch-all of its domain takes all its mail.",
        needs_postfix(_reached),
    ),
    Check(
        "mailboxes-refusable",
        "A mail is refused only if none of its destinations can take it. An address elsewhere always can, so the full "
        "mailbox beside it bounces each mail later.",
        needs_postfix(_refusable),
    ),
)
