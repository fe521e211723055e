"""A finished mail as bytes: headers, text and HTML. Lines end in LF, and none is near 998 bytes.

From, To and Message-ID are written without the email package, after a check: EmailMessage breaks long quoted local
parts, and encodes letters beyond ASCII in a way that is not allowed in an address (RFC 2047, section 5). Here they stay
UTF-8 (RFC 6532): a server that has such an address takes it so. The subject is folded by the older class Header, as
EmailMessage sometimes doubles a space between two encoded words.
"""

from __future__ import annotations

import re
from datetime import datetime
from email import policy
from email.header import Header
from email.message import EmailMessage
from email.utils import format_datetime

from ..base.errors import UsageError
from ..base.text import shown

_LONGEST = 900  # bytes of an address or a Message-ID; a line has at most 998 (RFC 5322, 2.1.1)
_ATOM = r"[\w!#$%&'*+/=?^`{|}~-]+"
_DOT_ATOM = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_DOMAIN = re.compile(r"[^\s@<>,;:\"()\[\]\\]+")
_MESSAGE_ID = re.compile(r"<[^\s<>]+@[^\s<>]+>")


def address_text(address: str) -> str:
    """An address for a header, its local part in quotes where it has characters that need them.

    Raises UsageError for a text that is no address, or that has line ends and so would make more than one header.
    """
    local, _, domain = address.rpartition("@")
    if not local or not address.isprintable() or not _DOMAIN.fullmatch(domain):
        raise _refused(address, "an address like name@example.org, without control characters")
    if not _DOT_ATOM.fullmatch(local):
        local = '"' + re.sub(r'(["\\])', r"\\\1", local) + '"'
    return _short(f"{local}@{domain}")


def build(*, sender: str, to: str, at: float, message_id: str, subject: str, text: str, html: str) -> bytes:
    """The whole mail; with an empty ``html`` it has the text alone.

    ``at`` is in seconds since the epoch; ``subject`` is one line.
    Raises UsageError where a header can't have an address or the Message-ID.
    """
    if not message_id.isprintable() or not _MESSAGE_ID.fullmatch(message_id):
        raise _refused(message_id, "a Message-ID like <unique@example.org>")
    headers = {
        "From": address_text(sender),
        "To": address_text(to),
        "Message-ID": _short(message_id),
        "Subject": _encoded(subject),
    }
    mail = EmailMessage(policy=policy.default)  # its lines end in LF
    mail["Date"] = format_datetime(datetime.fromtimestamp(at).astimezone())
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no program answers it, so no mail loop begins
    mail["Precedence"] = "bulk"  # the same for older programs
    mail["X-Auto-Response-Suppress"] = "All"  # and for Exchange
    mail.set_content(text, cte="quoted-printable")
    if html:
        mail.add_alternative(html, subtype="html", cte="quoted-printable")
        for part in mail.iter_parts():
            del part["MIME-Version"]  # only the mail as a whole has it (RFC 2045, section 4)
    return "".join(f"{name}: {value}\n" for name, value in headers.items()).encode() + mail.as_bytes()


def _encoded(subject: str) -> str:
    """A subject encoded by RFC 2047; also one in ASCII with "=?", which would be decoded otherwise."""
    plain = subject.isascii() and "=?" not in subject
    return Header(subject, "us-ascii" if plain else "utf-8", header_name="Subject").encode()


def _short(value: str) -> str:
    if len(value.encode()) > _LONGEST:
        raise _refused(value, f"at most {_LONGEST} bytes")
    return value


def _refused(value: str, expected: str) -> UsageError:
    return UsageError(f"{shown(value)} can't stand in the head of a mail; expected {expected}")
