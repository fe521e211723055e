"""The limits that Dovecot gives to users: by rules of 2.3, by settings of 2.4, and by columns of the user query."""

from __future__ import annotations

import pytest
from hypothesis import given as example
from hypothesis import strategies as st

from mailquota.core.servers.dovecot.conf import parse_doveconf
from mailquota.core.servers.dovecot.given_limits import GivenLimits, UserLimits, given_limits

KIB = 1024
OLD = "SELECT email as user, {}, '/var/vmail/%d/%n' AS home, 5000 AS uid FROM virtual_users WHERE email='%u'"
RULE = "concat('*:bytes=', quota) AS quota_rule"
MODERN = "SELECT email AS user, {} FROM virtual_users WHERE email='%{{user}}'"


def old(selected: str = RULE, plugin: str = "", userdb: str = "driver = sql", *, sqlite: bool = False) -> GivenLimits:
    """By a Dovecot 2.3 whose user query selects this beside the rest."""
    rules = "".join(f"  {line.strip()}\n" for line in plugin.split(";"))
    conf = f"plugin {{\n  quota = maildir:User quota\n{rules}}}\nuserdb {{\n{userdb}\n}}\n"
    return given_limits(parse_doveconf(conf), modern=False, query=OLD.format(selected), sqlite=sqlite)


def modern(selected: str, block: str = "", outside: str = "") -> GivenLimits:
    """By a Dovecot 2.4."""
    conf = f'{outside}\nquota "User quota" {{\n{block}\n}}\nuserdb sql {{\n}}\n'
    return given_limits(parse_doveconf(conf), modern=True, query=MODERN.format(selected))


@pytest.mark.parametrize(
    ("given", "row", "limits"),
    [
        (old(), {"quota": "5000"}, (5000, None)),
        (old(), {"quota": "0"}, (None, None)),
        (old(), {"quota": None}, (None, None)),
        (old(plugin="quota_rule = *:storage=500K"), {"quota": None}, (500 * KIB, None)),
        (old(plugin="quota_rule = *:storage=500K"), {"quota": "0"}, (None, None)),
        (old(plugin="quota_rule = *:storage=500:messages=1000"), {"quota": None}, (500 * KIB, 1000)),
        (old(plugin="quota_rule = *:messages=1000"), {"quota": "5000"}, (5000, None)),
        (old(plugin="quota_rule2 = *:messages=7"), {"quota": "5000"}, (5000, 7)),
        (old(plugin="quota_rule2 = *:messages=7"), {"quota": None}, (None, None)),  # it stops at the missing first one
        (old(plugin="quota_rule3 = *:messages=7"), {"quota": "5000"}, (5000, None)),
        (old(plugin="quota_rule2 = Trash:storage=+10%%"), {"quota": "5000"}, (5000, None)),
        (old("concat('*:bytes=', quota, ':messages=3') AS quota_rule"), {"quota": "5000"}, (5000, 3)),
        (old("concat('*:bytes=', quota, ':messages=', most) quota_rule"), {"quota": "9", "most": "4"}, (9, 4)),
        (old("concat('*:bytes=', quota, ':messages=', most) quota_rule"), {"quota": "9", "most": None}, (None, None)),
        (old("concat('*:bytes=', quota, ':messages=', ifnull(u.most, 0)) AS quota_rule"),
         {"quota": "9", "most": None}, (9, None)),
        (old("'*:bytes=' || quota || ':messages=2' AS quota_rule", sqlite=True), {"quota": "9"}, (9, 2)),
        (old(f"{RULE}, '*:messages=2K' AS quota_rule2"), {"quota": "9"}, (9, 2 * KIB)),
        (old("home", userdb="driver = sql\ndefault_fields = quota_rule=*:storage=1M"), {}, (KIB * KIB, None)),
        (old(userdb="driver = sql\noverride_fields = quota_rule2=*:messages=9"), {"quota": "5"}, (5, 9)),
        (modern("concat(quota, 'B') AS quota_storage_size"), {"quota": "5000"}, (5000, None)),
        (modern("concat(quota, 'B') AS quota_storage_size, most AS quota_message_count"), {"quota": "5", "most": "4"},
         (5, 4)),
        (modern("concat(quota, 'B') AS quota_storage_size", outside="quota_storage_size = 500K"), {"quota": None},
         (500 * KIB, None)),
        (modern("concat(quota, 'B') AS quota_storage_size", outside="quota_message_count = 9"), {"quota": "5"}, (5, 9)),
        (modern("'3' AS quota_message_count", outside="quota_message_count = 9"), {}, (None, 3)),
        (modern("'3' AS quota_message_count", "message_count = 9"), {}, (None, 9)),
        (modern("'10' AS quota_message_count", "quota_message_percentage = 50"), {}, (None, 5)),
        (modern("'unlimited' AS quota_message_count", outside="quota_message_count = 9"), {}, (None, None)),
        (modern("concat(quota, 'B') AS quota_storage_size"), {"quota": str(2**64 - 1)}, (None, None)),
    ],
)  # fmt: skip
def test_limits_of_a_user(
    given: GivenLimits, row: dict[str, str | None], limits: tuple[int | None, int | None]
) -> None:
    """By the row of the user: what is NULL there leaves the setting in force."""
    assert not given.fault
    assert given.of(row) == UserLimits(*limits)
    assert set(given.columns) <= set(row)


@pytest.mark.parametrize(
    ("given", "row", "words"),
    [
        (old("concat('*:bytes=', quota, ':messages=-3') AS quota_rule"), {"quota": "9"}, "'*:bytes=9:messages=-3'"),
        (old(), {"quota": str(2**64 - 1)}, "can't read its quota rule"),
        (old(), {"quota": "5000.0"}, "can't read its quota rule"),
        (modern("most AS quota_message_count"), {"most": "-3"}, "quota_message_count '-3'"),
        (modern("quota AS quota_storage_size"), {"quota": "many"}, "quota_storage_size 'many'"),
    ],
)
def test_limits_that_dovecot_refuses(given: GivenLimits, row: dict[str, str | None], words: str) -> None:
    """Dovecot can't load such a user, and the reason names the text."""
    assert words in given.of(row).fault


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (old("concat('*:bytes=', quota * 2) AS quota_rule"), "quota_rule of the user query"),
        (old("if(quota > 0, concat('*:bytes=', quota), NULL) AS quota_rule"), "quota_rule of the user query"),
        (old("concat('*:bytes=', quota, '%d') AS quota_rule"), "quota_rule of the user query"),
        (old("'*:bytes=' || quota AS quota_rule"), "quota_rule of the user query"),
        (old(userdb="driver = passwd-file"), "passwd-file"),
        (modern("quota AS quota_storage_size", "storage_percentage = 50"), "quota_storage_percentage"),
    ],
)
def test_what_is_not_understood_is_said(given: GivenLimits, words: str) -> None:
    """Then only Dovecot knows the limits of its users."""
    assert words in given.fault


def test_the_query_is_read() -> None:
    """The table, the columns, and the one that has the limit of messages alone."""
    given = old("concat('*:bytes=', quota, ':messages=', `most`) AS quota_rule")
    assert (given.table, given.columns, given.message_column) == ("virtual_users", ("quota", "most"), "most")
    assert old().message_column == ""
    assert old("concat('*:messages=', a) AS quota_rule, concat('*:messages=', b) AS quota_rule2").message_column == ""
    assert modern("most AS quota_message_count").message_column == "most"
    assert modern("most AS quota_message_count", "message_count = 9").message_column == ""
    conf = parse_doveconf("plugin {\n  quota = maildir\n}\nuserdb {\n  driver = sql\n}\n")
    for tables, table in (("a u WHERE x", "a"), ("a, b", ""), ("a JOIN b ON c", ""), ("`a` LIMIT 1", "a")):
        query = f"SELECT quota_rule, u.home FROM {tables}"
        assert given_limits(conf, modern=False, query=query).table == table
    assert not given_limits(parse_doveconf(""), modern=False, query=OLD.format(RULE)).fields


PIECES = ["SELECT ", "concat(", "coalesce(", ")", ",", "'*:bytes='", "quota", " AS quota_rule", "quota_message_count",
          "||", " FROM ", "a", " WHERE ", "'", '"', "`", "\\", "%u", "5", "*", " "]  # fmt: skip


@example(st.lists(st.sampled_from(PIECES), max_size=25).map("".join) | st.text(max_size=60), st.booleans())
def test_any_query(query: str, modern: bool) -> None:
    """It is understood, or the fault says that it is not; and then its columns are all that the limits depend on."""
    conf = 'plugin {\n  quota = maildir\n}\nquota "q" {\n}\nuserdb sql {\n  driver = sql\n}\n'
    found = given_limits(parse_doveconf(conf), modern=modern, query=query, sqlite=modern)
    if not found.fault:
        for value in ("5", None, "x"):
            found.of(dict.fromkeys(found.columns, value))
