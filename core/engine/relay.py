"""One engine after the other, no request lost: how the running one gives its sockets away (core/engine/handover.py)."""

from __future__ import annotations

import asyncio

from mailquota.core.base import systemd
from mailquota.core.base.threads import in_thread
from mailquota.core.engine import carried
from mailquota.core.engine.handover import Predecessor, Successor
from mailquota.core.engine.parts import EngineParts

_LINGER = 0.1  # seconds, for the answer to whoever ordered it
REST_SECONDS = 3.0  # for answers to what was received


async def hand_over(engine: EngineParts) -> int:
    """Start another engine and give it every socket; its pid. After any error the old one serves as if nothing was."""
    listeners, options, policy = engine.listeners, engine.options, engine.policy
    arguments = (options.arguments, listeners.all(), sorted(listeners.foreign))
    successor = await in_thread(lambda: Successor(*arguments, detached=options.embedded))
    await in_thread(successor.wait_ready)
    policy.stop_accepting()
    engine.control.stop_accepting()
    try:
        await policy.come_to_rest(REST_SECONDS)
        leaving, known = policy.parcels(), carried.pack(engine)
        await in_thread(lambda: successor.give(leaving, known))
    except BaseException:
        successor.end()
        policy.go_on()
        await engine.listen()
        raise
    listeners.handed_over = True
    engine.handed_over(successor.pid)
    systemd.notify(f"MAINPID={successor.pid}")
    for connection in list(policy.connections):
        connection.abort()  # closes our copy alone
    asyncio.get_running_loop().call_later(_LINGER, engine.finished.set)
    return successor.pid


async def take_over(engine: EngineParts, predecessor: Predecessor) -> None:
    """Say that we are ready, and take what it counted and the connections that come."""
    await in_thread(predecessor.say_ready)
    connections = await in_thread(lambda: list(predecessor.connections()))
    carried.unpack(engine, predecessor.known)
    for sock, received in connections:
        await engine.policy.adopt(sock, received)
