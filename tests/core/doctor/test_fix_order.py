"""No fix leaves mail unchecked: another's check goes only where mailquota answers, and refuses, in its stead."""

from __future__ import annotations

import shlex
from typing import Any

import msgspec
import pytest

from mailquota.core.doctor.examine import CHECKS
from mailquota.core.doctor.host.facts import EngineFacts, HostFacts
from mailquota.core.doctor.model import Facts
from mailquota.core.doctor.paths import PathFacts
from mailquota.core.doctor.postfix.facts import RECIPIENT, RELAY, PostfixFacts, ProbeAnswer, Smtpd, SocketFacts
from mailquota.core.servers.postfix.restrictions import entries, policy_check
from tests.core.doctor.healthy import (
    CHECK,
    FOLDERS,
    HOST,
    QUOTA_STATUS,
    SOCKET,
    SUBMISSION,
    config,
    facts,
    host,
    outcome,
    postfix,
    socket,
)

GUARD = "reject_unauth_destination"
OTHERS = f"{GUARD}, {QUOTA_STATUS}"
LISTS: dict[str, dict[str, Any]] = {
    "instead of us": {RECIPIENT: OTHERS},
    "beside us": {RECIPIENT: f"{OTHERS}, {CHECK}"},
    "before a slip": {RECIPIENT: f"{OTHERS}, check_policy_service unix:private/mailqouta"},
    "before what stops smtpd": {RECIPIENT: f"{OTHERS}, {CHECK.replace('timeout=10s', 'timeout = 10s')}"},
    "twice us": {RECIPIENT: f"{OTHERS}, {CHECK}, {CHECK}"},
    "after us": {RECIPIENT: f"{CHECK}, {OTHERS}"},
    "we elsewhere": {RECIPIENT: OTHERS, RELAY: f"{GUARD}, {CHECK}"},
    "we at the wrong time": {RECIPIENT: OTHERS, "smtpd_client_restrictions": CHECK},
    "an open relay": {RECIPIENT: "", RELAY: f"permit_mynetworks, {QUOTA_STATUS}"},
}


def engine(**changes: Any) -> HostFacts:
    return host(engine=msgspec.structs.replace(HOST.engine, **changes))


def answering(**changes: Any) -> PostfixFacts:
    """Our socket with something about it that is otherwise."""
    usual = SocketFacts(f"unix:{SOCKET}", socket(), FOLDERS, ProbeAnswer("answer", "action=DUNNO\n\n"))
    return postfix(sockets=(msgspec.structs.replace(usual, **changes),))


AWAY: dict[str, tuple[HostFacts, PostfixFacts]] = {
    "no engine": (
        host(engine=EngineFacts(known=True)),
        answering(file=PathFacts(SOCKET, "missing"), probe=ProbeAnswer()),
    ),
    "no engine, no service": (
        host(engine=EngineFacts(known=True), installed=False, systemd=False),
        answering(file=PathFacts(SOCKET, "missing"), probe=ProbeAnswer()),
    ),
    "it hangs": (HOST, answering(probe=ProbeAnswer("silent", "2 s"))),
    "another one answers": (engine(running=False), answering()),
    "it only looks on": (engine(mode="shadow"), answering()),
    "closed to Postfix": (HOST, answering(file=socket(mode=0o600, uid=0, owner="root"))),
    "not to be seen from here": (
        host(is_root=False),
        answering(file=PathFacts(SOCKET, "closed", fault="Permission denied"), probe=ProbeAnswer("denied")),
    ),
}


def situation(name: str, host_: HostFacts, of: PostfixFacts) -> Facts:
    """A Postfix with these lists."""
    slip = ("unix:private/mailqouta",) if "slip" in name else ()
    return facts(
        msgspec.structs.replace(of, values={**of.values, **LISTS[name]}, absent=slip),
        host=host_,
    )


def quota_status_goes(fix: str, before: PostfixFacts) -> bool:
    """Whether a fix writes a list that has it without it."""
    written = (shlex.split(line)[2].partition(" = ") for line in fix.splitlines() if line.startswith("postconf -e "))
    return any(_has_it(before.values.get(name, "")) and not _has_it(text) for name, _, text in written)


def _has_it(text: str) -> bool:
    checks = [policy_check(entry) for entry in entries(text)]
    return any(one is not None and one.service.endswith("quota-status") for one in checks)


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("away", AWAY)
def test_while_we_do_not_decide_who_does_stays(name: str, away: str) -> None:
    """By the fix of any check."""
    host_, of = AWAY[away]
    here = situation(name, host_, of)
    outcomes = {check.name: check.judge(here) for check in CHECKS}
    assert not [name for name, one in outcomes.items() if quota_status_goes(one.fix, here.postfix)]
    assert {outcomes[check].state for check in ("policy-service-listed", "two-enforcers")} & {"warn", "fail"}


@pytest.mark.parametrize("name", ["instead of us", "beside us"])
def test_where_we_do_quota_status_goes(name: str) -> None:
    here = situation(name, HOST, postfix())
    assert quota_status_goes("\n".join(check.judge(here).fix for check in CHECKS), here.postfix)


@pytest.mark.parametrize(
    ("host_", "words"),
    [
        (AWAY["no engine"][0], "systemctl enable --now mailquota"),
        (AWAY["no engine, no service"][0], "mailquota install"),
        (engine(mode="shadow"), "mailquota reload"),
    ],
)
def test_what_comes_first_is_said(host_: HostFacts, words: str) -> None:
    """And then to look again, as the fixes of the others have to come before."""
    for name in ("instead of us", "beside us"):
        check = "policy-service-listed" if name == "instead of us" else "two-enforcers"
        fix = outcome(check, situation(name, host_, AWAY["no engine"][1])).fix.splitlines()
        assert fix[0].startswith("# mailquota has to answer Postfix first")
        assert words in fix
        assert fix[-1].startswith("# then run mailquota doctor again")


def test_a_socket_that_smtpds_jail_hides_does_not_decide() -> None:
    elsewhere = "unix:/run/mailquota/policy"
    ours = config(policy={"listen": (elsewhere,)})
    seen = SocketFacts(elsewhere, socket(), FOLDERS[:1], ProbeAnswer("answer", "action=DUNNO\n\n"))
    for chroot in (True, False):
        smtpds = (Smtpd("smtp/inet", chroot=chroot), msgspec.structs.replace(SUBMISSION, chroot=chroot))
        asked = postfix(OTHERS, sockets=(seen,), smtpds=smtpds)
        fix = outcome("policy-service-listed", facts(asked, config_=ours)).fix
        assert quota_status_goes(fix, asked) is not chroot


def test_what_asks_us_at_the_wrong_time_goes_when_the_right_list_does() -> None:
    """In between both ask, not neither."""
    here = situation("we at the wrong time", HOST, postfix())
    lines = [line for line in outcome("policy-service-listed", here).fix.splitlines() if line.startswith("postconf")]
    assert [line.split()[2].strip("'") for line in lines] == [RECIPIENT, "smtpd_client_restrictions"]
