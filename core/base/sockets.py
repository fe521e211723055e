"""Listening sockets: bound, passed on by systemd, or handed over by another engine.

The files of UNIX sockets are made, owned and removed by core/base/socket_files.py.
"""

from __future__ import annotations

import errno
import logging
import os
import resource
import socket
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from . import socket_files
from .endpoints import ListenAddress
from .errors import SettingsError
from .others_folders import Identity
from .socket_files import AddressInUseError, SocketOwner

log = logging.getLogger(__name__)

BACKLOG = 1024
MOST_FILES = 65536  # not more: some programs that are started from here go through all descriptors up to the limit
LISTEN_FDS_START = 3  # sd_listen_fds(3)


class Bound(NamedTuple):
    """A socket that listens; a warning about the owner of its file, or ""; and that file, None for inet."""

    sock: socket.socket
    warning: str
    file: Identity | None


def bind(address: ListenAddress, owner: SocketOwner | None = None) -> Bound:
    """Listen on an address. Blocking, for some seconds at most.

    Raises AddressInUseError where another server listens there, SettingsError where the address can't be used.
    """
    if address.kind == "unix":
        return Bound(*socket_files.bind(address.path, owner or SocketOwner(0o600), BACKLOG))
    return Bound(_bind_inet(address), "", None)


def _bind_inet(address: ListenAddress) -> socket.socket:
    """[::] takes IPv6 only and 0.0.0.0 IPv4 only, so that the settings can name both, as in Postfix and Dovecot."""
    try:
        return socket.create_server((address.host, address.port), family=_family(address), backlog=BACKLOG)
    except UnicodeError as error:  # a label of a host name with more than 63 characters
        raise SettingsError(f"can't listen on {address}: not a host name") from error
    except OSError as error:
        kind = AddressInUseError if error.errno == errno.EADDRINUSE else SettingsError
        reason = (error.strerror or str(error)).partition(" (while")[0]  # what create_server adds
        raise kind(f"can't listen on {address}: {reason}") from error


def _family(address: ListenAddress) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address.host else socket.AF_INET


def allow_many() -> None:
    """Raise the limit of open files (RLIMIT_NOFILE) to at most MOST_FILES: each client takes a descriptor."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def name_of(sock: socket.socket) -> str:
    """The address of a bound socket in the form that ``canonical`` gives; "" for a socket of another kind."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return canonical(ListenAddress("unix", path=name)) if isinstance(name, str) and name else ""
    if sock.family in {socket.AF_INET, socket.AF_INET6}:
        return str(ListenAddress("inet", host=name[0], port=name[1]))
    return ""


def canonical(address: ListenAddress) -> str:
    """An address with symbolic links resolved and the host as a number, so that equal addresses give equal texts."""
    if address.kind == "unix":
        folder, name = os.path.split(address.path)
        return f"unix:{os.path.join(os.path.realpath(folder), name)}"
    try:
        found = socket.getaddrinfo(address.host, address.port, _family(address), socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return str(address)
    return str(ListenAddress("inet", host=str(found[0][4][0]), port=address.port))


class InheritedSockets(NamedTuple):
    """Listening sockets by canonical address. ``foreign`` are those whose files this engine must not remove.

    ``files``: what the files of the others were when they were made, where that is known.
    """

    sockets: dict[str, socket.socket]
    foreign: frozenset[str]
    files: dict[str, Identity] = {}  # noqa: RUF012  never changed


def inherited(environ: dict[str, str]) -> InheritedSockets:
    """The sockets that systemd passed on (LISTEN_FDS, LISTEN_PID; sd_listen_fds(3)). Their files are systemd's."""
    try:
        count = int(environ.get("LISTEN_FDS", "0"))
        meant_for = int(environ.get("LISTEN_PID", "0"))
    except ValueError:
        count = meant_for = 0
    wanted = count if meant_for in {0, os.getpid()} else 0
    found = dict(_take(range(LISTEN_FDS_START, LISTEN_FDS_START + wanted)))
    return InheritedSockets(found, frozenset(found))


def _take(handles: Iterable[int]) -> Iterator[tuple[str, socket.socket]]:
    for handle in handles:
        try:
            os.set_inheritable(handle, False)
            sock = socket.socket(fileno=handle)
        except OSError as error:
            log.warning("LISTEN_FDS: descriptor %d is not a socket: %s", handle, error.strerror or error)
            return
        if sock.type == socket.SOCK_STREAM and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            yield name_of(sock), sock
        else:
            log.warning("LISTEN_FDS: descriptor %d does not listen", handle)
            sock.detach()
