"""Installing and taking back, whole and cut short at every step."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailquota.core.commands.install.model import MANIFEST, SERVICE_UNIT
from tests.core.commands.install.hosts import MAILSTORE, OUR_CHECK, SETTINGS, FakeServer, config
from tests.mailserver.fixture import temporary_folder

FORMER = "permit_mynetworks,  reject_unauth_destination"
STEPS = 9  # of an installation, the manifest at both ends included


@pytest.fixture
def root() -> Iterator[Path]:
    """Open to other users, as / is."""
    with temporary_folder() as folder:
        yield folder


@pytest.fixture
def server(root: Path) -> FakeServer:
    """With restrictions of its own."""
    return FakeServer(root, FORMER)


def test_afterwards_postfix_asks_a_running_service(server: FakeServer) -> None:
    report = server.install()
    assert report.fault == ""
    assert server.enabled
    assert server.running == server.units()
    assert server.asks == f"permit_mynetworks, reject_unauth_destination, {OUR_CHECK}"
    assert (server.root / SETTINGS.lstrip("/")).read_text() == "# settings\n"


def test_a_second_time_there_is_nothing_to_do(server: FakeServer) -> None:
    server.install()
    plan = server.install_plan()
    assert plan.pending == ()
    before = server.state()
    assert server.install().done == ()
    assert server.state() == before


def test_taken_back_it_is_as_before_but_for_settings(server: FakeServer) -> None:
    """The value of Postfix's to the letter."""
    before = server.state()
    server.install()
    assert server.uninstall().fault == ""
    assert server.asks == server.main_cf == FORMER
    assert (server.root / SETTINGS.lstrip("/")).exists()
    (server.root / SETTINGS.lstrip("/")).unlink()
    assert server.state() == before


def test_purged_nothing_is_left(server: FakeServer) -> None:
    before = server.state()
    server.install()
    (server.root / "var/lib/mailquota").mkdir(parents=True)
    (server.root / "var/lib/mailquota/state.db").write_text("")
    server.uninstall(purge=True)
    assert server.state() == before
    assert not (server.root / "etc/mailquota").exists()


def test_settings_that_were_there_survive_even_a_purge(server: FakeServer) -> None:
    settings = server.root / SETTINGS.lstrip("/")
    settings.parent.mkdir()
    settings.write_text("# mine\n")
    server.install()
    server.uninstall(purge=True)
    assert settings.read_text() == "# mine\n"


def test_without_a_former_value_the_parameter_goes(root: Path) -> None:
    server = FakeServer(root)
    server.install()
    assert server.main_cf == OUR_CHECK
    server.uninstall()
    assert server.main_cf is None


def test_restrictions_that_were_edited_since_keep_the_edit(server: FakeServer) -> None:
    server.install()
    server.main_cf = f"reject_unlisted_recipient, {OUR_CHECK}, permit"
    server.uninstall()
    assert server.asks == "reject_unlisted_recipient, permit"


def test_a_unit_that_was_edited_is_kept_and_named(server: FakeServer) -> None:
    server.install()
    unit = server.root / SERVICE_UNIT.lstrip("/")
    unit.write_text(unit.read_text() + "# mine\n")
    server.uninstall()
    assert unit.exists()
    assert server.running is None


def test_a_full_disk_is_told_with_the_file_that_it_had_no_room_for(server: FakeServer) -> None:
    """The kernel itself names none when a write fails."""
    server.budget = 3  # what is remembered, and two files
    assert server.install().fault == f"write {SERVICE_UNIT}: No space left on device"


@pytest.mark.parametrize("steps", range(STEPS))
def test_cut_short_and_repeated_it_is_as_if_never_cut(root: Path, steps: int) -> None:
    """The file system is full at each step in turn: steps done are reported, and Postfix asks no missing engine."""
    whole, cut = (FakeServer(root / name, FORMER) for name in ("whole", "cut"))
    whole.install()
    cut.budget = steps
    report = cut.install()
    assert "No space left on device" in report.fault
    assert len(report.done) == max(0, steps - 1)  # the manifest is no step
    assert cut.running or OUR_CHECK not in cut.asks
    cut.budget = 1000
    assert cut.install().fault == ""
    assert cut.install_plan().pending == ()
    assert _below(cut) == _below(whole)
    cut.uninstall(purge=True)
    assert cut.main_cf == FORMER


@pytest.mark.parametrize("steps", range(9))
def test_a_removal_cut_short_is_finished_by_the_next(root: Path, steps: int) -> None:
    whole, cut = (FakeServer(root / name, FORMER) for name in ("whole", "cut"))
    for server in (whole, cut):
        server.install()
    whole.uninstall(purge=True)
    cut.budget = steps
    assert cut.uninstall(purge=True).fault
    assert cut.running or OUR_CHECK not in cut.asks
    cut.budget = 1000
    assert cut.uninstall(purge=True).fault == ""
    assert _below(cut) == _below(whole)


def _below(server: FakeServer) -> str:
    return str(server.state()).replace(str(server.root), "")


def test_killed_between_any_two_it_can_still_be_taken_back(root: Path) -> None:
    for steps in range(STEPS):
        server = FakeServer(root / str(steps), FORMER)
        before = server.state()
        server.budget = steps
        server.install()
        server.budget = 1000
        server.uninstall(purge=True)
        assert server.state() == before, steps


def test_another_socket_takes_the_place_of_the_first(server: FakeServer) -> None:
    """Postfix asks one service, not both; and the former value is that from before the first installation."""
    server.install()
    server.settings = config(control={"group": ""}, mailstore=MAILSTORE, policy={"listen": ["inet:127.0.0.1:12345"]})
    server.install()
    assert "inet:127.0.0.1:12345" in server.asks
    assert OUR_CHECK not in server.asks
    assert server.running == server.units()
    server.uninstall()
    assert server.asks == FORMER


def test_a_strict_umask_does_not_shut_the_service_out(server: FakeServer) -> None:
    before = os.umask(0o077)
    try:
        server.install()
    finally:
        os.umask(before)
    settings = server.root / SETTINGS.lstrip("/")
    assert (settings.stat().st_mode & 0o777, settings.parent.stat().st_mode & 0o777) == (0o644, 0o755)


def test_an_old_file_keeps_its_mode(server: FakeServer) -> None:
    server.install()
    unit = server.root / SERVICE_UNIT.lstrip("/")
    unit.write_text("# old\n")
    unit.chmod(0o600)
    server.install()
    assert unit.stat().st_mode & 0o777 == 0o600
    assert not [path for path in unit.parent.iterdir() if path.name.startswith(".")]


def test_the_manifest_is_roots_alone(server: FakeServer) -> None:
    """Who owns the mailboxes must not tell root what to remove."""
    server.install()
    manifest = server.root / MANIFEST.lstrip("/")
    assert manifest.stat().st_mode & 0o022 == 0
    assert not MANIFEST.startswith("/var/lib/mailquota")


QUOTA_STATUS = "check_policy_service unix:private/quota-status"


def test_what_was_asked_before_is_told_where_it_does_not_come_back(root: Path) -> None:
    """As README has quota-status taken out: the line that brings it back is the last chance to know it."""
    server = FakeServer(root, f"reject_unauth_destination, {QUOTA_STATUS}")
    server.install()
    assert not server.removal().left
    server.main_cf = f"reject_unauth_destination, {OUR_CHECK}"
    left = server.removal().left
    assert "changed since the installation" in left[0]
    assert "No policy server checks quotas" in left[1]
    before = f"smtpd_recipient_restrictions = reject_unauth_destination, {QUOTA_STATUS}"
    assert left[-2:] == (f"postconf -e '{before}'", "postfix reload")
    server.uninstall()
    assert server.asks == "reject_unauth_destination"


def test_an_edit_that_lost_no_check_is_told_without_alarm(server: FakeServer) -> None:
    server.install()
    server.main_cf = f"reject_unlisted_recipient, {QUOTA_STATUS}, {OUR_CHECK}"
    left = server.removal().left
    assert not any("Nobody" in line for line in left)
    assert left[-2:] == (f"postconf -e 'smtpd_recipient_restrictions = {FORMER}'", "postfix reload")


def test_without_a_former_value_the_line_takes_the_parameter_out(root: Path) -> None:
    server = FakeServer(root)
    server.install()
    server.main_cf = f"reject_unlisted_recipient, {OUR_CHECK}"
    assert server.removal().left[-2:] == ("postconf -X smtpd_recipient_restrictions", "postfix reload")


def test_no_other_setting_goes_on_asking(server: FakeServer) -> None:
    """A list that the doctor made for a service of master.cf is edited; options in master.cf itself are reported."""
    server.install()
    server.more = {"mailquota_smtp": f"reject_unauth_destination, {OUR_CHECK}", "smtp/inet/class": OUR_CHECK}
    assert any("smtp/inet/class in master.cf still asks" in line for line in server.removal().left)
    server.uninstall()
    assert server.more["mailquota_smtp"] == "reject_unauth_destination"
    assert server.asks == FORMER


def test_an_engine_that_goes_on_is_told_with_its_process(server: FakeServer) -> None:
    """And what starts it again."""
    (server.root / "run/systemd/system").rmdir()
    (server.root / "etc/cron.d").mkdir()
    (server.root / "etc/cron.d/mailquota").write_text("@reboot root mailquota --serve\n")
    server.by_hand = 4711
    server.install()
    assert OUR_CHECK in server.asks
    left = server.removal().left
    assert "# Still there, and starts mailquota again: /etc/cron.d/mailquota" in left
    assert left[-1] == "kill 4711"


def test_without_systemd_postfix_is_changed_only_when_an_engine_answers(server: FakeServer) -> None:
    """The same command goes on once mailquota was started."""
    (server.root / "run/systemd/system").rmdir()
    first = server.install()
    assert "waits until mailquota answers on" in first.fault
    assert first.done
    assert server.asks == FORMER
    assert server.install().done == ()
    server.by_hand = 4711
    assert server.install().fault == ""
    assert OUR_CHECK in server.asks
    server.uninstall()
    assert server.main_cf == FORMER


def test_settings_from_before_are_named_when_a_purge_keeps_them(server: FakeServer) -> None:
    """So are files beside them."""
    settings = server.root / SETTINGS.lstrip("/")
    settings.parent.mkdir()
    settings.write_text("# mine\n")
    (settings.parent / "password").write_text("secret\n")
    server.install()
    plan = server.removal(purge=True)
    assert f"{SETTINGS} is kept: it was there before the installation" in plan.remarks
    assert plan.left == ("# These files stay: /etc/mailquota/password",)
