"""TCP ports for private servers."""

from __future__ import annotations

import functools
import itertools
import random
import socket
from collections.abc import Iterator

HOST = "127.0.0.1"
_BLOCK = 250


def free_port() -> int:
    """A TCP port of 127.0.0.1 on which nobody listens, and that no other process is given by this function.

    Several runs of the tests go on at the same time, and between the moment when a port is given and the one when a
    server listens there, another run must not be given the same. Each process has a block of ports to itself.
    """
    return next(port for port in _ports() if _is_free(port))


@functools.cache
def _ports() -> Iterator[int]:
    """The ports of the block that this process has, round and round; no port comes again soon."""
    first, _claim = _claimed_block()
    return itertools.cycle(range(first + 1, first + _BLOCK))


@functools.cache
def _claimed_block() -> tuple[int, socket.socket]:
    """The first port of a block, and the UDP socket at that port, which claims the block while the process lives.

    Blocks lie below the range that the kernel gives to outgoing connections (32768 up, ip_local_port_range): a server
    that is stopped for a while finds its port free again, whatever its clients opened meanwhile.
    """
    blocks = list(range(12000, 32000, _BLOCK))
    for first in random.SystemRandom().sample(blocks, len(blocks)):
        claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            claim.bind((HOST, first))
        except OSError:
            claim.close()
            continue
        return first, claim
    raise OSError("no block of ports is free")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do it: a port whose old connections only wait out TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
