"""What Postfix and Dovecot already say about this server, as settings.

Commands and files are asked for through functions that never raise, so a server without Postfix, without Dovecot, or
with files that we may not read simply says less. What is not understood with certainty stays unknown, and is told: a
fault names what could not be asked, read or understood, and which setting that leaves open.
"""

from __future__ import annotations

import glob
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from mailquota.core.base import programs
from mailquota.core.base.programs import Read, Run
from mailquota.core.servers.dovecot.conf import (
    dovecot_tool,
    dovecot_version,
    is_whole,
    parse_doveconf,
    quota_grace,
    status_answers,
    trash_names,
)
from mailquota.core.servers.dovecot.places import mail_place
from mailquota.core.servers.dovecot.quota import quota_facts
from mailquota.core.servers.postfix.maps import parse_map_file
from mailquota.core.settings.config import Found
from mailquota.core.settings.discover_accounts import List, Spoken, find_accounts
from mailquota.core.settings.found import Gathered

_LIBEXEC = "/usr/lib/dovecot"
_KNOWN = ((2, 3), (2, 4))
_PARAMETERS = ("config_directory", "queue_directory", "virtual_mailbox_maps", "recipient_delimiter")


def list_files(pattern: str) -> Sequence[str]:
    """The files that fit a pattern of an include, in the order of their names; none where the folder is closed."""
    return sorted(glob.glob(pattern))


def ask_dovecot(doveadm: str = "auto", run: Run = programs.run) -> Found:
    """Only what is no setting of ours: which folders are \\Trash on this server, and how quota is kept."""
    said = run([*dovecot_tool(doveadm, "doveconf"), "-n"])
    text = "" if said.fault else said.out  # half of the settings are none
    return Found(trash_names=tuple(trash_names(text)), quota=quota_facts(text))


def dovecot_lda(doveadm: str = "auto", run: Run = programs.run) -> list[str]:
    """The command for dovecot-lda, which lies in a folder that Dovecot alone knows for sure."""
    said = run([*dovecot_tool(doveadm, "doveconf"), "-h", "libexec_dir"])
    folder = "" if said.fault else said.out.strip()
    return dovecot_tool(doveadm, f"{folder or _LIBEXEC}/dovecot-lda")


def discover(
    doveadm: str = "auto", run: Run = programs.run, read: Read = programs.read, listed: List = list_files
) -> Found:
    """Ask Postfix and Dovecot. ``doveadm`` is the setting ``mailstore.doveadm``, whose -c says which Dovecot."""
    gathered = Gathered()
    spoken = _ask(doveadm, run)
    _take_policy(gathered, spoken)
    find_accounts(gathered, spoken, read, listed)
    _take_mailstore(gathered, spoken, read)
    return gathered.found(spoken.doveconf)


def _ask(doveadm: str, run: Run) -> Spoken:
    with ThreadPoolExecutor(2) as both:  # side by side: either may hang
        postfix_said = both.submit(run, ["postconf", "-x", *_PARAMETERS])
        dovecot = both.submit(run, [*dovecot_tool(doveadm, "doveconf"), "-n"]).result()
        postfix = postfix_said.result()
    values = parse_map_file(postfix.out)
    fault = postfix.fault or ("" if set(_PARAMETERS) & values.keys() else "postconf printed nothing that we know")
    version = dovecot_version(dovecot.out)
    trouble = dovecot.fault or ("" if version != (0, 0) else "doveconf printed nothing that names its version")
    trouble = trouble or ("" if is_whole(dovecot.out) else "what doveconf printed ends in the middle")
    return Spoken(
        None if fault else values,
        fault,
        None if trouble else parse_doveconf(dovecot.out),
        trouble,
        "" if trouble else dovecot.out,
        version >= (2, 4),
    )


def _take_policy(gathered: Gathered, spoken: Spoken) -> None:
    postfix = spoken.postfix or {}
    if spoken.postfix is None:
        gathered.fault("policy.listen", f"{spoken.postfix_fault}; the place of Postfix's queue is not known")
    if postfix.get("queue_directory"):
        listen = [f"unix:{postfix['queue_directory']}/private/mailquota"]
        gathered.add("policy", "listen", listen, "postconf queue_directory")
    if spoken.dovecot is None:
        gathered.fault("policy.grace", f"{spoken.dovecot_fault}; Dovecot's grace and answers are not known")
        if "recipient_delimiter" in postfix:
            _take_delimiter(gathered, postfix["recipient_delimiter"], "postconf")
        return
    # The decision is Dovecot's, so its delimiter counts; "+" is its default, and -n shows only what differs.
    if "recipient_delimiter" in spoken.dovecot.values:
        _take_delimiter(gathered, spoken.dovecot.values["recipient_delimiter"], "doveconf")
    _take_quota(gathered, spoken)


def _take_delimiter(gathered: Gathered, value: str, program: str) -> None:
    gathered.add("policy", "recipient_delimiter", value, f"{program} recipient_delimiter")


def _take_quota(gathered: Gathered, spoken: Spoken) -> None:
    version = dovecot_version(spoken.doveconf)
    if version not in _KNOWN:
        number = ".".join(map(str, version))
        read_as = "2.4" if spoken.modern else "2.3"
        gathered.fault("policy", f"Dovecot {number} is not covered; its settings were read as those of {read_as}")
    grace = quota_grace(spoken.doveconf)
    if grace:
        name = "quota_storage_grace" if spoken.modern else "quota_grace"
        gathered.add(
            "policy", "grace", grace, f"doveconf {name}" + ("" if name in spoken.doveconf else " (its default)")
        )
    for name, answer in status_answers(spoken.doveconf).items():
        gathered.add("policy", name, answer, f"doveconf quota_status_{name}")
    quota = quota_facts(spoken.doveconf)
    if not quota.backend:
        gathered.fault("policy", "Dovecot keeps no quota; limits are enforced by mailquota alone")
    roots = [text or name for name, text in quota.roots]
    if len(roots) > 1:
        gathered.fault("policy", f"Dovecot keeps {len(roots)} quotas ({', '.join(roots)}); only the first is followed")


def _take_mailstore(gathered: Gathered, spoken: Spoken, read: Read) -> None:
    """Where the place of mailboxes can't be told but Dovecot counts them, it is asked for their use."""
    if spoken.dovecot is None:
        gathered.fault("mailstore.path", spoken.dovecot_fault)
        return
    place = mail_place(spoken.dovecot, modern=spoken.modern, read=read)
    if place.path:
        gathered.add("mailstore", "path", place.path, f"doveconf {place.origin}")
    elif quota_facts(spoken.doveconf).backend and not place.hidden:
        gathered.add("mailstore", "driver", "doveadm", f"doveconf {place.fault}")
        gathered.fault("mailstore", f"{place.fault}: no place for mailstore.path; doveadm is asked for the use")
    else:
        gathered.fault("mailstore.path", place.fault)
