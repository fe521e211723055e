"""The sockets that an engine listens on: opened, taken over, closed. Their files go with them, unless systemd's."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path

from mailquota.core.base import sockets
from mailquota.core.base.endpoints import ListenAddress
from mailquota.core.base.errors import MailquotaError, SettingsError
from mailquota.core.settings.declared import Settings

log = logging.getLogger(__name__)


class Listeners:
    """``policy`` and ``control`` by their addresses in the form of the settings."""

    def __init__(self) -> None:
        self.policy: dict[str, socket.socket] = {}
        self.control: dict[str, socket.socket] = {}
        self.handed_over = False  # another process has them: their files stay
        self.foreign: set[str] = set()  # systemd's: their files stay
        self._files: dict[str, sockets.Identity | None] = {}  # those that go with us

    def open(self, settings: Settings, inherited: sockets.InheritedSockets) -> None:
        """Bind what the settings name, or take it from ``inherited``. Raises AddressInUseError and SettingsError."""
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
        """Follow new settings: what is new is bound first, so that a failure changes nothing."""
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
        """Owner and mode of the files that stay, by the new settings."""
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
        """Let the owner of the mailboxes connect to the control socket, for warnings; their uid, None if not known.

        Dovecot runs its quota-warning service as that user. Blocking: the mailstore may hang.
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
        """Every socket, to be handed over."""
        return self.control | self.policy

    def close(self) -> None:
        """Close everything."""
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
    # The file lets in one group; where the settings name two, it lets in all and the peer check tells who may what.
    mode = 0o666 if settings.control.read_only_group else 0o660
    sock, warning = sockets.bind(address, sockets.SocketOwner(mode, group=settings.control.group))
    _warn(warning)
    return sock


def _warn(text: str) -> None:
    if text:
        log.warning("%s", text)


def _make_folder(path: str) -> None:
    """The folder of the control socket, like /run/mailquota, which is gone after a boot. Whoever may connect has to get
    through, whatever the umask of root's shell is.
    """
    try:
        missing = [folder for folder in (Path(path), *Path(path).parents) if not folder.exists()]
        os.makedirs(path, exist_ok=True)
        for folder in missing:
            folder.chmod(0o755)
    except OSError as error:
        raise SettingsError(f"control.socket: the folder {path} can't be made: {error.strerror or error}") from error
