"""Every state of the checks of Dovecot's settings, plugins, mailboxes and quota-status."""

from __future__ import annotations

from functools import reduce

import pytest

from mailquota.core.doctor.dovecot.facts import AccountFacts, DovecotFacts, FileFacts
from mailquota.core.doctor.postfix.facts import PostfixFacts, Smtpd
from tests.core.doctor.dovecot.dovecots import (
    BOOKWORM,
    BULLSEYE,
    ONE_FILE,
    STOPPED,
    TRIXIE,
    TRIXIE_MAILDIR,
    Change,
    StateCase,
    adding,
    asking,
    facts,
    replacing,
    say,
    without,
)

FULL = "452 4.2.2 Mailbox is full and cannot receive any more emails"
LARGE_INDEX = FileFacts(path="/var/vmail/x/y/Maildir", size=200 << 20)
_FOLDER = "/var/vmail/x/y/Maildir"
MAILDIRSIZE = FileFacts(path=f"{_FOLDER}/maildirsize", folder=_FOLDER, uid=5000, owner=5000, mode=0o600)
ROOTS = FileFacts(path="/v/o'n/maildirsize", folder="/v/o'n", uid=0, owner=5000, mode=0o600)
ON, OFF = (("mail_plugins {", f"quota = {switch}", "}") for switch in ("yes", "no"))
NOBODY_KNOWN = {"sample": (AccountFacts(address="john@example.org", expected=0, unknown=True),)}
CLOSED = FileFacts(path="/v/m", folder="/v", uid=5, owner=5, mode=0o440)


def setting(line: str) -> Change:
    """In 2.3's plugin block."""
    return adding("plugin {", line, "}")


def both(*changes: Change) -> Change:
    """One after the other."""
    return lambda text: reduce(lambda so_far, change: change(so_far), changes, text)


WITHOUT_IMAP = both(replacing("quota imap_quota", "quota"), replacing("protocols = imap lmtp", "protocols = lmtp"))


# check, output, change of it, facts, state, found, fix
# fmt: off
CASES: list[StateCase] = [
    ("dovecot-settings", BULLSEYE, str, {}, "ok", "Dovecot 2.3.19 reads /etc/dovecot/dovecot.conf", ""),
    ("dovecot-settings", TRIXIE, str,
     {"fault": "x: Unknown setting", "refused": True}, "fail", "refuses", "doveconf -n"),
    ("dovecot-settings", TRIXIE, str, {"fault": "open(x): Permission denied"}, "skip", "run the doctor as root", ""),
    ("dovecot-version", TRIXIE, str, {}, "ok", "Dovecot 2.4.1", ""),
    ("dovecot-version", TRIXIE, str, {"release": (2, 5, 0)}, "skip", "not covered: Dovecot 2.5.0", ""),
    ("dovecot-version", TRIXIE, str, {"release": (0, 0, 0)}, "skip", "unknown version", ""),
    ("quota-plugin", TRIXIE, str, {"release": (2, 2, 33)}, "skip", "not covered", ""),
    ("dovecot-answers", BULLSEYE, str, {}, "ok", "looks up users", ""),
    ("dovecot-answers", BULLSEYE, str, {"sample": (), "listed": None}, "skip", "no user", ""),
    ("dovecot-answers", BULLSEYE, str,
     {"server_fault": "connect(x) failed: Connection refused"}, "fail", "refused", "doveadm stop || true; dovecot"),
    ("dovecot-answers", BULLSEYE, str, {"server_fault": "connect(x) failed: Permission denied"}, "skip", "as root", ""),
    ("dovecot-answers", BULLSEYE, str, {"server_fault": STOPPED}, "fail",
     "Dovecot does not run: nothing listens at /run/dovecot/auth-userdb", "dovecot"),
    ("dovecot-answers", BULLSEYE, str, {"sample": (), "listed": None, "listing_fault": STOPPED}, "fail",
     "does not run", "dovecot"),
    ("dovecot-answers", BULLSEYE, str,
     {"server_fault": "Internal error occurred"}, "fail", "Internal error", "doveadm log errors"),
    ("quota-plugin", BULLSEYE, str, {}, "ok", "has quota", ""),
    ("quota-plugin", BULLSEYE, replacing("mail_plugins = quota\n", "mail_plugins = notify\n"),
     {}, "fail", "is notify", "mail_plugins = notify quota\nEOF\ndoveadm reload"),
    ("quota-plugin", BULLSEYE, without("mail_plugins"), {}, "fail", "is empty", "mail_plugins = quota\n"),
    ("quota-plugin", TRIXIE, replacing("  quota = yes", "  quota = no"),
     {}, "fail", "is empty", "mail_plugins {\n  quota = yes\n}"),
    ("quota-plugin-lmtp", BULLSEYE, str, {}, "ok", "loads quota", ""),
    ("quota-plugin-lmtp", BULLSEYE, adding("protocol lmtp {", "mail_plugins = sieve", "}"),
     {}, "fail", "without quota: sieve", "protocol lmtp {\n  mail_plugins = sieve quota\n}"),
    ("quota-plugin-lmtp", BULLSEYE, adding("protocol lmtp {", "mail_plugins = quota sieve", "}"), {}, "ok", "", ""),
    ("quota-plugin-lmtp", BULLSEYE, adding("protocol !imap {", "mail_plugins = notify", "}"),
     {}, "fail", "without quota: notify", "protocol lmtp {\n  mail_plugins = notify quota\n}"),
    ("quota-plugin-lmtp", BULLSEYE, adding("protocol !lmtp {", "mail_plugins = notify", "}"), {}, "ok", "", ""),
    ("quota-plugin-lmtp", BULLSEYE,
     adding("protocol lmtp {", "mail_plugins = quota", "}", "protocol !imap {", "mail_plugins = notify", "}"),
     {}, "ok", "", ""),
    ("quota-plugin-lmtp", TRIXIE,
     adding("protocol lmtp {", *ON, "}", "protocol !imap {", *OFF, "}"),
     {}, "fail", "without quota: empty", "protocol !imap {\n  mail_plugins {\n    quota = yes\n  }\n}"),
    ("quota-plugin-lmtp", TRIXIE, adding("protocol lmtp {", "mail_plugins = sieve", "}"),
     {}, "fail", "sieve", "    sieve = yes\n    quota = yes"),
    ("quota-plugin-lmtp", TRIXIE, adding("protocol lmtp {", "mail_plugins {", "sieve = yes", "}", "}"),
     {}, "ok", "", ""),
    ("quota-plugin-lda", BULLSEYE, adding("protocol lda {", "mail_plugins = sieve", "}"),
     {}, "fail", "protocol lda", "protocol lda {"),
    ("quota-plugin-lda", BULLSEYE, str, {}, "ok", "protocol lda", ""),
    ("quota-plugin-protocols", BULLSEYE, str, {}, "ok", "imap, pop3", ""),
    ("quota-plugin-protocols", BULLSEYE, adding("protocol pop3 {", "mail_plugins = zlib", "}"),
     {}, "fail", "protocol pop3", "zlib quota"),
    ("quota-plugin-protocols", BULLSEYE, replacing("quota imap_quota", "imap_quota"),
     {}, "fail", "protocol imap", "imap_quota quota"),
    ("imap-quota", BULLSEYE, str, {}, "ok", "", ""),
    ("imap-quota", BULLSEYE, replacing("quota imap_quota", "quota"),
     {}, "warn", "does not load", "mail_plugins = quota imap_quota"),
    ("imap-quota", BULLSEYE, WITHOUT_IMAP, {}, "warn", "", "imap"),
    ("imap-quota", ONE_FILE, WITHOUT_IMAP, {}, "ok", "", ""),
    ("imap-quota", BULLSEYE, replacing("mail_plugins = quota\n", "mail_plugins = quota imap_quota\n"),
     {}, "fail", "globally", "mail_plugins = quota\nprotocol imap {\n  mail_plugins = quota imap_quota"),
    ("imap-quota", TRIXIE, adding("mail_plugins {", "imap_quota = yes", "}"),
     {}, "fail", "globally", "  imap_quota = no"),
    ("imap-quota", BULLSEYE, adding("protocol lmtp {", "mail_plugins = quota imap_quota sieve", "}"),
     {}, "fail", "in protocol lmtp", "protocol lmtp {\n  mail_plugins = quota sieve\n}"),
    ("imap-quota", TRIXIE, adding("protocol lmtp {", "mail_plugins {", "imap_quota = yes", "}", "}"),
     {}, "fail", "in protocol lmtp", "    imap_quota = no"),
    ("imap-quota", TRIXIE, replacing("    imap_quota = yes", ""), {}, "warn", "does not load", "    imap_quota = yes"),
    ("imap-move", TRIXIE_MAILDIR, str,
     {}, "warn", "Dovecot 2.4.1 with quota driver maildir", 'quota "User quota" {\n  driver = count'),
    ("imap-move", TRIXIE_MAILDIR, str, {"release": (2, 4, 5)}, "ok", "does not have this fault", ""),
    ("imap-move", TRIXIE_MAILDIR, str, {"release": (2, 4, 0)}, "ok", "does not have this fault", ""),
    ("imap-move", TRIXIE, str, {}, "ok", "count", ""),
    ("imap-move", BULLSEYE, str, {}, "ok", "2.3.19", ""),
    ("maildirsize", BULLSEYE, str, {"maildirsizes": (MAILDIRSIZE,)}, "ok", "1 maildirsize", ""),
    ("maildirsize", BULLSEYE, str,
     {"maildirsizes": (ROOTS,)}, "fail", "has owner 0 and mode 0600",
     """(cd -P '/v/o'"'"'n' && test "$PWD" = '/v/o'"'"'n' && test ! -L ./maildirsize && rm -f ./maildirsize)"""),
    ("maildirsize", BULLSEYE, str, {"maildirsizes": (CLOSED,)}, "fail", "mode 0440", "rm -f ./m"),
    ("maildirsize", BOOKWORM, str, {}, "ok", "has left no", ""),
    ("maildirsize", BOOKWORM, str,
     {"maildirsizes": (MAILDIRSIZE,)}, "warn", "left from before", "find /var/vmail -name maildirsize -type f -delete"),
    ("maildirsize", BOOKWORM, adding("plugin {", "quota2 = maildir:Second", "}"),
     {"maildirsizes": (MAILDIRSIZE,)}, "skip", "not covered", ""),
    ("lmtp-username", TRIXIE, str, {}, "ok", "whole address", ""),
    ("lmtp-username", TRIXIE, replacing("_username_format = ", "_username_format = %{user | username | lower}"),
     {}, "fail", "drops the domain", "auth_username_format = %{user | lower}"),
    ("lmtp-username", BULLSEYE, adding("protocol lmtp {", "auth_username_format = %Ln", "}"),
     {}, "fail", "%Ln", "auth_username_format = %Lu"),
    ("lmtp-username", BULLSEYE, adding("protocol lmtp {", "auth_username_format = %Ln", "}"),
     {"with_domain": False}, "ok", "no account has a domain", ""),
    ("lmtp-username", TRIXIE, str, {"sample": ()}, "skip", "could not be asked", ""),
    ("lmtp-username", BULLSEYE, adding("auth_username_format = %Ln"), NOBODY_KNOWN,
     "fail", "%Ln drops the domain of all users", "auth_username_format = %Lu\n"),
    ("lmtp-username", BULLSEYE, adding("auth_username_format = %Ln"), {}, "ok", "whole address", ""),
    ("lmtp-username", BULLSEYE, str, NOBODY_KNOWN, "skip", "could not be asked", ""),
    ("memory-limit", BULLSEYE, str, {}, "ok", "no mailbox has an index", ""),
    ("memory-limit", BULLSEYE, str, {"largest_index": FileFacts(path="/v", size=5 << 20)}, "ok", "5 MiB", ""),
    ("memory-limit", BULLSEYE, str,
     {"largest_index": LARGE_INDEX}, "warn", "imap 256 MiB, lmtp 256 MiB, quota-status 256 MiB",
     "service quota-status {\n  vsz_limit = 768M"),
    ("memory-limit", BULLSEYE, adding("default_vsz_limit = 1 G"), {"largest_index": LARGE_INDEX}, "ok", "200 MiB", ""),
    ("memory-limit", BULLSEYE, adding("default_vsz_limit = 0"), {"largest_index": LARGE_INDEX}, "ok", "200 MiB", ""),
    ("memory-limit", BULLSEYE, adding("default_vsz_limit = 1G", "service imap {", "vsz_limit = 250 M", "}"),
     {"largest_index": LARGE_INDEX}, "warn", "(imap 250 MiB)", "service imap {"),
    ("trash-folder", BULLSEYE, str, {}, "ok", "Trash", ""),
    ("trash-folder", BULLSEYE, str,
     {"trash": ()}, "warn", "no mailbox",
     "namespace inbox {\n  inbox = yes\n  mailbox Trash {\n    special_use = \\Trash\n"),
    ("trash-folder", TRIXIE, str, {"trash": ()}, "warn", "no mailbox", 'special_use = "\\\\Trash"'),
    ("grace", BULLSEYE, str, {}, "ok", "10%", ""),
    ("grace", BULLSEYE, str,
     {"grace": "20%"}, "warn", "Dovecot allows 20% beyond the limit, mailquota 10%", 'grace = "20%"'),
    ("grace", BULLSEYE, str, {"grace": "many"}, "skip", "not covered: a grace of 'many'", ""),
    ("grace", TRIXIE, str, {}, "warn", "Dovecot allows 50M beyond the limit, mailquota 10%", "mailquota reload"),
    ("grace", BULLSEYE, without("quota"), {}, "skip", "keeps no quota", ""),
    ("quota-status-answers", BULLSEYE, str, {}, "ok", "leave the decision", ""),
    ("quota-status-answers", BULLSEYE, replacing("success = DUNNO", "success = OK"),
     {}, "fail", "quota_status_success is 'OK'", "plugin {\n  quota_status_success = DUNNO\n}"),
    ("quota-status-answers", BULLSEYE, without("quota_status_success"),
     {}, "fail", "quota_status_success is 'OK'", "DUNNO"),
    ("quota-status-answers", BULLSEYE, replacing("nouser = DUNNO", "nouser = permit"), {}, "fail", "'permit'", "DUNNO"),
    ("quota-status-answers", BULLSEYE, replacing("success = DUNNO", "success = 200"),
     {}, "fail", "quota_status_success is '200'", "DUNNO"),
    ("quota-status-answers", TRIXIE, without("quota_status_nouser"),
     {}, "warn", "'REJECT Unknown user'", "\nquota_status_nouser = DUNNO\n"),
    ("quota-status-answers", BULLSEYE, replacing("service quota-status", "service other"), {}, "ok", "leave", ""),
    ("quota-status-answers", BULLSEYE, replacing("quota-status -p", "other -p"),
     {}, "ok", "no quota-status service", ""),
    ("quota-status-codes", BULLSEYE, str, {}, "ok", "refuse with the reply codes", ""),
    ("quota-status-codes", BULLSEYE, replacing("452 4.2.2", "452 5.2.2"), {}, "warn", "452 and 5.x.x disagree", FULL),
    ("quota-status-codes", BULLSEYE, replacing("452 4.2.2", "552"), {}, "warn", "Postfix adds 5.7.1", FULL),
    ("quota-status-codes", BULLSEYE, replacing("452 4.2.2", "422 4.2.2"), {}, "warn", "422 is not a reply code", FULL),
    ("quota-status-codes", BULLSEYE, replacing(FULL, "452"), {}, "fail", "which permits", FULL),
    ("quota-status-codes", TRIXIE, replacing(FULL, "OK full"), {}, "fail", "which permits", FULL),
    ("quota-status-codes", BULLSEYE, replacing(FULL, "DEFER_IF_PERMIT full"), {}, "ok", "", ""),
    ("quota-status-codes", BULLSEYE, setting("quota_status_toolarge = 552 4.2.3 x"),
     {}, "warn", "quota_status_toolarge", "quota_status_toolarge"),
    ("quota-status-variables", TRIXIE, str, {}, "ok", "no variable", ""),
    ("quota-status-variables", TRIXIE, replacing(FULL, "452 4.2.2 %{user} %{error}"),
     {}, "fail", "%{user}", "quota_status_overquota = 452 4.2.2 %{error}"),
    ("quota-status-variables", BULLSEYE, replacing(FULL, "452 4.2.2 %{user}"), {}, "ok", "of Dovecot 2.4", ""),
    ("quota-message-count", TRIXIE, adding("quota_mailbox_message_count = 100"),
     {}, "fail", "is 100", "quota_mailbox_message_count = unlimited"),
    ("quota-message-count", TRIXIE, adding("quota_mailbox_message_count = unlimited"), {}, "ok", "not set", ""),
    ("quota-message-count", TRIXIE,
     both(replacing("quota-status -p", "x -p"), adding("quota_mailbox_message_count = 9")), {}, "ok", "no quota-status",
     ""),
    ("quota-mail-size", TRIXIE, str, {}, "ok", "not set", ""),
    ("quota-mail-size", TRIXIE, adding("quota_mail_size = 10M"), {}, "warn", "is 10M", "quota_mail_size = unlimited"),
    ("quota-mail-size", TRIXIE, adding("quota_mail_size = 0"), {}, "ok", "not set", ""),
    ("quota-mail-size", BULLSEYE, str, {}, "ok", "quota_max_mail_size is not set", ""),
    ("quota-mail-size", BULLSEYE, setting("quota_max_mail_size = 10M"), {}, "ok", "quota_max_mail_size is 10M", ""),
    ("quota-status-toolarge", TRIXIE, str, {}, "skip", "is not known", "quota_status_toolarge = 552 5.2.3"),
    ("quota-status-toolarge", TRIXIE, adding("quota_status_toolarge = 552 5.2.3 x"), {}, "ok", "is set", ""),
    ("quota-status-toolarge", TRIXIE, str, {"release": (2, 4, 5)}, "ok", "does not have this fault", ""),
    ("quota-status-toolarge", BULLSEYE, str, {}, "ok", "does not have this fault", ""),
    ("quota-status-aliases", BULLSEYE, str, {}, "skip", "is not known", ""),
    ("quota-bounces", BULLSEYE, str, {}, "ok", "bounces to its sender", ""),
    ("quota-bounces", BULLSEYE, adding("quota_full_tempfail = yes"), {}, "ok", "waits in Postfix's queue", ""),
    ("quota-bounces", BULLSEYE, adding("lmtp_rcpt_check_quota = yes"), {}, "ok", "before it accepts the mail", ""),
]
# fmt: on


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[4]}")
def test_a_state(case: StateCase) -> None:
    check, output, change, known, state, found, fix = case
    finding = say(check, facts(output, change, **known))
    assert finding.state == state, finding
    assert found in finding.found
    assert fix in finding.fix
    assert bool(finding.fix) == bool(fix)


@pytest.mark.parametrize("check", ["quota-status-answers", "quota-status-codes", "quota-message-count"])
def test_answers_that_nobody_asks_for_are_left_alone(check: str) -> None:
    broken = facts(
        TRIXIE, both(replacing("DUNNO", "OK"), replacing("452 4", "9 4"), adding("quota_mailbox_message_count = 9"))
    )
    assert say(check, broken).state == "fail" or check == "quota-status-codes"
    assert say(check, broken, asking("unix:private/quota-status")).state in {"fail", "warn", "ok"}
    assert say(check, broken, asking("unix:private/mailquota")).state == "ok"


@pytest.mark.parametrize(
    ("output", "service", "state"),
    [
        (TRIXIE, "unix:private/quota-status", "fail"),
        (TRIXIE, "{ unix:private/quota-status, timeout=10s }", "fail"),
        (TRIXIE, "unix:/var/spool/postfix/private/quota-status", "fail"),
        (TRIXIE_MAILDIR, "inet:127.0.0.1:12340", "fail"),
        (TRIXIE_MAILDIR, "inet:localhost:12340", "fail"),
        (TRIXIE, "inet:127.0.0.1:12340", "ok"),
        (TRIXIE, "unix:private/mailquota", "ok"),
    ],
)
def test_who_asks_quota_status(output: str, service: str, state: str) -> None:
    assert say("quota-status-toolarge", facts(output), asking(service)).state == state


def test_a_user_that_dovecot_does_not_know_may_be_an_alias() -> None:
    aliases = {"virtual_alias_maps": "mysql:/etc/postfix/x.cf"}
    found = say("quota-status-answers", facts(BULLSEYE, without("quota_status_nouser")), PostfixFacts(values=aliases))
    assert found.state == "fail"
    assert "and Postfix has virtual_alias_maps" in found.found


@pytest.mark.parametrize(
    ("service", "state"),
    [("unix:private/other", "warn"), ("unix:private/mailquota", "ok"), ("unix:private/quota-status", "ok")],
)
def test_where_nobody_is_asked_a_full_mailbox_bounces(service: str, state: str) -> None:
    found = say("quota-bounces", facts(BULLSEYE), asking(service))
    assert found.state == state
    assert ("quota_full_tempfail = yes\nEOF" in found.fix) == (state == "warn")


@pytest.mark.parametrize(("limit", "state"), [("10240000", "ok"), ("20480000", "warn"), ("0", "warn"), ("?", "warn")])
def test_postfix_may_refuse_large_mail_before(limit: str, state: str) -> None:
    known = PostfixFacts(fault="", values={"message_size_limit": limit})
    assert say("quota-mail-size", facts(TRIXIE, adding("quota_mail_size = 10M")), known).state == state


def test_what_a_restriction_class_asks_is_asked() -> None:
    ours = "check_policy_service unix:private/mailquota"
    values = {"queue_directory": "/var/spool/postfix", "smtpd_restriction_classes": "full", "full": ours}
    assert say("quota-bounces", facts(BULLSEYE), PostfixFacts(fault="", values=values)).state == "ok"


def test_an_option_of_master_cf_asks_too() -> None:
    restrictions = "check_policy_service unix:private/quota-status"
    smtpd = Smtpd(service="smtp/inet", chroot=True, overrides={"smtpd_recipient_restrictions": restrictions})
    asked = PostfixFacts(fault="", smtpds=(smtpd,))
    assert say("quota-status-toolarge", facts(TRIXIE), asked).state == "fail"
    assert "knows no aliases" in say("quota-status-aliases", facts(TRIXIE), asked).found
    assert "does not ask" in say("quota-status-aliases", facts(TRIXIE), asking("unix:private/mailquota")).found


def test_a_fix_names_the_file_that_dovecot_reads() -> None:
    broken = facts(BULLSEYE, without("quota_status_nouser"), config_file="/srv/my mail/dovecot.conf")
    fix = say("quota-status-answers", broken).fix
    assert fix.startswith("cat >> '/srv/my mail/dovecot.conf' <<'EOF'\n")
    assert fix.endswith("\nEOF\ndoveadm -c '/srv/my mail/dovecot.conf' reload")


def test_what_was_not_asked_is_not_judged() -> None:
    finding = say("quota-plugin", DovecotFacts())
    assert (finding.state, finding.found) == ("skip", "Dovecot's settings can't be read: not asked")
