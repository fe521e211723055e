"""Discovers settings of mailquota in those of Postfix and Dovecot on this server.

Commands are run and files read by functions that never raise: without Postfix, without Dovecot, or with files that this
user may not read, fewer settings are discovered. Nothing is guessed: where something is not understood with certainty,
the setting stays unknown, and a fault gives the reason.
"""

from __future__ import annotations

import glob
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from ..base import programs
from ..base.programs import Read, Run
from ..servers.dovecot.conf import (
    dovecot_tool,
    dovecot_version,
    is_whole,
    parse_doveconf,
    quota_grace,
    status_answers,
    trash_names,
)
from ..servers.dovecot.doubts import ASKED
from ..servers.dovecot.followed import DovecotSettings, dovecot_settings
from ..servers.dovecot.quota import choose_driver
from ..servers.postfix.maps import parse_map_file
from .collector import SettingsCollector
from .config import DiscoveredSettings
from .discover_accounts import ListFiles, ServerOutput, find_accounts

_LIBEXEC = "/usr/lib/dovecot"
_KNOWN = ((2, 3), (2, 4))
_PARAMETERS = ("config_directory", "queue_directory", "virtual_mailbox_maps", "recipient_delimiter")


def list_files(pattern: str) -> Sequence[str]:
    """The files that match the pattern of an include, by name; empty where the folder can't be read."""
    return sorted(glob.glob(pattern))


def ask_dovecot(doveadm: str = "auto", run: Run = programs.run, read: Read = programs.read) -> DiscoveredSettings:
    """Dovecot's Trash folders, its quota and its names of users, by one run of doveconf; no settings of mailquota."""
    done = run([*dovecot_tool(doveadm, "doveconf"), "-n"])
    text = "" if done.fault or not is_whole(done.out) else done.out
    dovecot = dovecot_settings(text, read)
    return DiscoveredSettings(trash_names=tuple(trash_names(text)), quota=dovecot.quota, users=dovecot.users)


def dovecot_lda(doveadm: str = "auto", run: Run = programs.run) -> list[str]:
    """The command for dovecot-lda. Its folder is Dovecot's setting ``libexec_dir``."""
    done = run([*dovecot_tool(doveadm, "doveconf"), "-h", "libexec_dir"])
    folder = "" if done.fault else done.out.strip()
    return dovecot_tool(doveadm, f"{folder or _LIBEXEC}/dovecot-lda")


def discover(
    doveadm: str = "auto", run: Run = programs.run, read: Read = programs.read, listed: ListFiles = list_files
) -> DiscoveredSettings:
    """Settings discovered by postconf and doveconf, and in the files that they name. Blocks for some seconds at most.

    ``doveadm`` is the setting ``mailstore.doveadm``; its option -c selects a configuration of Dovecot.
    """
    collector = SettingsCollector()
    output = _ask(doveadm, run)
    dovecot = dovecot_settings(output.doveconf, read)
    _take_policy(collector, output, dovecot)
    find_accounts(collector, output, read, listed)
    _take_mailstore(collector, output, dovecot)
    return collector.found(output.doveconf, dovecot)


def _ask(doveadm: str, run: Run) -> ServerOutput:
    with ThreadPoolExecutor(2) as both:  # at the same time, as each may take until its time limit
        asked_postfix = both.submit(run, ["postconf", "-x", *_PARAMETERS])
        dovecot = both.submit(run, [*dovecot_tool(doveadm, "doveconf"), "-n"]).result()
        postfix = asked_postfix.result()
    values = parse_map_file(postfix.out)
    fault = postfix.fault or (
        "" if set(_PARAMETERS) & values.keys() else "postconf printed none of the parameters that mailquota needs"
    )
    version = dovecot_version(dovecot.out)
    trouble = dovecot.fault or ("" if version != (0, 0) else "doveconf printed no version")
    trouble = trouble or ("" if is_whole(dovecot.out) else "the output of doveconf is incomplete")
    return ServerOutput(
        postfix=None if fault else values,
        postfix_fault=fault,
        dovecot=None if trouble else parse_doveconf(dovecot.out),
        dovecot_fault=trouble,
        doveconf="" if trouble else dovecot.out,
        modern=version >= (2, 4),
    )


def _take_policy(collector: SettingsCollector, output: ServerOutput, dovecot: DovecotSettings) -> None:
    postfix = output.postfix or {}
    if output.postfix is None:
        collector.fault("policy.listen", f"{output.postfix_fault}; Postfix's queue directory is not known")
    if postfix.get("queue_directory"):
        listen = [f"unix:{postfix['queue_directory']}/private/mailquota"]
        collector.add("policy", "listen", listen, "postconf queue_directory")
    if output.dovecot is None:
        collector.fault("policy.grace", f"{output.dovecot_fault}; Dovecot's grace and answers are not known")
        if "recipient_delimiter" in postfix:
            _take_delimiter(collector, postfix["recipient_delimiter"], "postconf")
        return
    # quota-status, which mailquota replaces, uses Dovecot's delimiter. doveconf -n prints it only where it is not the
    # default "+", which is mailquota's default, too.
    if "recipient_delimiter" in output.dovecot.values:
        _take_delimiter(collector, output.dovecot.values["recipient_delimiter"], "doveconf")
    _take_quota(collector, output, dovecot)


def _take_delimiter(collector: SettingsCollector, value: str, program: str) -> None:
    collector.add("policy", "recipient_delimiter", value, f"{program} recipient_delimiter")


def _take_quota(collector: SettingsCollector, output: ServerOutput, dovecot: DovecotSettings) -> None:
    version = dovecot_version(output.doveconf)
    if version not in _KNOWN:
        number = ".".join(map(str, version))
        read_as = "2.4" if output.modern else "2.3"
        collector.fault("policy", f"Dovecot {number} is not covered; its settings were read as those of {read_as}")
    _take_grace(collector, output, dovecot)
    for name, answer in status_answers(output.doveconf).items():
        collector.add("policy", name, answer, f"doveconf quota_status_{name}")
    quota = dovecot.quota
    if not quota.backend:
        collector.fault("policy", "Dovecot keeps no quota; limits are enforced by mailquota alone")
    roots = [text or name for name, text in quota.roots]
    if len(roots) > 1:
        collector.fault("policy", f"Dovecot keeps {len(roots)} quotas ({', '.join(roots)}); only the first is followed")
    for reason in dovecot.unlike:
        collector.fault("policy", f"{reason}, and the one of all users is followed")


def _take_grace(collector: SettingsCollector, output: ServerOutput, dovecot: DovecotSettings) -> None:
    """That of the users' database, where it is the same for all, else that of the settings."""
    grace = quota_grace(output.doveconf)
    name = "quota_storage_grace" if output.modern else "quota_grace"
    if dovecot.grace is not None and dovecot.grace.value is not None:
        collector.add("policy", "grace", dovecot.grace.value.replace(" ", ""), dovecot.grace.origin)
    elif grace:
        origin = f"doveconf {name}" + ("" if name in output.doveconf else " (its default)")
        collector.add("policy", "grace", grace, origin)


def _take_mailstore(collector: SettingsCollector, output: ServerOutput, dovecot: DovecotSettings) -> None:
    """Take the path of Maildirs; where there is no single one but Dovecot keeps quota, choose the driver doveadm."""
    if output.dovecot is None:
        collector.fault("mailstore.path", output.dovecot_fault)
        return
    location, quota = dovecot.location, dovecot.quota
    if location.path:
        collector.add("mailstore", "path", location.path, f"doveconf {location.origin}")
    elif quota.backend and not location.hidden:
        collector.add("mailstore", "driver", "doveadm", f"doveconf {location.fault}")
        collector.fault(
            "mailstore", f"{location.fault}: there is no mailstore.path for all; doveadm is asked for the usage"
        )
    else:
        collector.fault("mailstore.path", location.fault)
    asked = quota.backend and choose_driver(quota, doveadm=True) == "doveadm"
    for doubt in quota.doubts:
        collector.fault("mailstore", f"{doubt}; {ASKED}" if asked else doubt)
