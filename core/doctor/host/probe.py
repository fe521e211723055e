"""Gathers facts about file systems, the clock, mailboxes and mailquota's files. Writes nothing and reads no contents.

Facts about the engine, the state database and the accounts are passed in (core/doctor/host/probe_mailquota.py).
"""

from __future__ import annotations

import itertools
import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping

import msgspec

from ...base import programs
from ...base.trusted import distrust
from ...mailboxes.driver import MaildirDriver
from ...mailboxes.folders import folder_names, sum_directory
from ...mailboxes.from_settings import driver_name, guarded, make_names, with_dovecot
from ...mailboxes.mailstore import Mailstore
from ...mailboxes.mailstore_guard import MailstoreGuard
from ...mailboxes.mailstore_memory import MailstoreMemory
from ...mailboxes.measure import MadeUnreadable, Unmeasurable, probe, unmeasurable
from ...mailboxes.stray_mail import is_mailbox
from ...servers.dovecot.folder_names import TrashNames
from ...settings.config import Config
from .. import paths
from .facts import (
    DatabaseFacts,
    DiskFacts,
    Distrust,
    EngineFacts,
    HostFacts,
    LimitFacts,
    LostFacts,
    MaildirFacts,
    StateFacts,
)

SAMPLE = 50  # mailboxes that are examined
_TEMPLATES = 200  # files of own templates
_SYSTEMD = "/run/systemd/system"  # sd_booted(3)
_UNITS = tuple(f"{folder}/systemd/system/mailquota.service" for folder in ("/etc", "/usr/lib", "/usr/local/lib"))


def gather(
    config: Config,
    limits: Mapping[str, int | None],
    used: int | None = None,
    *,
    engine: EngineFacts | None = None,
    state: StateFacts | None = None,
    database: DatabaseFacts | None = None,
    version: str = "",
    run: programs.Run = programs.run,
    clock: Callable[[], float] = time.time,
    spelled: Mapping[str, str] | None = None,
) -> HostFacts:
    """``limits``: address → bytes, None for unlimited. ``used``: bytes in all. ``version``: of this command.

    ``spelled``: address → the same as its row in the database has it, where that differs.
    """
    settings, config = config.settings, with_dovecot(config)
    store = _mailstore(config, spelled)
    base = settings.mailstore.folder
    return HostFacts(
        is_root=os.geteuid() == 0,
        user=paths.user(paths.user_name(os.geteuid())),
        now=clock(),
        clock_synchronized=_synchronized(run),
        version=version,
        disks=tuple(disk(path) for path in dict.fromkeys((base, *_state_folder(config)))),
        limits=_sum(limits, used),
        mailstore=paths.look(base),
        lost=lost(config, store, list(limits)),
        maildirs=tuple(_maildir(store, address) for address in _sampled(limits)),
        files=_files(config),
        distrusted=tuple(_distrusted(config)),
        groups_missing=_missing_groups(config),
        systemd=os.path.isdir(_SYSTEMD),
        installed=os.path.isdir(_SYSTEMD) and any(map(os.path.isfile, _UNITS)),
        engine=engine or EngineFacts(),
        state=state or StateFacts(),
        database=database or DatabaseFacts(),
    )


def _mailstore(config: Config, spelled: Mapping[str, str] | None) -> Mailstore:
    settings = config.settings.mailstore
    return Mailstore(settings.path, TrashNames(settings.trash), names=make_names(config, spelled))


def _state_folder(config: Config) -> tuple[str, ...]:
    url = config.settings.state.url
    return (os.path.dirname(url.path),) if url.kind == "sqlite" else ()


def _sum(limits: Mapping[str, int | None], used: int | None) -> LimitFacts:
    known = [max(0, limit) for limit in limits.values() if limit is not None]
    return LimitFacts(accounts=len(limits), unlimited=len(limits) - len(known), total=sum(known), used=used)


def _sampled(limits: Mapping[str, int | None]) -> list[str]:
    """At most SAMPLE accounts at even distances in the list, the same ones each time."""
    addresses = sorted(limits)
    step = max(1, -(-len(addresses) // SAMPLE))
    return list(itertools.islice(addresses, 0, None, step))


def disk(path: str) -> DiskFacts:
    """The file system of a path; where the path does not exist, of the nearest folder above it that does."""
    try:
        found = os.statvfs(_existing(path))
    except OSError as error:
        return DiskFacts(path, fault=f"{path}: {error.strerror or error}")
    # Blocks reserved for root count neither as free nor as used, as in df.
    taken = (found.f_blocks - found.f_bfree) * found.f_frsize
    free = found.f_bavail * found.f_frsize
    return DiskFacts(path, total=taken + free, free=free, inodes=found.f_files, inodes_free=found.f_favail)


def _existing(path: str) -> str:
    while path != "/" and not os.path.lexists(path):
        path = os.path.dirname(path)
    return path


def _maildir(store: Mailstore, address: str) -> MaildirFacts:
    user, _, domain = address.rpartition("@")
    path = store.maildir(address)
    if {"..", "."} & {user, domain} or "/" in address or "\0" in address:
        return MaildirFacts(address, paths.PathFacts(path))
    folder = paths.look(path)
    if unreadable := _made_unreadable(path):
        return MaildirFacts(address, folder, unreadable=unreadable)
    if folder.kind != "folder":
        return MaildirFacts(address, folder, fault=folder.fault)
    return MaildirFacts(address, folder, fault=_listing_fault(path), closed=_closed_above(folder))


def lost(config: Config, store: Mailstore, accounts: Collection[str]) -> LostFacts:
    """Whether the file systems of the mailboxes are there, by a look of its own at some of them.

    Beside the mounts and the folders it has what an engine of this server remembered.
    """
    known = set(accounts)
    _, guard = guarded(MaildirDriver(store), store, MailstoreMemory.of(config))
    guard.is_account = known.__contains__
    guard.by_path = driver_name(config) in {"maildir", "count"}
    try:
        guard.look()
        mailboxes = filter(store.names.is_user, _sampled(dict.fromkeys(known)))
        found = [_why_lost(guard, address) for address in mailboxes]
    finally:
        guard.close()
    reasons = Counter(filter(None, found))
    if not reasons:
        return LostFacts()
    reason, count = reasons.most_common(1)[0]
    point = next((point for point, why in {**guard.lost, **guard.path.absent}.items() if why == reason), "")
    return LostFacts(reason, point, count)


def _why_lost(guard: MailstoreGuard, address: str) -> str:
    reason = guard.reason(address)
    if reason or is_mailbox(guard.store.maildir(address)) is not False:
        return reason
    return guard.missing(address)


def _closed_above(folder: paths.PathFacts) -> paths.PathFacts | None:
    """The first folder above a mailbox that its owner may not enter; None where it may enter all.

    Dovecot delivers with the group of the mailbox, so that counts as one of the owner's groups.
    """
    owner = paths.user(folder.owner)
    if owner is None:
        return None
    owner = msgspec.structs.replace(owner, gids=(*owner.gids, folder.gid))
    above = paths.folders_above(folder.path)
    return next((one for one in above if paths.allows(one, owner, paths.ENTER) is False), None)


def _made_unreadable(path: str) -> str:
    try:
        probe(path, None, None, 0.0)
        folder_names(path)
        for part in ("new", "cur"):
            sum_directory(f"{path}/{part}", summing=lambda _directory, _names: (0, 0))
    except MadeUnreadable as error:
        return str(error)
    except OSError as error:
        fault = unmeasurable(path, error)
        return str(fault) if isinstance(fault, MadeUnreadable) else ""
    except Unmeasurable:
        return ""
    return ""


def _listing_fault(path: str) -> str:
    try:
        with os.scandir(os.path.join(path, "cur")) as found:
            next(found, None)
    except FileNotFoundError:  # Dovecot creates it with the first mail
        return ""
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _files(config: Config) -> dict[str, paths.PathFacts]:
    settings = config.settings
    named = {
        "settings": str(config.path) if config.path else "",
        "accounts.password_file": settings.accounts.password_file,
        "accounts.write_password_file": settings.accounts.write_password_file,
        "mailstore.doveadm_password_file": settings.mailstore.doveadm_password_file,
        "state.database": settings.state.url.path,
        "state folder": next(iter(_state_folder(config)), ""),
        "control.socket": settings.control.socket,
        "control folder": os.path.dirname(settings.control.socket),
    }
    return {name: paths.look(path) for name, path in named.items() if path}


def _missing_groups(config: Config) -> tuple[str, ...]:
    control = config.settings.control
    return tuple(name for name in (control.group, control.read_only_group) if name and paths.group_id(name) is None)


def _distrusted(config: Config) -> Iterator[Distrust]:
    """Settings and own templates that others may change; each cause once."""
    templates = config.settings.warnings.templates
    below = (f"{folder}/{name}" for folder, _, names in os.walk(templates) for name in ("", *names))
    named = filter(None, [str(config.path or ""), *itertools.islice(below, _TEMPLATES)])
    fixes = set()
    for path in named:
        try:
            error = distrust(path)
        except OSError:  # it is not there, or this user may not look at it: other checks tell that
            continue
        if error is not None and error.fix not in fixes:
            fixes.add(error.fix)
            yield Distrust(path, str(error), error.fix)


def _synchronized(run: programs.Run) -> bool | None:
    said = run(["timedatectl", "show", "--property=NTPSynchronized", "--value"])
    return {"yes": True, "no": False}.get(said.out.strip())
