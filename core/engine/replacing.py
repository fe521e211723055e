"""``mailquota reload --restart`` and leaving the console: the old engine gives its sockets to a new one.

What each does, step by step. The messages between them are those of core/engine/handover.py. No request is lost.
"""

from __future__ import annotations

from ..base import systemd
from ..base.threads import in_thread
from .accepting import Servers
from .counters import Counters
from .handover import Predecessor, Successor
from .options import Options

REST_SECONDS = 3.0  # for answers to what was received


async def hand_over(servers: Servers, counters: Counters, options: Options) -> int:
    """Start another engine and give it every socket; its pid. After any error this engine serves as before."""
    listeners, policy = servers.listeners, servers.policy
    arguments = (options.arguments, listeners.all(), sorted(listeners.foreign))
    successor = await in_thread(lambda: Successor(*arguments, detached=options.embedded, files=listeners.files))
    await in_thread(successor.wait_ready)  # this engine goes on answering until the other one could
    servers.stop_accepting()
    try:
        await policy.come_to_rest(REST_SECONDS)
        connections, counts = policy.parcels(), counters.pack()
        await in_thread(lambda: successor.give(connections, counts))
    except BaseException:
        successor.end()
        policy.go_on()
        await servers.listen()
        raise
    listeners.handed_over = True
    systemd.notify(f"MAINPID={successor.pid}")
    for connection in list(policy.connections):
        connection.abort()  # closes the copy of this process alone
    return successor.pid


async def take_over(servers: Servers, counters: Counters, predecessor: Predecessor) -> None:
    """Tell the other engine that this one could answer, and take its counts and its connections."""
    await in_thread(predecessor.say_ready)
    connections = await in_thread(lambda: list(predecessor.connections()))
    counters.unpack(predecessor.known)
    for sock, received in connections:
        await servers.policy.adopt(sock, received)
