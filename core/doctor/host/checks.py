"""Checks of this machine: file systems, limits, clock, mailboxes. Pure."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

from ...base import guarded
from ...base.text import shown, visible
from ...base.units import format_count, format_size
from ..dovecot.common import comparable
from ..model import Check, Facts, Outcome, fail, ok, skip, together, warn
from ..paths import PathFacts
from .facts import DiskFacts, MaildirFacts
from .location import LOCATION_CHECKS
from .mailquota_checks import OWN_CHECKS
from .witness_check import WITNESS_CHECK

_NEARLY_FULL, _FULL = 90.0, 97.0  # percent of a file system
_MATTERS = 80.0  # percent of a file system from which on limits beyond its size are a warning
_FIRST_YEAR, _LAST_YEAR = 2025, 2100
_GROUP_WRITES = 0o020
_NAMED = 5  # accounts in one finding
_CLOCK_SLACK = 120.0  # seconds that the newest entry may lie ahead

Figure = Callable[[DiskFacts], tuple[float, str]]  # percent in use, and the text on what is left


def _space(facts: Facts) -> Outcome:
    return _disks(facts, _room, "du -xh")


def _inodes(facts: Facts) -> Outcome:
    return _disks(facts, _inodes_left, "du -xh --inodes")


def _room(disk: DiskFacts) -> tuple[float, str]:
    return disk.percent, f"{format_size(disk.free)} free"


def _inodes_left(disk: DiskFacts) -> tuple[float, str]:
    return disk.inodes_percent, f"{format_count(disk.inodes_free)} inodes free"


def _disks(facts: Facts, figure: Figure, du: str) -> Outcome:
    if not facts.host.disks:
        return skip(f"no file system was examined{_because(facts)}")
    told = "; ".join(f"{disk.path}: {figure(disk)[1]}" for disk in facts.host.disks if not disk.fault)
    return together((_disk(disk, *figure(disk), du) for disk in facts.host.disks), ok(told))


def _because(facts: Facts) -> str:
    return f": {visible(facts.host.fault)}" if facts.host.fault else ""


def _disk(disk: DiskFacts, percent: float, left: str, du: str) -> Outcome:
    if disk.fault:
        return skip(f"{disk.fault}: run the doctor as root")
    if percent < _NEARLY_FULL:
        return ok("")
    text = f"the file system of {disk.path} is {percent:.0f} % full, {left}"
    fix = f"# free some space; this shows what uses it:\n{du} --max-depth=2 {shlex.quote(disk.path)} | sort -h | tail"
    return fail(text, fix) if percent >= _FULL else warn(text, fix)


def _promised(facts: Facts) -> Outcome:
    limits, disk = facts.host.limits, next(iter(facts.host.disks), None)
    if disk is None or disk.fault or not limits.accounts:
        return skip("the size of the file system of the mailboxes, or their limits, are not known")
    text = f"the limits of {limits.accounts - limits.unlimited} accounts add up to {format_size(limits.total)}"
    text += f" on a file system of {format_size(disk.total)}"
    if limits.used is not None:
        text += f"; used are {format_size(limits.used)}"
    if limits.unlimited:
        text += f"; accounts without a limit: {limits.unlimited}"
    if (limits.total > disk.total or limits.unlimited) and disk.percent >= _MATTERS:
        return warn(f"{text}; and it is {disk.percent:.0f} % full", "# lower the limits, or enlarge the file system")
    return ok(text)


def _valid(facts: Facts) -> Outcome:
    database = facts.host.database
    if not database.known or database.fault:
        return skip("the accounts database can't be read: see accounts-database")
    faults = list(database.limit_faults.items())
    if not faults:
        return ok("the limit of each account is a number of bytes from 0 on")
    told = [f"{address}: {why}" for address, why in faults[:_NAMED]]
    more = [f"and {len(faults) - _NAMED} more"] if len(faults) > _NAMED else []
    names = " ".join(shlex.quote(address) for address, _ in faults[:_NAMED])
    fix = f"# give each of them a limit, or none, like this:\n# mailquota set {names} unlimited"
    return fail(visible("; ".join([*told, *more])), fix)


def _clock(facts: Facts) -> Outcome:
    if not facts.host.now:
        return skip("the clock was not examined")
    now = datetime.fromtimestamp(facts.host.now, UTC)
    fix = "timedatectl set-ntp true"
    if not _FIRST_YEAR <= now.year < _LAST_YEAR:
        return fail(f"the clock says {now:%Y-%m-%d}", fix)
    newest = facts.host.state.newest
    if newest is not None and newest > facts.host.now + _CLOCK_SLACK:
        ahead = datetime.fromtimestamp(newest, UTC)
        return warn(
            f"the clock says {now:%Y-%m-%d %H:%M} UTC, the newest entry of the history {ahead:%Y-%m-%d %H:%M}", fix
        )
    states = {True: ", kept by NTP", False: "; NTP is not in use here, which is right in a container", None: ""}
    return ok(f"the clock says {now:%Y-%m-%d %H:%M} UTC{states[facts.host.clock_synchronized]}")


def _rights(facts: Facts) -> Outcome:
    owned = _owned(facts)
    return together([owned, *(_made_unreadable(facts, one) for one in facts.host.maildirs if one.unreadable)], owned)


def _made_unreadable(facts: Facts, one: MaildirFacts) -> Outcome:
    policy = facts.config.settings.policy
    answer = policy.unreadable or policy.trouble
    return warn(
        f"{shown(one.address)}: {one.unreadable}; mail for it is answered {shown(answer)}",
        "# ask its owner to put right what is named here; until then the setting policy.unreadable is the answer",
    )


def _owned(facts: Facts) -> Outcome:
    found = [one for one in facts.host.maildirs if one.folder.kind in {"folder", "closed"} and not one.unreadable]
    if not found:
        return ok("there is no mailbox yet")
    owners = Counter((one.folder.owner, one.folder.group) for one in found if one.folder.kind == "folder")
    if not owners:
        return skip(f"{found[0].fault}: run the doctor as root")
    owner, group = next((one for one, _ in owners.most_common() if one[0] in facts.dovecot.mail_owner), ("", ""))
    told = shown(", ".join(sorted({name for name, _ in owners})), 200)
    if not owner and facts.dovecot.mail_owner:
        return _all_foreign(facts, found, told)
    if not owner and len(owners) > 1:  # system users, or a user for each domain: both are valid
        return ok(f"mailboxes belong to {told}; Dovecot's settings name no single owner for all")
    if not owner:
        ((owner, group),) = owners
    foreign = [one for one in found if one.folder.kind == "folder" and one.folder.owner != owner]
    outcomes = [_foreign(one, owner, group) for one in foreign]
    closed = (_closed(one.closed, one.folder.owner) for one in found if one.closed is not None and one not in foreign)
    outcomes += dict.fromkeys(closed)
    outcomes += [_unreadable(facts, one, owner) for one in found if one.fault and one not in foreign]
    return together(outcomes, ok(f"{len(found)} mailboxes looked at belong to {owner}:{group} and can be read"))


def _all_foreign(facts: Facts, found: list[MaildirFacts], owners: str) -> Outcome:
    """No mailbox belongs to the user that delivers mail. That is valid where their group may write."""
    folders = [one.folder for one in found if one.folder.kind == "folder"]
    name = facts.dovecot.mail_owner[0]
    text = f"all {len(folders)} mailboxes looked at belong to {owners}, mail is delivered as {name}"
    known = all(comparable(folder.owner, facts.dovecot.mail_owner) for folder in folders)
    if not known or all(folder.mode & _GROUP_WRITES for folder in folders):
        return ok(text)
    owner = ":".join((name, *facts.dovecot.mail_group[:1]))
    fixes = "\n".join(guarded.line(folder.path, guarded.all_to(owner)) for folder in folders)
    return warn(text, f"# these, and all others in the same way:\n{fixes}")


def _closed(folder: PathFacts, owner: str) -> Outcome:
    mode = "u+rwx" if folder.owner == owner else "o+x"
    step = guarded.mode_by_handle(mode) if folder.owner == "root" else guarded.mode_by(folder.owner, mode)
    return fail(
        f"{owner} may not enter {shown(folder.path, 200)} ({folder.rights}), which has its mailboxes",
        guarded.line(folder.path, step),
        "Mail for these mailboxes is deferred, and a program that runs as that user finds nothing in them.",
    )


def _foreign(one: MaildirFacts, owner: str, group: str) -> Outcome:
    return warn(
        f"{shown(one.folder.path, 200)} belongs to {one.folder.owner}, mail is delivered as {owner}",
        guarded.line(one.folder.path, guarded.all_to(f"{owner}:{group}")),
    )


def _unreadable(facts: Facts, one: MaildirFacts, owner: str) -> Outcome:
    text = f"{shown(one.folder.path, 200)} can't be read: {one.fault}"
    if facts.host.user is None or facts.host.user.name != owner:
        return skip(f"{text}; run the doctor as root")
    return fail(text, guarded.line(one.folder.path, guarded.mode_by(owner, "u+rwX", everything=True)))


HOST_CHECKS: tuple[Check, ...] = (
    Check(
        "disk-space",
        "On a full file system all mail is deferred, whatever the limits are, and mailquota records nothing.",
        _space,
    ),
    Check(
        "disk-inodes",
        "A Maildir has a file for each mail: inodes may run out long before the space of a file system does.",
        _inodes,
    ),
    Check(
        "disk-promised",
        "Limits may add up to more space than there is, as few users need all of theirs. But then limits do not keep "
        "the file system from becoming full.",
        _promised,
    ),
    Check(
        "limits-valid",
        "Dovecot can't load an account with an invalid limit: its user can't log in, and mail to it is deferred. "
        "mailquota gives Postfix the answer policy.trouble for it.",
        _valid,
    ),
    Check(
        "clock",
        "With a wrong clock mails have wrong times, and temporary limits end too early or too late.",
        _clock,
    ),
    *LOCATION_CHECKS,
    Check(
        "mailbox-rights",
        "Dovecot delivers and mailquota measures as one user, who may not be able to use a mailbox of another user.",
        _rights,
    ),
    WITNESS_CHECK,
    *OWN_CHECKS,
)
