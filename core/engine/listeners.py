"""The sockets that an engine listens on. Their files are removed with them, unless systemd made them."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ..base import sockets
from ..base.endpoints import ListenAddress
from ..base.errors import MailquotaError, SettingsError
from ..settings.declared import Settings

log = logging.getLogger(__name__)


class Listeners:
    """The listening sockets, by address as the settings write it: those of policy.listen, and control.socket."""

    def __init__(self) -> None:
        self.policy: dict[str, socket.socket] = {}
        self.control: dict[str, socket.socket] = {}
        self.handed_over = False  # another process has the sockets: their files stay
        self.foreign: set[str] = set()  # opened by systemd: their files stay
        self._files: dict[
            str, sockets.Identity | None
        ] = {}  # files that are removed with the sockets, if they still are the same

    def open(self, settings: Settings, inherited: sockets.InheritedSockets) -> None:
        """Bind the addresses of the settings that ``inherited`` lacks. Raises AddressInUseError and SettingsError."""
        address = ListenAddress("unix", path=settings.control.socket)
        try:
            self._open(address, self.control, inherited, lambda: _bind_control(address, settings))
            for listen, bind in _binders(settings).items():
                self._open(listen, self.policy, inherited, bind)
        finally:
            for name, sock in inherited.sockets.items():
                log.warning("the inherited socket %s is not in policy.listen and was closed", name or sock)
                sock.close()

    def _open(
        self,
        address: ListenAddress,
        into: dict[str, socket.socket],
        inherited: sockets.InheritedSockets,
        bind: Callable[[], socket.socket],
    ) -> None:
        given = next((key for key in _names(address, inherited) if key in inherited.sockets), None)
        into[str(address)] = bind() if given is None else inherited.sockets.pop(given)
        if given in inherited.foreign:
            self.foreign.add(str(address))
        else:
            self._remember(address)

    def change(self, settings: Settings) -> None:
        """Follow new settings. New addresses are bound first, so that a failure changes nothing. Raises as ``open``."""
        binders = _binders(settings)
        added: dict[str, socket.socket] = {}
        try:
            for address, bind in binders.items():
                if str(address) not in self.policy:
                    added[str(address)] = bind()
                    self._remember(address)
        except MailquotaError:
            for name, sock in added.items():
                self._close(name, sock)
            raise
        wanted = {str(address) for address in binders}
        for name in [name for name in self.policy if name not in wanted]:
            self._close(name, self.policy.pop(name))
        self._own_again(settings)
        self.policy |= added

    def _own_again(self, settings: Settings) -> None:
        """Give the files that stay the owner and mode of the new settings."""
        for name in self.policy:
            if name in self._files:
                try:
                    _warn(sockets.own(name.removeprefix("unix:"), _policy_owner(settings)))
                except OSError as error:
                    log.warning("%s keeps its owner and mode: %s", name, error.strerror)

    def _remember(self, address: ListenAddress) -> None:
        if address.kind == "unix":
            self._files[str(address)] = sockets.identity(address.path)

    def let_in_owner(self, mailstore: str) -> int | None:
        """Give the control socket to the owner of the folder ``mailstore``; the uid, None if it can't be known or done.

        Dovecot runs its quota-warning service as that user, to order warnings. Blocking: the mailstore may hang.
        """
        try:
            owner = os.stat(mailstore).st_uid
            for name in self.control:
                if name in self._files and owner not in {0, os.geteuid()}:
                    os.chown(name.removeprefix("unix:"), owner, -1)
        except OSError as error:
            log.info("the owner of the mailboxes can't use the control socket: %s", error)
            return None
        return owner

    def all(self) -> dict[str, socket.socket]:
        """All sockets by address."""
        return self.control | self.policy

    def close(self) -> None:
        """Close all sockets, and remove their files."""
        for name, sock in self.all().items():
            self._close(name, sock)
        self.policy.clear()
        self.control.clear()

    def _close(self, name: str, sock: socket.socket) -> None:
        ours = self._files.pop(name, None)
        if ours is not None and not self.handed_over:
            sockets.remove(name.removeprefix("unix:"), ours)
        sock.close()


def _names(address: ListenAddress, inherited: sockets.InheritedSockets) -> list[str]:
    return [str(address), sockets.canonical(address)] if inherited.sockets else []


def _binders(settings: Settings) -> dict[ListenAddress, Callable[[], socket.socket]]:
    return {address: partial(_bind_policy, address, settings) for address in settings.policy.listen_addresses}


def _policy_owner(settings: Settings) -> sockets.SocketOwner:
    return sockets.SocketOwner(settings.policy.socket_mode_bits, user=settings.policy.socket_user)


def _bind_policy(address: ListenAddress, settings: Settings) -> socket.socket:
    sock, warning = sockets.bind(address, _policy_owner(settings))
    _warn(warning)
    return sock


def _bind_control(address: ListenAddress, settings: Settings) -> socket.socket:
    _make_folder(os.path.dirname(address.path))
    # The file has one group. Where the settings name two, it admits all users, and the server checks the peer.
    mode = 0o666 if settings.control.read_only_group else 0o660
    sock, warning = sockets.bind(address, sockets.SocketOwner(mode, group=settings.control.group))
    _warn(warning)
    return sock


def _warn(text: str) -> None:
    if text:
        log.warning("%s", text)


def _make_folder(path: str) -> None:
    """Make the folder of the control socket, like /run/mailquota, which is gone after a boot.

    All users can enter it, whatever the umask of root's shell is. Raises SettingsError.
    """
    try:
        missing = [folder for folder in (Path(path), *Path(path).parents) if not folder.exists()]
        os.makedirs(path, exist_ok=True)
        for folder in missing:
            folder.chmod(0o755)
    except OSError as error:
        raise SettingsError(f"control.socket: the folder {path} can't be made: {error.strerror or error}") from error
