"""Gathers facts about Postfix: its settings, mailquota's policy sockets, and their answers. Writes nothing.

MAIL_CONFIG in the environment selects the instance of Postfix, as for all of Postfix's own commands.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from time import monotonic

from ...base import programs
from ...base.endpoints import SUN_PATH_MAX, ListenAddress
from ...servers.postfix.maps import parse_map_file
from ...servers.postfix.restrictions import entries, policy_check
from ...settings.actions import PROBE
from ...settings.config import Config
from .. import paths
from .connecting import with_reaches
from .facts import (
    PARAMETERS,
    RECIPIENT,
    Answer,
    PostfixFacts,
    ProbeAnswer,
    Smtpd,
    SocketFacts,
)

PATIENCE = 2.0  # seconds for a probe in all
_ANSWER = b"action="
_LONGEST_ANSWER = 4096
_MASTER_FIELDS = 8
_THIS_MACHINE = frozenset({"127.0.0.1", "::1", "localhost"})


def gather(config: Config, run: programs.Run = programs.run) -> PostfixFacts:
    """Facts about the Postfix of this machine. The sockets are examined even where Postfix can't be asked."""
    policy = config.settings.policy
    sockets = tuple(look_at(address) for address in policy.listen_addresses)
    said = run(["postconf", "-x", *PARAMETERS])
    values = parse_map_file(said.out)
    fault = said.fault or ("" if "mail_version" in values else "postconf prints no mail_version")
    if fault:
        return PostfixFacts(fault=fault, sockets=sockets)
    facts = PostfixFacts(fault="", values=values)
    classes = parse_map_file(run(["postconf", "-x", *facts.classes]).out) if facts.classes else {}
    smtpds, master_fault = _master(run, old=_is_old(values))
    facts = PostfixFacts(
        fault="",
        values={**classes, **values},
        master_fault=master_fault,
        smtpds=smtpds,
        owner=paths.user(values.get("mail_owner", "")),
        sockets=sockets,
        absent=tuple(_absent(values, smtpds)),
        running=_running(values, run),
    )
    return with_reaches(facts, policy.listen, run)


def _running(values: dict[str, str], run: programs.Run) -> bool | None:
    """Whether Postfix runs; None without root. ``master -t`` ends with 0 where no other master holds its lock."""
    if "daemon_directory" not in values or os.geteuid():
        return None
    code = run([f"{values['daemon_directory']}/master", "-t"]).code
    return {0: False, 1: True}.get(-1 if code is None else code)


def _absent(values: dict[str, str], smtpds: tuple[Smtpd, ...]) -> Iterator[str]:
    """Policy services without a listener. One that this user can't look at is not among them."""
    lists = [values.get(RECIPIENT, ""), *(one.overrides.get(RECIPIENT, "") for one in smtpds)]
    checks = (policy_check(entry) for text in lists for entry in entries(text))
    for service in dict.fromkeys(check.service for check in checks if check):
        kind, _, place = service.partition(":")
        if kind == "unix" and paths.look(os.path.join(values.get("queue_directory", "/"), place)).kind == "missing":
            yield service
        if kind == "inet" and _is_refused(place):
            yield service


def _is_refused(place: str) -> bool:
    """Whether nothing listens at HOST:PORT of this machine. A server that does gets a connection and no data."""
    host, _, port = place.rpartition(":")
    if host.strip("[]") not in _THIS_MACHINE or not port.isdecimal():
        return False
    try:
        with socket.create_connection((host.strip("[]"), int(port)), PATIENCE):
            return False
    except (OSError, OverflowError) as error:  # the second: no such port
        return isinstance(error, ConnectionRefusedError)


def _is_old(values: dict[str, str]) -> bool:
    """Whether a dash in master.cf's column chroot means yes: with compatibility_level below 1."""
    return values.get("compatibility_level", "0").strip() in {"", "0"}


def _master(run: programs.Run, *, old: bool) -> tuple[tuple[Smtpd, ...], str]:
    lines, options = run(["postconf", "-M"]), run(["postconf", "-Px"])
    fault = lines.fault or options.fault
    if fault:
        return (), fault
    return parse_master(lines.out, options.out, dash_is_chroot=old), ""


def parse_master(lines: str, options: str, *, dash_is_chroot: bool) -> tuple[Smtpd, ...]:
    """The smtpd services of ``postconf -M`` with their options of ``postconf -P``."""
    found = []
    overrides = parse_map_file(options)
    for line in lines.splitlines():
        fields = line.split(maxsplit=_MASTER_FIELDS)
        if len(fields) < _MASTER_FIELDS or fields[7] != "smtpd":
            continue
        service = f"{fields[0]}/{fields[1]}"
        own = {
            name.removeprefix(f"{service}/"): value
            for name, value in overrides.items()
            if name.startswith(f"{service}/")
        }
        chroot = fields[4] == "y" or (fields[4] == "-" and dash_is_chroot)
        found.append(Smtpd(service, chroot=chroot, overrides=own))
    return tuple(found)


def look_at(address: ListenAddress) -> SocketFacts:
    """The file of a socket, the folders above it, and the answer of the service."""
    if address.kind == "inet":
        return SocketFacts(str(address), probe=probe(address))
    file = paths.look(address.path)
    asked = probe(address) if file.kind == "socket" else ProbeAnswer()
    return SocketFacts(str(address), file=file, folders=paths.folders_above(address.path), probe=asked)


def probe(address: ListenAddress, question: bytes = PROBE) -> ProbeAnswer:
    """Send a harmless request, and wait at most PATIENCE seconds for the whole answer."""
    if len(os.fsencode(address.path)) > SUN_PATH_MAX:
        return ProbeAnswer()
    deadline = monotonic() + PATIENCE
    try:
        with contextlib.closing(_connect(address)) as sock:
            sock.sendall(question)
            return _answer(sock, deadline)
    except (OSError, UnicodeError) as error:
        return _no_answer(error)


def _no_answer(error: Exception) -> ProbeAnswer:
    if isinstance(error, (TimeoutError, BlockingIOError)):  # the second: its backlog is full
        return ProbeAnswer("silent", f"no answer within {PATIENCE:g} s")
    text = getattr(error, "strerror", None) or str(error)
    results: dict[type[Exception], Answer] = {
        FileNotFoundError: "missing", ConnectionRefusedError: "refused", PermissionError: "denied",
    }  # fmt: skip
    return ProbeAnswer(results.get(type(error), "closed"), text)


def _connect(address: ListenAddress) -> socket.socket:
    if address.kind == "inet":
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)  # noqa: S104  where all are meant
        return socket.create_connection((host, address.port), PATIENCE)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(PATIENCE)
        sock.connect(address.path)
    except OSError:
        sock.close()
        raise
    return sock


def _answer(sock: socket.socket, deadline: float) -> ProbeAnswer:
    received = b""
    try:
        while b"\n\n" not in received and len(received) < _LONGEST_ANSWER:
            part = _receive(sock, deadline)
            if not part:
                break
            received += part
    except OSError:
        if received[: len(_ANSWER)] in {b"", _ANSWER}:
            raise  # else it is a greeting, by which a foreign service is known
    if not received:
        return ProbeAnswer("closed", "the connection was closed without an answer")
    return ProbeAnswer("answer", received.decode(errors="replace"))


def _receive(sock: socket.socket, deadline: float) -> bytes:
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError
    sock.settimeout(left)
    return sock.recv(_LONGEST_ANSWER)
