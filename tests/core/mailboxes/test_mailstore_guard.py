"""The guard over real folders, with lists of mounts of the test's own."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from mailquota.core.base.mounts import Mount
from mailquota.core.mailboxes import mailstore_guard as module
from mailquota.core.mailboxes import stray_mail
from mailquota.core.mailboxes.driver import MaildirDriver
from mailquota.core.mailboxes.file_systems import FileSystem
from mailquota.core.mailboxes.guarded_driver import GuardedDriver
from mailquota.core.mailboxes.mailstore import Mailstore
from mailquota.core.mailboxes.mailstore_guard import MailstoreGuard
from mailquota.core.mailboxes.mailstore_memory import MailstoreMemory
from mailquota.core.mailboxes.measure import Measurement, Unmeasurable
from mailquota.core.mailboxes.stray_mail import is_mailbox
from mailquota.core.servers.dovecot.folder_names import TrashNames

ROOT = Mount("/", "ext4", "/dev/sda1", "/", "8:1", "1", "0")
ORG = [f"user{number}@example.org" for number in range(4)]
COM = [f"user{number}@example.com" for number in range(4)]


class Scene:
    """A mailstore in a folder, what is mounted as the test says, and a guard over both."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.base = folder / "vmail"
        self.base.mkdir()
        self.fstab = folder / "fstab"
        self.mounts: tuple[Mount, ...] = (ROOT,)
        scene = self

        class Table:
            changes = 0
            seen: tuple[Mount, ...] = ()

            def now(self) -> tuple[Mount, ...]:
                if scene.mounts is not self.seen:
                    self.seen, self.changes = scene.mounts, self.changes + 1
                return self.seen

        monkeypatch.setattr(module, "MountTable", Table)
        monkeypatch.setattr("mailquota.core.mailboxes.path_check._SEARCH_SECONDS", 0.0)
        self.begin()

    def begin(self, path: str = "{domain}/{user}/Maildir", *, by_path: bool = True) -> None:
        """A guard that knows nothing yet, as at a first start."""
        self.store = Mailstore(f"{self.base}/{path}", TrashNames(("Trash",)))
        plain = MaildirDriver(self.store)

        def count(address: str) -> int:
            return plain.measure(address, None, None, time.time()).messages

        self.guard = MailstoreGuard(self.store, count, by_path=by_path, fstab=str(self.fstab))
        self.driver = GuardedDriver(plain, self.guard)
        self.known: dict[str, Measurement] = {}

    def mount(self, at: Path, source: str) -> None:
        """As the kernel lists it; what is below the folder stays as it is."""
        number = len(self.mounts) + 1
        self.mounts += (Mount(str(at), "ext4", source, "/", f"8:{number}", str(number), "1"),)

    def umount(self, at: Path) -> None:
        self.mounts = tuple(one for one in self.mounts if one.point != str(at))

    def fill(self, addresses: list[str], messages: int = 5) -> None:
        for address in addresses:
            user, _, domain = address.partition("@")
            for part in ("cur", "new"):
                (self.base / domain / user / "Maildir" / part).mkdir(parents=True, exist_ok=True)
            for number in range(messages):
                (self.base / domain / user / "Maildir/cur" / f"{number}.M1P1.host,S=100,W=102:2,S").touch()

    def measure(self, address: str) -> int | str:
        """Bytes, or why there is no usage."""
        try:
            found = self.driver.measure(address, 10_000, self.known.get(address), time.time())
        except Unmeasurable as error:
            self.known.pop(address, None)
            return str(error)
        self.known[address] = found
        return found.used

    def all(self, addresses: list[str]) -> list[int | str]:
        return [self.measure(address) for address in addresses]


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(tmp_path, monkeypatch)


def test_a_mailbox_is_empty_where_others_are_there(scene: Scene) -> None:
    scene.fill(ORG)
    assert scene.all([*ORG, "new@example.org", "new@example.net"]) == [500] * 4 + [0, 0]
    shutil.rmtree(scene.base / "example.org/user0")
    assert scene.all(ORG) == [0, 500, 500, 500]
    assert scene.guard.problem == ""


def test_what_is_not_mounted_is_unknown_without_a_look_at_it(scene: Scene) -> None:
    """Also mailboxes that were made in its place; and it is right again with the disk."""
    scene.mount(scene.base, "/dev/sdb1")
    scene.fill(ORG)
    assert scene.all(ORG) == [500] * 4
    scene.base.rename(scene.folder / "away")
    scene.fill(ORG, 1)
    scene.umount(scene.base)
    reason = f"the mailstore {scene.base} is not mounted: /dev/sdb1 was there"
    assert scene.all([*ORG, "new@example.org"]) == [reason] * 5
    assert scene.guard.problem == reason
    assert scene.guard.is_base_lost
    with pytest.raises(Unmeasurable, match="is not mounted"):
        scene.driver.folders(ORG[0])
    with pytest.raises(Exception, match="is not mounted"):
        scene.driver.recount(ORG[0], 10_000)
    shutil.rmtree(scene.base)
    (scene.folder / "away").rename(scene.base)
    scene.mount(scene.base, "/dev/sdb1")
    scene.guard.look()
    assert scene.all([*ORG, "new@example.org"]) == [500] * 4 + [0]
    assert scene.guard.problem == ""


def test_the_mail_may_move(scene: Scene) -> None:
    """To the root's file system, and to another disk: the mail counts, not the name."""
    scene.mount(scene.base, "/dev/sdb1")
    scene.fill(ORG)
    scene.all(ORG)
    scene.umount(scene.base)
    scene.guard.look()
    assert scene.all(ORG) == [500] * 4
    assert list(scene.guard.remembered) == ["/"]
    scene.mount(scene.base, "/dev/sdc1")
    scene.guard.look()
    assert scene.all(ORG) == [500] * 4
    assert scene.guard.remembered[str(scene.base)].mount.source == "/dev/sdc1"


def test_a_mount_of_one_domain_concerns_that_one_alone(scene: Scene) -> None:
    scene.fill(ORG + COM)
    assert scene.all(ORG + COM) == [500] * 8
    (scene.base / "example.com").rename(scene.folder / "covered")
    (scene.base / "example.com").mkdir()
    scene.mount(scene.base / "example.com", "/dev/sdd1")
    found = scene.all(ORG + COM)
    assert found[:4] == [500] * 4
    assert all("another file system, /dev/sdd1, is mounted" in str(one) for one in found[4:])
    (scene.base / "example.com").rmdir()
    (scene.folder / "covered").rename(scene.base / "example.com")
    scene.guard.look()
    assert scene.all(ORG + COM) == [500] * 8


def test_all_is_gone_from_the_same_mount(scene: Scene) -> None:
    scene.fill(ORG + COM)
    scene.all(ORG + COM)
    for domain in ("example.org", "example.com"):
        shutil.rmtree(scene.base / domain)
    assert {str(one)[:12] for one in scene.all(ORG + COM)} == {"the mail in "}
    shutil.rmtree(scene.base)
    assert scene.measure(ORG[0]) == f"the mail in {scene.base} is gone: none of the mailboxes that had mail is there"
    scene.fill(ORG + COM)
    scene.guard.look()
    assert scene.all(ORG + COM) == [500] * 8


def test_the_only_mailbox_may_be_removed(scene: Scene) -> None:
    scene.fill(ORG[:1])
    assert scene.measure(ORG[0]) == 500
    shutil.rmtree(scene.base / "example.org/user0")
    assert scene.measure(ORG[0]) == 0


def test_accounts_that_are_gone_count_no_more(scene: Scene) -> None:
    scene.fill(ORG)
    scene.all(ORG)
    scene.guard.is_account = lambda address: address not in ORG
    shutil.rmtree(scene.base / "example.org")
    assert scene.measure("new@example.org") == 0


@pytest.mark.parametrize("kept", [True, False])
def test_over_a_restart(scene: Scene, tmp_path: Path, kept: bool) -> None:
    """Only with what was written down the empty folder of a disk that is away is no new server."""
    memory = MailstoreMemory(str(tmp_path / "mailstore.json"), scene.store.template)
    scene.mount(scene.base, "/dev/sdb1")
    scene.fill(ORG)
    scene.all(ORG)
    memory.write(scene.guard.memory())
    shutil.rmtree(scene.base / "example.org")
    scene.umount(scene.base)
    scene.begin()
    if kept:
        scene.guard.recall(MailstoreMemory(memory.path, scene.store.template).read())
    found = scene.all(ORG)
    assert found == ([f"the mailstore {scene.base} is not mounted: /dev/sdb1 was there"] * 4 if kept else [0] * 4)


def test_what_is_lost_is_remembered_as_it_was(scene: Scene) -> None:
    scene.mount(scene.base, "/dev/sdb1")
    scene.fill(ORG)
    scene.all(ORG)
    before = scene.guard.memory()
    assert before == [FileSystem(scene.mounts[1], dict.fromkeys(ORG, 5))]
    shutil.rmtree(scene.base / "example.org")
    scene.umount(scene.base)
    scene.all(ORG)
    assert scene.guard.memory() == before


@pytest.mark.parametrize(
    ("path", "cause"),
    [
        ("nowhere/{domain}/{user}/Maildir", "leads nowhere: there is no folder "),
        ("{domain}/{user}/mail", "leads nowhere: there is mail in "),
        ("{domain}/{user}", "leads nowhere: there is mail in "),
        ("{user}@{domain}/Maildir", "leads nowhere: there is mail in "),
        ("{user}/Maildir", "leads nowhere: there is mail in "),
    ],
)
def test_a_wrong_path(scene: Scene, path: str, cause: str) -> None:
    scene.fill(ORG)
    scene.begin(path)
    assert all(cause in str(found) and str(found).startswith("mailstore.path") for found in scene.all(ORG))
    assert cause in scene.guard.problem
    scene.begin()
    assert scene.all(ORG) == [500] * 4
    assert scene.guard.problem == ""


def test_a_driver_that_needs_no_path_is_not_judged_by_it(scene: Scene) -> None:
    scene.fill(ORG)
    scene.begin("{user}/Maildir", by_path=False)
    assert scene.all(ORG) == [0] * 4


@pytest.mark.parametrize("made", ["", "example.org", "example.org/user0", "lost+found"])
def test_a_new_server_has_empty_mailboxes(scene: Scene, made: str) -> None:
    (scene.base / made).mkdir(parents=True, exist_ok=True)
    assert scene.all(ORG) == [0] * 4
    scene.fill(ORG[:1])
    assert scene.all(ORG) == [500, 0, 0, 0]


@pytest.mark.parametrize("file", ["maildirsize", "dovecot.index.log"])
def test_files_of_dovecot_without_a_mailbox_prove_the_form_of_the_path(scene: Scene, file: str) -> None:
    """Dovecot makes them where it is only asked for the usage of a user without mail."""
    maildir = scene.base / "example.org/user1/Maildir"
    maildir.mkdir(parents=True)
    (maildir / file).touch()
    assert scene.all(ORG) == [0] * 4


def test_mail_in_another_form_is_no_sign_of_the_file_system(scene: Scene) -> None:
    """Usage by doveadm of mailboxes that are not at a path: whoever has no mail is empty, and nothing is gone."""
    scene.begin(by_path=False)
    for address in ORG:
        scene.guard.saw(address, 5)
    assert scene.guard.missing(COM[0]) == scene.guard.missing(ORG[0]) == ""
    assert scene.guard.memory() == []
    scene.guard.look()
    assert scene.guard.problem == ""


def test_a_mailbox_that_was_removed_proves_the_form_of_the_path(scene: Scene) -> None:
    """An account that is new on a server whose other mailboxes have no account."""
    scene.fill(["old@example.org"])
    assert scene.measure("new@example.org") == 0


def test_fstab_wants_a_disk_there(scene: Scene) -> None:
    scene.fstab.write_text(f"# a line\n/dev/sda1 / ext4 rw 0 1\nUUID=7 {scene.base} ext4 nofail 0 2\n")
    reason = f"the mailstore {scene.base} is not mounted: /etc/fstab has UUID=7 for it"
    assert scene.all(ORG) == [reason] * 4
    assert scene.guard.problem == reason
    scene.mount(scene.base, "/dev/sdb1")
    scene.guard.look()
    assert scene.all(ORG) == [0] * 4
    assert scene.guard.problem == ""


def test_a_line_of_fstab_that_is_not_mounted_at_the_start_tells_nothing(scene: Scene) -> None:
    scene.fstab.write_text(f"UUID=7 {scene.base} ext4 noauto 0 2\n")
    assert scene.all(ORG) == [0] * 4


def test_an_automounter_is_asked_before_it_is_judged(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The look at a mailbox mounts it; while nobody looks, nothing is mounted by us."""
    waiting = Mount(str(scene.base), "autofs", "/etc/auto.mail", "/", "0:50", "9", "1")
    disk = Mount(str(scene.base), "nfs4", "server:/mail", "/", "0:51", "10", "9")
    scene.mounts = (ROOT, waiting, disk)
    scene.fill(ORG)
    scene.all(ORG)
    away = scene.folder / "away"
    scene.base.rename(away)
    scene.mounts = (ROOT, waiting)
    assert scene.guard.due() == []
    real = is_mailbox

    def touch(maildir: str) -> bool | None:
        if away.exists():
            away.rename(scene.base)
            scene.mounts = (ROOT, waiting, disk)
        return real(maildir)

    monkeypatch.setattr(stray_mail, "is_mailbox", touch)
    scene.known.clear()
    assert scene.guard.missing(ORG[0]) == ""
    assert scene.all(ORG) == [500] * 4
    assert scene.guard.problem == ""


def test_figures_of_a_service_from_before_it_was_back(scene: Scene) -> None:
    scene.mount(scene.base, "/dev/sdb1")
    scene.fill(ORG)
    scene.all(ORG)
    scene.base.rename(scene.folder / "away")
    scene.umount(scene.base)
    scene.guard.look()
    asked = time.time()
    (scene.folder / "away").rename(scene.base)
    scene.mount(scene.base, "/dev/sdb1")
    scene.guard.look()
    assert scene.guard.asked_before(ORG[0], asked)
    assert not scene.guard.asked_before(ORG[0], time.time() + 1)


def test_what_can_not_be_written_down_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Said once."""
    memory = MailstoreMemory(str(tmp_path / "missing/mailstore.json"), "/var/vmail/{user}")
    assert memory.read() == []
    for _ in range(2):
        memory.write([FileSystem(ROOT, {ORG[0]: 1})])
    assert len(caplog.records) == 1
    assert list(tmp_path.iterdir()) == []
