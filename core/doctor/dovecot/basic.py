"""Checks whether Dovecot runs, and loads its quota plugins for all protocols that store or delete mail. Pure."""

from __future__ import annotations

from ...base.text import visible
from .. import start_commands
from ..model import Check, Facts, Outcome, fail, ok, skip, together, warn
from .common import (
    append,
    combined_check,
    doveadm,
    dovecot_check,
    has_plugins,
    is_modern,
    list_for,
    plugin_lines,
    plugins,
    speaks,
    stopped,
    unjudgeable,
    version,
)
from .databases import DATABASE_CHECKS, unreachable
from .facts import DovecotFacts

# Other protocols and services that open mailboxes. Those that only log users in load no mail plugins.
_MAIL_PROTOCOLS = ("imap", "pop3", "doveadm", "quota-status", "indexer-worker", "submission")
_NO_RIGHT = "Permission denied"


def _settings(facts: Facts) -> Outcome:
    dovecot = facts.dovecot
    if not dovecot.fault:
        return ok(f"{version(dovecot)} reads {dovecot.config_file}")
    if dovecot.refused:
        fix = "# correct the line that Dovecot names, then check the settings and restart:\n"
        found = f"Dovecot refuses its settings: {visible(dovecot.fault)}"
        return fail(found, fix + start_commands.dovecot(facts, "restart"))
    return skip(f"Dovecot could not be asked: {visible(dovecot.fault)}{_as_root(dovecot.fault)}")


def _as_root(fault: str) -> str:
    return "; run the doctor as root" if _NO_RIGHT in fault else ""


def _version(facts: Facts) -> Outcome:
    return unjudgeable(facts.dovecot) or ok(version(facts.dovecot))


def _running(known: Facts) -> Outcome:
    facts = known.dovecot
    socket = stopped(facts)
    if socket:
        return fail(
            f"Dovecot does not run: nothing listens at {visible(socket)}", start_commands.dovecot(known, "start")
        )
    if not facts.server_fault:
        asked = bool(facts.sample) or facts.listed is not None
        return ok("Dovecot looks up users") if asked else skip("there is no user to ask about")
    found = f"Dovecot could not be asked about a user: {visible(facts.server_fault)}"
    if _NO_RIGHT in facts.server_fault:
        return skip(found + _as_root(facts.server_fault))
    if "connect(" in facts.server_fault:
        return fail(found, start_commands.dovecot(known, "restart"))
    if away := unreachable(facts):
        return fail(f"Dovecot can't look users up: {away}", "# see dovecot-database")
    return fail(found, f"# see the reason in Dovecot's log:\n{doveadm(facts)} log errors")


def _global(facts: DovecotFacts) -> Outcome:
    loaded = plugins(facts)
    if "quota" in loaded:
        return ok("mail_plugins has quota")
    fix = append(facts, *plugin_lines(facts, [*loaded, "quota"]))
    return fail(f"mail_plugins is {_listing(loaded)}: quota is missing", fix)


def _listing(names: list[str]) -> str:
    return visible(" ".join(names)) or "empty"


def _loaded_for(facts: DovecotFacts, protocol: str) -> Outcome:
    """Whether a protocol has a list of plugins without quota. Without a list it uses the global one: see _global."""
    loaded = plugins(facts, protocol)
    if "quota" in loaded or loaded == plugins(facts):
        return ok(f"protocol {protocol} loads quota, or has no mail_plugins of its own")
    fix = append(facts, *plugin_lines(facts, [*loaded, "quota"], list_for(facts, protocol)))
    return fail(f"protocol {protocol} has mail_plugins of its own without quota: {_listing(loaded)}", fix)


def _others(facts: DovecotFacts) -> Outcome:
    found = [_loaded_for(facts, name) for name in _MAIL_PROTOCOLS]
    return together(found, ok(f"no mail_plugins of these lacks quota: {', '.join(_MAIL_PROTOCOLS)}"))


def _imap_quota(facts: DovecotFacts) -> Outcome:
    imap, wrong = plugins(facts, "imap"), _with_imap_quota(facts)
    if wrong:
        where = ", ".join(f"in protocol {name}" if name else "globally" for name in wrong)
        lines = [line for name in wrong for line in _without_imap_quota(facts, name)] + _imap_lines(facts, imap)
        return fail(f"imap_quota is loaded {where}, by mail_plugins outside protocol imap", append(facts, *lines))
    if not speaks(facts, "imap"):
        return ok("protocol imap is not switched on")
    if "imap_quota" in imap:
        return ok("imap_quota is loaded in protocol imap alone")
    why = "Mail programs and webmail can't show how full the mailbox is."
    lines = _imap_lines(facts, [*imap, "imap_quota"])
    return warn("protocol imap does not load imap_quota", append(facts, *lines), why)


def _with_imap_quota(facts: DovecotFacts) -> list[str]:
    """The protocols other than imap whose lists have imap_quota; "" is the global list."""
    others = [one for one in facts.conf.of_kind("protocol") if one.name != "imap"]
    own = [one.name for one in others if has_plugins(one)]
    return [name for name in ("", *dict.fromkeys(own)) if "imap_quota" in plugins(facts, name)]


def _without_imap_quota(facts: DovecotFacts, protocol: str) -> list[str]:
    return plugin_lines(facts, [name for name in plugins(facts, protocol) if name != "imap_quota"], protocol)


def _imap_lines(facts: DovecotFacts, wanted: list[str]) -> list[str]:
    if is_modern(facts):
        return ["protocol imap {", "  mail_plugins {", "    imap_quota = yes", "  }", "}"]
    return plugin_lines(facts, list(dict.fromkeys([*wanted, "quota", "imap_quota"])), "imap")


BASIC_CHECKS: tuple[Check, ...] = (
    Check(
        "dovecot-settings",
        "All other checks of Dovecot read its settings from doveconf. With settings that it refuses Dovecot does not"
        " start, and mail waits.",
        _settings,
    ),
    Check("dovecot-version", "Names and meanings of settings differ between versions.", _version),
    combined_check(
        "dovecot-answers",
        "While Dovecot does not look up users, they can't log in and no mail is delivered.",
        _running,
    ),
    *DATABASE_CHECKS,
    dovecot_check("quota-plugin", "Without the plugin Dovecot neither counts usage nor enforces limits.", _global),
    dovecot_check(
        "quota-plugin-lmtp",
        "Without the plugin, mail that Postfix delivers by LMTP is neither counted nor refused, whatever the limit is.",
        lambda facts: _loaded_for(facts, "lmtp"),
    ),
    dovecot_check(
        "quota-plugin-lda",
        "Without the plugin, mail that dovecot-lda delivers is neither counted nor refused, whatever the limit is.",
        lambda facts: _loaded_for(facts, "lda"),
    ),
    dovecot_check(
        "quota-plugin-protocols",
        "Mail that is stored or deleted by a protocol without the plugin is not counted, so the usage becomes wrong.",
        _others,
    ),
    dovecot_check(
        "imap-quota",
        "Loaded outside protocol imap, imap_quota breaks doveadm and delivery: undefined symbol command_unregister.",
        _imap_quota,
    ),
)
