"""Who is at the other end of the control socket, and what that user may do: by the kernel (SO_PEERCRED, unix(7))."""

from __future__ import annotations

import grp
import os
import pwd
import socket
import struct
from dataclasses import dataclass, field

_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid


@dataclass(frozen=True)
class Rights:
    """The groups that may use the control socket, by their names in the settings; "" for none.

    ``mailbox_owner`` is the uid of the owner of the mailboxes, None while it is not known. ``maker`` is the uid of the
    user whose throwaway world this is, None for a real one.
    """

    group: str
    read_only_group: str
    mailbox_owner: int | None = None
    maker: int | None = None


@dataclass(frozen=True)
class Peer:
    """The user and the process of a client. ``may_change`` is false where it may only look; ``pid`` 0: not known.

    ``only_warns``: it may have warnings sent, and not even look.
    """

    name: str
    uid: int
    may_change: bool
    only_warns: bool = False
    pid: int = field(default=0, compare=False)


def peer_of(sock: socket.socket, rights: Rights, *, inside: bool = False) -> Peer | None:
    """The peer of a unix socket; None where it may not connect. Blocking: users may be in a directory server.

    ``inside``: the peer is a console in this process.
    """
    pid, uid, gid = credentials(sock)
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    if inside or uid in {0, rights.maker}:
        return Peer(name, uid, may_change=True, pid=pid)
    if uid in {os.geteuid(), rights.mailbox_owner}:
        return Peer(name, uid, may_change=False, only_warns=True, pid=pid)
    if _is_member(name, gid, rights.group):
        return Peer(name, uid, may_change=True, pid=pid)
    return Peer(name, uid, may_change=False, pid=pid) if _is_member(name, gid, rights.read_only_group) else None


def credentials(sock: socket.socket) -> tuple[int, int, int]:
    """Process, user and group of the other end."""
    return _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))


def _is_member(user: str, gid: int, group: str) -> bool:
    if not group:
        return False
    try:
        found = grp.getgrnam(group)
    except KeyError:
        return False
    return gid == found.gr_gid or user in found.gr_mem
