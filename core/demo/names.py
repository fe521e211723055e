"""Invented addresses, in domains that RFC 2606 reserves: example.org and .example. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator

DOMAINS = (
    "example.org", "example.net", "example.com", "shop.example", "club.example", "school.example", "factory.example",
    "bakery.example", "harbour.example", "museum.example", "orchard.example", "vineyard.example",
)  # fmt: skip
FIRST = (
    "ada", "aisha", "alice", "amir", "andrea", "anton", "astrid", "ben", "bianca", "boris", "carla", "chen", "clara",
    "dario", "david", "elena", "emil", "emma", "erik", "eva", "fatima", "felix", "fiona", "frank", "georg", "greta",
    "hanna", "hugo", "ines", "ivan", "jana", "jonas", "julia", "karim", "katrin", "lars", "lea", "leo", "lina", "luca",
    "lucia", "magda", "marc", "mei", "mila", "nadia", "nils", "nora", "olga", "oscar", "paul", "paula", "pedro",
    "petra", "rita", "robin", "rosa", "sami", "sara", "sofia", "stefan", "tara", "theo", "tom", "ulla", "vera",
    "viktor", "walter", "yara", "yusuf", "zoe",
)  # fmt: skip
LAST = (
    "adler", "aydin", "bauer", "beck", "berg", "bianchi", "blanc", "brandt", "castro", "cohen", "costa", "dahl",
    "diaz", "dubois", "ebert", "falk", "ferrari", "fischer", "fontaine", "frank", "garcia", "graf", "haas", "hansen",
    "hoffmann", "horvat", "ibrahim", "ivanova", "jansen", "jensen", "kaya", "keller", "klein", "kovac", "kruger",
    "lang", "larsen", "lehmann", "lopez", "maier", "marino", "martin", "meyer", "moreau", "nagy", "nguyen", "novak",
    "olsen", "otto", "patel", "peters", "popescu", "ramos", "richter", "romero", "rossi", "santos", "sato", "schmidt",
    "silva", "simon", "singh", "smith", "sokolov", "suzuki", "tanaka", "thomas", "torres", "vogel", "wagner", "weber",
    "winter", "wolf", "yilmaz", "young", "zimmermann",
)  # fmt: skip
ROLES = (
    "accounts", "booking", "contact", "editor", "events", "it", "kitchen", "library", "logistics", "marketing",
    "office", "orders", "press", "reception", "service", "team", "tickets", "training",
)  # fmt: skip


def addresses(rng: random.Random, taken: set[str]) -> Iterator[str]:
    """Yields new addresses in lower case without end, and adds each to ``taken``."""
    serial = 1
    while True:
        address = _address(rng)
        if address in taken:
            serial += 1  # a number makes it new, as it does at large providers
            user, _, domain = address.partition("@")
            address = f"{user}{serial}@{domain}"
        taken.add(address)
        yield address


def _address(rng: random.Random) -> str:
    # Most mailboxes of a real server are in few domains: the first three of twelve hold half of them.
    domain = DOMAINS[int(len(DOMAINS) * rng.random() ** 2)]
    shape, first, last = rng.random(), rng.choice(FIRST), rng.choice(LAST)
    if shape < 0.1:
        user = rng.choice(ROLES)
    elif shape < 0.3:
        user = first
    elif shape < 0.5:
        user = f"{first[0]}.{last}"
    else:
        user = f"{first}.{last}"
    return f"{user}@{domain}"
