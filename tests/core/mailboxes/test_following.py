"""The exchange of a driver: nothing of the one before comes into the ledger."""

from __future__ import annotations

from time import monotonic

import pytest

from mailquota.core.base.model import Account
from mailquota.core.mailboxes.count_driver import CountDriver
from mailquota.core.mailboxes.dovecot_driver import DoveadmDriver, Figure
from mailquota.core.mailboxes.driver import MaildirDriver
from mailquota.core.mailboxes.following import FollowingDriver
from mailquota.core.mailboxes.from_settings import guarded
from mailquota.core.mailboxes.ledger import Ledger
from mailquota.core.mailboxes.mailstore import Names
from mailquota.core.mailboxes.mailstore_memory import MailstoreMemory
from mailquota.core.mailboxes.measure import NO_FILE, Measurement, Unmeasurable
from mailquota.core.mailboxes.witness_rules import Verdict
from mailquota.core.mailboxes.witnessed_driver import WitnessedDriver
from mailquota.core.servers.dovecot.doveadm import Doveadm
from mailquota.core.servers.dovecot.folder_names import TrashNames
from mailquota.core.servers.dovecot.quota_rows import Quota, QuotaLimits
from tests.core.mailboxes.boxes import ADDRESS, Box


def test_what_was_known_is_not_passed_on(box: Box) -> None:
    """Physical sizes of folders would else be taken for virtual ones."""
    box.put(1000)
    box.settle()
    driver = FollowingDriver(MaildirDriver(box.store))
    before = driver.measure(ADDRESS, None, None, 0.0)
    assert (before.used, driver.name) == (1000, "maildir")
    driver.exchange(CountDriver(box.store))
    found = driver.measure(ADDRESS, None, before, 0.0)
    assert (found.used, driver.name) == (1009, "count")
    driver.settled()
    assert driver.measure(ADDRESS, None, found, 0.0) is found


def test_a_measurement_on_its_way_is_made_anew(box: Box) -> None:
    """It began with the old driver and ends with the new one."""
    box.put(1000)

    class Slow(MaildirDriver):
        def measure(self, address: str, limit: int | None, known: Measurement | None, now: float) -> Measurement:
            found = super().measure(address, limit, known, now)
            driver.exchange(CountDriver(box.store))
            return found

    driver = FollowingDriver(Slow(box.store))
    assert driver.measure(ADDRESS, None, None, 0.0).used == 1009


def test_names() -> None:
    """The spelling of the row counts where Dovecot takes that, and has to be one that Dovecot takes."""
    names = Names("abcdefghijklmnopqrstuvwxyzFM.@", as_in_row=True)
    names.spell("frank.m@x", "Frank.M@x")
    assert (names.in_path("frank.m@x"), names.in_path("jane@x")) == ("Frank.M@x", "jane@x")
    assert names.is_user("frank.m@x", "Frank.M@x")
    assert not names.is_user("jane@x", "Jane@x")
    assert not names.is_user("kate@x", "\u212aate@x")
    names.spell("frank.m@x", "")
    assert names.in_path("frank.m@x") == "frank.m@x"
    everything = Names("")
    assert everything.is_user("o'brien@x")
    assert everything.is_user("jürgen@x")
    for never in ("a/b@x", "..@x", "a@..", "a*@x", "a?@x", "a\0@x", "a@b@x", "@x", "a@", "a\n@x", "ü" * 128 + "@x"):
        assert not everything.is_user(never), never
        assert not Names("", as_in_row=True).is_user("a@x", never), never


def test_the_witness_sees_the_exchange(box: Box) -> None:
    """What was found out of the driver before says nothing of the new one."""
    tool = Doveadm(["false"])
    following, dovecot = FollowingDriver(MaildirDriver(box.store)), DoveadmDriver(box.store, tool)
    driver = WitnessedDriver(following, dovecot, tool)
    outer, _ = guarded(driver, box.store, MailstoreMemory(f"{box.base}/memory", box.store.template))
    driver.follow(ADDRESS, Figure(Quota(1, 1), at=0.0, asked=monotonic()))
    driver.set_all(by_dovecot=True)
    assert (driver.name, outer.name, driver.is_by_dovecot(ADDRESS)) == ("doveadm", "doveadm", True)
    driver.leave_all()
    following.exchange(CountDriver(box.store))
    assert (driver.name, outer.name, driver.is_by_dovecot(ADDRESS)) == ("count", "count", False)
    following.exchange(DoveadmDriver(box.store, tool))
    assert (outer.name, driver.is_only_dovecot) == ("doveadm", True)
    known = Measurement(1024, 1, "doveadm", NO_FILE)
    following.settled()
    with pytest.raises(Unmeasurable):
        driver.measure(ADDRESS, None, known, 0.0)


def test_all_is_compared_anew() -> None:
    """A usage of Dovecot that differed from the one before is none any more; its limit still is."""
    ledger = Ledger(TrashNames(()))
    ledger.set_witnessed(witnessed=True)
    ledger.set_accounts([Account(ADDRESS, 1024), Account("jane@example.org", 1024)])
    john, jane = ledger.entries.values()
    told = Quota(5, 1, QuotaLimits(3, None))
    ledger.set_verified(john, Verdict(told, None, usage=True, limit=False), 1.0)
    ledger.set_verified(jane, Verdict(told, None, usage=True, limit=True), 1.0)
    ledger.take_unverified()
    assert (ledger.totals.differing, john.doubted, jane.limit) == (2, False, 3072)
    ledger.measure_anew()
    assert (john.verdict, jane.verdict) == (None, Verdict(told, None, usage=False, limit=True))
    assert (ledger.totals.differing, john.doubted, jane.limit) == (1, True, 3072)
    assert set(ledger.take_unverified()) == set(ledger.entries)
