"""The doctor without any settings, on the servers of the guides with their files in Debian's places."""

from __future__ import annotations

import json
import re

import pytest

from mailquota.core.doctor.dovecot.checks import DOVECOT_CHECKS
from tests.mailserver.debian import DebianServer

pytestmark = pytest.mark.server

ACCOUNTS = {"john@example.org": 100_000, "jane@example.org": 5 * 2**30, "free@example.org": 0}
# The recipes' script would warn beside mailquota. Postfix asks quota-status, and trixie leaves the faulty default.
TRUE_FAULTS = {"trixie": {"quota-status-toolarge"}}


def test_dovecot_as_the_guides_set_it_up_is_left_alone(debian: DebianServer) -> None:
    debian.add_users(list(ACCOUNTS.items()))
    for address in ACCOUNTS:
        assert debian.deliver_lmtp(address, 1000)[0] == 250
    findings = json.loads(debian.mailquota("doctor", "--json").stdout)
    dovecots = {check.name for check in DOVECOT_CHECKS}
    bad = {one["check"]: one for one in findings if one["check"] in dovecots and one["state"] != "ok"}
    assert set(bad) == TRUE_FAULTS.get(debian.recipe, set()) | {"quota-warning-twice"}, bad
    (limits,) = [one["found"] for one in findings if one["check"] == "quota-limits"]
    assert re.fullmatch(r"asked Dovecot about \d+ of \d+ accounts: it is given the limits of the database, .*", limits)
    told = {one["check"]: one["found"] for one in findings}
    assert told["dovecot-database"].startswith("logged in as Dovecot does: mysql://")
    assert told["policy-services-reached"] == "connected to unix:private/quota-status as user postfix, as smtpd does"
    assert re.fullmatch(
        r"asked Dovecot about \d+ of \d+ accounts: their mailboxes are where .* says", told["mailstore"]
    )
