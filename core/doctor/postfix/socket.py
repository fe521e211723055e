"""Checks of the policy socket: how Postfix asks, the socket's file and its rights, chroot, and the answer. Pure."""

from __future__ import annotations

import os
import re
import shlex

from ...base import guarded
from ...base.endpoints import SUN_PATH_MAX, parse_listen
from ...base.text import shown, visible
from ...servers.postfix.restrictions import PolicyCheck, place, postfix_service, without
from .. import start_commands
from ..model import Check, Facts, Outcome, fail, ok, skip, together, warn
from ..paths import ENTER, WRITE, PathFacts, UserFacts, allows
from .facts import RECIPIENT, PolicyReach, SocketFacts
from .lists import judged_list, list_of, needs_our_check, needs_postfix, our_service, ours

_LONG = 30.0  # seconds; Postfix tries twice with a pause of a second, so a client waits for 61 s
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_AS_ROOT = "run the doctor as root"


def _checks(facts: Facts) -> list[PolicyCheck]:
    return [check for _, check in ours(facts, judged_list(facts))]


def _rewritten(facts: Facts) -> str:
    """The commands that write the list with mailquota's entry as it should be."""
    found = judged_list(facts)
    text = without(found.text, {check.service for check in _checks(facts)})
    return found.change_to(place(text, our_service(facts)))


def _option(facts: Facts, check: PolicyCheck, name: str) -> str:
    return check.options.get(name, facts.postfix.values.get(f"smtpd_policy_service_{name}", ""))


def _seconds(text: str) -> float | None:
    """A time of Postfix in seconds: a number with a unit, or seconds without one. None for any other text."""
    match = re.fullmatch(r"([0-9]+)([smhdw]?)", text.strip().lower())
    return float(match[1]) * _UNITS[match[2]] if match else None


def _timeout(facts: Facts) -> Outcome:
    text = _option(facts, _checks(facts)[0], "timeout")
    seconds = _seconds(text)
    if seconds is None:
        return skip(f"smtpd_policy_service_timeout is {shown(text)}, which is not a time")
    if seconds > _LONG:
        return warn(
            f"Postfix waits {text} for an answer, and asks twice: {2 * seconds + 1:g} s in all", _rewritten(facts)
        )
    return ok(f"Postfix waits {text} for an answer")


def _default_action(facts: Facts) -> Outcome:
    text = _option(facts, _checks(facts)[0], "default_action")
    word = text.split(" ", 1)[0].upper()
    if word == "DUNNO":
        return ok("without an answer Postfix goes on (default_action=DUNNO)")
    if word in {"OK", "PERMIT", "RELAY"}:
        return warn(
            f"without an answer, default_action={visible(text)} skips all later restrictions", _rewritten(facts)
        )
    return warn(f"without an answer Postfix says {shown(text)} to every recipient", _rewritten(facts))


def _file(facts: Facts) -> Outcome:
    unasked = not facts.postfix.fault and not _checks(facts)
    if unasked and all(one.file is not None and one.file.kind == "missing" for one in facts.postfix.sockets):
        return skip("there is no socket, and Postfix asks for none: see policy-service-listed and engine")
    if not facts.postfix.sockets:
        return skip(f"the sockets could not be examined: {facts.postfix.fault}")
    outcomes = [_one_file(facts, one) for one in facts.postfix.sockets]
    return together(outcomes, ok(f"{', '.join(one.address for one in facts.postfix.sockets)}: in place"))


def _one_file(facts: Facts, one: SocketFacts) -> Outcome:
    file = one.file
    if file is None:
        return ok("")
    path = shown(file.path, 200)
    if len(os.fsencode(file.path)) > SUN_PATH_MAX:
        return fail(
            f"the path {path} has more than {SUN_PATH_MAX} bytes, which is fatal to smtpd",
            "# choose a shorter path in policy.listen of mailquota's settings",
        )
    if file.kind == "closed":
        return skip(f"{file.fault}: {_AS_ROOT}")
    if file.kind == "missing":
        return fail(
            f"there is no socket {path}: mailquota does not run, or listens elsewhere", start_commands.reopen(facts)
        )
    if file.kind != "socket":  # mailquota replaces nothing but a socket
        return fail(f"{path} is a {file.kind}, not a socket", _replaced(facts, file))
    stale = one.probe.result == "refused"
    return fail(f"{path} is stale: nothing listens there any more", start_commands.restart(facts)) if stale else ok("")


def _replaced(facts: Facts, file: PathFacts) -> str:
    """The fix that moves something else out of the socket's way."""
    first, *more = start_commands.reopen(facts).splitlines()
    anew = [first, *more] if first.startswith("#") else [" && ".join([first, *more])]
    return "\n".join([guarded.line(file.path, guarded.aside()), *anew])


def _rights(facts: Facts) -> Outcome:
    owner = facts.postfix.owner
    if owner is None:
        name = facts.postfix.values.get("mail_owner", "")
        return skip(f"there is no user {shown(name)}, which is Postfix's mail_owner")
    reaches = [_reach(facts, one.address) for one in facts.postfix.sockets]
    found = zip(facts.postfix.sockets, reaches, strict=True)
    outcomes = [_way(one, reach, owner, facts.postfix.queue_directory) for one, reach in found]
    how = "connected as it" if any(reach and reach.result == "answer" for reach in reaches) else "by owner and mode"
    return together(outcomes, ok(f"user {owner.name} may connect ({how})"))


def _way(one: SocketFacts, reach: PolicyReach | None, owner: UserFacts, queue: str) -> Outcome:
    """The outcome for a socket: where a connection was tried that decides, and owner and mode tell why it failed."""
    if reach is not None and reach.result == "answer":
        return ok("")
    outcome = _one_rights(one, owner, queue)
    refused = reach is not None and reach.result == "denied" and outcome.state != "fail"
    return _denied(reach, owner) if reach is not None and refused else outcome


def _reach(facts: Facts, address: str, *, jailed: bool = False) -> PolicyReach | None:
    """The connection as Postfix's user to an address of ``policy.listen``; None where none was tried."""
    service = postfix_service(address, facts.postfix.queue_directory)
    return next((one for one in facts.postfix.reaches if one.service == service and one.jailed == jailed), None)


def _denied(reach: PolicyReach, owner: UserFacts) -> Outcome:
    """The outcome where owner and mode allow it, and the kernel does not."""
    path = shlex.quote(reach.service.partition(":")[2])
    return fail(
        f"user {owner.name} can't connect to {visible(reach.service)}, though owner and mode allow it: {reach.text}",
        f"# an access list or a security module forbids it; in Postfix's queue directory:\ngetfacl {path}\naa-status",
    )


def _one_rights(one: SocketFacts, owner: UserFacts, queue: str) -> Outcome:
    file = one.file
    if file is None:
        return ok("")
    if file.kind == "closed":
        return skip(f"{file.fault}: {_AS_ROOT}")
    outcomes = [_folder(folder, owner, queue) for folder in one.folders]
    if file.kind == "socket":
        outcomes.append(_socket(file, owner))
    return together(outcomes, ok("" if file.kind == "socket" else "there is no socket"))


def _socket(file: PathFacts, owner: UserFacts) -> Outcome:
    may = allows(file, owner, WRITE)
    if may is None:
        return skip(f"{shown(file.path, 200)} has an access list (getfacl shows it), which is not judged")
    if may:
        return ok("")
    return fail(
        f"user {owner.name} may not connect to {shown(file.path, 200)} ({file.rights})",
        f"{guarded.line(file.path, guarded.owner_to(owner.name), guarded.mode_by(owner.name, 'u+rw'))}\n"
        "# to keep it: set socket_user and socket_mode in [policy] of mailquota's settings, or systemd's socket unit",
    )


def _folder(folder: PathFacts, owner: UserFacts, queue: str) -> Outcome:
    may = allows(folder, owner, ENTER) if folder.kind == "folder" else True
    if may is None:
        return skip(f"{shown(folder.path, 200)} has an access list (getfacl shows it), which is not judged")
    if may:
        return ok("")
    # Folders below the queue directory have to stay private to Postfix (postfix-files(5)).
    mine = guarded.line(folder.path, guarded.owner_to(owner.name), guarded.mode_by(owner.name, "u+rwx"))
    private = folder.path.startswith(queue.rstrip("/") + "/") and folder.path != queue
    return fail(
        f"user {owner.name} may not enter {shown(folder.path, 200)} ({folder.rights})",
        mine if private else guarded.line(folder.path, guarded.mode_by(folder.owner, "o+x")),
    )


def _jail(facts: Facts) -> Outcome:
    if facts.postfix.master_fault:
        return skip(f"master.cf could not be read: {facts.postfix.master_fault}; {_AS_ROOT}")
    jailed = [one for one in facts.postfix.smtpds if one.chroot and ours(facts, list_of(facts.postfix, RECIPIENT, one))]
    checks = [check for check in _checks(facts) if check.service.startswith(("unix:/", "local:/"))]
    if not jailed or not checks:
        if jailed and (hidden := _hidden(facts)):
            return hidden
        how = f"below {facts.postfix.queue_directory}" if jailed else "no smtpd that asks is chrooted"
        return ok(f"smtpd reaches {', '.join(check.service for check in _checks(facts))}: {how}")
    services = ", ".join(one.service for one in jailed)
    found = f"{services} is chrooted to {facts.postfix.queue_directory}, where {checks[0].service} does not exist"
    if not our_service(facts).startswith("unix:/"):
        return fail(found, _rewritten(facts))
    unlock = "\n".join(f"postconf -F {shlex.quote(f'{one.service}/chroot=n')}" for one in jailed)
    queue = facts.postfix.queue_directory
    return fail(
        found,
        f'# better: policy.listen = ["unix:{queue}/private/mailquota"] in mailquota\'s settings\n# or without chroot:\n'
        f"{unlock}\npostfix reload",
    )


def _hidden(facts: Facts) -> Outcome | None:
    """The outcome where the socket can be connected to, but not from inside the chroot; None otherwise."""
    for check in _checks(facts):
        found = {one.jailed: one for one in facts.postfix.reaches if one.service == check.service}
        outside, inside = found.get(False), found.get(True)
        if outside and inside and outside.result == "answer" and inside.result in {"missing", "denied"}:
            text = f"{check.service} can't be connected to in the chroot {facts.postfix.queue_directory}: {inside.text}"
            return fail(text, "# see what keeps it away: mounts, and links in the path, lead elsewhere in the chroot")
    return None


def _answers(facts: Facts) -> Outcome:
    outcomes = [_one_answer(facts, one) for one in facts.postfix.sockets]
    return together(outcomes, ok("mailquota answers where Postfix asks"))


def _one_answer(facts: Facts, one: SocketFacts) -> Outcome:
    probe = one.probe
    if probe.result == "answer":
        return _text(facts, one.address, probe.text)
    if one.file is not None and one.file.kind == "closed":
        return skip(f"{one.file.fault}: {_AS_ROOT}")
    if probe.result == "denied":
        return skip(f"{one.address}: permission denied; {_AS_ROOT}")
    if probe.result == "silent":
        return fail(
            f"{one.address} takes connections, but does not answer ({probe.text})", start_commands.restart(facts)
        )
    if probe.result in {"missing", "not asked"}:
        return skip(f"{one.address} could not be asked: see policy-socket")
    return fail(f"{one.address}: {visible(probe.text)}", start_commands.restart(facts))


def _text(facts: Facts, address: str, text: str) -> Outcome:
    action = text.removesuffix("\n\n")
    if not text.endswith("\n\n") or not action.startswith("action="):
        return fail(
            f"{address} answers {shown(text)}, which is not the policy protocol: a foreign service", _who(address)
        )
    action = action.removeprefix("action=")
    if action.split(" ", 1)[0].upper() != "DUNNO":
        return fail(f"{address} answers {shown(action)} where mailquota says DUNNO: a foreign service", _who(address))
    engine = facts.host.engine
    if engine.known and not engine.running and not engine.fault:
        return warn(
            f"{address} answers, but no mailquota runs: a foreign service, or one with other settings", _who(address)
        )
    return ok("")


def _who(address: str) -> str:
    """The command that shows which program listens at an address."""
    place_ = parse_listen(address)
    wanted = f"-xlp src {shlex.quote(place_.path)}" if place_.kind == "unix" else f"-tlp sport = :{place_.port}"
    return f"ss {wanted}\n# stop that service, or choose another address in policy.listen of mailquota's settings"


SOCKET_CHECKS: tuple[Check, ...] = (
    Check(
        "policy-service-timeout",
        "While mailquota hangs, each client waits this long twice; with the default of 100 s all processes of smtpd "
        "are soon in use.",
        needs_our_check(_timeout),
    ),
    Check(
        "policy-service-default-action",
        "Postfix uses this answer while mailquota is stopped. The default defers all mail: 451 Server configuration "
        "problem.",
        needs_our_check(_default_action),
    ),
    Check(
        "policy-socket",
        "Postfix asks mailquota by this socket. While it is missing or stale, the default action decides about each "
        "recipient, after a second.",
        _file,
    ),
    Check(
        "policy-socket-rights",
        "smtpd connects as Postfix's own user, which must be able to enter the folders above the socket and to write "
        "to it.",
        needs_postfix(_rights),
    ),
    Check(
        "policy-socket-jail",
        "Debian's smtpd is chrooted to its queue directory: an absolute path does not exist for it.",
        needs_our_check(_jail),
    ),
    Check(
        "policy-service-answers",
        "If mailquota hangs, or another service listens at its address, limits are not enforced.",
        _answers,
    ),
)
