"""The tables of the oldest ISPmail recipe (Debian 5, lenny), and the settings by which mailquota uses them. Pure.

Their table ``virtual_users`` has the part before the @ in ``user``, and the domain in ``virtual_domains``. Postfix and
Dovecot ask the views ``view_users`` and ``view_aliases``, which put the two together as ``email``. Newer recipes have
the whole address in ``virtual_users.email``.
"""

from __future__ import annotations

import re

NAMED = (
    "the tables are those of the ISPmail recipe for Debian lenny (user and domain apart, views view_users and"
    ' view_aliases): accounts.schema has to be "custom", with queries of its own'
)
_VIEWS = re.compile(r"\bfrom\s+`?view_(?:users|aliases)\b", re.IGNORECASE)
SETTINGS = """\
[accounts]
schema = "custom"
users_query = "SELECT CONCAT(u.user, '@', d.name), u.quota FROM virtual_users u JOIN virtual_domains d ON d.id = u.domain_id"
aliases_query = "SELECT CONCAT(a.source, '@', d.name), a.destination FROM virtual_aliases a JOIN virtual_domains d ON d.id = a.domain_id"
set_query = "UPDATE virtual_users u JOIN virtual_domains d ON d.id = u.domain_id SET u.quota = %(limit)s WHERE CONCAT(u.user, '@', d.name) = %(address)s"
"""  # noqa: E501  # a query is one line in the settings
ADVICE = (
    "Where the table has no column for limits yet, add it:",
    "",
    "ALTER TABLE virtual_users ADD COLUMN quota BIGINT NOT NULL DEFAULT 0",
    "",
    "And put this into mailquota's settings:",
    "",
    *SETTINGS.splitlines(),
)


def is_lenny(query: str) -> bool:
    """Whether a query of Postfix or Dovecot asks the views of that recipe."""
    return bool(_VIEWS.search(query))
