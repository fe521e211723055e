"""What is left to do after an uninstall, as comments and lines for a shell of root. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from ...base.text import visible
from ...servers.postfix.restrictions import entries
from .model import RESTRICTIONS, Host
from .plan import policy_services


def leftovers(host: Host, restrictions: str | None, services: set[str], *, purge: bool) -> tuple[str, ...]:
    """``restrictions``: those of Postfix after the uninstall; ``services``: the names of mailquota's policy service."""
    lines = [*_postfix(host, restrictions), *_asked(host, services), *_dovecot(host), *_engine(host)]
    if purge and host.others:
        lines.append(f"# These files stay: {visible(', '.join(host.others))}")
    return tuple(lines)


def _postfix(host: Host, restrictions: str | None) -> Iterator[str]:
    """How to restore the restrictions of before the installation, where they were edited since and so not restored."""
    manifest = host.manifest
    if host.postfix.fault:
        yield f"# {visible(host.postfix.fault)}: take the check_policy_service of mailquota out of Postfix yourself"
        return
    if manifest is None or not manifest.after or entries(restrictions or "") == entries(manifest.before or ""):
        return
    yield f"# {RESTRICTIONS} was changed since the installation: only mailquota's check is taken out of it."
    if not policy_services(restrictions or ""):
        yield "# No policy server checks quotas then: mail to a full mailbox is accepted, and bounces later."
    yield "# These lines restore the value of before the installation."
    if any("quota-status" in service for service in policy_services(manifest.before or "")):
        yield "# They need the service quota-status in Dovecot: without it Postfix would refuse all mail."
    if manifest.before is None:
        yield f"postconf -X {RESTRICTIONS}"
    else:
        yield f"postconf -e {shlex.quote(f'{RESTRICTIONS} = {manifest.before}')}"
    yield "postfix reload"


def _asked(host: Host, services: set[str]) -> Iterator[str]:
    """Checks in the options of services in master.cf, which an uninstall does not edit."""
    for name, value in host.postfix.elsewhere.items():
        if "/" in name and services.intersection(policy_services(value)):
            yield f"# {visible(name)} in master.cf still asks mailquota; take its check out: {visible(value)}"


def _dovecot(host: Host) -> Iterator[str]:
    for service in host.dovecot_runs:
        yield f"# Dovecot's service {visible(service)} runs mailquota: give it another script before you remove that."


def _engine(host: Host) -> Iterator[str]:
    if host.starters and not host.systemd:
        yield f"# Still there, and starts mailquota again: {', '.join(host.starters)}"
    if host.other_engine:
        yield "# An engine goes on running, and warns owners. This ends it:"
        yield f"kill {host.engine}" if host.engine else "# kill, with the process that mailquota status names"
