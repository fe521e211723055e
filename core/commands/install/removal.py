"""The steps of an uninstall, in order. Pure."""

from __future__ import annotations

from ...servers.postfix.restrictions import without
from ...settings.config import Config
from .leftovers import leftovers
from .model import (
    HELPER_UNIT,
    MANIFEST,
    RESTRICTIONS,
    SERVICE_UNIT,
    SOCKET_UNIT,
    STATE_FOLDER,
    UNITS,
    Command,
    Host,
    Manifest,
    Plan,
    Remove,
    Step,
)
from .plan import digest, earlier_services, our_services, policy_services
from .units import HELPER


def removal_plan(config: Config, host: Host, *, purge: bool) -> Plan:
    """First Postfix stops asking, then the service ends, then the files that install wrote are removed.

    ``purge``: state and settings, too. A file that was edited since is kept, and a remark names it.
    """
    manifest = host.manifest or Manifest()
    remarks: list[str] = []
    services = {*our_services(config, host), *earlier_services(manifest)}
    restrictions = _restrictions_left(host, manifest, services)
    steps = _postfix(host, restrictions, services)
    if _may_run(host):
        steps += [Command(("systemctl", "disable", "--now", *UNITS), "no engine runs any more")]
    if host.systemd and host.files.get(HELPER_UNIT) is not None:
        steps += [Command(("systemctl", "stop", HELPER), "")]
    gone = [step for path in (SOCKET_UNIT, SERVICE_UNIT, HELPER_UNIT) for step in _file(host, manifest, path, remarks)]
    steps += gone
    if gone and host.systemd:
        steps += [Command(("systemctl", "daemon-reload"), "")]
    steps += _kept_or_purged(host, manifest, remarks, purge=purge)
    steps += _user_and_group(host, manifest)
    if host.manifest is not None:
        folder = MANIFEST.rpartition("/")[0]
        steps += [Remove(MANIFEST), Command(("rmdir", "--ignore-fail-on-non-empty", folder), "")]
    left = leftovers(host, restrictions, services, purge=purge)
    return Plan("uninstall", tuple(steps), tuple(remarks), left=left)


def _user_and_group(host: Host, manifest: Manifest) -> list[Step]:
    why = "it was made by the installation"
    user = manifest.user in host.users
    steps: list[Step] = [Command(("userdel", manifest.user), why)] if user else []
    if manifest.group not in host.groups:
        return steps
    remove: tuple[str, ...] = ("groupdel", manifest.group)
    if user and manifest.user == manifest.group:  # userdel removes such a group, too, where it has no other members
        remove = ("sh", "-c", f"! getent group {manifest.group} || groupdel {manifest.group}")
    return [*steps, Command(remove, why)]


def _may_run(host: Host) -> bool:
    """Whether a service may run: also one that failed to start, as systemd goes on trying."""
    there = all(host.files.get(path) is not None for path in (SOCKET_UNIT, SERVICE_UNIT))
    return host.systemd and there and (host.manifest is not None or host.units.enabled or host.units.active)


def _restrictions_left(host: Host, manifest: Manifest, services: set[str]) -> str | None:
    """The value of before the installation; where it was changed since, the present one without mailquota's check."""
    now = host.postfix.restrictions
    if now is not None and manifest.after and now == manifest.after:
        return manifest.before
    if now is not None and services.intersection(policy_services(now)):
        return without(now, services)
    return now


def _postfix(host: Host, restrictions: str | None, services: set[str]) -> list[Step]:
    if host.postfix.fault:
        return []
    change: list[Step] = [
        _setting(name, without(value, services), f"{name} asks no more")
        for name, value in host.postfix.elsewhere.items()
        if "/" not in name and services.intersection(policy_services(value))
    ]
    if restrictions != host.postfix.restrictions:
        change.append(_setting(RESTRICTIONS, restrictions, "Postfix asks no more"))
    # An uninstall that was interrupted may have changed main.cf already without a reload.
    heard = not change and host.manifest is None
    return [*change, Command(("postfix", "reload"), "", lenient=True, done=heard)]


def _setting(name: str, value: str | None, why: str) -> Command:
    return Command(("postconf", "-X", name) if value is None else ("postconf", "-e", f"{name} = {value}"), why)


def _file(host: Host, manifest: Manifest, path: str, remarks: list[str]) -> list[Step]:
    text = host.files.get(path)
    if text is None:
        return []
    if manifest.files.get(path) != digest(text):
        remarks.append(f"{path} is kept: it is not as mailquota wrote it")
        return []
    return [Remove(path, text)]


def _kept_or_purged(host: Host, manifest: Manifest, remarks: list[str], *, purge: bool) -> list[Step]:
    """Remove state and settings with ``purge``. A settings file that existed before the installation is always kept."""
    if not purge:
        kept = [place for place in (host.settings, STATE_FOLDER) if host.files.get(place) is not None]
        remarks += [f"{' and '.join(kept)} stay; --purge removes them"] if kept else []
        return []
    there = host.files.get(host.settings)
    settings: list[Step] = []
    if there is not None and host.settings in manifest.files:
        settings = [Remove(host.settings, there)]
    elif there is not None:
        remarks.append(f"{host.settings} is kept: it was there before the installation")
    state = [Remove(STATE_FOLDER, folder=True)] if host.files.get(STATE_FOLDER) is not None else []
    return [*settings, *state]
