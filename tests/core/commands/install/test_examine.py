"""What is found out about a machine: by folders made for it, and by what its programs say."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from mailquota.core.base.programs import ProgramResult
from mailquota.core.commands.install.examine import Invocation, can_read, examine
from mailquota.core.commands.install.machine import Machine
from mailquota.core.commands.install.model import Host, Owner, PostfixState, Units
from tests.core.commands.install.hosts import MAILSTORE, SETTINGS, config
from tests.mailserver.fixture import temporary_folder

NOBODY, NOGROUP = pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("nobody").pw_gid

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")


@pytest.fixture
def root() -> Iterator[Path]:
    """A machine with a mail folder that belongs to a user with a name."""
    with temporary_folder() as folder:
        (folder / "vmail").mkdir()
        os.chown(folder / "vmail", NOBODY, NOGROUP)
        yield folder


def look(
    root: Path, said: dict[str, ProgramResult] | None = None, passwords: dict[str, str] | None = None, user: str = ""
) -> Host:
    def run(argv: Sequence[str]) -> ProgramResult:
        return (said or {}).get(" ".join(argv), ProgramResult(fault=f"{argv[0]} is not installed"))

    invocation = Invocation(("/usr/bin/mailquota",), (), SETTINGS, user, passwords or {}, answering=False)
    return examine(config(mailstore=MAILSTORE), Machine(root, run), invocation)


def test_the_owner_of_the_mail_folder_is_who_it_runs_as(root: Path) -> None:
    """The owner has to have a name, or systemd would not start the service."""
    assert look(root).owner == Owner("nobody", "nogroup")
    for uid, gid in ((54321, NOGROUP), (NOBODY, 54321)):
        os.chown(root / "vmail", uid, gid)
        assert look(root).owner is None
        assert f"belong to {uid}:{gid}" in look(root).owner_fault


def test_root_and_nobody_at_all_are_no_owners(root: Path) -> None:
    os.chown(root / "vmail", 0, 0)
    assert look(root).owner is None
    assert "is root's" in look(root).owner_fault
    assert look(root, user="nobody").owner == Owner("nobody", "nogroup")
    assert "no user jo" in look(root, user="jo").owner_fault
    (root / "vmail").rmdir()
    assert "/vmail can't be looked at: No such file" in look(root).owner_fault


def test_who_was_named_once_need_not_be_named_again(root: Path) -> None:
    """The unit says who it was; the owner of the mailboxes comes first."""
    unit = root / "etc/systemd/system/mailquota.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\nUser=daemon\nGroup=x\n")
    assert look(root).owner == Owner("nobody", "nogroup")
    os.chown(root / "vmail", 0, 0)
    assert look(root).owner == Owner("daemon", "daemon")


def test_password_files_that_only_root_reads_become_credentials(root: Path) -> None:
    (root / "open").write_text("x")
    (root / "closed").write_text("x")
    (root / "closed").chmod(0o640)
    passwords = {"password": "/closed", "write_password": "/open", "state_password": "/missing"}
    assert look(root, passwords=passwords).credentials == {"password": "/closed"}


def test_a_way_that_is_closed_closes_what_is_behind_it(root: Path) -> None:
    inside = root / "private" / "file"
    inside.parent.mkdir(mode=0o700)
    inside.write_text("x")
    assert not can_read(inside, NOBODY, {NOBODY})
    inside.parent.chmod(0o711)
    assert can_read(inside, NOBODY, {NOBODY})
    os.chown(inside, 0, 12345)
    inside.chmod(0o640)
    assert can_read(inside, NOBODY, {12345})
    assert not can_read(inside, NOBODY, {NOBODY})
    os.chown(inside, NOBODY, 0)
    inside.chmod(0o044)  # an owner without rights gets none by being others
    assert not can_read(inside, NOBODY, {NOBODY})


def test_a_settings_folder_that_is_closed_is_told(root: Path) -> None:
    (root / "etc/mailquota").mkdir(mode=0o700, parents=True)
    assert "chmod o+rx /etc/mailquota" in look(root).unreachable


@pytest.mark.parametrize(("path", "file"), [("/var/log/dovecot.log", True), ("syslog", False), ("/dev/stderr", False)])
def test_a_log_file_of_dovecots_is_found(root: Path, path: str, file: bool) -> None:
    assert look(root, {"doveconf -h log_path": ProgramResult(f"{path}\n", code=0)}).dovecot_log == (
        path if file else ""
    )


def test_settings_of_dovecots_that_the_mail_user_can_not_read(root: Path) -> None:
    """As those of Debian 13 with the password of the database in them: no tool of Dovecot's runs then."""
    refused = ProgramResult(fault="doveconf ended with 89: Permission denied", code=89)
    as_user = f"setpriv --reuid={NOBODY} --regid={NOGROUP} --clear-groups doveconf -n"
    assert look(root, {"doveconf -n": ProgramResult(code=0), as_user: ProgramResult(code=0)}).dovecot_closed == ""
    assert look(root, {"doveconf -n": ProgramResult(code=0), as_user: refused}).dovecot_closed == refused.fault
    assert look(root).dovecot_closed == ""  # no Dovecot here


def test_what_runs_mailquota_and_what_lies_beside_its_settings(root: Path) -> None:
    """Of Dovecot's services those whose script it is."""
    ours = "service quota-warning {\n  executable = script /usr/local/bin/mailquota warn\n}\n"
    other = "service other {\n  executable = script /usr/local/bin/mailquota-hook\n}\n"
    folder = root / "etc/mailquota"
    folder.mkdir(parents=True)
    for name in ("mailquota.toml", "installed.json", "password"):
        (folder / name).write_text("{}")
    (root / "etc/cron.d").mkdir()
    (root / "etc/cron.d/mailquota").write_text("")
    found = look(root, {"doveconf -n": ProgramResult(f"# 2.3.19\n{ours}{other}", code=0)})
    assert found.dovecot_runs == ("quota-warning",)
    assert (found.starters, found.others) == (("/etc/cron.d/mailquota",), ("/etc/mailquota/password",))


def test_what_systemd_and_postfix_say(root: Path) -> None:
    assert not look(root).systemd
    assert look(root).postfix == PostfixState(fault="postconf is not installed")
    (root / "run/systemd/system").mkdir(parents=True)
    show = "systemctl show mailquota.socket mailquota.service --property=UnitFileState,ActiveState,NeedDaemonReload"
    state = "ActiveState=active\nUnitFileState=enabled\nNeedDaemonReload=no\n"
    said = {
        "postconf -h queue_directory": ProgramResult("/srv/postfix\n", code=0),
        "postconf -n": ProgramResult(
            "smtpd_recipient_restrictions = a, b\nmynetworks = c\nd = check_policy_service e\n", code=0
        ),
        "postconf -P": ProgramResult("smtp/inet/f = check_policy_service g\nsmtp/inet/h = i\n", code=0),
        show: ProgramResult(f"{state}\n{state}", code=0),
    }
    found = look(root, said)
    elsewhere = {"d": "check_policy_service e", "smtp/inet/f": "check_policy_service g"}
    assert found.postfix == PostfixState("a, b", "/srv/postfix", "", elsewhere)
    assert found.units == Units(enabled=True, active=True)
    halves = {**said, show: ProgramResult(f"{state}\n{state.replace('=active', '=failed')}", code=0)}
    assert look(root, halves).units == Units(enabled=True, active=False)
