"""The sockets that an engine listens on: opened, taken over, closed. Their files go with them, unless systemd's."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from functools import partial

from core import sockets
from core.endpoints import ListenAddress
from core.errors import MailquotaError, SettingsError
from core.settings import Settings

log = logging.getLogger(__name__)


class Listeners:
    """``policy`` and ``control`` by their addresses in the form of the settings."""

    def __init__(self) -> None:
        self.policy: dict[str, socket.socket] = {}
        self.control: dict[str, socket.socket] = {}
        self.handed_over = False  # another process has them: their files stay
        self._foreign: set[str] = set()  # systemd keeps these, and their files

    def open(self, settings: Settings, inherited: dict[str, socket.socket], *, foreign: bool) -> None:
        """Bind what the settings name, or take it from ``inherited``. Raises AddressInUseError and SettingsError."""
        self._foreign = set(inherited) if foreign else set()
        address = ListenAddress("unix", path=settings.control.socket)
        name = str(address)
        self.control[name] = inherited.pop(name) if name in inherited else _bind_control(address, settings)
        for name, bind in _binders(settings).items():
            self.policy[name] = inherited.pop(name) if name in inherited else bind()
        for name, sock in inherited.items():
            log.warning("the inherited socket %s is not in policy.listen and was closed", name)
            sock.close()

    def change(self, settings: Settings) -> None:
        """Follow new settings: what is new is bound first, so that a failure changes nothing."""
        binders = _binders(settings)
        added: dict[str, socket.socket] = {}
        try:
            for name, bind in binders.items():
                if name not in self.policy:
                    added[name] = bind()
        except MailquotaError:
            for name, sock in added.items():
                self._close(name, sock)
            raise
        for name in [name for name in self.policy if name not in binders]:
            self._close(name, self.policy.pop(name))
        self.policy |= added

    def all(self) -> dict[str, socket.socket]:
        """Every socket, to be handed over."""
        return self.control | self.policy

    def close(self) -> None:
        """Close everything."""
        for name, sock in self.all().items():
            self._close(name, sock)
        self.policy.clear()
        self.control.clear()

    def _close(self, name: str, sock: socket.socket) -> None:
        sock.close()
        if name.startswith("unix:") and not self.handed_over and name not in self._foreign:
            sockets.remove(name.removeprefix("unix:"))


def _binders(settings: Settings) -> dict[str, Callable[[], socket.socket]]:
    return {str(address): partial(_bind_policy, address, settings) for address in settings.policy.listen_addresses}


def _bind_policy(address: ListenAddress, settings: Settings) -> socket.socket:
    policy = settings.policy
    sock, warning = sockets.bind(address, sockets.Owner(policy.socket_mode_bits, user=policy.socket_user))
    _warn(warning)
    return sock


def _bind_control(address: ListenAddress, settings: Settings) -> socket.socket:
    _make_folder(os.path.dirname(address.path))
    sock, warning = sockets.bind(address, sockets.Owner(0o660, group=settings.control.group))
    _warn(warning)
    return sock


def _warn(text: str) -> None:
    if text:
        log.warning("%s", text)


def _make_folder(path: str) -> None:
    """The folder of the control socket, like /run/mailquota, which is gone after a boot."""
    try:
        os.makedirs(path, mode=0o755, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"control.socket: the folder {path} can't be made: {error.strerror or error}") from error
