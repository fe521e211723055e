"""Connects to policy services as Postfix's smtpd does: as its user, from its queue directory, in its chroot.

The kernel decides about rights, access lists, chroot and security modules alike, so it is asked by doing it. A child
process gives up root for good before it connects. It sends nothing: a policy server answers only requests.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from ...base import programs
from ...servers.postfix.restrictions import postfix_service
from ..paths import UserFacts
from .facts import OTHER_LISTS, RECIPIENT, RELAY, Answer, PolicyReach, PostfixFacts
from .lists import checks_in, list_of

_SECONDS = 2  # for one connection; that to a UNIX socket waits for nothing but its backlog
# Its arguments: folder, "jailed" or "free", uid, gids, then sockets. It prints an errno (0 = connected) for each.
_CHILD = f"""
import errno, os, socket, sys
folder, jail, uid, gids, *paths = sys.argv[1:]
os.chdir(folder)
if jail == "jailed":
    os.chroot(".")
groups = [int(gid) for gid in gids.split(",")]
os.setgroups(groups)
os.setresgid(groups[0], groups[0], groups[0])
os.setresuid(int(uid), int(uid), int(uid))
for path in paths:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout({_SECONDS})
        try:
            sock.connect(path)
            print(0)
        except OSError as error:
            print(error.errno or errno.EINVAL)
"""
_RESULTS: dict[str, Answer] = {
    "ENOENT": "missing", "ENOTDIR": "missing", "ECONNREFUSED": "refused", "EACCES": "denied", "EPERM": "denied",
    "EAGAIN": "silent", "ETIMEDOUT": "silent",
}  # fmt: skip


def reaches(facts: PostfixFacts, listen: Sequence[str], run: programs.Run) -> tuple[PolicyReach, ...]:
    """How the policy services of all restriction lists can be reached, and ours at the addresses ``listen``.

    Only root can become Postfix's user, so nothing is tried otherwise. Services of master.cf are tried with and without
    chroot as they run.
    """
    if os.geteuid() or facts.owner is None or not facts.queue_directory:
        return ()
    wanted = dict.fromkeys(_asked(facts))
    wanted |= dict.fromkeys((postfix_service(text, facts.queue_directory), False) for text in listen)
    found: list[PolicyReach] = []
    for jailed in (False, True):
        services = [service for service, jail in wanted if jail == jailed and service.startswith(("unix:", "local:"))]
        found += _connect(services, facts.queue_directory, facts.owner, run, jailed=jailed) if services else []
    return tuple(found)


def _asked(facts: PostfixFacts) -> Iterator[tuple[str, bool]]:
    """Each policy service that a service of master.cf asks, and whether that one is chrooted."""
    parameters = (RECIPIENT, RELAY, *OTHER_LISTS, *facts.classes)
    for smtpd in facts.smtpds or (None,):
        for parameter in parameters:
            for _, check in checks_in(list_of(facts, parameter, smtpd)):
                yield check.service, smtpd is not None and smtpd.chroot


def _connect(
    services: Iterable[str], queue: str, owner: UserFacts, run: programs.Run, *, jailed: bool
) -> list[PolicyReach]:
    services = list(services)
    paths = [service.partition(":")[2] for service in services]
    gids = ",".join(map(str, owner.gids))
    jail = "jailed" if jailed else "free"
    said = run([sys.executable, "-I", "-S", "-c", _CHILD, queue, jail, str(owner.uid), gids, *paths])
    codes = said.out.split()
    if said.fault or len(codes) != len(services):
        return [PolicyReach(service=service, jailed=jailed, text=said.fault or "no answer") for service in services]
    return [_reach(service, int(code), jailed=jailed) for service, code in zip(services, codes, strict=True)]


def _reach(service: str, code: int, *, jailed: bool) -> PolicyReach:
    if not code:
        return PolicyReach(service=service, jailed=jailed, result="answer")
    result = _RESULTS.get(errno.errorcode.get(code, ""), "closed")
    return PolicyReach(service=service, jailed=jailed, result=result, text=os.strerror(code))


def with_reaches(facts: PostfixFacts, listen: Sequence[str], run: programs.Run) -> PostfixFacts:
    """The facts with those about the way to each policy service."""
    return msgspec.structs.replace(facts, reaches=reaches(facts, listen, run))
