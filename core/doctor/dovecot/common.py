"""Shared by the checks of Dovecot: reading its settings, versions that are not covered, and writing fixes. Pure.

A fix for a setting appends lines to Dovecot's main file: there they come after every included file, and the last value
of a setting counts. A named block that is opened again is merged with the one before, on 2.3 and on 2.4.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator

from ...base.text import visible
from ...servers.dovecot.conf import Block, plugin_values
from ..model import Check, Facts, Outcome, skip
from ..postfix.facts import RECIPIENT, RELAY, PostfixFacts
from ..postfix.lists import checks_in, list_of
from .facts import DovecotFacts

DEFAULT_FILE = "/etc/dovecot/dovecot.conf"
_RECIPIENT_LISTS = (RELAY, RECIPIENT, "smtpd_data_restrictions", "smtpd_end_of_data_restrictions")
_COVERED = {(2, 3), (2, 4)}

_NO_LISTENER = re.compile(r"connect\((/[^()\s]+)\) failed: (?:Connection refused|No such file)")

Judge = Callable[[DovecotFacts], Outcome]


def unjudgeable(facts: DovecotFacts) -> Outcome | None:
    """The outcome (skip) where this Dovecot can't be judged, else None."""
    if facts.fault:
        return skip(f"Dovecot's settings can't be read: {visible(facts.fault)}")
    if facts.release[:2] not in _COVERED:
        return skip(f"not covered: {version(facts)}; mailquota knows 2.3 and 2.4")
    return None


def dovecot_check(name: str, why: str, judge: Judge) -> Check:
    """A check that needs only the facts about Dovecot; skipped where Dovecot can't be judged."""
    return Check(name, why, lambda facts: unjudgeable(facts.dovecot) or judge(facts.dovecot))


def combined_check(name: str, why: str, judge: Callable[[Facts], Outcome]) -> Check:
    """A check that needs other facts, too; skipped where Dovecot can't be judged."""
    return Check(name, why, lambda facts: unjudgeable(facts.dovecot) or judge(facts))


def version(facts: DovecotFacts) -> str:
    """The version for a message: ``Dovecot 2.4.1``."""
    return "Dovecot " + ".".join(map(str, facts.release)) if any(facts.release) else "a Dovecot of unknown version"


def stopped(facts: DovecotFacts) -> str:
    """The socket at which Dovecot does not listen, because it does not run; empty where it runs, or is not known to."""
    match = _NO_LISTENER.search(facts.server_fault) or _NO_LISTENER.search(facts.listing_fault)
    return match[1] if match else ""


def unasked(facts: DovecotFacts) -> Outcome | None:
    """The outcome (skip) where a running Dovecot could not be asked, else None."""
    if stopped(facts):
        return skip("Dovecot does not run: see dovecot-answers")
    if facts.server_fault:
        return skip(f"Dovecot could not be asked about users: {visible(facts.server_fault)}")
    return None


def is_modern(facts: DovecotFacts) -> bool:
    """Whether it is Dovecot 2.4, whose settings have other names and forms than those of 2.3."""
    return facts.release >= (2, 4)


def value(facts: DovecotFacts, old: str, modern: str) -> str:
    """A quota setting by its name in 2.4, or ``old`` in 2.3's plugin block, without %%; "" if not set."""
    if is_modern(facts):
        return facts.conf.values.get(modern, "")
    return plugin_values(facts.conf).get(old, "").replace("%%", "%")


def plugins(facts: DovecotFacts, protocol: str = "") -> list[str]:
    """The plugins loaded for a protocol, or globally. A list inside a protocol replaces the global one."""
    found = _plugins(facts.conf, [])
    for block in _blocks_for(facts, protocol):
        found = _plugins(block, found)
    return found


def comparable(owner: str, mail_owner: tuple[str, ...]) -> bool:
    """Whether names of users can be compared: a name and a number may mean the same user."""
    return owner == "root" or any(owner.isdigit() == one.isdigit() for one in mail_owner)


def list_for(facts: DovecotFacts, protocol: str) -> str:
    """The name of the block in which a protocol's list of plugins has to be changed: its own, or ``!imap``."""
    own = [block.name for block in _blocks_for(facts, protocol) if has_plugins(block)]
    return own[-1] if own and is_modern(facts) else protocol


def has_plugins(block: Block) -> bool:
    """Whether a block sets mail_plugins."""
    return "mail_plugins" in block.values or any(block.of_kind("mail_plugins"))


def _blocks_for(facts: DovecotFacts, protocol: str) -> list[Block]:
    """The blocks for a protocol, the one that wins last. ``protocol !imap { }`` applies to all others than imap.

    On 2.3 a block with the protocol's own name wins over that, on 2.4 it is the other way round.
    """
    found = [
        block
        for block in facts.conf.of_kind("protocol")
        if protocol and (block.name == protocol or (block.name.startswith("!") and block.name[1:] != protocol))
    ]
    return sorted(found, key=lambda block: block.name.startswith("!") == is_modern(facts))


def _plugins(block: Block, inherited: list[str]) -> list[str]:
    """The plugins after a block's own setting. In 2.4 that may be a block of NAME = yes, which adds to the others."""
    found = block.values["mail_plugins"].split() if "mail_plugins" in block.values else list(inherited)
    for names in block.of_kind("mail_plugins"):
        for name, switch in names.values.items():
            found = [other for other in found if other != name] + ([name] if switch == "yes" else [])
    return found


def service(facts: DovecotFacts, name: str) -> Block | None:
    """The block of a service; None without one."""
    return next((block for block in facts.conf.of_kind("service") if block.name == name), None)


def speaks(facts: DovecotFacts, protocol: str) -> bool:
    """Whether a protocol is enabled; without a setting all are."""
    blocks = list(facts.conf.of_kind("protocols"))
    listed = facts.conf.values.get("protocols", "").split()
    if not blocks and not listed:
        return True
    return protocol in listed or any(block.values.get(protocol) == "yes" for block in blocks)


def quota_status(facts: DovecotFacts) -> Block | None:
    """The service that runs quota-status with a listener, whatever its name is; None without one."""
    for block in facts.conf.of_kind("service"):
        program = block.values.get("executable", "").split(" ")[0]
        if program.rpartition("/")[2] == "quota-status" and any(_listeners(block)):
            return block
    return None


def _listeners(block: Block) -> Iterator[str]:
    """The paths and ports of a service's listeners."""
    yield from (listener.name for listener in block.of_kind("unix_listener"))
    yield from (listener.values.get("port", "0") for listener in block.of_kind("inet_listener"))


def is_asked(facts: Facts) -> bool | None:
    """Whether Postfix asks quota-status about recipients; None where Postfix could not be asked."""
    block = quota_status(facts.dovecot)
    if block is None:
        return False
    if facts.postfix.fault:
        return None
    return any(_names(service, listener) for service in _asked(facts.postfix) for listener in _listeners(block))


def _asked(postfix: PostfixFacts) -> Iterator[str]:
    """The policy services in all lists that decide about recipients."""
    for smtpd in (None, *postfix.smtpds):
        for parameter in _RECIPIENT_LISTS:
            yield from (check.service for _, check in checks_in(list_of(postfix, parameter, smtpd)))


def _names(policy_service: str, listener: str) -> bool:
    """Whether a policy service of Postfix is a listener of Dovecot.

    ``unix:private/quota-status`` is relative to Postfix's queue directory, while Dovecot has the whole path.
    """
    kind, _, place = policy_service.partition(":")
    return place.rpartition(":")[2] == listener if kind == "inet" else f"/{listener}".endswith(f"/{place.lstrip('/')}")


def append(facts: DovecotFacts, *lines: str, file: str = "") -> str:
    """The commands that append lines to a file, by default Dovecot's main one, and reload Dovecot."""
    text = "\n".join(visible(line) for line in lines)
    return f"cat >> {shlex.quote(file or facts.config_file)} <<'EOF'\n{text}\nEOF\n{reload(facts)}"


def reload(facts: DovecotFacts) -> str:
    """The command that reloads Dovecot's settings."""
    return f"{doveadm(facts)} reload"


def see_log(facts: DovecotFacts) -> str:
    """The fix where only Dovecot's log has the reason."""
    return f"# see the reason in Dovecot's log:\n{doveadm(facts)} log errors"


def doveadm(facts: DovecotFacts) -> str:
    """The command doveadm for this Dovecot, with -c where its main file is not the default one."""
    return "doveadm" if facts.config_file == DEFAULT_FILE else f"doveadm -c {shlex.quote(facts.config_file)}"


def setting(facts: DovecotFacts, old: str, modern: str, text: str) -> str:
    """The fix that sets a quota setting, named as for ``value``."""
    if is_modern(facts):
        return append(facts, f"{modern} = {text}")
    return append(facts, "plugin {", f"  {old} = {text.replace('%', '%%')}", "}")


def plugin_lines(facts: DovecotFacts, names: list[str], protocol: str = "") -> list[str]:
    """The lines that load exactly these plugins, globally or for a protocol."""
    if is_modern(facts):
        gone = [name for name in plugins(facts, protocol) if name not in names]
        switches = [f"  {name} = yes" for name in names] + [f"  {name} = no" for name in gone]
        lines = ["mail_plugins {", *switches, "}"]
    else:
        lines = [f"mail_plugins = {' '.join(names)}"]
    return [f"protocol {protocol} {{", *(f"  {line}" for line in lines), "}"] if protocol else lines
