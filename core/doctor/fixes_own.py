"""What starts mailquota on this server, as text for a shell of root. Pure."""

from __future__ import annotations

from core.doctor.facts import Facts


def start(facts: Facts) -> str:
    """From now on, and at each boot."""
    return "systemctl enable --now mailquota" if facts.host.installed else _install(facts)


def restart(facts: Facts) -> str:
    """For an engine that is away, or does not answer."""
    return "systemctl restart mailquota" if facts.host.installed else _install(facts)


def _install(facts: Facts) -> str:
    if facts.host.engine.running:
        return "# end the mailquota that runs here, and start it again"
    if facts.host.systemd:
        return "mailquota install --apply"
    return "# systemd does not run here; what keeps mailquota running without it, says:\nmailquota install"
