"""Every state of the checks of limits, user databases and warnings."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mailquota.core.doctor.dovecot.facts import AccountFacts, NameFacts, ScriptFacts, UserQueries
from mailquota.core.doctor.host.facts import DatabaseFacts, HostFacts
from mailquota.core.doctor.model import Facts
from tests.core.doctor.dovecot.dovecots import (
    BOOKWORM,
    BULLSEYE,
    JOHN,
    STOPPED,
    TRIXIE,
    TRIXIE_MAILDIR,
    Change,
    StateCase,
    adding,
    facts,
    our_settings,
    replacing,
    say,
    without,
)
from tests.core.doctor.healthy import outcome

SCRIPT = "/usr/local/bin/quota-warning.sh"
LDA = "cat | /usr/lib/dovecot/dovecot-lda -d $2"
UNLISTED = UserQueries(file="/etc/dovecot/dovecot-sql.conf.ext", user="SELECT quota FROM virtual_users")
LISTING = msgspec.structs.replace(UNLISTED, iterate="SELECT email AS user FROM virtual_users")
TWO_ROOTS = adding("plugin {", "quota2 = count:Other", "}")
IN_BLOCK = replacing("  quota_warning warn-100 {", "  storage_size = 3000\n  quota_warning warn-100 {")


def john(fields: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """One account with a limit of 100,000 bytes."""
    return {"sample": (AccountFacts(address=JOHN, expected=100000, fields=fields or {}, **more),)}


def rule(text: str, enforced: int | None = None) -> dict[str, Any]:
    """What the user database of 2.3 says."""
    return john({"quota_rule": text}, enforced=enforced)


def size(text: str, enforced: int | None = None) -> dict[str, Any]:
    """What that of 2.4 says."""
    return john({"quota_storage_size": text}, enforced=enforced)


def script(*lines: str, mode: int = 0o755, **more: Any) -> dict[str, Any]:
    """The warning service's."""
    return {"scripts": (ScriptFacts(service="quota-warning", path=SCRIPT, mode=mode, lines=lines, **more),)}


def listener(*lines: str) -> Change:
    """The warning service's socket with other rights."""
    old = "  unix_listener quota-warning {\n    group = vmail\n    mode = 0660\n    user = vmail\n  }"
    return replacing(old, "\n".join(["  unix_listener quota-warning {", *lines, "}"]))


# fmt: off
CASES: list[StateCase] = [
    ("quota-driver", BULLSEYE, str, {}, "ok", "quota driver maildir", ""),
    ("quota-driver", TRIXIE, str, {}, "ok", "quota driver count", ""),
    ("quota-driver", BULLSEYE, without("quota"), {}, "fail", "no quota",
     "quota = count:User quota\n  quota_vsizes = yes"),
    ("quota-driver", TRIXIE_MAILDIR, replacing('quota "User quota"', "other"), {}, "fail", "no quota",
     'quota "User quota" {\n  driver = count\n}'),
    ("quota-driver", TRIXIE_MAILDIR, replacing("driver = maildir", "driver = dict"), {}, "fail", "no longer has",
     "driver = count"),
    ("quota-driver", BULLSEYE, replacing("maildir:User quota", "dict:User quota::file:x"), {}, "ok", "dict", ""),
    ("quota-driver", BULLSEYE, replacing("maildir:User quota", "dirsize:User quota"), {}, "skip", "not covered", ""),
    ("quota-driver", BULLSEYE, replacing("maildir:User quota", "fs:User quota"), {}, "skip", "driver fs", ""),
    ("quota-driver", BULLSEYE, replacing("maildir:User quota", "odd:User quota"), {}, "skip", "'odd'", ""),
    ("quota-driver", BULLSEYE, TWO_ROOTS, {}, "skip", "not covered: 2 quotas for each user (quota, quota2)", ""),
    ("quota-enforced", BULLSEYE, str, {}, "ok", "enforces what it counts", ""),
    ("quota-enforced", TRIXIE, str, {}, "ok", "enforces what it counts", ""),
    ("quota-enforced", BULLSEYE, replacing("maildir:User quota", "maildir:User quota\n  quota_rule2 = IN*:ignore"), {},
     "warn", "ignores INBOX", "take the rule with ignore whose mask meets it out"),
    ("quota-enforced", TRIXIE,
     replacing("namespace inbox {", "namespace inbox {\nmailbox INBOX {\nquota_ignore = yes\n}"), {}, "warn",
     "ignores INBOX", "take quota_ignore in its mailbox block out"),
    ("quota-enforced", BULLSEYE, without("quota"), {}, "ok", "no quota", ""),
    ("quota-enforced", BULLSEYE, TWO_ROOTS, {}, "ok", "enforces", ""),
    ("quota-enforced", BULLSEYE, replacing("maildir:User quota", "maildir:User quota:noenforcing:hidden"), {}, "warn",
     "full mailbox", "plugin {\n  quota = maildir:User quota:hidden\n}"),
    ("quota-enforced", TRIXIE, adding("quota_enforce = no"), {}, "warn", "full mailbox", "\nquota_enforce = yes\n"),
    ("quota-enforced", TRIXIE_MAILDIR, replacing("driver = maildir", "enforce = no"), {}, "warn", "full mailbox",
     'quota "User quota" {\n  enforce = yes\n}'),
    ("quota-vsizes", BOOKWORM, str, {}, "ok", "quota_vsizes = yes", ""),
    ("quota-vsizes", BOOKWORM, without("quota_vsizes"), {}, "fail", "not set", "plugin {\n  quota_vsizes = yes\n}"),
    ("quota-vsizes", BULLSEYE, str, {}, "ok", "needed only", ""),
    ("quota-vsizes", TRIXIE, str, {}, "ok", "needed only", ""),
    ("quota-limits", BULLSEYE, str, {}, "ok", "asked Dovecot about 1 of 1 accounts: it is given the limits", ""),
    ("quota-limits", TRIXIE, str, {}, "ok", "1 of 1 accounts", ""),
    ("quota-limits", BULLSEYE, str, {"server_fault": "connect() failed"}, "skip", "connect() failed", ""),
    ("quota-limits", BULLSEYE, str, {"server_fault": STOPPED}, "skip", "see dovecot-answers", ""),
    ("quota-limits", BULLSEYE, str, {"sample": ()}, "skip", "no account", ""),
    ("quota-limits", BULLSEYE, TWO_ROOTS, {}, "skip", "not covered: 2 quotas", ""),
    ("quota-limits", BULLSEYE, str, {"users": ("ldap",)}, "skip", "not covered: user database 'ldap'", ""),
    ("quota-limits", BULLSEYE, str, {"users": ()}, "skip", "not covered", ""),
    ("quota-limits", BULLSEYE, str, john(unknown=True), "fail", "Dovecot has no such user",
     "doveadm log errors"),
    ("quota-limits", BOOKWORM, replacing("count:User quota", "fs:User quota"), john(fault="quotactl() failed"), "skip",
     "not covered: quota driver fs", ""),
    ("quota-limits", BULLSEYE, adding("protocol !imap {", "mail_plugins = notify", "}"),
     john(fault="Unknown command 'quota'"), "skip", "see quota-plugin-protocols", ""),
    ("quota-driver", BULLSEYE, replacing("maildir:User quota", "mailldir:User quota"),
     john(fault="Unknown quota backend: mailldir"), "fail", "has no quota driver 'mailldir'", "count:User quota"),
    ("quota-limits", BULLSEYE, replacing("maildir:User quota", "mailldir:User quota"),
     john(fault="Unknown quota backend: mailldir"), "skip", "see quota-driver", ""),
    ("quota-limits", BULLSEYE, without("quota"), john(fault="Quota not enabled"), "skip", "see quota-driver", ""),
    ("quota-limits", BULLSEYE, replacing("mail_plugins = quota\n", ""), john(fault="Unknown command 'quota'"), "skip",
     "see quota-plugin", ""),
    ("quota-limits", BOOKWORM, without("quota_vsizes"), john(fault="requires quota_vsizes"), "skip", "see quota-vsizes",
     ""),
    ("quota-limits", TRIXIE, IN_BLOCK, size("100000B"), "fail", "the quota block has a limit inside", "perl -i"),
    ("quota-limits", BULLSEYE, str, john({"quota_rule": "x"}, fault="bad rule"), "fail", "can't load the user: bad",
     "#"),
    ("quota-limits", BULLSEYE, str, john({"quota": "100000"}, fault="bad"), "fail", "no quota_rule (but 'quota')", "#"),
    ("quota-limits", BULLSEYE, str, rule("*:bytes=102400000", 100000), "fail", "1024 times too large",
     "#"),
    ("quota-limits", BULLSEYE, str, rule("*:storage=100000"), "fail",
     "100000 bytes in the database, 100000 KiB in Dovecot; quota_rule is '*:storage=100000', 1024 times too large",
     "#"),
    ("quota-limits", BULLSEYE, str, rule("*:storage=100000M"), "fail", "1048576 times too large", "#"),
    ("quota-limits", BULLSEYE, str, rule("*:bytes=100000:messages=5"), "ok", "enforces", ""),
    ("quota-limits", BULLSEYE, str, rule("*:messages=5"), "fail", "unlimited in Dovecot", "#"),
    ("quota-limits", BULLSEYE, str, rule("*:backend=100000S"), "skip", "is not known of john@example.org", ""),
    ("quota-limits", BULLSEYE, str, rule("Trash:bytes=1"), "skip", "is not known", ""),
    ("quota-limits", BULLSEYE, str, rule("*:bytes=100000", 98), "ok", "enforces", ""),
    ("quota-limits", BULLSEYE, str, rule("*:bytes=100000", 50), "fail", "50 KiB in Dovecot", "#"),
    ("quota-limits", BULLSEYE, adding("auth_cache_size = 10 M"), rule("*:bytes=51200", 50), "fail", "an old limit",
     "doveadm auth cache flush"),
    ("quota-limits", BULLSEYE, adding("plugin {", "quota_rule = *:storage=1G", "}"), john({"limit": ""}), "fail",
     "1048576 KiB in Dovecot; the user database gives no quota_rule (but 'limit'), so the default counts", "#"),
    ("quota-limits", TRIXIE, str, size("100000K"), "fail", "1024 times too large", "#"),
    ("quota-limits", TRIXIE, str, size("98"), "fail", "quota_storage_size is '98'", "#"),
    ("quota-limits", TRIXIE, str, size("100000"), "ok", "enforces", ""),
    ("quota-limits", TRIXIE, str, size("100000 B"), "ok", "enforces", ""),
    ("quota-limits", TRIXIE, str, size("unlimited"), "fail", "unlimited in Dovecot", "#"),
    ("quota-limits", TRIXIE, str, size("what"), "skip", "is not known", ""),
    ("quota-limits", TRIXIE, str, size("-5B"), "fail", "limit below 0", "# give these accounts"),
    ("quota-limits", BULLSEYE, str, rule("*:bytes=-5"), "fail", "'*:bytes=-5', and with a limit below 0", "# give"),
    ("quota-limits", TRIXIE, adding("quota_storage_percentage = 50"), size("100000B", 49), "fail",
     "quota_storage_percentage = '50' changes all limits", "\nquota_storage_percentage = 100\n"),
    ("quota-limits", TRIXIE, adding("quota_storage_extra = 50M"), size("100000B", 51298), "fail",
     "quota_storage_extra = '50M' changes all limits", "\nquota_storage_extra = 0\n"),
    ("quota-limits", TRIXIE, str, john({"quota_rule": "*:bytes=100000"}), "fail",
     "5242880 KiB in Dovecot; the user database gives no quota_storage_size (but 'quota_rule')", "quota_storage_size"),
    ("quota-limits", TRIXIE, IN_BLOCK, size("100000B", 3), "fail", "the quota block has a limit inside", "perl -i"),
    ("quota-limits", BULLSEYE, str, {"names": NameFacts(refused=(JOHN,)), **john(unknown=True)}, "ok", "enforces", ""),
    ("quota-limits", BULLSEYE, str, john({}, enforced=98), "fail",
     "gives no quota_rule, and Dovecot goes by the limit in each maildirsize: an edit changes nothing", "# "),
    ("quota-limits", BULLSEYE, str, rule("?:bytes=100000", enforced=98), "fail", "with ? the limit in maildirsize wins",
     "# "),
    ("quota-limits", BULLSEYE, str, john({"quota_rule": "Trash:ignore", "quota_rule2": "*:bytes=100000"}, enforced=98),
     "ok", "enforces", ""),
    ("quota-limits", BULLSEYE, str, john({"quota_rule": "Trash:ignore"}, enforced=98), "fail",
     "an edit changes nothing", "# "),
    ("quota-limits", TRIXIE, replacing("quota_storage_size = 5G", "quota_storage_size = 100000"),
     john({"quota_storage_grace": "5B"}, enforced=98), "fail", "goes by the default in its settings", "# /etc/dovecot"),
    ("quota-limit-in-block", BULLSEYE, str, {}, "ok", "no quota blocks", ""),
    ("quota-limit-in-block", TRIXIE, str, {}, "ok", "no quota block has a limit", ""),
    ("quota-limit-in-block", TRIXIE, IN_BLOCK, {}, "fail", "has storage_size = 3000 inside", "quota_storage_size = 5G"),
    ("username-characters", BULLSEYE, str, {}, "ok", "the names of all 1 accounts", ""),
    ("username-characters", BULLSEYE, str, {"names": NameFacts(count=1, refused=("o'neil@x.org",))}, "fail", "o'neil",
     "0123456789.-_@'\nEOF"),
    ("username-characters", BULLSEYE, str, {"names": NameFacts(count=1, refused=("a/b@x.org",))}, "fail", "a/b", "#"),
    ("username-characters", BULLSEYE, adding("auth_username_chars = abc@"),
     {"names": NameFacts(count=1, refused=("a+@b",))}, "fail", "lacks '+'", "auth_username_chars = abc@+\n"),
    ("username-characters", BULLSEYE, str,
     {"names": NameFacts(count=2, asked=("a'@x", "b'@x"), refused=("a'@x", "b'@x"))}, "ok", "about 2 of 2", ""),
    ("username-characters", BULLSEYE, adding("auth_username_chars = "),
     {"names": NameFacts(count=2, asked=("a'@x", "b'@x"), unknown=("a'@x",))}, "fail", "has no user", "log errors"),
    ("user-listing", BULLSEYE, str, {}, "ok", "lists 1 users, the accounts database has 1", ""),
    ("user-listing", BULLSEYE, str, {"listed": 0, "query": UNLISTED}, "warn", "it lists none",
     "iterate_query = SELECT email AS user"),
    ("user-listing", BULLSEYE, str, {"listed": 0, "accounts": 0}, "ok", "no users", ""),
    ("user-listing", BULLSEYE, str, {"listed": None, "listing_fault": "no table users", "query": UNLISTED}, "warn",
     "no table users", "cat >> /etc/dovecot/dovecot-sql.conf.ext"),
    ("user-listing", BULLSEYE, str, {"listed": None, "listing_fault": "took longer", "query": LISTING}, "warn",
     "took longer", "doveadm log errors"),
    ("user-listing", BULLSEYE, str, {"listed": None, "listing_fault": "x", "query": UserQueries(user="SELECT 1")},
     "warn", "x", "# give"),
    ("user-listing", TRIXIE, str, {"listed": None, "listing_fault": "x"}, "warn", "x",
     "userdb sql {\n  iterate_query = "),
    ("user-listing", BULLSEYE, str, {"users": ("static",)}, "skip", "not covered: user database 'static'", ""),
    ("user-listing", BULLSEYE, str, {"listed": None, "listing_fault": "Permission denied"}, "skip", "as root", ""),
    ("user-listing", BULLSEYE, str, {"server_fault": "down"}, "skip", "down", ""),
    ("user-listing", BULLSEYE, str, {"listed": None, "listing_fault": STOPPED}, "skip", "see dovecot-answers", ""),
    ("auth-cache", BULLSEYE, str, {}, "ok", "enforces a changed limit at once", ""),
    ("auth-cache", BULLSEYE, adding("auth_cache_size = 10 M"), {}, "ok", "only after auth_cache_ttl, 1 hours", ""),
    ("quota-warnings", BULLSEYE, str, {}, "ok", "warns at storage=95%, storage=80%", ""),
    ("quota-warnings", TRIXIE, str, {}, "ok", "warns at 100%, 80%, below 100%,", ""),
    ("quota-warnings", BULLSEYE, replacing("storage=95%% quota-warning 95", "storage=95% quota-warning 95"), {}, "fail",
     "not doubled in quota_warning = storage=95% quota-warning 95 %u",
     "plugin {\n  quota_warning = storage=95%% quota-warning 95 %u\n}"),
    ("quota-warnings", TRIXIE_MAILDIR, str, {}, "ok", "mailquota sends them", ""),
    ("quota-warning-service", BULLSEYE, str, {}, "ok", "quota-warning", ""),
    ("quota-warning-service", TRIXIE, str, {}, "ok", "quota-warning", ""),
    ("quota-warning-service", TRIXIE_MAILDIR, str, {}, "ok", "has no warnings", ""),
    ("quota-warning-service", BULLSEYE, replacing("unix_listener quota-warning", "unix_listener other"), {}, "fail",
     "no service listens at 'quota-warning'",
     "service quota-warning {\n  executable = script /usr/local/bin/mailquota warn\n  user = vmail"),
    ("quota-warning-service", BULLSEYE, replacing("listener quota-warning", "listener /run/dovecot/quota-warning"), {},
     "ok", "", ""),
    ("quota-warning-service", BULLSEYE, listener(), {}, "fail",
     "user root and mode 0600, and mail is delivered as 5000",
     "  unix_listener quota-warning {\n    user = vmail\n    mode = 0660"),
    ("quota-warning-service", BULLSEYE, listener("mode = 0666"), {}, "ok", "", ""),
    ("quota-warning-service", BULLSEYE, listener("mode = 0660", "group = vmail"), {}, "ok", "", ""),
    ("quota-warning-service", BULLSEYE, listener("mode = 0440", "user = vmail"), {}, "fail", "mode 0440", "0660"),
    ("quota-warning-service", BULLSEYE, listener("mode = rw"), {}, "fail", "mode 0000", "0660"),
    ("quota-warning-service", BULLSEYE, replacing("unix_listener quota-warning", "unix_listener other"),
     {"mail_owner": ()}, "fail", "no service listens", "# write the service as in mailquota's docs/warnings.md"),
    ("quota-warning-service", BULLSEYE, listener(), {"mail_owner": ()}, "skip", "is not known", ""),
    ("quota-warning-service", BULLSEYE, listener("user = other"), {"mail_owner": ("5000",)}, "skip", "not known here",
     ""),
    ("quota-warning-script", BULLSEYE, str, {}, "ok", SCRIPT, ""),
    ("quota-warning-script", TRIXIE_MAILDIR, str, {}, "ok", "has no warnings", ""),
    ("quota-warning-script", BULLSEYE, str, {"scripts": ()}, "ok", "no script", ""),
    ("quota-warning-script", BULLSEYE, str, script(mode=0o644), "fail", "not executable (mode 0644)",
     "&& chmod 0755 /proc/self/fd/3)"),
    ("quota-warning-script", BULLSEYE, str, script(interpreter="/bin/sh\r"), "fail", "line ends of Windows",
     rf"sed -i 's/\r$//' {SCRIPT}"),
    ("quota-warning-script", BULLSEYE, str, script(interpreter="/bin/bashh"), "fail", "'/bin/bashh', which does not",
     "mailquota warn"),
    ("quota-warning-script", BULLSEYE, str, script(fault=f"{SCRIPT}: No such file or directory"), "fail",
     "does not exist",
     "mailquota warn"),
    ("quota-warning-script", BULLSEYE, str, script(fault=f"{SCRIPT}: Permission denied"), "skip", "as root", ""),
    ("quota-warning-option", BULLSEYE, str, {}, "ok", "a warning is delivered to a full mailbox", ""),
    ("quota-warning-option", BULLSEYE, without("quota"), {}, "ok", "a warning is delivered to a full mailbox", ""),
    ("quota-warning-option", TRIXIE_MAILDIR, str, {}, "ok", "has no warnings", ""),
    ("quota-warning-option", BULLSEYE, str, script("mailquota warn $1 $2"), "ok", "delivered to a full mailbox", ""),
    ("quota-warning-option", BULLSEYE, str, script(LDA), "fail", "without an option",
     'dovecot-lda -e -o "plugin\\/quota=maildir:User quota:noenforcing"'),
    ("quota-warning-option", TRIXIE, str, script(LDA), "fail", "without an option", '-o "quota_enforce=no"'),
    ("quota-warning-option", TRIXIE, str, script(f"{LDA} -o 'quota/User quota/enforce=no'"), "ok", "", ""),
    ("quota-warning-option", TRIXIE, str, script(f'{LDA} -o "plugin/quota=count:User quota:noenforcing"'), "fail",
     "which 2.4 ignores", "quota_enforce=no"),
    ("quota-warning-option", BOOKWORM, str, script(f'{LDA} -o "plugin/quota=maildir:User quota:noenforcing"'), "warn",
     "names quota driver maildir, Dovecot has count", f"quota=count:/' {SCRIPT}"),
    ("quota-warning-option", BULLSEYE, str, script(f"{LDA} -o $OPTION_noenforcing"), "ok", "", ""),
]
# fmt: on


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[4]}")
def test_a_state(case: StateCase) -> None:
    check, output, change, known, state, found, fix = case
    if fix == "#":  # by hand, where the query is none that is known
        known = {"query": UserQueries(file="/etc/dovecot/sql.ext", user="SELECT limit_of(x)"), **known}
    finding = say(check, facts(output, change, **known))
    assert finding.state == state, finding
    assert found in finding.found
    assert fix in finding.fix
    assert bool(finding.fix) == bool(fix)


@pytest.mark.parametrize(
    ("output", "limit", "mended"),
    [
        (BULLSEYE, "concat('*:storage=', quota) AS quota_rule", "concat('*:bytes=', quota) AS quota_rule"),
        (BULLSEYE, "CONCAT('*:bytes=', v.quota * 1024) AS quota_rule", "concat('*:bytes=', v.quota) AS quota_rule"),
        (BULLSEYE, "concat('*:bytes=', quota*1024*1024) AS quota_rule", "concat('*:bytes=', quota) AS quota_rule"),
        (BULLSEYE, "concat('*:bytes=', `quota`, 'M') AS `quota_rule`", "concat('*:bytes=', `quota`) AS quota_rule"),
        (BULLSEYE, "concat('*:bytes=', quota) AS quota", "concat('*:bytes=', quota) AS quota_rule"),
        (BULLSEYE, "quota AS quota_rule", "concat('*:bytes=', quota) AS quota_rule"),
        (BULLSEYE, "quota", "concat('*:bytes=', quota) AS quota_rule"),
        (TRIXIE, "concat('*:bytes=', quota) AS quota_rule", "concat(quota, 'B') AS quota_storage_size"),
        (TRIXIE, "concat(quota, 'K') AS quota_storage_size", "concat(quota, 'B') AS quota_storage_size"),
        (TRIXIE, "concat(quota, 'B') AS quota", "concat(quota, 'B') AS quota_storage_size"),
        (BULLSEYE, "if(quota > 0, quota, 5) AS x", ""),
        (BULLSEYE, "concat('*:bytes=', quota) AS quota_rule", ""),
    ],
)
def test_a_query_is_mended_where_it_has_the_known_form(output: str, limit: str, mended: str) -> None:
    """The path of the home is put together too, and stays as it is."""
    query = "SELECT email AS user, concat('/var/vmail/', domain, '/') AS home, {} FROM virtual_users WHERE email='%u'"
    known = facts(output, **john({"uid": "5000"}))
    known = msgspec.structs.replace(known, query=msgspec.structs.replace(known.query, user=query.format(limit)))
    fix = say("quota-limits", known).fix
    lines = [" ".join(line.split()) for line in fix.splitlines()]
    name = "query" if output == TRIXIE else "user_query"
    if mended:
        assert f"{name} = {query.format(mended)}" in lines
    else:
        assert fix.startswith("# ")


def test_the_limit_of_the_block_counts_outside_it_where_nothing_else_does() -> None:
    fix = say(
        "quota-limit-in-block", facts(TRIXIE, lambda text: IN_BLOCK(text).replace("quota_storage_size = 5G\n", ""))
    ).fix
    assert "cat >> /etc/dovecot/dovecot.conf <<'EOF'\nquota_storage_size = 3000\nEOF" in fix


def test_of_many_that_differ_some_are_named() -> None:
    sample = [AccountFacts(address=f"{name}@x.org", expected=None, enforced=5) for name in "abcdef"]
    finding = say("quota-limits", facts(BULLSEYE, sample=tuple(sample), accounts=1000))
    assert finding.found.startswith(
        "asked Dovecot about 6 of 1,000 accounts, 6 differ: a@x.org: unlimited in the database"
    )
    assert "d@x.org" in finding.found
    assert finding.found.endswith("; and 2 more")


def test_foreign_text_stays_on_its_line() -> None:
    """A name or path with a line end makes no line of its own, in no finding and no fix."""
    odd = john({"quota_rule": "*:bytes=1\nEOF\nrm -rf /"})
    finding = say("quota-limits", facts(BULLSEYE, **odd))
    assert "\n" not in finding.found
    broken = facts(TRIXIE, **script(f'{LDA} -o "plugin/quota=x"'))
    broken = msgspec.structs.replace(
        broken, scripts=(msgspec.structs.replace(broken.scripts[0], path="/x/a b;reboot"),)
    )
    assert say("quota-warning-option", broken).fix.endswith("'/x/a b;reboot'")


@pytest.mark.parametrize("check", ["quota-limits", "user-listing"])
def test_a_database_that_is_away_is_not_dovecots_fault(check: str) -> None:
    """Without it Dovecot can list nobody, whatever its queries are."""
    asked = facts(BULLSEYE, sample=(), listed=None, listing_fault="Fatal: user listing failed")
    host = HostFacts(database=DatabaseFacts(known=True, fault="Connection refused"))
    found = outcome(check, Facts(config=our_settings(), dovecot=asked, host=host))
    assert (found.state, found.found) == ("skip", "the accounts database can't be read: see accounts-database")
