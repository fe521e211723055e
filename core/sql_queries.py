"""What a query of Postfix or Dovecot tells of the tables behind it. Pure."""

from __future__ import annotations

import re

_TABLES = {"ispmail": "virtual_users", "postfixadmin": "mailbox"}
_OTHER_UNIT = re.compile(r"\bquota\w*\)?\s*[*/]|:storage=|\bquota\w*\)?\s*(?:,|\|\|)\s*'\s*[kmgt]", re.IGNORECASE)
_FOREIGN = re.compile(
    r"\b(?:storagebasedirectory|storagenode|forwardings)\b", re.IGNORECASE
)  # iRedMail has a mailbox too


def schema_of(query: str) -> str | None:
    """Which of the known schemas a query was written for."""
    if other_unit(query):
        return None
    found = (schema for schema, table in _TABLES.items() if _reads(query, table))
    return next(found, None)


def _reads(query: str, table: str) -> bool:
    return re.search(rf"\bfrom\s+`?{table}\b", query, re.IGNORECASE) is not None


def other_unit(query: str) -> bool:
    """Whether limits are anything but bytes in these tables, as far as the query shows."""
    return bool(_OTHER_UNIT.search(query) or _FOREIGN.search(query))
