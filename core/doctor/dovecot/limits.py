"""Checks whether Dovecot enforces the limits of the accounts database. Pure.

The limits of the accounts database are compared with those that Dovecot enforces (``doveadm quota get``) where the
mailbox exists, and with those that the user database gives it (``doveadm user``): where it gives none any more, old
limits go on in maildirsize files, and an edit changes nothing. Dovecot prints limits in KiB, rounded up, so they are
compared in KiB.
"""

from __future__ import annotations

from collections.abc import Callable

from ...base.programs import DENIED
from ...base.text import shown, visible
from ...base.units import format_count
from ...servers.dovecot.conf import plugin_values
from ...servers.dovecot.folder_names import IgnoredFolders
from ..log.fixes import wrong_size
from ..model import Check, Facts, Outcome, fail, ok, skip, warn
from .blocks import in_block, out_of_block
from .common import (
    append,
    combined_check,
    doveadm,
    dovecot_check,
    is_modern,
    plugins,
    reload,
    see_log,
    setting,
    unasked,
)
from .differences import (
    Difference,
    changing_all,
    differences,
    field_name,
    without_known_limit,
)
from .driver import DRIVER_CHECKS, OTHERS, is_refused
from .facts import LOCAL_USERS, DovecotFacts
from .names import NAME_CHECKS
from .query import iterate_query, mended_query, query_lines

_SHOWN = 4  # differences in one sentence
_NO_DATABASE = "the accounts database can't be read: see accounts-database"
_ITERATE = "# give the SQL user database an iterate_query that returns every address as user"


def _enforced(facts: DovecotFacts) -> Outcome:
    if IgnoredFolders(facts.quota.rules)("INBOX"):
        found = "Dovecot's quota ignores INBOX: mail that comes in is neither counted nor refused"
        hint = "quota_ignore in its mailbox block" if is_modern(facts) else "the rule with ignore whose mask meets it"
        return warn(found, f"# to have INBOX count, take {hint} out of Dovecot's settings")
    fix = _enforcing_again(facts) if len(facts.quota.roots) == 1 else ""
    if not fix:
        return ok("Dovecot enforces what it counts" if facts.quota.backend else "no quota is configured")
    return warn("Dovecot counts usage, but accepts mail to full mailboxes (noenforcing, quota_enforce = no)", fix)


def _enforcing_again(facts: DovecotFacts) -> str:
    """The fix; empty where Dovecot enforces. The option is in 2.3's quota setting, or inside or outside 2.4's block."""
    name, root = facts.quota.roots[0]
    if not is_modern(facts):
        words = root.split(":")
        kept = [word for word in words if word != "noenforcing"]
        return setting(facts, name, "", ":".join(kept)) if kept != words else ""
    for block in facts.conf.of_kind("quota"):
        for key in ("enforce", "quota_enforce"):
            if block.values.get(key) == "no":
                return append(facts, f'quota "{block.name}" {{', f"  {key} = yes", "}")
    return append(facts, "quota_enforce = yes") if facts.conf.values.get("quota_enforce") == "no" else ""


def _vsizes(facts: DovecotFacts) -> Outcome:
    if is_modern(facts) or facts.quota.backend != "count":
        return ok("needed only by driver count of Dovecot 2.3")
    if plugin_values(facts.conf).get("quota_vsizes", "no").lower() in {"yes", "y", "1", "true"}:
        return ok("quota_vsizes = yes")
    return fail("the quota driver is count, and quota_vsizes is not set", setting(facts, "quota_vsizes", "", "yes"))


def _limits(known: Facts) -> Outcome:
    facts = known.dovecot
    missing = _not_comparable(known, facts)
    if missing:
        return missing
    asked = f"asked Dovecot about {len(facts.sample)} of {format_count(facts.accounts)} accounts"
    found = differences(facts)
    unclear = without_known_limit(facts)
    if not found and unclear:
        return skip(f"{asked}; the limit in Dovecot is not known of {visible(', '.join(unclear))}")
    if not found:
        return ok(f"{asked}: it is given the limits of the database, and enforces them")
    told = "; ".join(str(difference) for difference in found[:_SHOWN])
    more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return fail(f"{asked}, {len(found)} differ: {visible(told)}{more}", _mend(facts, found))


def _not_comparable(known: Facts, facts: DovecotFacts) -> Outcome | None:
    away = unasked(facts)
    if away:
        return away
    if not facts.sample:
        return skip(_NO_DATABASE if known.host.database.fault else "the accounts database has no account to ask about")
    if len(facts.quota.roots) > 1:
        return skip(f"not covered: {len(facts.quota.roots)} quotas for each user")
    return _nothing_enforced(facts) or _elsewhere(facts)


def _nothing_enforced(facts: DovecotFacts) -> Outcome | None:
    """The outcome where Dovecot has no limits at all, for a reason that another check reports."""
    if "quota" not in plugins(facts):
        return skip("without the plugin Dovecot has no limits: see quota-plugin")
    if not facts.quota.backend or is_refused(facts):
        return skip("without a quota driver Dovecot has no limits: see quota-driver")
    if _vsizes(facts).state == "fail":
        return skip("Dovecot loads no user: see quota-vsizes")
    if "quota" not in plugins(facts, "doveadm"):
        return skip("without the plugin doveadm can't be asked for limits: see quota-plugin-protocols")
    if facts.quota.backend in OTHERS - {"dict"}:
        return skip(f"not covered: quota driver {facts.quota.backend}")
    return None


def _elsewhere(facts: DovecotFacts) -> Outcome | None:
    others = [driver for driver in facts.users if driver not in LOCAL_USERS]
    if others or not facts.users:
        return skip(f"not covered: user database {', '.join(map(shown, others)) or 'that the settings do not name'}")
    return None


def _mend(facts: DovecotFacts, found: list[Difference]) -> str:
    """The fix for the most frequent cause. The others are found again when it is fixed."""
    kinds = [difference.kind for difference in found]
    kind = max(kinds, key=kinds.count)
    if kind == "size":
        return "\n".join(wrong_size(facts, one.address) for one in found if one.kind == kind)
    if kind in _MENDS:
        return _MENDS[kind](facts)
    query = mended_query(facts) if kind in {"unit", "field", "kept"} else ""
    return query_lines(facts, "query", query) if query else _by_hand(facts)


def _by_hand(facts: DovecotFacts) -> str:
    example = "CONCAT(limit, 'B')" if is_modern(facts) else "CONCAT('*:bytes=', limit)"
    where = visible(facts.query.file or facts.config_file)
    return (
        f"# {where}: the user database has to give the limit of every account in bytes, in SQL as\n"
        f"#   {example} AS {field_name(facts)}\n{reload(facts)}"
    )


def _listing(known: Facts) -> Outcome:
    facts = known.dovecot
    missing = _elsewhere(facts) or unasked(facts)
    if missing:
        return missing
    if known.host.database.fault:
        return skip(_NO_DATABASE)
    if facts.listed:
        return ok(f"Dovecot lists {facts.listed} users, the accounts database has {facts.accounts}")
    if not facts.listing_fault and not facts.accounts:
        return ok("there are no users")
    if DENIED in facts.listing_fault:
        return skip(f"Dovecot does not answer this user: {visible(facts.listing_fault)}: run the doctor as root")
    query = iterate_query(facts)
    why = visible(facts.listing_fault) or "it lists none"
    fix = query_lines(facts, "iterate_query", query) if query else _ITERATE
    if query and query == facts.query.iterate:  # the query is right already
        fix = see_log(facts)
    return warn(f"Dovecot can't list its users: {why}", fix)


def _cache(facts: DovecotFacts) -> Outcome:
    size = facts.conf.values.get("auth_cache_size", "0")
    if size in {"", "0"}:
        return ok("auth_cache_size is 0: Dovecot enforces a changed limit at once")
    lifetime = facts.conf.values.get("auth_cache_ttl", "1 hours")
    return ok(
        f"auth_cache_size is {visible(size)}: Dovecot may enforce a changed limit only after auth_cache_ttl,"
        f" {visible(lifetime)}, or after {doveadm(facts)} auth cache flush"
    )


_MENDS: dict[str, Callable[[DovecotFacts], str]] = {  # by kind of difference
    "block": out_of_block,
    "cache": lambda facts: f"{doveadm(facts)} auth cache flush",
    "factor": lambda facts: append(facts, *(f"{name} = {plain}" for name, plain in changing_all(facts).items())),
    "negative": lambda _: "# give these accounts a limit of 0 (none) or more: mailquota set ADDRESS SIZE",
    "unknown": see_log,
    "broken": see_log,
}

LIMIT_CHECKS: tuple[Check, ...] = (
    *DRIVER_CHECKS,
    dovecot_check(
        "quota-enforced",
        "Else Dovecot stores mail beyond the limit where the check at RCPT did not refuse it, and all that users save"
        " by IMAP.",
        _enforced,
    ),
    dovecot_check(
        "quota-vsizes", "Without it driver count of Dovecot 2.3 loads no user: no login, no delivery.", _vsizes
    ),
    combined_check(
        "quota-limits",
        "At delivery and in IMAP Dovecot enforces its own limit: where that differs, mail is refused too early or too"
        " late.",
        _limits,
    ),
    dovecot_check(
        "quota-limit-in-block",
        "A limit inside a quota block wins over that of every user, while doveadm user still shows the user's own.",
        in_block,
    ),
    *NAME_CHECKS,
    combined_check(
        "user-listing",
        "Without it commands for all users fail, such as doveadm quota recalc -A, and mailquota with driver doveadm.",
        _listing,
    ),
    dovecot_check(
        "auth-cache", "While Dovecot has the old limit in its cache, it refuses or accepts mail by that.", _cache
    ),
)
