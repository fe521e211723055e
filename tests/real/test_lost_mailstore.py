"""The mailstore's file system goes and comes back, under an engine that runs or starts: by the kernel's own mounts."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.core.clients import until
from tests.core.worlds import OVERQUOTA
from tests.mailserver.process import wait_until
from tests.real.lost_mailstore import SECONDS, TROUBLE, USED, Machine, machine

MOUNT = "mount -t tmpfs maildisk $STORE; cp -a $DISK/. $STORE/"
FULL_MAIL = 2000  # bytes, which do not fit


@pytest.fixture
def server() -> Iterator[Machine]:
    with machine() as made:
        yield made


def running(server: Machine, accounts: int = 4) -> list[str]:
    """Mounted, measured, warned and remembered."""
    addresses = server.fill(("example.org", "example.com"), accounts)
    server.sh(MOUNT)
    server.start()
    settled(server, addresses)
    return addresses


def settled(server: Machine, addresses: list[str]) -> None:
    """All is measured, and what follows of that is written down."""
    server.wait(USED, addresses)
    until(lambda: len(server.notices()) >= len(addresses), "all were warned", 20)
    until(lambda: all(server.points(address) for address in addresses), "the history", 20)
    until(server.remembered, "the file systems are written down", 20)


def holds(server: Machine, addresses: list[str], seconds: float = 3.0) -> None:
    """For some seconds nobody gets a usage, and answers are those for trouble."""
    until_then = time.monotonic() + seconds
    while time.monotonic() < until_then:
        assert server.ask(addresses[0], FULL_MAIL) == TROUBLE
        rows = server.rows()
        assert {rows[address]["level"] for address in addresses} == {"unknown"}


@pytest.mark.parametrize("way", ["", "-l"])
def test_unmounted_and_back(server: Machine, way: str) -> None:
    """Also lazily, while a program has a mail open: unknown with the cause everywhere, and nobody hears of it."""
    addresses = running(server)
    assert server.ask(addresses[0], FULL_MAIL) == server.ask(addresses[0], FULL_MAIL) == OVERQUOTA
    keeper = "cd $STORE/example.org/user0/Maildir; sleep 60 < maildirsize > /dev/null 2>&1 & cd /" if way else ""
    server.sh(f"{keeper}\numount {way} $STORE")
    assert server.ask(addresses[0], FULL_MAIL) in {TROUBLE, OVERQUOTA}  # the latter before the umount is seen
    assert wait_until(lambda: server.ask(addresses[0], FULL_MAIL) == TROUBLE, 1.0)
    rows = server.wait(None, addresses)
    cause = f"the mailstore {server.store} is not mounted: maildisk was there"
    assert {row["why"] for row in rows.values()} == {cause}
    holds(server, addresses)
    status = server.status()
    assert status["mailstore_problem"] == cause
    assert status["disk"]["free_bytes"] is None
    assert server.command("check").returncode == 2
    assert server.finding()["state"] == "fail"
    assert cause in server.finding()["found"]
    assert cause in server.command("explain", addresses[0]).stdout
    for words in (("recalc", addresses[0]), ("warn", "90", addresses[0]), ("empty-trash", "--yes", addresses[0])):
        done = server.command(*words)
        assert done.returncode in {1, 3}, (words, done.stdout, done.stderr)
        assert cause in done.stderr
    assert server.sh("ls -A $STORE") == ""
    server.sh(MOUNT)
    server.wait(USED, addresses)
    assert server.ask(addresses[0], FULL_MAIL) == OVERQUOTA
    assert "mailstore_problem" not in server.status()
    assert server.finding()["state"] == "ok"
    time.sleep(11)  # a round of the history, and one of warnings
    server.assert_quiet(addresses)


def test_it_comes_and_goes(server: Machine) -> None:
    """Ten times: nobody is told anything, and the end is right."""
    addresses = running(server)
    server.sh("mkdir $DISK.kept; mount --move $STORE $DISK.kept")
    for turn in range(10):
        server.sh("mount --bind $DISK.kept $STORE" if turn % 2 else MOUNT)
        time.sleep((turn % 4) * 0.4)
        assert server.ask(addresses[turn % 4], FULL_MAIL) in {OVERQUOTA, TROUBLE}
        server.sh("umount -l $STORE")
        time.sleep((turn % 3) * 0.4)
        assert server.ask(addresses[turn % 4], FULL_MAIL) in {OVERQUOTA, TROUBLE}
    server.sh("mount --move $DISK.kept $STORE")
    server.wait(USED, addresses)
    time.sleep(11)
    server.assert_quiet(addresses)


def test_started_while_it_is_not_mounted(server: Machine) -> None:
    """Also with the new mailboxes that Dovecot made meanwhile in the empty folder: remembered over the restart."""
    addresses = running(server)
    server.stop()
    server.sh("umount $STORE")
    for address in addresses:
        user, _, domain = address.partition("@")
        server.sh(f"mkdir -p $STORE/{domain}/{user}/Maildir/cur $STORE/{domain}/{user}/Maildir/new")
        server.sh(f"echo > $STORE/{domain}/{user}/Maildir/new/1800000000.M1P1.host,S=100,W=102")
    assert {row["level"] for row in server.rows().values()} == {"unknown"}  # without an engine, too
    assert server.finding()["state"] == "fail"
    server.start()
    assert server.ask(addresses[0]) == TROUBLE
    server.wait(None, addresses)
    holds(server, addresses)
    server.sh(MOUNT)
    server.wait(USED, addresses)
    time.sleep(11)
    server.assert_quiet(addresses)


def test_another_file_system(server: Machine) -> None:
    """An empty one is not the mailstore; one with a copy of the mail is, also under another name."""
    addresses = running(server)
    server.sh("umount $STORE; mount -t tmpfs spare $STORE")
    rows = server.wait(None, addresses)
    assert rows[addresses[0]]["why"] == (
        f"another file system, spare, is mounted at {server.store}, without the mail of maildisk"
    )
    holds(server, addresses)
    server.sh("cp -a $DISK/. $STORE/")
    server.wait(USED, addresses)
    server.sh("mount -t tmpfs cover $STORE")
    rows = server.wait(None, addresses)
    assert "cover" in rows[addresses[0]]["why"]
    server.sh("umount $STORE")
    server.wait(USED, addresses)
    time.sleep(11)
    server.assert_quiet(addresses)


def test_emptied(server: Machine) -> None:
    """On the same mount, where there was mail, there is none: a bind mount whose folder was cleared."""
    addresses = server.fill(("example.org", "example.com"), 4)
    server.sh("mkdir $DISK.bound; cp -a $DISK/. $DISK.bound/; mount --bind $DISK.bound $STORE")
    server.start()
    settled(server, addresses)
    server.sh("rm -r $DISK.bound/*")
    rows = server.wait(None, addresses)
    assert rows[addresses[0]]["why"].startswith(f"the mail in {server.store} is gone")
    holds(server, addresses)
    server.sh("cp -a $DISK/. $DISK.bound/")
    server.wait(USED, addresses)
    server.sh("umount $STORE; rm -r $DISK.bound")
    rows = server.wait(None, addresses)
    assert rows[addresses[0]]["why"].startswith(f"the mailstore {server.store} is not mounted: ")
    assert f"{server.disk}.bound" in rows[addresses[0]]["why"]


def test_one_mailbox_that_is_gone_is_empty(server: Machine) -> None:
    """And one that Dovecot has not made yet, while the others are there."""
    addresses = running(server)
    server.world.add_account("new@example.org")
    server.world.add_account("first@example.net")
    server.sh("rm -r $STORE/example.org/user1")
    server.wait(0, ["user1@example.org", "new@example.org", "first@example.net"])
    server.wait(USED, [address for address in addresses if address != "user1@example.org"])
    assert server.ask("user1@example.org", FULL_MAIL) == "DUNNO"


def test_one_disk_for_each_domain(server: Machine) -> None:
    """Only the accounts of the one that is lost are unknown; linked from elsewhere, too."""
    addresses = server.fill(("example.org", "example.com", "example.net"), 3)
    lost = [address for address in addresses if address.endswith(("example.com", "example.net"))]
    there = [address for address in addresses if address not in lost]
    server.sh(
        """mkdir $STORE/example.org $STORE/example.com $DISK.away; ln -s $DISK.away $STORE/example.net
        for domain in example.org example.com example.net; do
            mount -t tmpfs disk-$domain $STORE/$domain; cp -a $DISK/$domain/. $STORE/$domain/
        done"""
    )
    server.start()
    settled(server, addresses)
    server.sh("umount $STORE/example.com $DISK.away")
    rows = server.wait(None, lost)
    assert {rows[address]["used_bytes"] for address in there} == {USED}
    assert "disk-example.com" in rows[lost[0]]["why"]
    assert f"{server.disk}.away" in rows[lost[-1]]["why"]
    assert server.ask(there[0], FULL_MAIL) == OVERQUOTA
    server.stop()
    server.start()
    server.wait(None, lost)
    server.wait(USED, there)
    server.sh(
        "for one in $STORE/example.com:example.com $DISK.away:example.net; do"
        " mount -t tmpfs new ${one%:*}; cp -a $DISK/${one#*:}/. ${one%:*}/; done"
    )
    server.wait(USED, addresses)
    time.sleep(11)
    server.assert_quiet(addresses)


def test_rights_taken_away(server: Machine) -> None:
    """Is no mailstore that is gone: it can't be read, and is not said to be away."""
    addresses = server.fill(("example.org",), 4)
    server.sh(MOUNT)
    # root uses no settings in a folder of another user
    server.sh("chown -R 12345:12345 $STORE $(dirname $STORE)/*; chmod 1777 $(dirname $STORE); chmod 755 $STORE")
    server.sh(f"chown 0:0 {server.world.config}; chmod 644 {server.world.config}")
    server.start(user="12345")
    server.wait(USED, addresses)
    server.sh("chown 0:0 $STORE; chmod 700 $STORE")
    rows = server.wait(None, addresses)
    assert {row["why"] for row in rows.values()} == {"Permission denied"}
    assert server.ask(addresses[0], FULL_MAIL) == TROUBLE
    assert "mailstore_problem" not in server.status()
    server.sh("chmod 755 $STORE")
    server.wait(USED, addresses)


@pytest.mark.parametrize(
    ("path", "cause"),
    [
        ("{base}/nowhere/{{domain}}/{{user}}/Maildir", "there is no folder {base}/nowhere"),
        ("{base}/{{domain}}/{{user}}/Mail", "there is mail in {base}/example."),
        ("{base}/{{user}}@{{domain}}", "there is mail in {base}/example."),
        ("{base}/{{domain}}/{{user}}", "there is mail in {base}/example."),
    ],
)
def test_a_path_that_leads_nowhere(server: Machine, path: str, cause: str) -> None:
    """From the first start on; right again, once it is right."""
    addresses = server.fill(("example.org", "example.com"), 2)
    server.sh(MOUNT)
    right = server.world.settings["mailstore"]["path"]
    server.world.settings["mailstore"]["path"] = path.format(base=server.store)
    server.world.write_settings()
    server.start()
    assert server.ask(addresses[0]) == TROUBLE
    rows = server.wait(None, addresses)
    for row in rows.values():
        assert cause.format(base=server.store) in row["why"]
        assert row["why"].startswith("mailstore.path")
    assert "mailstore.path" in server.status()["mailstore_problem"]
    assert server.finding()["state"] == "fail"
    assert "leads nowhere" in server.finding()["found"]
    server.stop()
    assert server.finding()["state"] == "fail"
    server.world.settings["mailstore"]["path"] = right
    server.world.write_settings()
    server.start()
    server.wait(USED, addresses)
    assert server.finding()["state"] == "ok"


def test_a_new_server(server: Machine) -> None:
    """Without any mail, its accounts are empty; the first mail changes that for one alone."""
    for name in ("john", "jane"):
        server.world.add_account(f"{name}@example.org")
    addresses = ["john@example.org", "jane@example.org"]
    server.start()
    server.wait(0, addresses)
    assert server.ask(addresses[0], FULL_MAIL) == "DUNNO"
    assert server.finding()["state"] == "skip"  # no Dovecot and no mail says whether the path is right
    server.sh("mkdir -p $STORE/example.org/john/Maildir/cur $STORE/example.org/john/Maildir/new")
    server.sh("echo > $STORE/example.org/john/Maildir/new/1800000000.M1P1.host,S=9000,W=9002")
    server.wait(USED, addresses[:1])
    server.wait(0, addresses[1:])


def test_a_first_start_before_the_disk_is_mounted(server: Machine) -> None:
    """fstab tells that one is wanted there."""
    addresses = server.fill(("example.org",), 4)
    server.sh('echo "UUID=0-1 $STORE ext4 defaults,nofail 0 2" > /etc/fstab')
    server.start()
    rows = server.wait(None, addresses)
    cause = f"the mailstore {server.store} is not mounted: /etc/fstab has UUID=0-1 for it"
    assert {row["why"] for row in rows.values()} == {cause}
    assert server.status()["mailstore_problem"] == cause
    server.sh(MOUNT)
    server.wait(USED, addresses)
    assert wait_until(lambda: "mailstore_problem" not in server.status(), SECONDS)
