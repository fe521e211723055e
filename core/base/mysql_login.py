"""How an account of MySQL or MariaDB logs in: which package a way needs, and which ways are refused.

Theory of operation: whoever listens on the port while the real server is down chooses how the client logs in, and may
choose a way that gives him the password: as it is (mysql_clear_password, dialog, and over TLS also sha256_password
and caching_sha2_password), or encrypted with a public key that he sends himself. So a connection counts as safe only
over a UNIX socket in a folder that not everybody may write, or over TLS with a certificate that ``ssl_ca`` of the
URL stands for. On any other one a login uses only ways that prove the password without telling it:
mysql_native_password, ed25519, and the first half of caching_sha2_password.

PyMySQL has mysql_native_password itself. ed25519 (MariaDB) needs PyNaCl, an extra of mailquota, as few servers need it.
"""

from __future__ import annotations

import os
import socket
import ssl
import stat
from typing import Any

import pymysql
from pymysql import _auth
from pymysql.constants import CLIENT, CR

from .mysql_answers import BoundedConnection

_MISSING = {  # word in PyMySQL's message → what the account logs in by, package, extra
    "pynacl": ("ed25519", "PyNaCl", "ed25519"),
}
_WAYS = "an account with a password of its own is needed: mysql_native_password, ed25519 or caching_sha2_password"
_SAFE = (
    "which is sent over a UNIX socket or verified TLS only (?ssl_ca=/FILE at the end of the URL of the database);"
    " the server may also be another one than you think"
)
_NATIVE = "mysql_native_password"


def login_fault(error: BaseException) -> str:
    """The reason why a login is not possible from here, for a message; empty for any other error."""
    text = str(error)
    if isinstance(error, RuntimeError):
        for word, (way, package, extra) in _MISSING.items():
            if f"'{word}'" in text:
                return (
                    f"this account logs in by {way}, which needs the package {package} (mailquota's extra"
                    f" {extra}): pip install {package}"
                )
    if isinstance(error, pymysql.OperationalError) and error.args[:1] == (CR.CR_AUTH_PLUGIN_CANNOT_LOAD,):
        return f"this account logs in by a way that mailquota does not have ({error.args[1]}); {_WAYS}"
    return ""


def tls_of(ca_file: str) -> ssl.SSLContext | None:
    """TLS that trusts only servers which the certificates of a file (PEM) stand for; None without a file.

    A server's name or address has to be in its certificate, except where the file has no authority but only
    certificates of servers: then it has to be one of these. Raises ValueError for a file that can't be used.
    """
    if not ca_file:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(ca_file)
    except (OSError, ssl.SSLError) as error:  # SSLError: no certificate in it
        raise ValueError(f"ssl_ca {ca_file}: {error.strerror or error}") from error
    # Only x509, so that a certificate which a server signed itself is an authority for nobody else.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.check_hostname = context.cert_store_stats()["x509_ca"] > 0
    return context


class GuardedConnection(BoundedConnection):
    """A connection of PyMySQL that tells the password to nobody but the real server."""

    _sock: Any
    _auth_plugin_name: str
    server_capabilities: int

    def __init__(self, **options: Any) -> None:
        self._tls = options.get("ssl")
        super().__init__(**options, auth_plugin_map=_PLUGINS)

    @property
    def _secure(self) -> bool:
        """Whether a password may be sent as it is. PyMySQL takes any TLS and any UNIX socket for safe."""
        if isinstance(self._sock, ssl.SSLSocket) and self._sock.family != socket.AF_UNIX:
            return self._tls is not None and self._sock.context.verify_mode == ssl.CERT_REQUIRED
        return self._sock is not None and self._sock.family == socket.AF_UNIX and _is_kept(self._sock.getpeername())

    @_secure.setter
    def _secure(self, value: bool) -> None:
        """Ignore what PyMySQL finds."""

    def _get_server_information(self) -> None:
        super()._get_server_information()  # type: ignore[misc] # not in the stubs
        if self._tls is not None and not self.server_capabilities & CLIENT.SSL:
            raise pymysql.OperationalError(
                CR.CR_SSL_CONNECTION_ERROR, "the server offers no TLS, but ssl_ca demands it"
            )
        # PyMySQL answers the way of the greeting by itself, without asking the plugins. From this one the server
        # switches to what the account has, and then they are asked.
        self._auth_plugin_name = _NATIVE


def _is_kept(path: str | bytes) -> bool:
    """Whether not everybody can make a socket at this path."""
    try:
        return not os.stat(os.path.dirname(path)).st_mode & stat.S_IWOTH
    except OSError:
        return False


class _Way:
    """One way to log in, by PyMySQL's interface for plugins."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def _refuse_unless_safe(self, what: str) -> None:
        if not self._connection._secure:
            raise pymysql.OperationalError(CR.CR_AUTH_PLUGIN_ERR, f"the server asks for {what}, {_SAFE}")

    def _exchange(self, data: bytes) -> Any:
        self._connection.write_packet(data)
        answer = self._connection._read_packet()
        answer.check_error()
        return answer


class _Native(_Way):
    """mysql_native_password: a proof of the password, and nothing more."""

    def authenticate(self, packet: Any) -> Any:
        """Send the proof; raises OperationalError where the server asks for more."""
        if packet.is_auth_switch_request():
            salt = packet.read_all()
            return self._exchange(_auth.scramble_native_password(self._connection.password, salt))
        raise pymysql.OperationalError(CR.CR_AUTH_PLUGIN_ERR, f"the server asks for the password itself, {_SAFE}")


class _ClearPassword(_Way):
    """Sends the password as it is: mysql_clear_password, and sha256_password, which has nothing else."""

    def authenticate(self, _packet: Any) -> Any:
        """Send the password; raises OperationalError where others could get it."""
        self._refuse_unless_safe("the password in clear text")
        return self._exchange(self._connection.password + b"\0")


class _Sha256(_Way):
    """sha256_password: the password itself, or encrypted with a key of whoever it is that asks."""

    def authenticate(self, _packet: Any) -> Any:
        """Send the password; raises OperationalError where others could get it."""
        self._refuse_unless_safe("the password (sha256_password)")
        return self._exchange(self._connection.password + b"\0")


class _CachingSha2(_Way):
    """caching_sha2_password: a proof, and where the server does not remember the account, the password itself."""

    def authenticate(self, packet: Any) -> Any:
        """Log in; raises OperationalError where the server wants the password itself and others could get it."""
        if packet.is_auth_switch_request():
            salt = packet.read_all()
            packet = self._exchange(_auth.scramble_caching_sha2(self._connection.password, salt.removesuffix(b"\0")))
        if packet.is_ok_packet():
            return packet
        packet.advance(1)
        if packet.read_uint8() == 3:  # the proof was enough
            answer = self._connection._read_packet()
            answer.check_error()
            return answer
        self._refuse_unless_safe("the password itself (caching_sha2_password)")
        return self._exchange(self._connection.password + b"\0")


class _Dialog(_Way):
    """Refuses logins by questions (PAM): there is nobody to answer them."""

    def authenticate(self, _packet: Any) -> Any:
        """Raise OperationalError."""
        raise pymysql.OperationalError(CR.CR_AUTH_PLUGIN_CANNOT_LOAD, "dialog, as PAM has it")


class _Old(_Way):
    """Refuses the way before MySQL 4.1, which is as good as clear text."""

    def authenticate(self, _packet: Any) -> Any:
        """Raise OperationalError."""
        raise pymysql.OperationalError(CR.CR_AUTH_PLUGIN_CANNOT_LOAD, "mysql_old_password, of before MySQL 4.1")


_PLUGINS: dict[str, Any] = {
    _NATIVE: _Native,
    "mysql_clear_password": _ClearPassword,
    "sha256_password": _Sha256,
    "caching_sha2_password": _CachingSha2,
    "dialog": _Dialog,
    "mysql_old_password": _Old,
}
