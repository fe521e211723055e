"""What a query of Postfix or Dovecot tells of the tables behind it. Pure.

Many systems have a table ``mailbox``, and not all keep limits in bytes there as PostfixAdmin does (iRedMail: MiB). So
it is taken for PostfixAdmin's only while no query makes a limit of anything but bytes. ISPmail's tables are nobody
else's: there a query with another unit is a mistake of the query.
"""

from __future__ import annotations

import re

_ISPMAIL = re.compile(r"\bfrom\s+`?virtual_users\b", re.IGNORECASE)
_POSTFIXADMIN = re.compile(r"\bfrom\s+`?mailbox\b", re.IGNORECASE)
_OTHER_UNIT = re.compile(r"\bquota\w*\)?\s*[*/]|:storage=|\bquota\w*\)?\s*(?:,|\|\|)\s*'\s*[kmgt]", re.IGNORECASE)
_IREDMAIL = re.compile(r"\b(?:storagebasedirectory|storagenode|forwardings)\b", re.IGNORECASE)


def schema_of(query: str) -> str | None:
    """Which of the known schemas a query was written for."""
    if _ISPMAIL.search(query):
        return "ispmail"
    return "postfixadmin" if _POSTFIXADMIN.search(query) and not other_unit(query) else None


def other_unit(query: str) -> bool:
    """Whether limits are anything but bytes, as far as the query shows."""
    return bool(_OTHER_UNIT.search(query) or _IREDMAIL.search(query))
