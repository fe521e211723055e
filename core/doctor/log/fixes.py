"""Fixes for errors in the mail log, as text for a root shell. Pure."""

from __future__ import annotations

import re
import shlex

from ...base.text import visible
from ..dovecot.common import append, doveadm, is_modern, reload
from ..dovecot.facts import DovecotFacts
from .facts import EventGroup

_MIB = 1 << 20
_LEAST = 512  # MiB
_MEMORY = re.compile(r"([0-9]{1,12}) ?([kMGT]?)B?")
_FAILED = re.compile(r"(open|execvp|net_connect_unix)\((/[^()\s]+)\) failed: (\w[\w ]*\w)")
_WRONG_SIZE = re.compile(r"Cached message size|Couldn't get (?:size of )?mailbox .*: read\(")
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
    """The fix that gives a service twice the memory, at least 512 MiB."""
    limit = _MEMORY.fullmatch(group.newest.limit)
    mebibytes = max(_LEAST, int(2 * int(limit[1]) * _FACTORS[limit[2]])) if limit else 2 * _LEAST
    return append(facts, f"service {group.newest.subject} {{", f"  vsz_limit = {mebibytes}M", "}")


def policy(server: str, reason: str, start: str, *, ours: bool) -> str:
    """The fix for a policy service that does not answer. ``server`` is its name in the log, ``start`` starts it."""
    unit = "mailquota" if ours else "dovecot"
    if "/" not in server or reason not in {"Permission denied", "No such file or directory", "Connection refused"}:
        return (
            f"# it hangs, or has ended: see policy-service-answers, and its log\njournalctl -u {unit} -n 50 --no-pager"
        )
    if reason != "Permission denied":
        return f"# nothing listens at {visible(server)}: see policy-socket\n{start}"
    path = f'"$(postconf -h queue_directory)"/{shlex.quote(server)}' if server[0] != "/" else shlex.quote(server)
    setting = "policy.socket_user and socket_mode of mailquota" if ours else "the unix_listener of service quota-status"
    return f"# to keep it, set it in {setting}: see policy-socket-rights\nchown postfix {path}\nchmod 660 {path}"


def is_wrong_size(message: str) -> bool:
    """Whether an error of Dovecot is about a mail whose file name has a wrong size."""
    return bool(_WRONG_SIZE.search(message))


def wrong_size(facts: DovecotFacts, address: str) -> str:
    """The fix for mails whose file names have wrong sizes (``,S=1000``).

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
done'
{doveadm(facts)} quota recalc -u {user}"""


def quota_error(facts: DovecotFacts, group: EventGroup) -> str:
    """The fix where Dovecot can't find out usage or limit."""
    if group.newest.subject and is_wrong_size(group.newest.text):
        return wrong_size(facts, group.newest.subject)
    failed = _FAILED.search(group.newest.text)
    if failed is None:
        if not group.newest.subject:
            return f"# correct the quota settings that it names, then:\n{reload(facts)}"
        return f"{doveadm(facts)} quota recalc -u {shlex.quote(group.newest.subject)}"
    path = shlex.quote(failed[2])
    if failed[3] == "Is a directory":
        return f"rmdir {path}"
    # The folder is its user's: chown and chmod of root must not follow a symbolic link to elsewhere.
    folder, _, name = failed[2].rpartition("/")
    if name != "maildirsize":
        look = f"ls -ld {shlex.quote(folder)} {path}"
        return f"# it should have the owner of its folder, and not be a symbolic link:\n{look}"
    return f"test ! -L {path}\nchown -h --reference={shlex.quote(folder)} {path}\nchmod 600 {path}"


def warning_error(_facts: DovecotFacts, group: EventGroup) -> str:
    """The fix where a warning of Dovecot could not be sent."""
    failed = _FAILED.search(group.newest.text)
    if failed is None:
        return "# the script failed: run it by hand as the user of service quota-warning, with the arguments 95 ADDRESS"
    call, path, reason = failed.groups()
    if call != "execvp":
        return "# see quota-warning-service: it has the lines for this server"
    if reason == "Permission denied":
        return f"chmod 755 {shlex.quote(path)}"
    return f"# create {path}, or install the interpreter in its first line; mailquota warn can take its place"
