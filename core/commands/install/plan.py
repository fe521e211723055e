"""The steps of an installation, in order. Pure."""

from __future__ import annotations

from hashlib import sha256

from ...base.errors import MailquotaError
from ...servers.postfix.restrictions import entries, place, policy_check, postfix_service, without
from ...settings.config import Config
from .model import (
    HELPER_UNIT,
    RESTRICTIONS,
    SERVICE_UNIT,
    SOCKET_UNIT,
    UNITS,
    Await,
    Command,
    Host,
    Manifest,
    Plan,
    Put,
    Remove,
    Step,
)
from .units import HELPER, helper_unit, service_unit, socket_unit
from .without_systemd import advice

DOCS = "docs/service.md"


def install_plan(config: Config, host: Host, settings_text: str) -> Plan:
    """The plan of an installation. ``settings_text`` is written where there is no settings file.

    Raises MailquotaError where systemd runs and the user for the service is not known.
    """
    finished = host.manifest is None or host.manifest.complete
    steps = [*_groups(config, host), *_settings(host, settings_text)]
    if host.systemd:
        steps += _user(config, host)
        units = _units(config, host)
        steps += [*_shared(config, host), *units, *_started(host, units, finished=finished)]
        steps += _helper_gone(config, host)
    line, remarks = _postfix(config, host, finished=finished)
    steps += [*_engine(config, host, line), *line]
    manifest = _manifest(config, host, steps)
    return Plan(
        kind="install",
        steps=tuple(steps),
        remarks=(*_remarks(config, host), *remarks),
        manifest=manifest,
        obstacle=_obstacle(config, host),
    )


def _obstacle(config: Config, host: Host) -> str:
    """What would keep the service from running, "" for nothing."""
    policy, where = config.settings.policy, config.settings.control.socket
    if not host.systemd:
        return ""
    has_file = any(address.kind == "unix" for address in policy.listen_addresses)
    if has_file and policy.socket_user not in {"", *host.users}:
        return f"policy.socket_user: there is no user {policy.socket_user}, who should own the socket"
    if host.other_engine:
        how = "in its console, or with kill: mailquota status names its process"
        return f"an engine that is not the service answers on {where}; end it first ({how})"
    if config.settings.mailstore.driver == "doveadm" and host.dovecot_closed:
        return f'the driver "doveadm" needs Dovecot\'s tools: {host.dovecot_closed}; {DOCS} says how to mend it'
    return host.unreachable or _helper_obstacle(config, host)


def _helper_obstacle(config: Config, host: Host) -> str:
    mailstore = config.settings.mailstore
    if not mailstore.helper or host.owner is None:
        return ""
    if mailstore.engine_user in {host.owner.user, "root"} or mailstore.engine_user.isdecimal():
        return f"mailstore.engine_user is {mailstore.engine_user}: it has to be the name of a user for the engine alone"
    if not host.settings_readable:
        both = f"{mailstore.engine_user} and {host.owner.user}"
        return f"{both} read {host.settings}: put passwords into files of their own, then chmod o+r {host.settings}"
    return ""


def _groups(config: Config, host: Host) -> list[Step]:
    group = config.settings.control.group
    if not group:
        return []
    why = f"members of {group} may use the console"
    return [Command(("groupadd", "--system", group), why, done=group in host.groups)]


def _user(config: Config, host: Host) -> list[Step]:
    """The engine's own user, where it has one."""
    mailstore, group = config.settings.mailstore, config.settings.control.group
    if not mailstore.helper:
        return []
    words = ("--system", *(("--gid", group) if group else ("--user-group",)), "--no-create-home")
    shut = ("--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin")
    done = mailstore.engine_user in host.users
    return [Command(("useradd", *words, *shut, mailstore.engine_user), "the engine runs as that user", done=done)]


def _settings(host: Host, text: str) -> list[Step]:
    """Write the settings file, unless there is one."""
    before = host.files.get(host.settings)
    return [Put(host.settings, text, before)] if before is None else []


def _shared(config: Config, host: Host) -> list[Step]:
    """Let the service read a settings file that existed. Where there are two users, all have to be able to."""
    if host.owner is None or config.settings.mailstore.helper or host.files.get(host.settings) is None:
        return []
    why = f"{host.owner.user} reads the settings"
    share = (("chgrp", host.owner.group, host.settings), ("chmod", "g+r", host.settings))
    return [Command(argv, why, done=host.settings_readable) for argv in share]


def _units(config: Config, host: Host) -> list[Put]:
    if host.owner is None:
        raise MailquotaError(f"{host.owner_fault}; name the user who owns the mailboxes, like --user vmail")
    texts = {SOCKET_UNIT: socket_unit(config), SERVICE_UNIT: service_unit(config, host, host.owner)}
    if config.settings.mailstore.helper:
        texts[HELPER_UNIT] = helper_unit(config, host, host.owner)
    return [Put(path, text, host.files.get(path)) for path, text in texts.items()]


def _helper_gone(config: Config, host: Host) -> list[Step]:
    """The settings name no helper any more: its unit goes, unless it was edited. Its user stays until an uninstall."""
    text = host.files.get(HELPER_UNIT)
    ours = host.manifest is not None and text is not None and host.manifest.files.get(HELPER_UNIT) == digest(text)
    if config.settings.mailstore.helper or not ours:
        return []
    stop = Command(("systemctl", "stop", HELPER), "the engine does its work now")
    return [stop, Remove(HELPER_UNIT, text), Command(("systemctl", "daemon-reload"), "")]


def _started(host: Host, units: list[Put], *, finished: bool) -> list[Step]:
    """Start both units, or restart what changed. A changed service unit loses no request, as the socket stays open.

    After an installation that was interrupted it is not known which of these were done, so all are done again.
    """
    changed = [unit for unit in units if not unit.done or not finished]
    steps = [Command(("systemctl", "daemon-reload"), "", done=not changed and not host.units.need_reload)]
    if host.units.active and any(unit.path == HELPER_UNIT and unit.before is not None for unit in changed):
        steps += [Command(("systemctl", "try-restart", HELPER), "")]
    if host.units.active and any(unit.path == SOCKET_UNIT for unit in changed):
        steps += [Command(("systemctl", "stop", *UNITS[::-1]), "the socket changes")]
    elif host.units.active and changed:
        steps += [Command(("systemctl", "restart", UNITS[1]), "requests wait meanwhile")]
    running = host.units.enabled and host.units.active and not changed
    return [*steps, Command(("systemctl", "enable", "--now", *UNITS), "", done=running)]


def _engine(config: Config, host: Host, line: list[Step]) -> list[Step]:
    """Without systemd the administrator starts the engine. Postfix must not ask it before it answers."""
    if host.systemd or not line or line[0].done:
        return []
    what = f"mailquota answers on {config.settings.policy.listen[0]}"
    return [Await(what, advice(config, host), done=host.ready)]


def our_services(config: Config, host: Host) -> list[str]:
    """The names of mailquota's policy service in Postfix, in the order of ``policy.listen``."""
    directory = host.postfix.queue_directory
    return [postfix_service(text, directory) for text in config.settings.policy.listen]


def _postfix(config: Config, host: Host, *, finished: bool) -> tuple[list[Step], list[str]]:
    services = our_services(config, host)
    if host.postfix.fault:
        return [], [
            f"{host.postfix.fault}: put a check_policy_service for {services[0]} into its restrictions yourself"
        ]
    before = host.postfix.restrictions or ""
    asked = policy_services(before)
    stale = earlier_services(host.manifest) - set(services)
    done = any(service in asked for service in services) and not stale & set(asked)
    after = before if done else place(without(before, stale), services[0])
    steps = [
        Command(("postconf", "-e", f"{RESTRICTIONS} = {after}"), "Postfix asks", done=done),
        Command(("postfix", "reload"), "", done=done and finished, lenient=True),
    ]
    return list(steps), _postfix_remarks(services[0], asked)


def policy_services(text: str) -> list[str]:
    """The names of all policy services in a list of restrictions."""
    return [check.service for entry in entries(text) if (check := policy_check(entry)) is not None]


def earlier_services(manifest: Manifest | None) -> set[str]:
    """The policy services that an earlier installation added to Postfix, whatever the settings are now."""
    return set() if manifest is None else {*policy_services(manifest.after)} - {*policy_services(manifest.before or "")}


def _postfix_remarks(service: str, asked: list[str]) -> list[str]:
    remarks = []
    if any("quota-status" in other for other in asked):
        remarks.append("Postfix asks Dovecot's quota-status, too: docs/moving.md says how to compare and to switch")
    if service.startswith("unix:/"):
        remarks.append(f"{service.removeprefix('unix:')} is not below Postfix's queue directory: not reachable by "
                       "services of Postfix that run chrooted")  # fmt: skip
    return remarks


def _remarks(config: Config, host: Host) -> list[str]:
    remarks = _dovecot_remarks(config, host)
    if host.files.get(host.settings) is not None:
        remarks.append(f"{host.settings} is there already and is kept")
    if not host.systemd:
        remarks.append(f"systemd does not run here, so you start mailquota: how, is said below and in {DOCS}")
    return remarks


def _dovecot_remarks(config: Config, host: Host) -> list[str]:
    mailstore = config.settings.mailstore
    if not (host.dovecot_closed and host.owner and host.systemd):
        return []
    what = f"{host.owner.user} can't run Dovecot's tools ({host.dovecot_closed})"
    if host.files.get(host.settings) is None:
        return [f'{what}; so the settings have doveadm = "off", and the service does without']
    if mailstore.doveadm == "off" and mailstore.driver != "auto":
        return []
    return [
        f'{what}; in [mailstore] of {host.settings} write doveadm = "off", and the driver that mailquota config tells'
    ]


def _manifest(config: Config, host: Host, steps: list[Step]) -> Manifest:
    """The manifest of this installation. It keeps what an earlier one wrote, so that an uninstall removes that, too."""
    old = host.manifest or Manifest()
    files = {step.path: digest(step.text) for step in steps if isinstance(step, Put)}
    group = config.settings.control.group
    made = group if group and group not in host.groups else old.group
    lines = [
        step.argv[2] for step in steps if isinstance(step, Command) and step.argv[0] == "postconf" and not step.done
    ]
    user = config.settings.mailstore.engine_user if config.settings.mailstore.helper else ""
    user = user if user and user not in host.users else old.user
    if not lines:
        return Manifest(files=old.files | files, group=made, user=user, before=old.before, after=old.after)
    after = lines[0].partition(" = ")[2]
    return Manifest(files=old.files | files, group=made, user=user, before=_former(host, old), after=after)


def _former(host: Host, old: Manifest) -> str | None:
    """The value to restore: that of before the first installation, unless it was changed since."""
    now = host.postfix.restrictions
    if now is None or not earlier_services(old).intersection(policy_services(now)):
        return now
    return old.before if now == old.after else without(now, earlier_services(old))


def digest(text: str) -> str:
    """The SHA-256 of a file's text, in hexadecimal."""
    return sha256(text.encode()).hexdigest()
