"""Accounts that do not log in by mysql_native_password, on a real MariaDB and at a server that speaks like MySQL."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
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
NATIVE = b"mysql_native_password"
KEY_BYTES = 256  # of what an RSA key of the usual 2048 bits encrypts
SELF_SIGNED = (
    "req",
    "-x509",
    "-newkey",
    "rsa:2048",
    "-nodes",
    "-subj",
    "/CN=localhost",
    "-addext",
    "subjectAltName=DNS:localhost",
)


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
            openssl(*SELF_SIGNED, "-keyout", str(key), "-out", str(certificate))

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


def _received(client: socket.socket, size: int) -> bytes:
    """So many bytes; fewer where the client left. TLS has no MSG_WAITALL."""
    data = b""
    with contextlib.suppress(OSError):
        while len(data) < size and (part := client.recv(size - len(data))):
            data += part
    return data


class MysqlHost(FakeHost):
    """Greets as MySQL 8 does, and goes through the login with ``steps``: a packet to send, for each that arrives."""

    def __init__(
        self, plugin: bytes, steps: Callable[[int, bytes], bytes], tls: ssl.SSLContext | None = None, path: str = ""
    ) -> None:
        super().__init__()
        if path:
            self._listener.close()
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(path)
            self._listener.listen()
            self.address = (path, 0)
        self._tls = tls
        self._plugin = plugin
        self._steps = steps
        self.received: list[bytes] = []

    def serve(self, client: socket.socket) -> None:
        flags = 0x000F_A20D & ~0x800  # PLUGIN_AUTH, SECURE_CONNECTION, PROTOCOL_41 …
        flags |= 0x800 if self._tls else 0
        greeting = b"\x0a8.0.36\0" + bytes(4) + SALT[:8] + b"\0" + (flags & 0xFFFF).to_bytes(2, "little")
        greeting += b"\x2d\x02\0" + (flags >> 16).to_bytes(2, "little") + b"\x15" + bytes(10) + SALT[8:] + b"\0"
        client.settimeout(10)
        self._send(client, 0, greeting + self._plugin + b"\0")
        if self._tls:
            client.recv(4 + 32, socket.MSG_WAITALL)
            try:
                client = self._tls.wrap_socket(client, server_side=True)
            except OSError:
                return
            self._open.append(client)
        for number in range(5):
            if len(head := _received(client, 4)) < 4:
                return
            self.received.append(_received(client, int.from_bytes(head[:3], "little")))
            self._send(client, head[3] + 1, self._steps(number, self.received[-1]))

    @staticmethod
    def _send(client: socket.socket, number: int, packet: bytes) -> None:
        client.sendall(len(packet).to_bytes(3, "little") + bytes([number]) + packet)

    @property
    def target(self) -> Target:
        return Target("mysql", (self.address,), "mailserver", "reader", PASSWORD)


DENIED = b"\xff\x15\x04#28000Access denied"


def told_nothing(host: MysqlHost) -> bool:
    """Whether the host learned neither the password nor its bytes under a key of its own."""
    return not any(PASSWORD.encode() in one or len(one) == KEY_BYTES for one in host.received)


SWITCH = b"\xfe%s\0" + SALT + b"\0"
PUBLIC = b"\x01-----BEGIN PUBLIC KEY-----\n"
ASKING: dict[str, tuple[bytes, tuple[bytes, ...]]] = {  # way of the greeting, and what follows
    "clear, by a switch": (NATIVE, (b"\xfemysql_clear_password\0", DENIED)),
    "clear, in the greeting": (b"mysql_clear_password", (b"\x01", DENIED)),
    "sha256, by a switch": (NATIVE, (SWITCH % b"sha256_password", PUBLIC, DENIED)),
    "sha256, in the greeting": (b"sha256_password", (PUBLIC, DENIED)),
    "caching, in the greeting": (SHA2, (b"\x01\x04", PUBLIC, DENIED)),
    "caching, by a switch": (NATIVE, (SWITCH % SHA2, b"\x01\x04", PUBLIC, DENIED)),
    "questions": (NATIVE, (b"\xfedialog\0\x02Password: ", DENIED)),
    "of old": (NATIVE, (b"\xfemysql_old_password\0" + SALT, DENIED)),
}


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS of its own"])
@pytest.mark.parametrize(("plugin", "answers"), ASKING.values(), ids=ASKING)
def test_no_password_goes_to_a_server_that_asks_for_it(
    own_tls: ssl.SSLContext, plugin: bytes, answers: tuple[bytes, ...], tls: bool
) -> None:
    """Whatever way it asks for, in clear text or by its own key, also over TLS with a certificate of its own."""
    steps = MysqlHost(plugin, lambda number, _: answers[min(number, len(answers) - 1)], own_tls if tls else None)
    with steps as host:
        assert re.search("asks for the password|that mailquota does not have|Access denied", why_not(host.target))
    assert host.received
    assert told_nothing(host)


@pytest.fixture(scope="module")
def own_tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A certificate that somebody made for himself."""
    folder = tmp_path_factory.mktemp("own")
    openssl(*SELF_SIGNED, "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def test_a_proof_of_the_password_is_enough_where_mysql_remembers_it() -> None:
    """The first half of caching_sha2_password, which sends no password."""
    answers = (SWITCH % SHA2, b"\x01\x03", DENIED)
    with MysqlHost(SHA2, lambda number, _: answers[number]) as host:
        assert why_not(host.target) == "the server ended the connection" or host.received[1:]
    assert len(host.received[1]) == 32
    assert told_nothing(host)


@pytest.mark.parametrize("offered", [False, True], ids=["none", "another one's"])
def test_with_ssl_ca_a_server_has_to_have_its_certificate(
    own_tls: ssl.SSLContext, tmp_path: Path, offered: bool
) -> None:
    """Without TLS, or with a certificate of somebody else, it gets not even the user's name."""
    openssl(*SELF_SIGNED, "-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "ca.pem"))
    with MysqlHost(NATIVE, lambda *_: DENIED, own_tls if offered else None) as host:
        told = why_not(replace(host.target, ssl_ca=str(tmp_path / "ca.pem")))
    assert told.startswith("the server's certificate is not one that ssl_ca" if offered else "the server offers no TLS")
    assert host.received == []


def test_an_ssl_ca_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with MysqlHost(NATIVE, lambda *_: DENIED) as host:
        assert why_not(replace(host.target, ssl_ca=f"{tmp_path}/gone.pem")) == (
            f"ssl_ca {tmp_path}/gone.pem: No such file or directory"
        )
        (tmp_path / "empty.pem").write_text("")
        assert f"ssl_ca {tmp_path}/empty.pem: " in why_not(replace(host.target, ssl_ca=f"{tmp_path}/empty.pem"))
    assert host.received == []


@pytest.mark.server
def test_ssl_ca_lets_the_real_server_in_and_its_name_counts(database: TlsMariaDB, tmp_path: Path) -> None:
    """The certificate of the test's server is its own authority, for localhost alone."""
    target = replace(database.target("secure"), ssl_ca=str(database.folder / "cert.pem"))
    assert "certificate is not one that ssl_ca in the URL stands for" in why_not(target)
    named = replace(target, hosts=(("localhost", database.port),))
    assert why_not(named) == ""
    openssl(*SELF_SIGNED, "-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "other.pem"))
    assert "certificate is not one" in why_not(replace(named, ssl_ca=str(tmp_path / "other.pem")))
    assert why_not(replace(database.target("secure", unix=True), ssl_ca=str(tmp_path / "other.pem"))) == ""


@pytest.mark.parametrize(("mode", "sent"), [(0o755, True), (0o1777, False)], ids=["kept", "everybody's"])
def test_over_a_socket_it_depends_on_who_can_make_one_there(tmp_path: Path, mode: int, sent: bool) -> None:
    tmp_path.chmod(mode)
    steps = (b"\xfemysql_clear_password\0", DENIED)
    with MysqlHost(NATIVE, lambda number, _: steps[min(number, 1)], path=str(tmp_path / "sock")) as host:
        told = why_not(host.target)
    assert ("Access denied" in told) == sent
    assert (PASSWORD.encode() + b"\0" in host.received) == sent


def test_a_login_of_another_kind_is_told_in_plain_words() -> None:
    switch = b"\xfeauthentication_ldap_sasl_client\0" + SALT
    with MysqlHost(b"mysql_native_password", lambda *_: switch) as host:
        told = why_not(host.target)
    assert told.startswith("this account logs in by a way that mailquota does not have (Authentication plugin")


def test_other_errors_keep_their_words() -> None:
    assert text_of(pymysql.OperationalError(CR.CR_CONN_HOST_ERROR, "Too many connections")) == "Too many connections"
    assert text_of(RuntimeError("other")) == "other"
