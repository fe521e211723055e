"""Which maps lead a recipient on: read from the settings of a Postfix."""

from __future__ import annotations

import pytest

from mailquota.core.base.programs import FileText
from mailquota.core.servers.postfix.rewriting import Tables, asks_us, rewriting_maps

ISPMAIL = Tables("ispmail", "mysql", "mailserver")
ADMIN = Tables("postfixadmin", "mysql", "postfix")
CATCH = "SELECT goto FROM alias,alias_domain WHERE alias_domain.alias_domain = '%d' and alias.address = CONCAT('@', "
SUFFIX = "alias_domain.target_domain) AND alias.active = 1 AND alias_domain.active='1'"
QUERIES: list[tuple[Tables, str, str, bool]] = [
    (ISPMAIL, "SELECT destination FROM virtual_aliases WHERE source='%s'", "aliases", True),
    (ISPMAIL, "select  destination from `virtual_aliases` where source = '%s';", "aliases", True),
    (ISPMAIL, "SELECT email FROM virtual_users WHERE email='%s'", "mailboxes", True),
    (ISPMAIL, "SELECT destination FROM virtual_aliases WHERE source='%s' AND active=1", "", True),
    (ISPMAIL, "SELECT destination FROM virtual_aliases WHERE source='%u@%d'", "", False),
    (ISPMAIL, "SELECT goto FROM alias WHERE address='%s' AND active = '1'", "", True),
    (ADMIN, "SELECT goto FROM alias WHERE address='%s' AND active = '1'", "aliases", True),
    (ADMIN, "SELECT goto FROM alias WHERE address='%s'", "", True),
    (ADMIN, f"{CATCH}{SUFFIX}", "alias_domain_catchalls", False),
    (ADMIN, f"{CATCH.replace('CONCAT(', 'CONCAT(' + chr(39) + '%u' + chr(39) + ', ')}{SUFFIX}", "alias_domains", False),
]


@pytest.mark.parametrize(("tables", "query", "rows", "parts"), QUERIES)
def test_queries(tables: Tables, query: str, rows: str, parts: bool) -> None:
    """A query of just the rows that are read is answered from memory, any other is asked."""
    text = f"user = u\nhosts = 127.0.0.1\ndbname = {tables.database}\nquery = {query}\n"
    rewriting = rewriting_maps({"virtual_alias_maps": "proxy:mysql:/a.cf"}, tables, lambda _: FileText(text))
    (lookup,) = rewriting.virtual
    assert (lookup.name, lookup.asked, lookup.rows, lookup.parts) == ("proxy:mysql:/a.cf", "mysql:/a.cf", rows, parts)


def test_what_changes_the_rows_is_asked() -> None:
    query = "query = SELECT destination FROM virtual_aliases WHERE source='%s'\n"
    for more in (
        "dbname = other\n",
        "dbname = mailserver\nresult_format = %u@x\n",
        "dbname = mailserver\ndomain = a\n",
    ):
        texts = {"/a.cf": FileText(query + more)}
        (lookup,) = rewriting_maps({"virtual_alias_maps": "mysql:/a.cf"}, ISPMAIL, texts.__getitem__).virtual
        assert lookup.rows == "", more
    old = "dbname = mailserver\ntable = virtual_aliases\nselect_field = destination\nwhere_field = source\n"
    (lookup,) = rewriting_maps({"virtual_alias_maps": "mysql:/a.cf"}, ISPMAIL, lambda _: FileText(old)).virtual
    assert lookup.rows == "aliases"


def test_types() -> None:
    """Whether parts of an address are looked up, too; maps with blanks in braces are one."""
    maps = (
        "hash:/a, regexp:/b pcre:/c socketmap:inet:h:1:n tcp:h:1 static:x inline:{ {a@b = c@d} } "
        "pipemap:{regexp:/b,hash:/a} unionmap:{hash:/a,regexp:/b} pipemap:{proxy:hash:/a,regexp:/b} cidr:/d cdb:/e"
    )
    rewriting = rewriting_maps({"virtual_alias_maps": maps}, ISPMAIL, lambda _: FileText(fault="none"))
    parts = [True, False, False, False, False, True, True, False, True, True, False, True]
    assert [lookup.parts for lookup in rewriting.virtual] == parts
    assert rewriting.virtual[6].name == "inline:{ {a@b = c@d} }"
    assert rewriting.virtual[9].asked == "pipemap:{hash:/a,regexp:/b}"


def test_settings() -> None:
    values = {
        "recipient_canonical_maps": "hash:/r",
        "recipient_canonical_classes": "envelope_recipient, header_recipient",
        "canonical_maps": "hash:/c",
        "canonical_classes": "header_sender",
        "alias_maps": "hash:/etc/aliases",
        "mydestination": "Mail.example.org, localhost, hash:/domains",
        "myorigin": "mail.example.org",
        "masquerade_domains": "example.org",
        "masquerade_classes": "envelope_recipient",
        "virtual_alias_recursion_limit": "100",
        "virtual_alias_expansion_limit": "many",
        "recipient_bcc_maps": "hash:/b",
        "always_bcc": "All@example.org",
        "propagate_unmatched_extensions": "virtual",
    }
    rewriting = rewriting_maps(values, ISPMAIL, lambda _: FileText(fault="none"))
    assert [one.name for one in (*rewriting.recipient_canonical, *rewriting.canonical)] == ["hash:/r"]
    assert rewriting.local_domains == {"mail.example.org", "localhost"}
    assert (rewriting.most_steps, rewriting.most_addresses) == (100, 1000)
    assert (rewriting.always_bcc, [one.name for one in rewriting.bcc]) == ("all@example.org", ["hash:/b"])
    assert rewriting.keeps_extension == {"virtual"}
    assert len(rewriting.unfollowed) == 2


def test_whose_postfix_it_is() -> None:
    values = {"queue_directory": "/var/spool/postfix", "smtpd_recipient_restrictions": ""}
    assert asks_us(values, ["unix:/var/spool/postfix/private/mailquota"])
    assert not asks_us(values, ["unix:/run/mailquota/policy", "inet:127.0.0.1:10040"])
    values["smtpd_recipient_restrictions"] = "reject, check_policy_service { inet:127.0.0.1:10040, timeout=10s }"
    assert asks_us(values, ["inet:127.0.0.1:10040"])
    assert not asks_us({}, ["unix:/var/spool/postfix/private/mailquota"])
