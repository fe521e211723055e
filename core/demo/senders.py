"""Random mails to the demo world, and the policy request of Postfix about each. Pure but for the random numbers.

Addresses are those set aside for documentation: 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24 and 2001:db8::/32.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from .people import KIB, MIB


class Client(NamedTuple):
    """A mail server that sends to the demo world. ``name`` is "unknown" where its address has no name."""

    name: str
    address: str
    helo: str
    domain: str  # of the senders


class Mail(NamedTuple):
    """A message of ``size`` bytes. ``announced``: the client says the size with MAIL FROM (RFC 1870)."""

    client: Client
    sender: str
    recipient: str
    size: int
    announced: bool


_CLIENTS = (
    Client("mx1.university.example", "192.0.2.17", "mx1.university.example", "university.example"),
    Client("mail.bank.example", "192.0.2.44", "mail.bank.example", "bank.example"),
    Client("out-3.mailer.example", "198.51.100.23", "out-3.mailer.example", "mailer.example"),
    Client("out-7.mailer.example", "198.51.100.27", "out-7.mailer.example", "mailer.example"),
    Client("smtp.travel.example", "198.51.100.90", "smtp.travel.example", "travel.example"),
    Client("mta.auction.example", "203.0.113.9", "mta.auction.example", "auction.example"),
    Client("relay.printing.example", "2001:db8:17::25", "relay.printing.example", "printing.example"),
    Client("lists.knitting.example", "2001:db8:42::1", "lists.knitting.example", "lists.knitting.example"),
    Client("mail.weather.example", "192.0.2.201", "mail.weather.example", "weather.example"),
    Client("scanner-2.printing.example", "203.0.113.77", "scanner-2", "printing.example"),
)
_STRANGERS = (
    Client("unknown", "203.0.113.142", "localhost.localdomain", "prizes.example"),
    Client("unknown", "198.51.100.213", "[198.51.100.213]", "pills.example"),
    Client("dyn-88.dialup.example", "203.0.113.88", "WIN-7Q2K", "dialup.example"),
)
_SENDERS = (
    "news", "noreply", "billing", "orders", "alerts", "hello", "tickets", "m.keller", "office", "lena.holm", "service",
    "j.ortega", "reports", "webmaster", "community", "statements", "no-reply", "ming.li", "info", "booking",
)  # fmt: skip
_GUESSES = ("admin", "test", "root", "sales1", "mail", "webadmin", "john.smith", "office2", "user", "contact.form")
_TAGS = ("shop", "lists", "travel", "bank", "github", "news", "2025", "spam")
_HEADERS = 400  # bytes that a message gains on its way, at least


def ordinary(recipient: str, rng: random.Random) -> Mail:
    """A mail from a random sender, mostly short."""
    stranger = rng.random() < 0.12
    client = rng.choice(_STRANGERS if stranger else _CLIENTS)
    sender = f"{rng.choice(_SENDERS)}@{client.domain}"
    return Mail(client, sender, recipient, size=_size(rng), announced=rng.random() > 0.2)


def bulky(recipient: str, rng: random.Random, around: int) -> Mail:
    """A mail of about ``around`` bytes, whose client announces the size."""
    client = rng.choice(_CLIENTS)
    sender = f"{rng.choice(_SENDERS)}@{client.domain}"
    return Mail(client, sender, recipient, size=int(around * rng.uniform(0.5, 1.6)), announced=True)


def _size(rng: random.Random) -> int:
    roll = rng.random()
    if roll < 0.62:
        return int(min(rng.lognormvariate(2.3, 0.9), 300) * KIB)  # a note or a newsletter: some 10 KiB
    if roll < 0.9:
        return int(rng.uniform(60, 900) * KIB)  # an invoice, a document
    return int(rng.uniform(1, 24) * MIB)


def guessed_address(domain: str, rng: random.Random) -> str:
    """A guessed address of a domain, which may exist all the same."""
    return f"{rng.choice(_GUESSES)}@{domain}"


def as_typed(address: str, rng: random.Random) -> str:
    """The address as a client may write it: with a tag, or with capitals."""
    user, _, domain = address.partition("@")
    roll = rng.random()
    if roll < 0.06:
        return f"{user}+{rng.choice(_TAGS)}@{domain}"
    return f"{user.title()}@{domain}" if roll < 0.1 else address


def stored_size(mail: Mail, rng: random.Random) -> int:
    """The bytes of the message in the Maildir, where it has more header lines."""
    return mail.size + _HEADERS + rng.randrange(_HEADERS)


def policy_request(mail: Mail, port: int, instance: str) -> bytes:
    """The policy request at RCPT TO, with all attributes that Postfix 3.7 sends, in its order."""
    client = mail.client
    attributes = {
        "request": "smtpd_access_policy",
        "protocol_state": "RCPT",
        "protocol_name": "ESMTP",
        "client_address": client.address,
        "client_name": client.name,
        "client_port": str(port),
        "reverse_client_name": client.name,
        "server_address": "192.0.2.25",
        "server_port": "25",
        "helo_name": client.helo,
        "sender": mail.sender,
        "recipient": mail.recipient,
        "recipient_count": "0",
        "queue_id": "",  # given with the first recipient that is accepted
        "instance": instance,
        "size": str(mail.size if mail.announced else 0),
        "etrn_domain": "",
        "stress": "",
        "sasl_method": "",
        "sasl_username": "",
        "sasl_sender": "",
        "ccert_subject": "",
        "ccert_issuer": "",
        "ccert_fingerprint": "",
        "ccert_pubkey_fingerprint": "",
        "encryption_protocol": "TLSv1.3" if mail.announced else "",
        "encryption_cipher": "TLS_AES_256_GCM_SHA384" if mail.announced else "",
        "encryption_keysize": "256" if mail.announced else "0",
        "policy_context": "",
    }
    return "".join(f"{name}={value}\n" for name, value in attributes.items()).encode() + b"\n"
