"""The sockets that an engine listens on. Their files are removed with them, unless systemd made them."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from functools import partial

from ..base import socket_files, sockets
from ..base.endpoints import ListenAddress
from ..base.errors import MailquotaError, SettingsError
from ..base.others_folders import Identity, opened
from ..settings.declared import Settings

log = logging.getLogger(__name__)


class Listeners:
    """The listening sockets, by address as the settings write it: those of policy.listen, and control.socket.

    Its methods wait for locks and file systems, so they are called in threads, one at a time.
    """

    def __init__(self) -> None:
        self.policy: dict[str, socket.socket] = {}
        self.control: dict[str, socket.socket] = {}
        self._admits_all = False
        self.handed_over = False  # another process has the sockets: their files stay
        self.foreign: set[str] = set()  # opened by systemd: their files stay
        self.files: dict[str, Identity] = {}  # those that are removed with the sockets, if they still are the same

    def open(self, settings: Settings, inherited: sockets.InheritedSockets) -> None:
        """Bind the addresses of the settings that ``inherited`` lacks. Raises AddressInUseError and SettingsError."""
        address = ListenAddress("unix", path=settings.control.socket)
        self._admits_all = bool(settings.mailstore.helper)
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
        bind: Callable[[], sockets.Bound],
    ) -> None:
        given = next((key for key in _names(address, inherited) if key in inherited.sockets), None)
        if given is None:
            self._add(address, bind(), into)
            return
        into[str(address)] = inherited.sockets.pop(given)
        if given in inherited.foreign:
            self.foreign.add(str(address))
        elif address.kind == "unix":
            # An engine of an older version does not tell which file it made.
            file = inherited.files.get(given) or socket_files.identity(address.path)
            if file is not None:
                self.files[str(address)] = file

    def _add(self, address: ListenAddress, bound: sockets.Bound, into: dict[str, socket.socket]) -> None:
        _warn(bound.warning)
        into[str(address)] = bound.sock
        if bound.file is not None:
            self.files[str(address)] = bound.file

    def change(self, settings: Settings) -> None:
        """Follow new settings. New addresses are bound first, so that a failure changes nothing. Raises as ``open``."""
        binders = _binders(settings)
        added: dict[str, socket.socket] = {}
        try:
            for address, bind in binders.items():
                if str(address) not in self.policy:
                    self._add(address, bind(), added)
        except MailquotaError:
            for name, sock in added.items():
                self._close(name, sock)
            raise
        wanted = {str(address) for address in binders}
        before = self.policy
        # The loop may be looking at the old ones: they are replaced, not changed.
        self.policy = {name: sock for name, sock in before.items() if name in wanted} | added
        for name in before.keys() - wanted:
            self._close(name, before[name])
        self._own_again(settings, before.keys() & wanted)

    def _own_again(self, settings: Settings, names: set[str]) -> None:
        """Give the files that stay the owner and mode of the new settings, and tell where another one is there."""
        for name in sorted(names & self.files.keys()):
            path = name.removeprefix("unix:")
            try:
                _warn(socket_files.own_again(path, self.files[name], _policy_owner(settings)))
            except OSError as error:
                log.warning("%s keeps its owner and mode: %s", name, error.strerror)

    def let_in_owner(self, mailstore: str) -> int | None:
        """Give the control socket to the owner of the folder ``mailstore``; the uid, None if it can't be known or done.

        Dovecot runs its quota-warning service as that user, to order warnings. A socket that admits all users, as that
        of an engine with a user of its own, stays as it is. Blocking: the mailstore may hang.
        """
        try:
            owner = os.stat(mailstore).st_uid
            for name in self.control:
                if name in self.files and owner not in {0, os.geteuid()} and not self._admits_all:
                    _warn(socket_files.give_to(name.removeprefix("unix:"), self.files[name], owner))
        except OSError as error:
            log.info("the owner of the mailboxes can't use the control socket: %s", error)
            return None
        return owner

    def all(self) -> dict[str, socket.socket]:
        """All sockets by address."""
        return self.control | self.policy

    def close(self) -> None:
        """Close all sockets, and remove their files."""
        every, self.policy, self.control = self.all(), {}, {}
        for name, sock in every.items():
            self._close(name, sock)

    def _close(self, name: str, sock: socket.socket) -> None:
        ours = self.files.pop(name, None)
        if ours is not None and not self.handed_over:
            socket_files.remove(name.removeprefix("unix:"), ours)
        sock.close()


def _names(address: ListenAddress, inherited: sockets.InheritedSockets) -> list[str]:
    return [str(address), sockets.canonical(address)] if inherited.sockets else []


def _binders(settings: Settings) -> dict[ListenAddress, Callable[[], sockets.Bound]]:
    owner = _policy_owner(settings)
    return {address: partial(sockets.bind, address, owner) for address in settings.policy.listen_addresses}


def _policy_owner(settings: Settings) -> socket_files.SocketOwner:
    return socket_files.SocketOwner(settings.policy.socket_mode_bits, user=settings.policy.socket_user)


def _bind_control(address: ListenAddress, settings: Settings) -> sockets.Bound:
    _make_folder(os.path.dirname(address.path))
    mode = 0o666 if _admits_all(settings) else 0o660
    return sockets.bind(address, socket_files.SocketOwner(mode, group=settings.control.group))


def _admits_all(settings: Settings) -> bool:
    """Whether the control socket admits all users, and the server alone checks the peer.

    The file has one owner and one group. Not enough where the settings name two groups, and where the engine, with a
    user of its own, can't give it to the owner of the mailboxes.
    """
    return bool(settings.control.read_only_group or settings.mailstore.helper)


def _warn(text: str) -> None:
    if text:
        log.warning("%s", text)


def _make_folder(path: str) -> None:
    """Make the folder of the control socket, like /run/mailquota, which is gone after a boot.

    All users can enter it, whatever the umask of root's shell is. Raises SettingsError.
    """
    try:
        with opened(path, make=0o755):
            pass
    except OSError as error:
        raise SettingsError(f"control.socket: the folder {path} can't be made: {error.strerror or error}") from error
