"""Examines the machine: which user owns the mailboxes, what is installed already, what the service could not read."""

from __future__ import annotations

import grp
import os
import pwd
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ...servers.dovecot.conf import dovecot_tool, parse_doveconf
from ...servers.postfix.maps import parse_map_file
from ...servers.postfix.restrictions import POLICY
from ...settings.config import Config
from .machine import Machine
from .model import (
    HELPER_UNIT,
    MANIFEST,
    RESTRICTIONS,
    SERVICE_UNIT,
    SOCKET_UNIT,
    STATE_FOLDER,
    UNITS,
    Host,
    Owner,
    PostfixState,
    Units,
)
from .without_systemd import LOG, STARTERS

_RUNNING = "/run/systemd/system"  # sd_booted(3)
_NOBODY = 65534
_OURS = re.compile(r"^script \S*/mailquota( |$)")


class Invocation(NamedTuple):
    """How mailquota was called, and the engine that runs already."""

    command: tuple[str, ...]  # that starts it again
    program: tuple[str, ...]  # paths that the command reads
    settings: str  # the path of the settings file, which may not be there yet
    user: str  # to run as; "": the owner of the mailboxes
    passwords: Mapping[str, str]  # paths of password files, by the names of their credentials
    answering: bool  # whether an engine answers on the control socket
    engine: int = 0  # its process id, 0 where that is not known
    ready: bool = False  # whether an engine answers on the first address of policy.listen


class _MailUser(NamedTuple):
    """The owner of the mailboxes, as which the service runs."""

    name: str
    group: str
    uid: int
    gid: int

    @property
    def groups(self) -> set[int]:
        """The groups that count when the user opens a file."""
        return {self.gid, *os.getgrouplist(self.name, self.gid)}


def examine(config: Config, machine: Machine, invocation: Invocation) -> Host:
    """Examine the machine. Raises MailquotaError for a file that can't be read and a manifest that can't be decoded."""
    files = {path: machine.read(path) for path in (SOCKET_UNIT, SERVICE_UNIT, HELPER_UNIT, invocation.settings)}
    user, fault = _mail_user(config, machine, invocation.user)
    if user is None and not invocation.user:
        user, fault = _earlier(machine, config, files[HELPER_UNIT] or files[SERVICE_UNIT] or "") or (None, fault)
    units = _units(machine) if machine.place(_RUNNING).is_dir() else None
    state = STATE_FOLDER if machine.place(STATE_FOLDER).is_dir() else None
    places = (*invocation.program, invocation.settings, config.settings.mailstore.folder)
    engine = _engine_user(config) or user
    readers = [one for one in (user, engine) if one is not None]
    unreachable = next(filter(None, (_unreachable(machine, one, invocation) for one in readers)), "")
    return Host(
        command=invocation.command,
        settings=invocation.settings,
        settings_readable=user is not None
        and all(can_read(machine.place(invocation.settings), one.uid, one.groups) for one in readers),
        places=places,
        owner=None if user is None else Owner(user.name, user.group),
        owner_fault=fault,
        unreachable=unreachable,
        groups=frozenset(group.gr_name for group in grp.getgrall()),
        files=files | {STATE_FOLDER: state},
        credentials=_credentials(machine, engine, invocation.passwords),
        postfix=_postfix(machine),
        dovecot_log=_dovecot_log(config, machine),
        dovecot_closed=_dovecot_closed(config, machine, user),
        dovecot_runs=_dovecot_runs(config, machine),
        systemd=units is not None,
        units=units or Units(),
        users=frozenset(user.pw_name for user in pwd.getpwall()),
        ready=invocation.ready,
        other_engine=invocation.answering and not (units is not None and units.active),
        engine=invocation.engine,
        starters=tuple(path for path in STARTERS if machine.place(path).exists()),
        others=_others(machine, invocation.settings),
        manifest=machine.manifest(),
    )


def _mail_user(config: Config, machine: Machine, name: str) -> tuple[_MailUser | None, str]:
    """The user that the service runs as, None with the reason where that is not known."""
    if name:
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            return None, f"there is no user {name}"
        return _named(found.pw_uid, found.pw_gid, "--user names root")
    folder = config.settings.mailstore.folder
    try:
        status = machine.place(folder).stat()
    except OSError as error:
        return None, f"mailstore.path: {folder} can't be looked at: {error.strerror}"
    return _named(status.st_uid, status.st_gid, f"{folder} is root's")


def _engine_user(config: Config) -> _MailUser | None:
    """The engine's own user, where it has one. One that is to be made has no rights but those of all."""
    mailstore = config.settings.mailstore
    if not mailstore.helper:
        return None
    try:
        found = pwd.getpwnam(mailstore.engine_user)
        return _MailUser(found.pw_name, grp.getgrgid(found.pw_gid).gr_name, found.pw_uid, found.pw_gid)
    except KeyError:
        return _MailUser(mailstore.engine_user, "", _NOBODY, _NOBODY)


def _earlier(machine: Machine, config: Config, unit: str) -> tuple[_MailUser | None, str] | None:
    """The user that the unit of an earlier installation runs as; None where there is no unit."""
    user = re.search(r"^User=(.+)$", unit, re.MULTILINE)
    return _mail_user(config, machine, user[1]) if user else None


def _named(uid: int, gid: int, roots: str) -> tuple[_MailUser | None, str]:
    """The user of these ids. None with the reason for root, and where a name is missing: systemd needs both names."""
    if uid == 0:
        return None, f"the service runs without root, but {roots}"
    try:
        return _MailUser(pwd.getpwuid(uid).pw_name, grp.getgrgid(gid).gr_name, uid, gid), ""
    except KeyError:
        return None, f"the mailboxes belong to {uid}:{gid}, and one of these has no name here"


def _unreachable(machine: Machine, user: _MailUser | None, invocation: Invocation) -> str:
    """Why the mail user can't run mailquota, as where it is installed below /root."""
    if user is None:
        return ""
    for place in invocation.program:
        if not can_read(machine.place(place), user.uid, user.groups):
            return f"{user.name} can't read {place}; install mailquota where all users can, as in /opt/mailquota"
    folder = os.path.dirname(invocation.settings)
    if machine.place(folder).exists() and not can_read(machine.place(folder), user.uid, user.groups):
        return f"{user.name} can't read {folder}, where the settings are; chmod o+rx {shlex.quote(folder)}"
    return ""


def can_read(path: Path, uid: int, groups: set[int]) -> bool:
    """Whether a user may open a file or folder, by owner, group and mode; a path that is not there can't be read."""
    try:
        real = path.resolve(strict=True)
        chain = [(folder, 0o1) for folder in real.parents] + [(real, 0o5 if real.is_dir() else 0o4)]
        return all(_may(os.stat(place), wanted, uid, groups) for place, wanted in chain)
    except OSError:
        return False


def _may(status: os.stat_result, wanted: int, uid: int, groups: set[int]) -> bool:
    shift = 6 if status.st_uid == uid else 3 if status.st_gid in groups else 0
    return (status.st_mode >> shift) & wanted == wanted


def _credentials(machine: Machine, user: _MailUser | None, passwords: Mapping[str, str]) -> dict[str, str]:
    """The password files that the user can't read: systemd passes them to the service as credentials."""
    if user is None:
        return {}
    return {
        name: path
        for name, path in passwords.items()
        if machine.place(path).exists() and not can_read(machine.place(path), user.uid, user.groups)
    }


def _postfix(machine: Machine) -> PostfixState:
    directory = machine.run(("postconf", "-h", "queue_directory"))
    if directory.fault:
        return PostfixState(fault=directory.fault)
    said = machine.run(("postconf", "-n"))
    values = parse_map_file(said.out)
    elsewhere = {**values, **parse_map_file(machine.run(("postconf", "-P")).out)}
    before = elsewhere.pop(RESTRICTIONS, None)
    elsewhere = {name: value for name, value in elsewhere.items() if POLICY in value}
    return PostfixState(before, directory.out.strip() or "/var/spool/postfix", said.fault, elsewhere)


def _doveconf(config: Config) -> list[str]:
    return dovecot_tool(config.settings.mailstore.doveadm, "doveconf")


def _dovecot_log(config: Config, machine: Machine) -> str:
    """Dovecot's log file, "" where it logs to syslog. dovecot-lda does not deliver where it can't write the file."""
    path = machine.run((*_doveconf(config), "-h", "log_path")).out.strip()
    return path if path.startswith("/") and not path.startswith("/dev/") else ""


def _dovecot_closed(config: Config, machine: Machine, user: _MailUser | None) -> str:
    """Why the user can't run Dovecot's tools, "" where it can. Each tool reads all settings, passwords included."""
    if user is None or os.geteuid() != 0 or machine.run((*_doveconf(config), "-n")).fault:
        return ""  # only root can try it
    become = ("setpriv", f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups")
    return machine.run((*become, *_doveconf(config), "-n")).fault


def _dovecot_runs(config: Config, machine: Machine) -> tuple[str, ...]:
    """The services of Dovecot whose script is mailquota, as quota-warning may have it."""
    services = parse_doveconf(machine.run((*_doveconf(config), "-n")).out).of_kind("service")
    return tuple(service.name for service in services if _OURS.search(service.values.get("executable", "")))


def _others(machine: Machine, settings: str) -> tuple[str, ...]:
    """Files beside the settings, as templates and passwords, and the log of an engine that systemd did not start."""
    folder = machine.place(os.path.dirname(MANIFEST))
    beside = sorted(os.path.join(os.path.dirname(MANIFEST), one.name) for one in folder.glob("*"))
    log = [LOG] if machine.place(LOG).exists() else []
    return tuple(path for path in [*beside, *log] if path not in {MANIFEST, settings})


def _units(machine: Machine) -> Units:
    said = machine.run(("systemctl", "show", *UNITS, "--property=UnitFileState,ActiveState,NeedDaemonReload"))
    known = [line.partition("=")[::2] for line in said.out.splitlines() if "=" in line]
    states = [value for name, value in known if name == "ActiveState"]
    enabled = [value for name, value in known if name == "UnitFileState"]
    return Units(
        enabled=len(enabled) == len(UNITS) and all(value == "enabled" for value in enabled),
        active=len(states) == len(UNITS) and all(value == "active" for value in states),
        need_reload=("NeedDaemonReload", "yes") in known,
    )
