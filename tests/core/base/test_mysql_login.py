"""Accounts that do not log in by mysql_native_password, on a real MariaDB and at a server that speaks like MySQL."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pymysql
import pytest
from pymysql.constants import CR

from mailquota.core.accounts.from_settings import open_store
from mailquota.core.base.errors import DatabaseError
from mailquota.core.base.mysql import NoHostError, Target, connect_any, text_of
from tests.core.accounts.hosts import FakeHost
from tests.mailserver.fixture import require_servers, temporary_folder
from tests.mailserver.mariadb import MariaDB

PASSWORD = "geheim"
SALT = b"12345678" + b"abcdefghijkl"
SHA2 = b"caching_sha2_password"
RSA = ("genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")


def openssl(*words: str, given: bytes = b"") -> bytes:
    done = subprocess.run(["openssl", *words], input=given, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


class TlsMariaDB(MariaDB):
    """One that offers TLS, with a certificate that it signed itself."""

    def prepare(self) -> None:
        super().prepare()
        key, certificate = self.folder / "key.pem", self.folder / "cert.pem"
        if not certificate.exists():
            openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", str(key),
                    "-out", str(certificate))  # fmt: skip

    def command(self) -> list[str]:
        return [*super().command(), f"--ssl-cert={self.folder}/cert.pem", f"--ssl-key={self.folder}/key.pem"]

    def target(self, user: str, *, unix: bool = False, password: str = PASSWORD) -> Target:
        host = (str(self._socket), 0) if unix else (self.host, self.port)
        return Target("mysql", (host,), self.database, user, password)


@pytest.fixture(scope="module")
def database() -> Iterator[TlsMariaDB]:
    require_servers(*MariaDB.programs, root=False)
    with temporary_folder() as folder, TlsMariaDB(folder / "mariadb") as server:
        server.sql("INSTALL SONAME 'auth_ed25519'")
        server.sql("INSTALL SONAME 'auth_pam'")
        ways = {
            "signing": f"VIA ed25519 USING PASSWORD('{PASSWORD}')",
            "secure": f"BY '{PASSWORD}' REQUIRE SSL",
            "asking": "VIA pam USING 'mailquota'",
            "signing_secure": f"VIA ed25519 USING PASSWORD('{PASSWORD}') REQUIRE SSL",
        }
        for user, way in ways.items():
            for host in ("127.0.0.1", "localhost"):
                server.sql(f"CREATE USER {user}@'{host}' IDENTIFIED {way}")
                server.sql(f"GRANT SELECT ON mailserver.* TO {user}@'{host}'")
        yield server


def why_not(target: Target) -> str:
    """The reason why nobody gets in; empty where somebody does."""
    try:
        connection, _, _ = connect_any(target, 0)
    except NoHostError as error:
        return error.failures[0][1]
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM virtual_users")
        assert cursor.fetchall() == ((0,),)
    connection.close()
    return ""


@pytest.mark.server
@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "socket"])
@pytest.mark.parametrize("user", ["signing", "secure", "signing_secure"])
def test_accounts_by_ed25519_and_with_tls_alone_log_in(database: TlsMariaDB, user: str, unix: bool) -> None:
    """TLS also over a UNIX socket, where the account needs it; and only with the password."""
    assert why_not(database.target(user, unix=unix)) == ""
    assert "Access denied" in why_not(database.target(user, unix=unix, password="wrong"))


@pytest.mark.server
def test_without_the_extra_it_is_named(database: TlsMariaDB, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pymysql._auth._nacl_bindings", False)
    monkeypatch.setitem(sys.modules, "nacl", None)
    assert why_not(database.target("signing")) == (
        "this account logs in by ed25519, which needs the package PyNaCl (mailquota's extra ed25519):"
        " pip install PyNaCl"
    )

    with pytest.raises(DatabaseError, match="PyNaCl") as raised:
        open_store(database.target("signing")).read()
    assert raised.value.exit_code == 5


@pytest.mark.server
def test_an_account_by_pam_is_told_as_such(database: TlsMariaDB) -> None:
    """No words of a library."""
    told = why_not(database.target("asking"))
    assert told.startswith("this account logs in by a way that mailquota does not have (dialog, as PAM has it); an")


# ---- MySQL's own ways, which no MariaDB of Debian 12 has


class MysqlHost(FakeHost):
    """Greets as MySQL 8 does, and goes through the login with ``steps``: a packet to send, for each that arrives."""

    def __init__(self, plugin: bytes, steps: Callable[[int, bytes], bytes]) -> None:
        super().__init__()
        self._plugin = plugin
        self._steps = steps
        self.received: list[bytes] = []

    def serve(self, client: socket.socket) -> None:
        flags = 0x000F_A20D & ~0x800  # PLUGIN_AUTH, SECURE_CONNECTION, PROTOCOL_41 …; no TLS
        greeting = b"\x0a8.0.36\0" + bytes(4) + SALT[:8] + b"\0" + (flags & 0xFFFF).to_bytes(2, "little")
        greeting += b"\x2d\x02\0" + (flags >> 16).to_bytes(2, "little") + b"\x15" + bytes(10) + SALT[8:] + b"\0"
        client.settimeout(10)
        self._send(client, 0, greeting + self._plugin + b"\0")
        for number in range(len(self.received), 4):
            head = client.recv(4, socket.MSG_WAITALL)
            if len(head) < 4:
                return
            self.received.append(client.recv(int.from_bytes(head[:3], "little"), socket.MSG_WAITALL))
            self._send(client, head[3] + 1, self._steps(number, self.received[-1]))

    @staticmethod
    def _send(client: socket.socket, number: int, packet: bytes) -> None:
        client.sendall(len(packet).to_bytes(3, "little") + bytes([number]) + packet)

    @property
    def target(self) -> Target:
        return Target("mysql", (self.address,), "mailserver", "reader", PASSWORD)


DENIED = b"\xff\x15\x04#28000Access denied"


def sha2_steps(public_key: bytes) -> Callable[[int, bytes], bytes]:
    """The whole login of caching_sha2_password; it ends with a refusal, as there is nothing behind it."""
    answers = (b"\x01\x04", b"\x01" + public_key, DENIED)
    return lambda number, _: answers[min(number, 2)]


def test_an_account_by_caching_sha2_password_sends_it_encrypted(tmp_path: Path) -> None:
    """With the server's key, which the test has the other half of."""
    private = tmp_path / "private.pem"
    private.write_bytes(openssl(*RSA))
    public = openssl("pkey", "-in", str(private), "-pubout")
    with MysqlHost(SHA2, sha2_steps(public)) as host:
        assert why_not(host.target) == "Access denied"
    assert host.received[1] == b"\x02"
    masked = openssl("pkeyutl", "-decrypt", "-inkey", str(private), "-pkeyopt", "rsa_padding_mode:oaep",
                     given=host.received[2])  # fmt: skip
    assert bytes(one ^ SALT[at % 20] for at, one in enumerate(masked)) == PASSWORD.encode() + b"\0"
    assert not any(PASSWORD.encode() in one for one in host.received)


def test_without_cryptography_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pymysql._auth._have_cryptography", False)
    with MysqlHost(SHA2, sha2_steps(b"-----BEGIN PUBLIC KEY-----\n")) as host:
        told = why_not(host.target)
    assert told == (
        "this account logs in by caching_sha2_password or sha256_password without TLS, which needs the package"
        " cryptography (mailquota's extra rsa): pip install cryptography"
    )


def test_no_password_goes_out_in_clear_text() -> None:
    """Not even to a server that asks for it."""
    switch = b"\xfemysql_clear_password\0"
    with MysqlHost(b"mysql_native_password", lambda number, _: DENIED if number else switch) as host:
        assert "in clear text" in why_not(host.target)
    assert not any(PASSWORD.encode() in one for one in host.received)


def test_a_login_of_another_kind_is_told_in_plain_words() -> None:
    switch = b"\xfeauthentication_ldap_sasl_client\0" + SALT
    with MysqlHost(b"mysql_native_password", lambda *_: switch) as host:
        told = why_not(host.target)
    assert told.startswith("this account logs in by a way that mailquota does not have (Authentication plugin")


def test_other_errors_keep_their_words() -> None:
    assert text_of(pymysql.OperationalError(CR.CR_CONN_HOST_ERROR, "Too many connections")) == "Too many connections"
    assert text_of(RuntimeError("other")) == "other"
