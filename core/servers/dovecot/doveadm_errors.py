"""Finds errors in what doveadm prints on its standard error. Pure.

doveadm ends with exit code 0 even after some errors: "Recalculating quota failed" is one, a user that it can't load is
another. So its errors count whatever the exit code is. Lines of information and warnings do not count, nor that it may
not connect to Dovecot's statistics, as happens to the owner of the mailboxes: its work is done all the same. Errors
about a user begin with the user's name.
"""

from __future__ import annotations

import re

import msgspec

from ...base.programs import last_line
from ...base.text import visible

_ERROR = re.compile(r"(?:[\w-]+(?:\((\S*)\))?(?:<\S*>)*: )?(?:Error|Fatal|Panic): (?:cmd [a-z][a-z -]*: )?(.*)")
_NOT_ITS_WORK = re.compile(r"net_connect_unix\(\S*stats-writer\) failed: .*|Raw backtrace: .*")
_LONGEST = 500  # characters of one error


class ErrorLine(msgspec.Struct, frozen=True):
    """An error of doveadm, and the user that it names; ``user`` is empty where it names none."""

    user: str
    text: str


def errors(stderr: str) -> list[ErrorLine]:
    """The errors among the lines, in order."""
    matches = (_ERROR.fullmatch(line) for line in stderr.split("\n"))
    return [
        ErrorLine(match[1] or "", visible(match[2][:_LONGEST]))
        for match in matches
        if match and not _NOT_ITS_WORK.fullmatch(match[2])
    ]


def outcome(stderr: str) -> str:
    """The reason why doveadm failed: its last error, or the last line where none looks like an error."""
    found = errors(stderr)
    return found[-1].text if found else visible(last_line(stderr)[:_LONGEST])
