"""The exchange of a driver: nothing of the one before comes into the ledger."""

from __future__ import annotations

from mailquota.core.mailboxes.count_driver import CountDriver
from mailquota.core.mailboxes.driver import MaildirDriver
from mailquota.core.mailboxes.following import FollowingDriver
from mailquota.core.mailboxes.mailstore import Names
from mailquota.core.mailboxes.measure import Measurement
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
