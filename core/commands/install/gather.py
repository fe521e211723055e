"""Looking at the machine: who owns the mailboxes, what is there already, what the service could not read."""

from __future__ import annotations

import grp
import os
import pwd
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from mailquota.core.commands.install.machine import Machine
from mailquota.core.commands.install.model import (
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
from mailquota.core.commands.install.without_systemd import LOG, STARTERS
from mailquota.core.servers.dovecot.conf import dovecot_tool, parse_doveconf
from mailquota.core.servers.postfix.maps import parse_map_file
from mailquota.core.servers.postfix.restrictions import POLICY
from mailquota.core.settings.config import Config

_RUNNING = "/run/systemd/system"  # sd_booted(3)
_OURS = re.compile(r"^script \S*/mailquota( |$)")


class Asked(NamedTuple):
    """What the caller knows: how mailquota is started and which places that reads, where its settings are (or will be),
    whom to run as ("": find out), its password files by the names of their credentials, whether an engine answers now,
    and as which process, and whether one answers where Postfix would ask.
    """

    command: tuple[str, ...]
    program: tuple[str, ...]
    settings: str
    user: str
    passwords: Mapping[str, str]
    answering: bool
    engine: int = 0
    ready: bool = False


class _Person(NamedTuple):
    """The owner of the mailboxes."""

    user: str
    group: str
    uid: int
    gid: int

    @property
    def groups(self) -> set[int]:
        """All that count when a file is opened."""
        return {self.gid, *os.getgrouplist(self.user, self.gid)}


def gather(config: Config, machine: Machine, asked: Asked) -> Host:
    """Raises MailquotaError for a user or a file that is not what it should be."""
    files = {path: machine.read(path) for path in (SOCKET_UNIT, SERVICE_UNIT, asked.settings)}
    person, fault = _person(config, machine, asked.user)
    if person is None and not asked.user:
        person, fault = _earlier(machine, config, files[SERVICE_UNIT] or "") or (None, fault)
    units = _units(machine) if machine.place(_RUNNING).is_dir() else None
    state = STATE_FOLDER if machine.place(STATE_FOLDER).is_dir() else None
    places = (*asked.program, asked.settings, config.settings.mailstore.folder)
    unreachable = _unreachable(machine, person, asked)
    return Host(
        command=asked.command,
        settings=asked.settings,
        settings_readable=person is not None and can_read(machine.place(asked.settings), person.uid, person.groups),
        places=places,
        owner=None if person is None else Owner(person.user, person.group),
        owner_fault=fault,
        unreachable=unreachable,
        groups=frozenset(group.gr_name for group in grp.getgrall()),
        files=files | {STATE_FOLDER: state},
        credentials=_credentials(machine, person, asked.passwords),
        postfix=_postfix(machine),
        dovecot_log=_dovecot_log(config, machine),
        dovecot_closed=_dovecot_closed(config, machine, person),
        dovecot_runs=_dovecot_runs(config, machine),
        systemd=units is not None,
        units=units or Units(),
        users=frozenset(user.pw_name for user in pwd.getpwall()),
        ready=asked.ready,
        stranger=asked.answering and not (units is not None and units.active),
        engine=asked.engine,
        starters=tuple(path for path in STARTERS if machine.place(path).exists()),
        others=_others(machine, asked.settings),
        manifest=machine.manifest(),
    )


def _person(config: Config, machine: Machine, name: str) -> tuple[_Person | None, str]:
    """Who the service runs as, or why that is not known."""
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


def _earlier(machine: Machine, config: Config, unit: str) -> tuple[_Person | None, str] | None:
    """Whom an earlier installation was told to run as; None where there was none."""
    user = re.search(r"^User=(.+)$", unit, re.MULTILINE)
    return _person(config, machine, user[1]) if user else None


def _named(uid: int, gid: int, roots: str) -> tuple[_Person | None, str]:
    """systemd starts nobody who has no name, and no group without one."""
    if uid == 0:
        return None, f"the service runs without root, but {roots}"
    try:
        return _Person(pwd.getpwuid(uid).pw_name, grp.getgrgid(gid).gr_name, uid, gid), ""
    except KeyError:
        return None, f"the mailboxes belong to {uid}:{gid}, and one of these has no name here"


def _unreachable(machine: Machine, person: _Person | None, asked: Asked) -> str:
    """Why the mail user can't run mailquota, as where it is installed below /root."""
    if person is None:
        return ""
    for place in asked.program:
        if not can_read(machine.place(place), person.uid, person.groups):
            return f"{person.user} can't read {place}; install mailquota where everybody can, as in /opt/mailquota"
    folder = os.path.dirname(asked.settings)
    if machine.place(folder).exists() and not can_read(machine.place(folder), person.uid, person.groups):
        return f"{person.user} can't read {folder}, where the settings are; chmod o+rx {shlex.quote(folder)}"
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


def _credentials(machine: Machine, person: _Person | None, passwords: Mapping[str, str]) -> dict[str, str]:
    """The password files that systemd has to hand over, as root."""
    if person is None:
        return {}
    return {
        name: path
        for name, path in passwords.items()
        if machine.place(path).exists() and not can_read(machine.place(path), person.uid, person.groups)
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
    """Dovecot-lda does not deliver where it can't write it."""
    path = machine.run((*_doveconf(config), "-h", "log_path")).out.strip()
    return path if path.startswith("/") and not path.startswith("/dev/") else ""


def _dovecot_closed(config: Config, machine: Machine, person: _Person | None) -> str:
    """Every tool of Dovecot's reads all of its files, those with the passwords of databases among them."""
    if person is None or os.geteuid() != 0 or machine.run((*_doveconf(config), "-n")).fault:
        return ""  # nobody but root can try it
    become = ("setpriv", f"--reuid={person.uid}", f"--regid={person.gid}", "--clear-groups")
    return machine.run((*become, *_doveconf(config), "-n")).fault


def _dovecot_runs(config: Config, machine: Machine) -> tuple[str, ...]:
    """As quota-warning, whose script mailquota can be."""
    services = parse_doveconf(machine.run((*_doveconf(config), "-n")).out).of_kind("service")
    return tuple(service.name for service in services if _OURS.search(service.values.get("executable", "")))


def _others(machine: Machine, settings: str) -> tuple[str, ...]:
    """Texts and passwords beside the settings, and the log where there is no systemd."""
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
