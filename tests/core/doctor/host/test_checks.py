"""Disks, clock and mailboxes: every state of their checks."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mailquota.core.base.guarded import all_to, line
from mailquota.core.doctor.dovecot.facts import AccountFacts, DovecotFacts
from mailquota.core.doctor.host.checks import HOST_CHECKS
from mailquota.core.doctor.host.facts import (
    DiskFacts,
    EngineFacts,
    HostFacts,
    LimitFacts,
    LostFacts,
    MaildirFacts,
    StateFacts,
)
from mailquota.core.doctor.model import Outcome
from mailquota.core.doctor.paths import PathFacts, UserFacts
from tests.core.doctor.healthy import GIB, MAILDIR, config, facts, folder, host, outcome

CHECKS = {check.name for check in HOST_CHECKS}


def said(check: str, **changes: Any) -> Outcome:
    return outcome(check, facts(host=host(**changes)))


def test_a_healthy_host_gets_no_alarm() -> None:
    assert {name: outcome(name, facts()).found for name in CHECKS if outcome(name, facts()).state != "ok"} == {}


def test_a_host_that_nobody_looked_at_is_not_judged() -> None:
    empty = {name: outcome(name, facts(host=HostFacts())).state for name in CHECKS}
    assert {name for name, state in empty.items() if state in {"warn", "fail"}} == set()
    for name in ("disk-space", "disk-inodes", "disk-promised", "clock", "mailstore", "engine", "state-database"):
        assert empty[name] == "skip"


# ---- disks


@pytest.mark.parametrize(
    ("used", "state"), [(50, "ok"), (89, "ok"), (90, "warn"), (96, "warn"), (97, "fail"), (100, "fail")]
)
def test_space(used: int, state: str) -> None:
    found = said("disk-space", disks=(DiskFacts("/var/vmail", 100 * GIB, (100 - used) * GIB, 10, 5),))
    assert found.state == state
    assert ("du -xh --max-depth=2 /var/vmail" in found.fix) == (state != "ok")
    found = said("disk-inodes", disks=(DiskFacts("/var/vmail", 100, 50, 100, 100 - used),))
    assert found.state == state
    assert ("du -xh --inodes --max-depth=2 /var/vmail" in found.fix) == (state != "ok")


def test_the_fullest_disk_counts() -> None:
    disks = (DiskFacts("/a", 100, 50), DiskFacts("/b", 100, 8), DiskFacts("/c", 100, 1))
    found = said("disk-space", disks=disks)
    assert found.state == "fail"
    assert found.found.index("/c is 99 % full") < found.found.index("/b is 92 % full")


def test_a_disk_without_a_number_of_inodes_is_never_out_of_them() -> None:
    assert said("disk-inodes", disks=(DiskFacts("/btrfs", 100, 50, 0, 0),)).state == "ok"


def test_a_disk_that_can_not_be_looked_at() -> None:
    closed = (DiskFacts("/var/vmail", fault="/var/vmail: Permission denied"),)
    for check in ("disk-space", "disk-inodes"):
        assert said(check, disks=closed).state == "skip"
    assert said("disk-promised", disks=closed).state == "skip"


@pytest.mark.parametrize(
    ("limits", "free", "state", "words"),
    [
        (
            LimitFacts(10, 0, 50 * GIB, 5 * GIB),
            10,
            "ok",
            "add up to 50 GiB on a file system of 100 GiB; used are 5 GiB",
        ),
        (LimitFacts(10, 0, 500 * GIB, None), 50, "ok", "add up to 500 GiB"),
        (LimitFacts(10, 0, 500 * GIB, 80 * GIB), 20, "warn", "80 % full"),
        (LimitFacts(10, 2, GIB, 80 * GIB), 15, "warn", "accounts without a limit: 2"),
        (LimitFacts(), 50, "skip", "not known"),
    ],
)
def test_promised(limits: LimitFacts, free: int, state: str, words: str) -> None:
    """More than there is is common, and matters only while the disk fills."""
    found = said("disk-promised", limits=limits, disks=(DiskFacts("/var/vmail", 100 * GIB, free * GIB),))
    assert found.state == state
    assert words in found.found


# ---- the clock


@pytest.mark.parametrize(
    ("now", "newest", "state"),
    [
        (1_800_000_000.0, None, "ok"),
        (1_800_000_000.0, 1_800_000_060.0, "ok"),
        (1_800_000_000.0, 1_800_000_300.0, "warn"),
        (86_400.0, None, "fail"),
        (4_200_000_000.0, None, "fail"),
    ],
)
def test_clock(now: float, newest: float | None, state: str) -> None:
    found = said("clock", now=now, state=StateFacts(known=True, newest=newest))
    assert found.state == state
    assert found.fix == ("" if state == "ok" else "timedatectl set-ntp true")


@pytest.mark.parametrize(("synchronized", "words"), [(True, "kept by NTP"), (False, "in a container"), (None, "UTC")])
def test_how_the_clock_is_kept_is_told(synchronized: bool | None, words: str) -> None:
    found = said("clock", clock_synchronized=synchronized)
    assert (found.state, words in found.found) == ("ok", True)


# ---- mailboxes


@pytest.mark.parametrize(
    ("store", "state"),
    [
        (folder("/var/vmail"), "ok"),
        (PathFacts("/var/vmail"), "fail"),
        (PathFacts("/var/vmail", "file"), "fail"),
        (PathFacts("/var/vmail", "closed", fault="/var/vmail: Permission denied"), "skip"),
    ],
)
def test_mailstore(store: PathFacts, state: str) -> None:
    assert said("mailstore", mailstore=store).state == state


def test_where_dovecot_is_asked_nobody_needs_the_place_of_mailboxes() -> None:
    nowhere = host(mailstore=PathFacts("/var/vmail"), limits=LimitFacts(1, 0, GIB, 5000))
    asking = config(mailstore={"driver": "doveadm"})
    assert outcome("mailstore", facts(host=nowhere, config_=asking)).state == "ok"


def asked(*, elsewhere: tuple[bool, ...], accounts: int = 1000) -> DovecotFacts:
    """Dovecot said where some mailboxes are."""
    sample = tuple(
        AccountFacts(
            address=f"u{number}@example.org",
            expected=None,
            maildir=f"/mail/u{number}",
            ours=f"/var/vmail/example.org/u{number}/Maildir",
            elsewhere=one,
        )
        for number, one in enumerate(elsewhere)
    )
    return DovecotFacts(fault="", server_fault="", release=(2, 3, 19), accounts=accounts, sample=sample)


def test_dovecot_says_where_mailboxes_are() -> None:
    """Whatever is found at the path of mailquota's settings, or is not."""
    for store in (folder("/var/vmail"), PathFacts("/var/vmail")):
        known = msgspec.structs.replace(facts(host=host(mailstore=store)), dovecot=asked(elsewhere=(False, True) * 4))
        told = outcome("mailstore", known)
        assert told.state == "fail"
        assert told.found.startswith("asked Dovecot about 8 of 1,000 accounts, 4 have their mailbox elsewhere: u1@")
        assert "in '/mail/u1', mailquota looks in '/var/vmail/example.org/u1/Maildir'" in told.found
        assert told.found.endswith("; and 1 more")
        assert "doveadm user -f home ADDRESS" in told.fix
    same = msgspec.structs.replace(facts(), dovecot=asked(elsewhere=(False,) * 12))
    assert outcome("mailstore", same).found == (
        "asked Dovecot about 12 of 1,000 accounts: their mailboxes are where mailstore.path says"
    )


@pytest.mark.parametrize(("used", "state"), [(0, "skip"), (None, "skip"), (5 * GIB, "fail")])
def test_mailboxes_are_elsewhere(used: int | None, state: str) -> None:
    """Where Dovecot can't be asked and no mailbox is found, nothing confirms the path."""
    nowhere = (MaildirFacts("john@example.org", PathFacts("/var/vmail/example.org/john/Maildir")),)
    assert said("mailstore", maildirs=nowhere, limits=LimitFacts(1, 0, GIB, used)).state == state


LOST = LostFacts("the mailstore /var/vmail is not mounted: /dev/sdb1 was there", "/var/vmail", 1)
NOWHERE = LostFacts("mailstore.path (/srv/{user}) leads nowhere: there is mail in /srv/john/Maildir", "", 1)
JOHN = AccountFacts(
    address="john@example.org", expected=None, fields={"home": "/srv/john", "mail": "maildir:~/Maildir"}
)


def test_a_mailstore_that_is_not_there() -> None:
    """Whatever the driver is, and how little is used."""
    for driver in ("auto", "doveadm"):
        lost = host(mailstore=folder("/var/vmail"), lost=LOST, limits=LimitFacts(1, 0, GIB, 0))
        found = outcome("mailstore", facts(host=lost, config_=config(mailstore={"driver": driver})))
        assert (found.state, found.fix) == ("fail", "mount /var/vmail")
        assert LOST.reason in found.found


def test_a_path_that_leads_nowhere_is_told_with_dovecots_own() -> None:
    wrong = host(mailstore=folder("/srv"), lost=NOWHERE)
    found = outcome("mailstore", msgspec.structs.replace(facts(host=wrong), dovecot=DovecotFacts(sample=(JOHN,))))
    assert found.state == "fail"
    own = "Dovecot has for john@example.org: home '/srv/john', mail 'maildir:~/Maildir'"
    assert NOWHERE.reason in found.found
    assert own in found.found
    assert own in found.fix
    alone = outcome("mailstore", facts(host=wrong))
    assert "doveadm user -f home ADDRESS" in alone.fix


def test_an_engine_that_does_not_see_what_is_mounted() -> None:
    found = said("mailstore", engine=EngineFacts(known=True, running=True, mailstore_problem=LOST.reason))
    assert found.state == "fail"
    assert LOST.reason in found.found
    assert "systemctl restart mailquota" in found.fix


def box(name: str, owner: str = "vmail", fault: str = "") -> MaildirFacts:
    path = f"/var/vmail/example.org/{name}/Maildir"
    return MaildirFacts(f"{name}@example.org", PathFacts(path, "folder", 0o700, 1, 1, owner, owner), fault)


VMAIL = DovecotFacts(mail_owner=("vmail", "5000"))


def test_mailboxes_belong_to_one_user() -> None:
    assert "belong to vmail:vmail" in said("mailbox-rights", maildirs=(box("a"), box("b"))).found
    boxes = host(maildirs=(box("a"), box("b"), box("it's", "root")))
    found = outcome("mailbox-rights", msgspec.structs.replace(facts(host=boxes), dovecot=VMAIL))
    assert found.state == "warn"
    assert found.fix == line("/var/vmail/example.org/it's/Maildir", all_to("vmail:vmail"))


def test_an_owner_who_made_the_own_mailbox_unreadable() -> None:
    """Is told with the answer that it gets, and no command: the owner has to mend it."""
    odd = msgspec.structs.replace(box("b"), unreadable="its owner made it unreadable: Too many levels")
    found = said("mailbox-rights", maildirs=(box("a"), odd))
    assert (found.state, found.fix[:2]) == ("warn", "# ")
    assert (
        found.found == "'b@example.org': its owner made it unreadable: Too many levels; mail for it is answered 'DUNNO'"
    )


@pytest.mark.parametrize(
    ("owner", "fix"),
    [("vmail", "runuser -u vmail -- chmod u+rwx ./vmail"), ("root", "test ! -p ./vmail && exec 3<./vmail")],
)
def test_a_folder_above_mailboxes_that_their_owner_may_not_enter(owner: str, fix: str) -> None:
    closed = folder("/var/vmail", 0o600, owner=owner)
    found = said("mailbox-rights", maildirs=tuple(msgspec.structs.replace(box(name), closed=closed) for name in "ab"))
    assert (found.state, f"test ! -L ./vmail && {fix}" in found.fix) == ("fail", True)
    assert found.found.count("vmail may not enter '/var/vmail'") == 1


FOREIGN = "\n".join(
    ["# these, and all others in the same way:"]
    + [line(f"/var/vmail/example.org/{name}/Maildir", all_to("vmail")) for name in "ab"]
)


@pytest.mark.parametrize(("mode", "state"), [(0o700, "warn"), (0o770, "ok")])
def test_mailboxes_that_are_all_somebody_elses(mode: int, state: str) -> None:
    """As after a copy by root; where their group may write, that may be meant so."""
    boxes = tuple(
        msgspec.structs.replace(one, folder=msgspec.structs.replace(one.folder, mode=mode))
        for one in (box("a", "root"), box("b", "root"))
    )
    found = outcome("mailbox-rights", msgspec.structs.replace(facts(host=host(maildirs=boxes)), dovecot=VMAIL))
    assert (found.state, found.fix) == (state, FOREIGN if state == "warn" else "")
    assert "belong to 'root', mail is delivered as vmail" in found.found


def test_a_number_may_be_the_user_that_has_a_name_elsewhere() -> None:
    """As where Dovecot runs in a container."""
    boxes = host(maildirs=(box("a", "5000"), box("b", "5000")))
    known = msgspec.structs.replace(facts(host=boxes), dovecot=DovecotFacts(mail_owner=("vmail",)))
    assert outcome("mailbox-rights", known).state == "ok"


def test_mailboxes_of_several_users_are_nobody_elses() -> None:
    """Users of the system, or one for each domain: giving all mail to one of them would take it from the others."""
    found = said("mailbox-rights", maildirs=(box("a", "ann"), box("b", "ann"), box("c", "bob")))
    assert (found.state, found.fix) == ("ok", "")
    assert "ann, bob" in found.found


@pytest.mark.parametrize(("name", "state"), [("vmail", "fail"), ("admin", "skip")])
def test_a_mailbox_that_can_not_be_read(name: str, state: str) -> None:
    """Whose owner can't read it is broken; for others it is only closed."""
    found = said("mailbox-rights", maildirs=(box("a", fault="Permission denied"),), user=UserFacts(name, 1000, (1000,)))
    assert found.state == state
    assert ("runuser -u vmail -- chmod -R u+rwX ./Maildir)" in found.fix) == (state == "fail")


def test_mailboxes_behind_a_closed_folder() -> None:
    closed = msgspec.structs.replace(MAILDIR, kind="closed", fault="/var/vmail/example.org: Permission denied")
    found = said("mailbox-rights", maildirs=(MaildirFacts("a@example.org", closed, closed.fault),))
    assert found.state == "skip"
    assert "run the doctor as root" in found.found


def test_no_mailbox_yet() -> None:
    assert said("mailbox-rights", maildirs=()).state == "ok"
