"""How an account of MySQL or MariaDB logs in: which package a way needs, and which ways are refused.

PyMySQL has mysql_native_password itself. ed25519 (MariaDB) needs PyNaCl. caching_sha2_password and sha256_password
(MySQL) need cryptography, but only without TLS. Both are extras of mailquota, as few servers need them.
"""

from __future__ import annotations

from typing import Any

import pymysql
from pymysql.constants import CR

_MISSING = {  # word in PyMySQL's message → what the account logs in by, package, extra
    "pynacl": ("ed25519", "PyNaCl", "ed25519"),
    "cryptography": ("caching_sha2_password or sha256_password without TLS", "cryptography", "rsa"),
}
_WAYS = "an account with a password of its own is needed: mysql_native_password, ed25519 or caching_sha2_password"


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


class ClearPassword:
    """Answers a server that asks for the password in clear text, but only over TLS or a UNIX socket.

    Any server could ask for that, also one that took the place of the real one.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def authenticate(self, _packet: Any) -> Any:
        """Send the password; raises OperationalError where it would be readable on the way."""
        if not self._connection._secure:
            told = "the server asks for the password in clear text, which is sent over TLS or a UNIX socket only"
            raise pymysql.OperationalError(CR.CR_AUTH_PLUGIN_ERR, told)
        self._connection.write_packet(self._connection.password + b"\0")
        answer = self._connection._read_packet()
        answer.check_error()
        return answer


class Dialog:
    """Refuses logins by questions (PAM): there is nobody to answer them."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def authenticate(self, _packet: Any) -> Any:
        """Raise OperationalError."""
        raise pymysql.OperationalError(CR.CR_AUTH_PLUGIN_CANNOT_LOAD, "dialog, as PAM has it")


PLUGINS: dict[str, Any] = {"mysql_clear_password": ClearPassword, "dialog": Dialog}
