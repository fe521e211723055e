"""TCP ports for private servers."""

from __future__ import annotations

import random
import socket

HOST = "127.0.0.1"


def free_port() -> int:
    """A TCP port of 127.0.0.1 on which nobody listens.

    Drawn from below the range that the kernel gives to outgoing connections (32768 up, ip_local_port_range): a server
    that is stopped for a while finds its port free again, whatever its clients opened meanwhile.
    """
    ports = random.SystemRandom().sample(range(20000, 32000), 100)
    return next(port for port in ports if _is_free(port))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do it: a port whose old connections only wait out TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
