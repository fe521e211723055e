"""What tests say to mail servers: messages, SMTP and LMTP deliveries, policy questions."""

from __future__ import annotations

import smtplib
import socket
from contextlib import closing
from email.utils import formatdate, make_msgid
from pathlib import Path

from tests.mailserver.ports import HOST

SENDER = "sender@example.net"
# Named, as smtplib would otherwise ask DNS for a name of its own.
CLIENT = "client.example.net"
TIMEOUT = 30.0
LINE = 76

# A unix socket's path, or host and port.
Address = Path | tuple[str, int]


def build_message(to: str, from_: str = SENDER, size: int | None = None, body: str = "Hello.\r\n") -> bytes:
    """A message with CRLF line ends: exactly `size` octets, or with `body` when no size is given.

    Raises ValueError for a size that is too small for the header.
    """
    header = (
        f"From: {from_}\r\nTo: {to}\r\nSubject: test\r\nDate: {formatdate()}\r\n"
        f"Message-ID: {make_msgid(domain='example.net')}\r\n\r\n"
    ).encode()
    if size is None:
        return header + body.encode()
    return header + _fill(size - len(header))


def _fill(size: int) -> bytes:
    """Exactly `size` octets of text lines, the last one ended as well."""
    if size < 2:
        raise ValueError("the size leaves no room for a body")
    lines, rest = divmod(size - 2, LINE + 2)
    return (b"x" * LINE + b"\r\n") * lines + b"x" * rest + b"\r\n"


def converse(client: smtplib.SMTP, message: bytes, to: str, from_: str, announce_size: bool) -> tuple[int, str]:
    """Say MAIL, RCPT and DATA; the first reply that refuses, else the one at the end of the data."""
    client.ehlo_or_helo_if_needed()
    options = [f"SIZE={len(message)}"] if announce_size else []
    reply = client.mail(from_, options)
    if reply[0] == 250:
        reply = client.rcpt(to)
    if reply[0] == 250:
        reply = client.data(message)
    return reply[0], reply[1].decode()


def send_smtp(port: int, message: bytes, to: str, from_: str, announce_size: bool) -> tuple[int, str]:
    """Deliver over SMTP to 127.0.0.1; the reply as (code, text)."""
    with smtplib.SMTP(HOST, port, CLIENT, timeout=TIMEOUT) as client:
        return converse(client, message, to, from_, announce_size)


def send_lmtp(path: Path, message: bytes, to: str, from_: str) -> tuple[int, str]:
    """Deliver over LMTP to a unix socket; the reply as (code, text)."""
    with smtplib.LMTP(str(path), local_hostname=CLIENT, timeout=TIMEOUT) as client:
        return converse(client, message, to, from_, announce_size=False)


def connect(address: Address) -> socket.socket:
    """A stream connection to a unix socket or a TCP port."""
    if isinstance(address, tuple):
        return socket.create_connection(address, TIMEOUT)
    client = socket.socket(socket.AF_UNIX)
    try:
        client.settimeout(TIMEOUT)
        client.connect(str(address))
    except BaseException:
        client.close()
        raise
    return client


def greets(address: Address) -> bool:
    """Whether an SMTP or LMTP server there says hello. Takes its leave politely, so that logs stay clean."""
    try:
        with connect(address) as client:
            hello = client.recv(512)
            client.sendall(b"QUIT\r\n")
            client.recv(512)
    except OSError:
        return False
    return hello.startswith(b"220")


def ask_policy(address: Address, recipient: str, size: int = 0, **attributes: str) -> str:
    """The text after `action=` with which a policy server answers one RCPT question (SMTPD_POLICY_README)."""
    question = {
        "request": "smtpd_access_policy",
        "protocol_state": "RCPT",
        "protocol_name": "ESMTP",
        "sender": SENDER,
        "recipient": recipient,
        "size": str(size),
    }
    lines = [f"{name}={value}\n" for name, value in (question | attributes).items()]
    with closing(connect(address)) as client:
        client.sendall("".join([*lines, "\n"]).encode())
        with client.makefile("r", encoding="utf-8") as answer:
            return answer.readline().rstrip("\n").removeprefix("action=")
