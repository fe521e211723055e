"""Fixes for errors in the mail log, as text for a root shell. Pure.

Any local user can write lines into the log (logger -t dovecot). So a path, an address or another name from it is put
into a command that changes something only if something else names it, too: the accounts database or the settings.
"""

from __future__ import annotations

import re
import shlex

from ...base import guarded
from .. import start_commands
from ..dovecot.common import append, doveadm, is_modern, reload
from ..dovecot.facts import DovecotFacts
from ..model import Facts
from .facts import EventGroup

_MIB = 1 << 20
_LEAST, _MOST = 512, 4096  # MiB
_MEMORY = re.compile(r"([0-9]{1,12}) ?([kMGT]?)B?")
_FAILED = re.compile(r"(open|execvp|net_connect_unix)\((/[^()\s]+)\) failed: (\w[\w ]*\w)")
_WRONG_SIZE = re.compile(r"Cached message size|Couldn't get (?:size of )?mailbox .*: read\(")
_ABOUT_THE_SOCKET = frozenset({"Permission denied", "No such file or directory", "Connection refused"})
_SERVICES = {  # of Dovecot 2.3 and 2.4 without any settings
    "anvil", "auth", "auth-worker", "config", "dict", "dict-async", "dict-expire", "director", "dns-client",
    "dns_client", "doveadm", "imap", "imap-hibernate", "imap-login", "imap-urlauth", "imap-urlauth-login",
    "imap-urlauth-worker", "indexer", "indexer-worker", "ipc", "lmtp", "log", "managesieve", "managesieve-login",
    "old-stats", "pop3", "pop3-login", "quota-status", "quota-warning", "replicator", "aggregator", "ssl-params",
    "stats", "submission", "submission-login",
}  # fmt: skip
_UNKNOWN = (
    "# the accounts database does not have the account that it names: see who wrote this into the log. For another"
    " user of Dovecot: mailquota recalc ADDRESS"
)
_FACTORS = {"": 1 / _MIB, "k": 1 / 1024, "M": 1, "G": 1024, "T": _MIB}

AS_ROOT = """\
# run mailquota doctor as root. The engine sees the log if its user is in the group that may read it, for example:
# usermod -aG adm vmail"""


def bounces(facts: DovecotFacts) -> str:
    """The fix for mail that is accepted and then refused at delivery."""
    fix = append(facts, "quota_full_tempfail = yes")
    return f"# with this such mail waits in Postfix's queue and does not bounce; see quota-bounces:\n{fix}"


def empty_answer(facts: DovecotFacts) -> str:
    """The fix for empty answers of quota-status of 2.4, which never sends the text itself: any text will do."""
    if facts.fault or not is_modern(facts):
        return "# see quota-status-toolarge and quota-status-answers: no answer of a policy service may be empty"
    return append(facts, "quota_status_toolarge = 552 5.2.3 The message is larger than the whole mailbox")


def memory(facts: DovecotFacts, group: EventGroup) -> str:
    """The fix that gives a service twice the memory, at least 512 MiB and at most 4 GiB."""
    limit = _MEMORY.fullmatch(group.newest.limit)
    mebibytes = int(2 * int(limit[1]) * _FACTORS[limit[2]]) if limit else 2 * _LEAST
    name = group.newest.subject
    if name not in _SERVICES and not any(block.name == name for block in facts.conf.of_kind("service")):
        return "# Dovecot has no such service by default, nor in its settings: see who wrote this into the log"
    return append(facts, f"service {name} {{", f"  vsz_limit = {min(max(mebibytes, _LEAST), _MOST)}M", "}")


def policy(facts: Facts, group: EventGroup, *, ours: bool) -> str:
    """The fix for a policy service that does not answer; its name is only in the log, so it is in no command."""
    reason = group.newest.text
    start = start_commands.restart(facts) if ours else start_commands.dovecot(facts, "restart")
    if "/" not in group.newest.subject or reason not in _ABOUT_THE_SOCKET:
        unit = "mailquota" if ours else "dovecot"
        return (
            f"# it hangs, or has ended: see policy-service-answers, and its log\njournalctl -u {unit} -n 50 --no-pager"
        )
    if reason != "Permission denied":
        return f"# nothing listens there: see policy-socket\n{start}"
    setting = "policy.socket_user and socket_mode of mailquota" if ours else "the unix_listener of service quota-status"
    return f"# {setting} say who may connect: see policy-socket-rights and policy-services-reached, and then\n{start}"


def is_wrong_size(message: str) -> bool:
    """Whether an error of Dovecot is about a mail whose file name has a wrong size."""
    return bool(_WRONG_SIZE.search(message))


def wrong_size(facts: DovecotFacts, address: str) -> str:
    """The fix for mails whose file names have wrong sizes (``,S=1000``), of an account that the database has.

    Dovecot reads all mails of the account and reports the wrong ones. Without a size in the name it measures a mail
    itself. The files are renamed as their owner, because in a folder of another user root could be led elsewhere by a
    symbolic link.
    """
    user = shlex.quote(address)
    wrong = f"{doveadm(facts)} fetch -u {user} text all 2>&1 >/dev/null |"
    owner = next((name for name in facts.mail_owner if not name.isdigit()), "")
    if not owner:
        return (
            "# the file names of these mails have wrong sizes; rename them as their owner, without ,S=… and ,W=…:\n"
            f"{wrong}\ngrep -o 'read(/.*) failed: Cached' | sort -u"
        )
    return f"""\
# removes wrong sizes from file names of mails; mail programs load these mails again
{wrong}
sed -n 's/.*: read(\\(\\/.*\\)) failed: Cached message size .*/\\1/p' | sort -u |
runuser -u {shlex.quote(owner)} -- sh -c 'while IFS= read -r mail; do
  mv -n -- "$mail" "${{mail%/*}}/$(basename -- "$mail" | sed "s/,[SW]=[0-9]*//g")"
done' &&
{doveadm(facts)} quota recalc -u {user}"""


def quota_error(facts: Facts, group: EventGroup) -> str:
    """The fix where Dovecot can't find out usage or limit."""
    dovecot, address = facts.dovecot, group.newest.subject
    known = address in facts.log.accounts
    if address and is_wrong_size(group.newest.text):
        return wrong_size(dovecot, address) if known else _UNKNOWN
    failed = _FAILED.search(group.newest.text)
    if failed is None:
        if not address:
            return f"# correct the quota settings that it names, then:\n{reload(dovecot)}"
        return f"{doveadm(dovecot)} quota recalc -u {shlex.quote(address)}" if known else _UNKNOWN
    return _file_error(facts, failed[2], failed[3])


def _file_error(facts: Facts, path: str, reason: str) -> str:
    """The fix for a file that could not be opened. The log alone names it: it is in a command only if we know it, too.

    A maildirsize may go: Dovecot writes it again.
    """
    if path not in facts.log.maildirsizes:
        kind = "a folder in the place of a file" if reason == "Is a directory" else "its owner, and that of its folder"
        return f"# see {kind}: if it is of a mailbox, it should have the owner of its folder, and not be a link"
    step = "rmdir {}" if reason == "Is a directory" else guarded.removed()
    return guarded.line(path, step)


def warning_error(facts: Facts, group: EventGroup) -> str:
    """The fix where a warning of Dovecot could not be sent."""
    failed = _FAILED.search(group.newest.text)
    if failed is None:
        return "# the script failed: run it by hand as the user of service quota-warning, with the arguments 95 ADDRESS"
    call, path, reason = failed.groups()
    if call != "execvp":
        return "# see quota-warning-service: it has the lines for this server"
    if not any(script.path == path for script in facts.dovecot.scripts):
        return "# no service of Dovecot's settings runs this program: see who wrote this into the log"
    if reason == "Permission denied":
        return guarded.line(path, guarded.mode_by_handle("755"))
    return f"# create {path}, or install the interpreter in its first line; mailquota warn can take its place"
