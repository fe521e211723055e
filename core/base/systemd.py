"""What systemd is told (sd_notify(3)): one datagram a state, and nothing where NOTIFY_SOCKET is not set."""

from __future__ import annotations

import contextlib
import os
import socket
import time

_SECONDS = 0.2  # a service manager that does not read must not hold the answers


def notify(*lines: str) -> None:
    """Send assignments like ``READY=1``. A service manager that does not listen is no fault of ours."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    if path.startswith("@"):  # the abstract namespace
        path = "\0" + path[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.settimeout(_SECONDS)
        sock.sendto("\n".join(lines).encode(), path)


def reloading() -> None:
    """The start of a reload, which READY=1 ends; the time is what Type=notify-reload asks for."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def watchdog_seconds() -> float | None:
    """How often to send WATCHDOG=1: twice in the time that systemd allows, None where it does not watch."""
    try:
        microseconds = int(os.environ.get("WATCHDOG_USEC", "0"))
        watched = int(os.environ.get("WATCHDOG_PID", "0"))
    except ValueError:
        return None
    if watched not in {0, os.getpid()}:  # it is another process that is watched, sd_watchdog_enabled(3)
        return None
    return microseconds / 2_000_000 if microseconds > 0 else None
