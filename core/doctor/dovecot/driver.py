"""Checks Dovecot's quota driver, and whether mailquota measures by the one that Dovecot has now. Pure.

Dovecot's driver is that of its present settings (doveconf). mailquota's is in its settings file, or was chosen when the
engine asked Dovecot last: either may be that of an earlier Dovecot.
"""

from __future__ import annotations

import shlex

import msgspec

from ...base.text import shown, visible
from ...servers.dovecot.quota import choose_driver
from ...settings.config import Config
from ..model import Check, Facts, Outcome, fail, ok, skip, together, warn
from .common import append, combined_check, is_modern
from .facts import DovecotFacts

_BACKENDS = {"count", "maildir"}
OTHERS = {"dict", "dirsize", "fs", "imapc"}
_REMOVED = {"dict", "dirsize"}  # by 2.4
_FROZEN = "Dovecot no longer keeps the record that mailquota reads, so usage stands still, and no full mailbox is seen."
_DIFFERENT = "mailquota then counts the same mails otherwise than Dovecot, and decides by other usage."


def _driver(known: Facts) -> Outcome:
    facts = known.dovecot
    backend, roots = facts.quota.backend, len(facts.quota.roots)
    if not backend:
        why = "Without quota Dovecot accepts every mail, however full the mailbox is."
        return fail("no quota is configured", count_lines(facts), why)
    if roots > 1:
        return skip(f"not covered: {roots} quotas for each user ({_roots(facts)})")
    if is_modern(facts) and backend in _REMOVED:
        return fail(f"quota driver {backend} is set, which Dovecot 2.4 no longer has", count_lines(facts))
    if backend in _BACKENDS or backend == "dict":
        return together(_ours(known), ok(_same(known)))
    return _other_driver(facts, backend)


def _same(known: Facts) -> str:
    engine = known.host.engine.driver
    by = f"the engine measures by {engine}" if engine else f"mailstore.driver is {_setting(known.config)}"
    doubts = _doubts(known)
    return f"quota driver {known.dovecot.quota.backend} by doveconf; {by}{f'; {doubts}' if doubts else ''}"


def _doubts(known: Facts) -> str:
    """Why no driver but ``doveadm`` is sure to give Dovecot's usage, as a clause; "" where others do."""
    doubts = known.dovecot.quota.doubts
    return f"for its usage only Dovecot itself can be asked: {visible('; '.join(doubts))}" if doubts else ""


def _setting(config: Config) -> str:
    return config.settings.mailstore.driver


def _ours(known: Facts) -> list[Outcome]:
    """What is wrong with mailquota's own driver, in its settings and in the engine."""
    right, setting, engine = _right(known), _setting(known.config), known.host.engine.driver
    now = f"Dovecot keeps its quota by {known.dovecot.quota.backend} now"
    plain = choose_driver(msgspec.structs.replace(known.dovecot.quota, doubts=()), doveadm=True)
    if setting != "auto" and setting not in right:
        judge = warn if setting == plain else fail
        told = f"mailstore.driver is {setting}, and {_doubts(known) if setting == plain else now}"
        return [judge(told, _follow(known), _why(known, setting))]
    if engine and engine not in right:
        told = f"the engine measures by {engine}, as Dovecot did before; {_doubts(known) if engine == plain else now}"
        return [fail(told, f"{_command(known.config)} reload", _why(known, engine))]
    return []


def _right(known: Facts) -> set[str]:
    """The drivers that give the usage that Dovecot counts, as far as mailquota has one."""
    quota, off = known.dovecot.quota, known.config.settings.mailstore.doveadm == "off"
    return {"doveadm", choose_driver(quota, doveadm=True)} | ({choose_driver(quota, doveadm=False)} if off else set())


def _why(known: Facts, ours: str) -> str:
    return _FROZEN if ours == "maildir" and known.dovecot.quota.backend != "maildir" else _DIFFERENT


def _follow(known: Facts) -> str:
    """Commands after which mailquota follows Dovecot. With ``doveadm = "off"`` it can't ask, so the driver is named."""
    off = known.config.settings.mailstore.doveadm == "off"
    name = choose_driver(known.dovecot.quota, doveadm=False) if off else "auto"
    path = known.config.path
    if path is None:
        return f'# in [mailstore] of mailquota\'s settings: driver = "{name}"'
    edit = shlex.quote(f's|^[[:blank:]]*driver[[:blank:]]*=.*|driver = "{name}"|')
    reload = f"\n{_command(known.config)} reload" if known.host.engine.running else ""
    return f"sed -i {edit} {shlex.quote(str(path))}{reload}"


def _command(config: Config) -> str:
    return "mailquota" if config.path is None else f"mailquota --config {shlex.quote(str(config.path))}"


def _other_driver(facts: DovecotFacts, backend: str) -> Outcome:
    """The outcome for a driver that mailquota does not measure, or that Dovecot does not have."""
    if backend in OTHERS:
        return skip(f"not covered: quota driver {backend}; mailquota knows count, maildir and dict")
    if is_refused(facts):
        return fail(f"Dovecot has no quota driver {shown(backend)}, and so loads no user", count_lines(facts))
    return skip(f"not covered: quota driver {shown(backend)}, which mailquota does not know")


def is_refused(facts: DovecotFacts) -> bool:
    """Whether Dovecot reports that it has no such driver."""
    words = f"Unknown quota backend: {facts.quota.backend}"
    return bool(facts.quota.backend) and any(account.fault.endswith(words) for account in facts.sample)


def _roots(facts: DovecotFacts) -> str:
    return ", ".join(visible(name) for name, _ in facts.quota.roots)


def count_lines(facts: DovecotFacts) -> str:
    """The fix that sets the driver ``count``."""
    name = facts.quota.roots[0][0] if is_modern(facts) and facts.quota.roots else "User quota"
    if is_modern(facts):
        return append(facts, f'quota "{name}" {{', "  driver = count", "}")
    return append(facts, "plugin {", "  quota = count:User quota", "  quota_vsizes = yes", "}")


DRIVER_CHECKS: tuple[Check, ...] = (
    combined_check(
        "quota-driver",
        "The driver counts the usage that limits are compared with; mailquota has to count as Dovecot does.",
        _driver,
    ),
)
