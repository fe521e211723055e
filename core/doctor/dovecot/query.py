"""Corrects the queries of an SQL user database, so that they give limits as Dovecot needs them. Pure.

A query is corrected only if it has the form that all known guides use: a column, concatenated with the text that
Dovecot needs around it. For any other query no correction is offered.
"""

from __future__ import annotations

import re

from ...servers.dovecot.sql import schema_of
from .common import append, is_modern
from .facts import DovecotFacts

_FACTORS = r"(?:\s*\*\s*(?:1024|1048576))*"
_UNIT = r"(?:,\s*'[bkmgt]\w{0,2}'\s*)?"
_LIMIT = re.compile(
    rf"concat\(\s*(?:'[*?]:(?:storage|bytes)='\s*,\s*)?([\w.`]+){_FACTORS}\s*{_UNIT}\)\s+as\s+[`\"]?\w+[`\"]?",
    re.IGNORECASE,
)
_BARE = re.compile(r"\b([\w.`]+)\s+as\s+[`\"]?quota\w*[`\"]?", re.IGNORECASE)
_COLUMN = re.compile(r"(?<=[,\s])(quota)(?=\s*,|\s+from\b)", re.IGNORECASE)
_WANTED = {False: r"concat('*:bytes=', \1) AS quota_rule", True: r"concat(\1, 'B') AS quota_storage_size"}
_GROUP = r"\1"
_GRACE = re.compile(r"concat\([^()]*\)\s+as\s+quota_storage_grace", re.IGNORECASE)
_FROM = re.compile(r"\s+from\s", re.IGNORECASE)
_ALL_USERS = {
    "ispmail": "SELECT email AS user FROM virtual_users",
    "postfixadmin": "SELECT username AS user FROM mailbox WHERE active = '1'",
}


def mended_query(facts: DovecotFacts) -> str:
    """The query for one user with the limit in bytes and as the right field; empty where it has another form."""
    query, wanted = facts.query.user, _WANTED[is_modern(facts)]
    for pattern in (_LIMIT, _BARE, _COLUMN):
        match = pattern.search(query)
        if match and _is_outermost(query, match.start(1)) == (pattern is not _LIMIT):
            mended = query[: match.start()] + match.expand(wanted) + query[match.end() :]
            return mended if mended.lower() != query.lower() else ""
    used = re.search(r"\bquota\b", _GRACE.sub("", query), re.IGNORECASE)  # in another form: then it is not known why
    return "" if used else _with_limit(query, wanted)


def _with_limit(query: str, wanted: str) -> str:
    """The query of a known schema, which gives no limit at all, with its column ``quota``; empty for any other."""
    found = [match.start() for match in _FROM.finditer(query) if _is_outermost(query, match.start())]
    if not schema_of(query) or len(found) != 1:
        return ""
    return f"{query[: found[0]]}, {wanted.replace(_GROUP, 'quota')}{query[found[0] :]}"


def _is_outermost(query: str, at: int) -> bool:
    """Whether a position is outside all brackets, so that a column of the result is there."""
    return query.count("(", 0, at) == query.count(")", 0, at)


def iterate_query(facts: DovecotFacts) -> str:
    """The query that lists all users, for a known schema; empty for any other."""
    schema = schema_of(facts.query.user)
    return _ALL_USERS[schema] if schema else ""


def query_lines(facts: DovecotFacts, name: str, query: str) -> str:
    """The fix that sets ``query`` or ``iterate_query``."""
    if is_modern(facts):
        return append(facts, f"userdb {facts.query.block} {{", f"  {name} = {query}", "}")
    old_name = "user_query" if name == "query" else name
    return append(facts, f"{old_name} = {query}", file=facts.query.file)
