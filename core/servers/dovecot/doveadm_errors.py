"""What doveadm says on its standard error. Pure.

It ends with 0 after some errors too: "Recalculating quota failed" is one, a user that it can't load is another. So its
errors count whatever the exit code says. Information and warnings do not count, nor that it may not report to Dovecot's
statistics, as happens to the user of the mailboxes: its work is done all the same. Errors about a user begin with the
user's name.
"""

from __future__ import annotations

import re

import msgspec

from mailquota.core.base.programs import last_line
from mailquota.core.base.text import visible

_ERROR = re.compile(r"(?:[\w-]+(?:\((\S*)\))?(?:<\S*>)*: )?(?:Error|Fatal|Panic): (?:cmd [a-z][a-z -]*: )?(.*)")
_NOT_ITS_WORK = re.compile(r"net_connect_unix\(\S*stats-writer\) failed: .*|Raw backtrace: .*")
_LONGEST = 500  # characters of one error


class ErrorLine(msgspec.Struct, frozen=True):
    """An error; ``user`` is empty where it is about no user."""

    user: str
    text: str


def errors(said: str) -> list[ErrorLine]:
    """In their order."""
    matches = (_ERROR.fullmatch(line) for line in said.split("\n"))
    return [
        ErrorLine(match[1] or "", visible(match[2][:_LONGEST]))
        for match in matches
        if match and not _NOT_ITS_WORK.fullmatch(match[2])
    ]


def outcome(said: str) -> str:
    """What came of it: the last error, or where there is none the last line."""
    found = errors(said)
    return found[-1].text if found else visible(last_line(said)[:_LONGEST])
