"""The command lines that do what a dialog does, quoted for a shell. Pure.

Addresses come from outside, so whatever they contain stays one word of its command: no option, no other command, no
control character that a terminal would take for a key.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

LONGEST = 100_000  # bytes of one command line; Linux takes 128 KiB in one word, and 2 MiB in all
SHOWN = 1  # addresses in the line that a dialog shows


class Unquoted(str):
    """A word that is only shown, as ``and 12 more``."""

    __slots__ = ()


def quoted(word: str) -> str:
    """The word as a POSIX shell, bash or zsh takes it; with control characters as bash and zsh do (``$'…'``)."""
    if isinstance(word, Unquoted):
        return word
    if not word.isprintable():
        return "$'" + "".join(map(_escaped, word)) + "'"
    # A ~ is quoted by shlex, and a = at the beginning means something to zsh.
    return "'" + word + "'" if word.startswith("=") and "'" not in word else shlex.quote(word)


def _escaped(char: str) -> str:
    if char in "\\'":
        return "\\" + char
    if char.isprintable():
        return char
    # By bytes: a character that is no text, as from a database with another encoding, keeps its byte.
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogateescape"))


def line(words: Iterable[str]) -> str:
    """The words as a command line."""
    return " ".join(map(quoted, words))


def option(name: str, value: str) -> list[str]:
    """An option with its value; none if that is empty."""
    if not value:
        return []
    return [f"{name}={value}"] if value.startswith("-") else [name, value]


def addressed(command: str, options: Sequence[str], addresses: Iterable[str], *last: str) -> list[str]:
    """``command options -- addresses last``; the dashes are left out where no word could be taken for an option."""
    names = list(addresses)
    dashes = ["--"] if any(name.startswith("-") for name in names) else []
    return [command, *options, *dashes, *names, *last]


def parts(addresses: Sequence[str]) -> Iterator[Sequence[str]]:
    """The addresses in parts that fit on one command line each."""
    start = size = 0
    for number, address in enumerate(addresses):
        size += len(address.encode("utf-8", "surrogateescape")) + 3
        if size > LONGEST:
            yield addresses[start:number]
            start, size = number, 0
    yield addresses[start:]


def few(addresses: Sequence[str]) -> list[str]:
    """The first addresses, and how many more there are, for a line that is only shown."""
    if len(addresses) <= SHOWN + 1:
        return list(addresses)
    return [*addresses[:SHOWN], more(len(addresses) - SHOWN)]


def more(count: int) -> Unquoted:
    """How many are not shown."""
    return Unquoted(f"({count:,} more)")


def moment(at: float) -> str:
    """A local time as a date that the command takes, exact to the second."""
    then = datetime.fromtimestamp(at).astimezone()
    if (then.hour, then.minute, then.second, then.microsecond) == (0, 0, 0, 0):
        return then.strftime("%Y-%m-%d")
    if (then.second, then.microsecond) == (0, 0):
        return then.strftime("%Y-%m-%d %H:%M")
    return then.replace(microsecond=0).isoformat()
