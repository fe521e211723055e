"""What is asked of Dovecot, what is kept of the answers, and how faults are kept."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
import pytest

from mailquota.core.base.programs import ProgramResult
from mailquota.core.doctor.dovecot.checks import DOVECOT_CHECKS
from mailquota.core.doctor.dovecot.facts import AccountFacts, DovecotFacts, UserQueries
from mailquota.core.doctor.dovecot.probe import gather
from mailquota.core.doctor.dovecot.probe_accounts import SAMPLE, choose, maildir_of
from mailquota.core.doctor.examine import judge
from mailquota.core.doctor.model import Facts
from tests.core.doctor.dovecot.dovecots import (
    BOOKWORM,
    BULLSEYE,
    JOHN,
    ONE_FILE,
    TRIXIE,
    TRIXIE_MAILDIR,
    Outside,
    data,
    facts,
    healthy,
    our_settings,
    say,
)

BAD_LIMIT = data("dovecot-2.3/quota-get-u.bad-limit.json.stderr")
STATISTICS = "Error: net_connect_unix(/run/dovecot/stats-writer) failed: Permission denied\n"  # as the mail user
HEALTHY = [(BULLSEYE, "10%"), (BOOKWORM, "10%"), (ONE_FILE, "10%"), (TRIXIE, "50M"), (TRIXIE_MAILDIR, "10M")]


@pytest.mark.parametrize(("name", "grace"), HEALTHY)
def test_a_healthy_server_is_left_alone(name: str, grace: str) -> None:
    """Whether Postfix asks quota-status is not known. The fault of MOVE is true of 2.4.1 with driver maildir, and so is
    that the guides' script warns beside mailquota."""
    known = Facts(config=our_settings(grace), dovecot=healthy(name).gather({JOHN: 100000}))
    states = {finding.check: finding.state for finding in judge(known, DOVECOT_CHECKS)}
    skipped = {"quota-status-aliases"} | ({"quota-status-toolarge"} if "2.4" in name else set())
    assert {check for check, state in states.items() if state == "skip"} == skipped
    bad = {check for check, state in states.items() if state in {"fail", "warn"}}
    assert bad == {"imap-move" if name == TRIXIE_MAILDIR else "quota-warning-twice"}


def test_what_is_found_of_a_user(tmp_path: Path) -> None:
    found = facts(BULLSEYE)
    fields = {"uid": "5000", "gid": "5000", "home": "/var/vmail/example.org/john", "mail": "maildir:~/Maildir"}
    fields["quota_rule"] = "*:bytes=100000"
    assert found.sample == (
        AccountFacts(
            address=JOHN,
            expected=100000,
            fields=fields,
            enforced=98,
            maildir="/var/vmail/example.org/john/Maildir",
            ours="/var/vmail/example.org/john/Maildir",
        ),
    )
    assert (found.release, found.config_file) == ((2, 3, 19), "/etc/dovecot/dovecot.conf")
    assert (found.users, found.listed, found.accounts) == (("sql",), 1, 1)
    assert found.mail_owner == found.mail_group == ("5000", "vmail")


def test_queries_are_read_and_nothing_else_of_their_file() -> None:
    found = facts(BULLSEYE)
    assert found.query.user.startswith("SELECT email AS user,    concat('*:bytes=', quota) AS quota_rule,")
    assert found.query.iterate == "SELECT email AS user FROM virtual_users"
    assert b"geheim" not in msgspec.json.encode(found)


def test_queries_of_dovecot_24_are_in_its_settings() -> None:
    query = facts(TRIXIE).query
    assert (query.file, query.block) == ("/etc/dovecot/dovecot.conf", "sql")
    assert "concat(quota, 'B')" in query.user
    assert query.iterate == "SELECT email as user FROM virtual_users"


def test_secrets_that_doveconf_prints_are_not_kept() -> None:
    secrets = "plugin {\n  url = https://u:geheim@x\n}\ndoveadm_api_key = geheim\nmysql x {\n  password = geheim\n}\n"
    found = facts(BULLSEYE, lambda text: f"{text}{secrets}passdb {{\n  args = pass=geheim\n}}\n")
    assert b"geheim" not in msgspec.json.encode(found)
    assert found.conf.values["mail_plugins"] == "quota"


def test_passwords_are_not_asked_for() -> None:
    """``doveconf -P`` is not called."""
    server = healthy(TRIXIE)
    server.gather({JOHN: 100000})
    assert [words for words in server.asked if "doveconf" in words] == ["doveconf -n"]


def test_fields_that_are_not_about_quota_lose_their_values() -> None:
    server = healthy(BULLSEYE)
    rows = '[{"field":"uid","value":"5000"},{"field":"pass","value":"geheim"},{"field":"quota","value":"5"},{"x":1},7]'
    server.answers[f"user {JOHN}"] = ProgramResult(rows, code=0)
    (account,) = server.gather({JOHN: 100000}).sample
    assert account.fields == {"uid": "5000", "pass": "", "quota": "5"}


def test_the_enforced_limit_is_not_asked_where_that_would_make_a_mailbox() -> None:
    server = healthy(BULLSEYE)
    server.modes.clear()
    (account,) = server.gather({JOHN: 100000}).sample
    assert account.enforced is None
    assert not [words for words in server.asked if "quota get" in words]


@pytest.mark.parametrize(
    ("answer", "enforced", "fault"),
    [
        (ProgramResult(data("dovecot-2.3/quota-get-u.unlimited.json"), code=0), 0, ""),
        (ProgramResult("[]", code=0), 0, ""),
        (ProgramResult("garbage", code=0), 0, ""),
        (ProgramResult('[{"type":"STORAGE","limit":"error"}]', code=0), None, ""),
        (
            ProgramResult("[]", BAD_LIMIT, 75, "doveadm ended with 75"),
            None,
            BAD_LIMIT.strip().partition(": Error: ")[2],
        ),
        (ProgramResult("[]", f"{BAD_LIMIT}{STATISTICS}", 0), None, BAD_LIMIT.strip().partition(": Error: ")[2]),
        (ProgramResult(data("dovecot-2.3/quota-get-u.unlimited.json"), STATISTICS, 0), 0, ""),
        (ProgramResult(fault="doveadm took longer than 5 s"), None, "doveadm took longer than 5 s"),
    ],
)
def test_what_quota_get_may_say(answer: ProgramResult, enforced: int | None, fault: str) -> None:
    server = healthy(BULLSEYE)
    server.answers[f"quota get -u {JOHN}"] = answer
    (account,) = server.gather({JOHN: 100000}).sample
    assert (account.enforced, account.fault) == (enforced, fault)


def test_a_doveadm_that_hangs_is_waited_for_once() -> None:
    server = healthy(BULLSEYE)
    server.answers[f"quota get -u {JOHN}"] = ProgramResult(fault="doveadm took longer than 5 s")
    server.answers["user jane@example.org"] = server.answers[f"user {JOHN}"]
    server.modes["/var/vmail/example.org/jane/Maildir"] = 0o40700
    found = server.gather({JOHN: 5, "jane@example.org": 6})
    assert [account.fault for account in found.sample] == ["doveadm took longer than 5 s", ""]
    assert len([words for words in server.asked if "quota get" in words]) == 1


def test_a_user_that_dovecot_does_not_know() -> None:
    server = healthy(BULLSEYE)
    server.answers[f"user {JOHN}"] = ProgramResult("[]", "", 67, "doveadm ended with 67")
    assert server.gather({JOHN: 100000}).sample == (AccountFacts(address=JOHN, expected=100000, unknown=True),)


NO_RIGHT = "doveconf: Fatal: open(/etc/dovecot/dovecot.conf) failed: Permission denied"
NO_INCLUDE = "Couldn't open include file /etc/dovecot/conf.d/x.conf: Permission denied"
BAD_GRACE = data("dovecot-2.4/doveconf-n.bad-grace.txt.stderr")
OLD_PLUGIN = data("dovecot-2.4/doveconf-n.23-plugin-block.txt.stderr")
NOTHING = "doveconf prints no settings of Dovecot"


def failed(err: str) -> ProgramResult:
    """As ``outside.run`` puts it."""
    return ProgramResult(
        data("dovecot-2.4/doveconf-n.bad-grace.txt"), err, 89, f"doveconf ended with 89: {err.strip()}"
    )


@pytest.mark.parametrize(
    ("said", "fault", "refused"),
    [
        (ProgramResult(fault="doveconf is not installed"), "doveconf is not installed", False),
        (ProgramResult(fault="doveconf took longer than 5 s"), "doveconf took longer than 5 s", False),
        (ProgramResult("garbage\n{{{\n", code=0), NOTHING, False),
        (ProgramResult("", code=0), NOTHING, False),
        (failed(NO_RIGHT), NO_RIGHT, False),
        (failed(NO_INCLUDE), NO_INCLUDE, False),
        (failed(BAD_GRACE), BAD_GRACE.strip(), True),
        (failed(OLD_PLUGIN), "Unknown section name: plugin", True),
    ],
)
def test_a_doveconf_that_gives_no_settings(said: ProgramResult, fault: str, refused: bool) -> None:
    """Nothing else is asked, and nothing can be judged."""
    server = Outside(said)
    found = server.gather({JOHN: 1})
    assert found.refused == refused
    assert fault in found.fault
    assert server.asked == ["doveconf -n"]
    findings = judge(Facts(config=our_settings(), dovecot=found), DOVECOT_CHECKS)
    assert {one.state for one in findings if one.check != "dovecot-settings"} == {"skip"}
    assert all(fault in one.found for one in findings)


@pytest.mark.parametrize(
    "more", ["", "\nuserdb lookup: Internal error occurred. Refer to server log.\n"], ids=["2.3", "2.4"]
)
def test_a_dovecot_that_does_not_answer(more: str) -> None:
    """2.4 has a last line that says less."""
    server = healthy(BULLSEYE)
    err = data("dovecot-2.3/user.server-down.txt.stderr") + more
    server.answers[f"user {JOHN}"] = ProgramResult("[]", err, 75, "doveadm ended with 75")
    found = server.gather({JOHN: 100000, "jane@example.org": None})
    assert found.server_fault.endswith("Connection refused")
    assert len([words for words in server.asked if "doveadm" in words]) == 1
    assert found.sample == ()


def test_a_dovecot_24_that_does_not_answer() -> None:
    """Its last line only says that there is a log."""
    server = healthy(TRIXIE)
    err = f"{data('dovecot-2.3/user.server-down.txt.stderr')}\nuserdb lookup: Internal error occurred.\n"
    server.answers[f"user {JOHN}"] = ProgramResult("[]", err, 75, "doveadm ended with 75")
    assert server.gather({JOHN: 100000}).server_fault.endswith("Connection refused")


def test_a_listing_that_fails() -> None:
    server = healthy(BULLSEYE)
    server.answers["user *"] = ProgramResult(
        "", "doveadm: Error: User listing returned failure\n", 75, "doveadm ended with 75"
    )
    found = server.gather({JOHN: 100000})
    assert (found.listed, found.listing_fault) == (None, "User listing returned failure")
    server.answers["user *"] = ProgramResult(f"{JOHN}\n", STATISTICS, 0)
    found = server.gather({JOHN: 100000})
    assert (found.listed, found.listing_fault) == (1, "")


def test_a_listing_that_this_user_may_not_have() -> None:
    """What it fails of stands above what failed."""
    server = healthy(BULLSEYE)
    err = "Error: net_connect_unix(/run/dovecot/auth) failed: Permission denied\nFatal: user listing failed\n"
    server.answers["user *"] = ProgramResult("", err, 75, "doveadm ended with 75")
    assert "Permission denied" in server.gather({JOHN: 100000}).listing_fault


def test_an_sql_file_that_may_not_be_read() -> None:
    server = healthy(BULLSEYE)
    del server.files["/etc/dovecot/dovecot-sql.conf.ext"]
    query = server.gather({JOHN: 100000}).query
    assert query == UserQueries(
        file="/etc/dovecot/dovecot-sql.conf.ext",
        fault="/etc/dovecot/dovecot-sql.conf.ext can't be read: Permission denied",
    )


def test_scripts_keep_what_delivers() -> None:
    (script,) = facts(BULLSEYE).scripts
    assert (script.service, script.path, script.mode) == ("quota-warning", "/usr/local/bin/quota-warning.sh", 0o755)
    assert len(script.lines) == 1
    assert "noenforcing" in script.lines[0]


@pytest.mark.parametrize(
    ("first", "missing"),
    [
        ("#!/bin/sh -e", ""),
        ("#! /bin/sh", ""),
        ("echo", ""),
        ("#!/bin/sh\r", "/bin/sh\r"),
        ("#!/bin/bashh", "/bin/bashh"),
    ],
)
def test_an_interpreter_that_is_not_there(first: str, missing: str) -> None:
    server = healthy(BULLSEYE)
    server.files["/usr/local/bin/quota-warning.sh"] = f"{first}\nexit\n"
    assert server.gather().scripts[0].interpreter == missing


def test_a_script_that_is_not_there() -> None:
    server = healthy(BULLSEYE)
    del server.modes["/usr/local/bin/quota-warning.sh"]
    (script,) = server.gather().scripts
    assert script.fault == "/usr/local/bin/quota-warning.sh: No such file or directory"


def test_paths_are_below_the_folder_of_a_chroot() -> None:
    server = healthy(TRIXIE)
    server.files = {f"/srv/trixie{path}": text for path, text in server.files.items()}
    server.modes = {f"/srv/trixie{path}": mode for path, mode in server.modes.items()}
    found = server.gather(config=our_settings(doveadm="chroot /srv/trixie /usr/bin/doveadm -c /etc/d.conf"))
    assert server.asked[0] == "chroot /srv/trixie /usr/bin/doveconf -c /etc/d.conf -n"
    assert [(one.path, one.fault) for one in found.scripts] == [("/usr/local/bin/ispmail-quota-warning.sh", "")]


def test_files_of_mailboxes() -> None:
    """The largest INBOX is that with the longest list of messages, whatever else is in it."""
    server = healthy(BULLSEYE)
    john, jane = (f"/var/vmail/example.org/{name}/Maildir" for name in ("john", "jane"))
    for path, size in (
        (f"{john}/maildirsize", 10), (f"{john}/dovecot-uidlist", 100), (f"{john}/dovecot.index", 5),
        (f"{jane}/dovecot-uidlist", 99), (f"{jane}/dovecot.index.cache", 5000),
    ):  # fmt: skip
        server.modes[path], server.files[path] = 0o100600, "x" * size
    server.uids[f"{john}/maildirsize"] = 0
    found = server.gather({JOHN: 100000, "jane@example.org": None, "../x@y": 1, "a/b@example.org": 1})
    (file,) = found.maildirsizes
    assert (file.path, file.uid, file.owner, file.mode) == (f"{john}/maildirsize", 0, 5000, 0o600)
    assert found.largest_index is not None
    assert (found.largest_index.path, found.largest_index.size) == (john, 105)


NO_USER = ProgramResult("", "userdb lookup: user doesn't exist", 67, "doveadm ended with 67")


def test_dovecot_is_asked_about_odd_names() -> None:
    """Its answer counts, whatever its settings seem to say."""
    server = healthy(BULLSEYE)
    server.answers |= {
        "user o'neil@x.org": NO_USER, "user a+b@x.org": ProgramResult("uid 5000", code=0), f"user {JOHN}": NO_USER,
    }  # fmt: skip
    names = server.gather({"o'neil@x.org": 1, "a+b@x.org": 1, JOHN: 1}).names
    assert (names.count, names.asked) == (2, ("a+b@x.org", "o'neil@x.org"))
    assert names.unknown == ("o'neil@x.org",)
    assert names.refused == ("a+b@x.org", "o'neil@x.org")


def test_a_name_that_settings_allow_and_dovecot_does_not_look_up() -> None:
    server = healthy(BULLSEYE)
    server.doveconf = ProgramResult(server.doveconf.out + "auth_username_chars = \n", code=0)
    server.answers |= {"user o'neil@x.org": NO_USER, "user jöhn@x.org": ProgramResult("uid 5000", code=0)}
    found = server.gather({"o'neil@x.org": 1, "jöhn@x.org": 1})
    assert (found.names.refused, found.names.unknown) == ((), ("o'neil@x.org",))
    assert say("username-characters", found).state == "fail"
    server.answers["user o'neil@x.org"] = ProgramResult("uid 5000", code=0)
    told = say("username-characters", server.gather({"o'neil@x.org": 1, "jöhn@x.org": 1}))
    assert (told.state, told.found) == (
        "ok",
        "asked Dovecot about 2 of 2 accounts with unusual names: it looks them up",
    )


def test_a_dovecot_that_hangs_is_not_asked_about_names() -> None:
    """Its settings are judged, and that nobody was asked is told."""
    server = healthy(BULLSEYE)
    server.answers = {}
    found = server.gather({"o'neil@x.org": 1, JOHN: 1})
    assert found.names.asked == ()
    told = say("username-characters", found)
    assert (told.state, "(asked Dovecot about 0 of 1 accounts" in told.found) == ("fail", True)


def test_of_many_odd_names_some_are_asked_about() -> None:
    server = healthy(BULLSEYE)
    accounts: dict[str, int | None] = {f"o'{number}@x.org": 1 for number in range(1000)}
    server.answers |= {f"user {address}": NO_USER for address in accounts} | {f"user {JOHN}": NO_USER}
    names = server.gather(accounts).names
    assert (names.count, len(names.asked), len(names.refused)) == (1000, 10, 1000)


def test_where_dovecot_has_a_mailbox(tmp_path: Path) -> None:
    """2.3 gives ``mail`` with the home beside it, 2.4 a path; other formats and variables are no Maildir's path."""
    home = {"home": "/h/j"}
    assert maildir_of({"mail": "maildir:~/Maildir:LAYOUT=fs", **home}) == "/h/j/Maildir"
    assert maildir_of({"mail": "maildir:~", **home}) == "/h/j"
    assert maildir_of({"mail": "maildir:/v//m/", **home}) == "/v/m"
    assert maildir_of({"mail_path": "/v/m", "mail_driver": "maildir"}) == "/v/m"
    for fields in (
        {"mail": "mbox:~/mail", **home}, {"mail": "maildir:~/Maildir"}, {"mail": "maildir:/v/%d/m"}, {},
        {"mail_path": "/v/m", "mail_driver": "sdbox"}, {"mail": "maildir"},
    ):  # fmt: skip
        assert maildir_of(fields) == ""


def test_a_mailbox_elsewhere(tmp_path: Path) -> None:
    """A symbolic link on the way is no difference."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    server = healthy(BULLSEYE)
    rows = [{"field": "mail", "value": f"maildir:{tmp_path}/real/john"}]
    server.answers[f"user {JOHN}"] = ProgramResult(json.dumps(rows), code=0)
    for path, elsewhere in (("link/{user}", False), ("{user}", True), ("real/{user}/Maildir", True)):
        known = our_settings()
        mailstore = msgspec.structs.replace(known.settings.mailstore, path=f"{tmp_path}/{path}")
        known = msgspec.structs.replace(known, settings=msgspec.structs.replace(known.settings, mailstore=mailstore))
        (account,) = server.gather({JOHN: 100000}, known).sample
        assert account.elsewhere == elsewhere, path


def test_the_sample_has_the_extremes_and_is_always_the_same() -> None:
    accounts: dict[str, int | None] = {f"u{number:05}@x": 1000 + number for number in range(10_000)}
    accounts |= {"u05000@x": 7, "u03333@x": 10**12, "u07777@x": None}
    chosen = choose(accounts)
    assert chosen[:3] == ["u05000@x", "u03333@x", "u07777@x"]
    assert len(chosen) == len(set(chosen)) == SAMPLE
    assert chosen == choose(dict(reversed(accounts.items())))
    assert choose({}) == []
    assert choose({JOHN: None}) == [JOHN]


def test_a_remote_user_database_is_not_listed() -> None:
    server = healthy(BULLSEYE)
    server.doveconf = ProgramResult(server.doveconf.out.replace("driver = sql", "driver = ldap"), code=0)
    assert server.gather({JOHN: 1}).listed is None
    assert "doveadm user *" not in server.asked


def test_nothing_raises_without_any_dovecot(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real way to ask, on a machine that has none."""
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    found = gather(our_settings(), {JOHN: 1})
    assert found == DovecotFacts(fault="doveconf is not installed")
    assert say("dovecot-settings", found).state == "skip"


def test_a_stat_that_fails_for_want_of_rights() -> None:
    server = healthy(BULLSEYE)

    def closed(path: str) -> os.stat_result:
        raise PermissionError(13, "Permission denied", path)

    found = gather(our_settings(), {JOHN: 1}, server.run, server.read, closed)
    assert (found.maildirsizes, found.largest_index) == ((), None)
    assert found.scripts[0].fault == "/usr/local/bin/quota-warning.sh: Permission denied"
    assert say("quota-warning-script", found).state == "skip"
