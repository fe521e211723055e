"""What ``auto`` makes of Dovecot's settings, recorded of both versions and written for the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailquota.core.servers.dovecot.folder_names import FolderRule, IgnoredFolders
from mailquota.core.servers.dovecot.quota import QuotaFacts, choose_driver, quota_facts, unenforced
from mailquota.core.settings.discover import ask_dovecot, discover
from tests.core.recorded_server import Server

DATA = Path(__file__).parents[3] / "data"


def plugin(*lines: str, rest: str = "") -> str:
    body = "\n".join(f"  {line}" for line in lines)
    return f"# 2.3.19.1 (9b53102964): /etc/dovecot/dovecot.conf\n{rest}\nplugin {{\n{body}\n}}\n"


def modern(quota: str, rest: str = "") -> str:
    return f'# 2.4.1-4 (7d8c0e5759): /etc/dovecot/dovecot.conf\n{rest}\nquota "User quota" {{\n{quota}\n}}\n'


@pytest.mark.parametrize(
    ("name", "backend", "driver"),
    [
        ("2.3/doveconf-n.one-file", "maildir", "maildir"),
        ("2.3/doveconf-n.ispmail-bookworm", "count", "count"),
        ("2.4/doveconf-n.ispmail-trixie", "count", "count"),
        ("2.4/doveconf-n.maildir-driver", "maildir", "maildir"),
    ],
)
def test_recorded(name: str, backend: str, driver: str) -> None:
    facts = quota_facts((DATA / f"dovecot-{name}.txt").read_text())
    assert (facts.backend, facts.mail_format, facts.rules) == (backend, "maildir", ())
    assert choose_driver(facts, doveadm=True) == choose_driver(facts, doveadm=False) == driver


MDBOX = "mail_location = mdbox:~/mdbox"
DICT = "dict {\n  quota = mysql:/etc/dovecot/dovecot-dict-sql.conf.ext\n}"


@pytest.mark.parametrize(
    ("text", "with_doveadm", "without"),
    [
        ("", "maildir", "maildir"),
        (plugin("quota_vsizes = yes"), "maildir", "maildir"),
        (plugin("quota = count:User quota"), "count", "count"),
        (plugin("quota = count:x", rest="mail_location = maildir:~/Maildir:LAYOUT=fs"), "doveadm", "count"),
        (plugin("quota = maildir:x", rest="mail_location = maildir:~/M:INBOX=~/I:LAYOUT=fs"), "doveadm", "maildir"),
        (plugin("quota = maildir:x", rest="mail_location = maildir:~/M:LAYOUT=Maildir++"), "maildir", "maildir"),
        (modern("", rest="mailbox_list_layout = fs"), "doveadm", "count"),
        (modern("", rest="mailbox_list_layout = maildir++"), "count", "count"),
        (plugin("quota = count:User quota", rest=MDBOX), "doveadm", "count"),
        (plugin("quota = dict:User quota::proxy::quota", rest=DICT), "sql", "sql"),
        (plugin("quota = dict:User quota::noenforcing:proxy::quota", rest=DICT), "sql", "sql"),
        (plugin("quota = dict:User quota::proxy::quota"), "doveadm", "maildir"),
        (plugin("quota = dict:User quota::file:%h/dovecot-quota"), "doveadm", "maildir"),
        (plugin("quota = dirsize:User quota"), "doveadm", "maildir"),
        (plugin("quota = fs:User quota"), "doveadm", "maildir"),
        (modern(""), "count", "count"),
        (modern("  driver = imapc"), "doveadm", "maildir"),
        (modern("", "quota_driver = maildir"), "maildir", "maildir"),
        (modern("  quota_driver = count", "quota_driver = maildir"), "count", "count"),
        (modern("", "mail_driver = sdbox"), "doveadm", "count"),
        ("# 2.4.1: x\nmail_driver = maildir\n", "maildir", "maildir"),
    ],
)
def test_drivers(text: str, with_doveadm: str, without: str) -> None:
    facts = quota_facts(text)
    assert (choose_driver(facts, doveadm=True), choose_driver(facts, doveadm=False)) == (with_doveadm, without)


def test_rules_of_2_3() -> None:
    """In order, up to the first gap; only the first that matches a folder counts; the default rule is none of them."""
    text = plugin(
        "quota_rule = *:storage=1G",
        "quota_rule2 = Trash:storage=+10%%",
        "quota_rule3 = Junk:ignore",
        "quota_rule4 = Tr*:ignore",
        "quota_rule6 = Sent:ignore",
    )
    rules = quota_facts(text).rules
    assert rules == (FolderRule("Trash", False), FolderRule("Junk", True), FolderRule("Tr*", True))
    ignored = IgnoredFolders(rules)
    names = ["INBOX", "Trash", "Trash.Old", "Junk", "Junk.Old", "Sent", "Tr&APw-b"]
    assert [name for name in names if ignored(name)] == ["Trash.Old", "Junk", "Tr&APw-b"]


def test_a_later_rule_replaces_one_of_the_same_mask() -> None:
    rules = quota_facts(plugin("quota_rule = Junk:ignore", "quota_rule2 = Junk:storage=+5M")).rules
    assert not IgnoredFolders(rules)("Junk")


def test_rules_of_2_4() -> None:
    """A higher ceiling is no rule for figures; nor is a folder of others."""
    boxes = """
namespace inbox {
  mailbox Trash {
    quota_storage_extra = 100M
  }
  mailbox "Old Junk" {
    quota_ignore = yes
  }
}
namespace public {
  type = public
  mailbox All {
    quota_ignore = yes
  }
}
"""
    facts = quota_facts(modern("", boxes))
    assert facts.rules == (FolderRule("Old Junk", True),)
    assert IgnoredFolders(facts.rules)("Old Junk")


def test_names_below_a_prefix() -> None:
    """A rule has the name that mail programs see: with the namespace's prefix and separator."""
    rules = [FolderRule("INBOX.Spam?", True), FolderRule("Junk", True), FolderRule("inbox", True)]
    names = ["Spam", "Spam1", "Spam12", "INBOX.Spam1", "Junk", "INBOX"]
    below = IgnoredFolders(rules, "INBOX.")
    assert [name for name in names if below(name)] == ["Spam1", "INBOX.Spam1", "INBOX"]
    at_top = IgnoredFolders(rules)
    assert [name for name in names if at_top(name)] == ["INBOX.Spam1", "Junk", "INBOX"]
    slashes = IgnoredFolders([FolderRule("Work/2020", True)], separator="/")
    assert slashes("Work.2020")
    assert not slashes("Work")


def test_the_namespace_of_inbox() -> None:
    text = plugin(rest="namespace inbox {\n  inbox = yes\n  prefix = INBOX/\n  separator = /\n}")
    assert (quota_facts(text).prefix, quota_facts(text).separator) == ("INBOX/", "/")
    assert (quota_facts(plugin()).prefix, quota_facts(plugin()).separator) == ("", ".")


def test_a_server_that_says_nothing() -> None:
    assert ask_dovecot("auto", Server().run).quota == QuotaFacts()
    assert discover("auto", Server().run, Server().read).quota == QuotaFacts()
    recorded = Server((DATA / "dovecot-2.3/doveconf-n.ispmail-bookworm.txt").read_text())
    found = discover("auto", recorded.run, recorded.read).quota
    assert found is not None
    assert found.backend == "count"


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (plugin("quota = maildir:User quota"), ["plugin/quota=maildir:User quota:noenforcing"]),
        (plugin("quota = count:User quota"), ["plugin/quota=count:User quota:noenforcing"]),
        (plugin("quota = maildir"), ["plugin/quota=maildir::noenforcing"]),
        (plugin("quota = count:x:hidden:ns=INBOX/"), ["plugin/quota=count:x:noenforcing:hidden:ns=INBOX/"]),
        (plugin("quota = dict:x::proxy::q", rest=DICT), ["plugin/quota=dict:x::noenforcing:proxy::q"]),
        (plugin("quota = dict:x:%d:hidden:file:%h/q"), ["plugin/quota=dict:x:%d:noenforcing:hidden:file:%h/q"]),
        (
            plugin("quota = count:a", "quota2 = count:b:hidden", "quota4 = count:c", "quota_vsizes = yes"),
            ["plugin/quota=count:a:noenforcing", "plugin/quota2=count:b:noenforcing:hidden"],
        ),
        (plugin("quota_vsizes = yes"), []),
        (modern(""), ["quota_enforce=no", "quota/User quota/quota_enforce=no"]),
        (
            modern("") + "quota a {\n  enforce = yes\n}\nquota a/b {\n}\n",
            ["quota_enforce=no", "quota/User quota/quota_enforce=no", "quota/a/quota_enforce=no"],
        ),
        ("# 2.4.1: x\nmail_driver = maildir\n", []),
        ("", []),
    ],
)
def test_settings_that_let_a_mail_pass(text: str, options: list[str]) -> None:
    """Of each version's own, and of every quota; the rest of a quota stays as it is."""
    assert unenforced(quota_facts(text)) == options


def test_versions() -> None:
    assert quota_facts(plugin()).version == (2, 3)
    assert quota_facts(modern("")).version == (2, 4)
    assert quota_facts("").version == (0, 0)
