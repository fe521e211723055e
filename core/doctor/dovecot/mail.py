"""Checks of Dovecot's mailboxes: maildirsize files, Trash, memory, grace, and how addresses become users. Pure."""

from __future__ import annotations

import re
import shlex

from ...base import guarded
from ...base.errors import UsageError
from ...base.text import shown, visible
from ...base.units import format_size, parse_grace, parse_size
from ...settings.config import Config
from ..model import Check, Facts, Outcome, fail, ok, skip, together, warn
from .common import (
    append,
    combined_check,
    dovecot_check,
    is_modern,
    service,
    unasked,
    version,
)
from .facts import DovecotFacts, FileFacts

_MOVE_FAULT = ((2, 4, 1), (2, 4, 4))
_OWNER_READS_AND_WRITES = 0o600
_DEFAULT_MEMORY = "256M"  # default_vsz_limit of 2.3 and 2.4
# Memory of a process without the mailbox files that it maps. Measured: with 61 MiB of files, 80 to 96 MiB in all.
_PROCESS = 32 << 20
_MEMORY_SERVICES = ("imap", "lmtp", "quota-status")
_WITHOUT_DOMAIN = re.compile(r"%L?n|%\{(?:username|user\s*\|[^}]*\busername\b)[^}]*\}")
_DEFAULT_GRACE = {False: "10%", True: "10M"}


def _move(facts: DovecotFacts) -> Outcome:
    first, last = _MOVE_FAULT
    if facts.quota.backend != "maildir" or not first <= facts.release <= last:
        return ok(f"{version(facts)} with quota driver {facts.quota.backend or 'none'} does not have this fault")
    name = facts.quota.roots[0][0]
    fix = append(facts, f'quota "{visible(name)}" {{', "  driver = count", "}")
    return warn(f"{version(facts)} with quota driver maildir", fix)


def _maildirsize(facts: Facts) -> Outcome:
    files, backend = facts.dovecot.maildirsizes, facts.dovecot.quota.backend
    if backend == "maildir":
        broken = [_unusable(file) for file in files]
        return together(broken, ok(f"{len(files)} maildirsize files looked at can be read and written by their users"))
    if not files:
        return ok(f"quota driver {backend or 'none'} has left no maildirsize files")
    if backend != "count" or len(facts.dovecot.quota.roots) > 1:  # another quota root, or another program, may use them
        return skip(f"not covered: maildirsize files of another quota than Dovecot's first, {shown(backend or 'none')}")
    root = facts.config.settings.mailstore.folder
    why = "They are not kept up to date, and a program that reads them shows old usage."
    found = (
        f"quota driver {visible(backend) or 'none'} does not use {visible(files[0].path)}, which is left from before"
    )
    return warn(found, f"find {shlex.quote(root)} -name maildirsize -type f -delete", why)


def _unusable(file: FileFacts) -> Outcome:
    if file.uid == file.owner and file.mode & _OWNER_READS_AND_WRITES == _OWNER_READS_AND_WRITES:
        return ok(file.path)
    # The folder is its user's: chown and chmod of root could follow a symbolic link. Dovecot creates the file again.
    return fail(
        f"{visible(file.path)} has owner {file.uid} and mode {file.mode:04o}, its mailbox owner {file.owner}",
        guarded.line(file.path, guarded.removed()),
    )


def _username_format(facts: DovecotFacts) -> Outcome:
    if not facts.with_domain:
        return ok("no account has a domain in its name" if facts.accounts else "there are no accounts")
    whole = f"auth_username_format = {'%{user | lower}' if is_modern(facts) else '%Lu'}"
    if all(account.unknown for account in facts.sample):
        text = facts.conf.values.get("auth_username_format", "")
        if facts.sample and _WITHOUT_DOMAIN.search(text):
            return fail(f"auth_username_format = {visible(text)} drops the domain of all users", append(facts, whole))
        known = "Dovecot could not be asked whether it looks users up by their whole address"
        return unasked(facts) or skip(known)
    for block in facts.conf.of_kind("protocol"):
        text = block.values.get("auth_username_format", "")
        if block.name == "lmtp" and _WITHOUT_DOMAIN.search(text):
            fix = append(facts, "protocol lmtp {", f"  {whole}", "}")
            return fail(f"protocol lmtp has auth_username_format = {visible(text)}, which drops the domain", fix)
    return ok("LMTP looks users up by their whole address")


def _memory(facts: DovecotFacts) -> Outcome:
    largest = facts.largest_index
    if largest is None:
        return ok("no mailbox has an index yet that could be seen")
    limits = {name: _limit(facts, name) for name in _MEMORY_SERVICES if name != "quota-status" or service(facts, name)}
    needed = _PROCESS + largest.size * 5 // 4
    small = {name: limit for name, limit in limits.items() if limit and limit < needed}
    size = format_size(largest.size)
    if not small:
        return ok(f"the index of the largest INBOX, {visible(largest.path)}, has {size}")
    fix = [line for name in small for line in (f"service {name} {{", f"  vsz_limit = {_megabytes(needed)}", "}")]
    told = ", ".join(f"{name} {format_size(limit)}" for name, limit in small.items())
    return warn(f"vsz_limit ({told}) is small for {visible(largest.path)}, whose index has {size}", append(facts, *fix))


def _limit(facts: DovecotFacts, name: str) -> int:
    """The vsz_limit of a service in bytes, 0 = none. 2.3 prints ``12 M``; other text counts as none."""
    block = service(facts, name)
    own = block.values.get("vsz_limit", "") if block else ""
    text = own or facts.conf.values.get("default_vsz_limit") or _DEFAULT_MEMORY
    match = re.fullmatch(r"([0-9]+) *([BkKMGT]?)i?[Bb]?", text.strip())
    return parse_size(match[1] + match[2].replace("B", "")) if match else 0


def _megabytes(size: int) -> str:
    """Twice the size, rounded up to a multiple of 256 MB, as Dovecot writes it."""
    step = 256
    return f"{-(-(2 * size) // (step << 20)) * step}M"


def _trash(facts: DovecotFacts) -> Outcome:
    if facts.trash:
        return ok(f"special_use = \\Trash: {', '.join(map(visible, facts.trash))}")
    inbox = next((block for block in facts.conf.of_kind("namespace") if block.values.get("inbox") == "yes"), None)
    name = inbox.name if inbox else "inbox"
    special = r'"\\Trash"' if is_modern(facts) else r"\Trash"
    lines = [f"namespace {name} {{", "  inbox = yes", "  mailbox Trash {", f"    special_use = {special}", "  }", "}"]
    return warn("no mailbox has special_use = \\Trash", append(facts, *lines))


def _grace(facts: Facts) -> Outcome:
    dovecot, config = facts.dovecot, facts.config
    theirs = dovecot.grace or _DEFAULT_GRACE[is_modern(dovecot)]
    ours = config.settings.policy.grace
    if not dovecot.quota.roots:
        return skip("Dovecot keeps no quota")
    same = _same_grace(ours, theirs)
    if same is None:
        return skip(f"not covered: a grace of {shown(theirs)}")
    if same:
        return ok(f"a mailbox under its limit may go beyond it by {visible(theirs)}, for Dovecot and for mailquota")
    found = f"Dovecot allows {visible(theirs)} beyond the limit, mailquota {visible(ours)}"
    return warn(found, _our_grace(config, theirs))


def _same_grace(ours: str, theirs: str) -> bool | None:
    try:
        return parse_grace(ours) == parse_grace(theirs)
    except UsageError:
        return None


def _our_grace(config: Config, theirs: str) -> str:
    file = config.path or "/etc/mailquota/mailquota.toml"
    return f'# in {file}, under [policy]:\n#   grace = "{visible(theirs)}"\n# then: mailquota reload'


MAIL_CHECKS: tuple[Check, ...] = (
    dovecot_check(
        "imap-move",
        "Mail that a user moves to another folder is subtracted from the usage, so users can store beyond their limit.",
        _move,
    ),
    combined_check(
        "maildirsize",
        "Where Dovecot can't use a maildirsize, its policy check defers mail, and delivery accepts mail unchecked.",
        _maildirsize,
    ),
    dovecot_check(
        "lmtp-username",
        "If LMTP looks users up without their domain, it refuses all mail: 550 User doesn't exist.",
        _username_format,
    ),
    dovecot_check(
        "memory-limit",
        "A process that reaches its vsz_limit ends with Out of memory: the mailbox can't be opened, or mail is"
        " deferred. Users mistake that for a full mailbox.",
        _memory,
    ),
    dovecot_check(
        "trash-folder", "By special_use mail programs and mailquota find Trash, whatever its name is.", _trash
    ),
    combined_check(
        "grace",
        "Where mailquota allows more than Dovecot, accepted mail bounces; where less, mail is refused too early.",
        _grace,
    ),
)
