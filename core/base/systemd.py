"""Notifies systemd of the engine's state (sd_notify(3)); does nothing where NOTIFY_SOCKET is not set."""

from __future__ import annotations

import contextlib
import os
import socket
import time

_SECONDS = 0.2  # where systemd does not read its socket: the answers to Postfix must not wait for that


def notify(*lines: str) -> None:
    """Send assignments like ``READY=1`` in one datagram. A socket that nobody reads is no error."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    if path.startswith("@"):  # the abstract namespace
        path = "\0" + path[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.settimeout(_SECONDS)
        sock.sendto("\n".join(lines).encode(), path)


def reloading() -> None:
    """Notify the start of a reload; READY=1 ends it. Type=notify-reload requires the time in it."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def watchdog_seconds() -> float | None:
    """Seconds between two WATCHDOG=1: half of the time that systemd allows; None without a watchdog."""
    try:
        microseconds = int(os.environ.get("WATCHDOG_USEC", "0"))
        watched = int(os.environ.get("WATCHDOG_PID", "0"))
    except ValueError:
        return None
    if watched not in {0, os.getpid()}:  # another process is watched, see sd_watchdog_enabled(3)
        return None
    return microseconds / 2_000_000 if microseconds > 0 else None
