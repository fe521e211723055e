"""What mends the trouble that the mail log tells of, as text for a shell of root. Pure."""

from __future__ import annotations

import re
import shlex

from mailquota.core.base.text import visible
from mailquota.core.doctor.dovecot.common import append, doveadm, is_modern, reload
from mailquota.core.doctor.dovecot.facts import DovecotFacts
from mailquota.core.doctor.log.facts import EventGroup

_MIB = 1 << 20
_LEAST = 512  # MiB
_MEMORY = re.compile(r"([0-9]{1,12}) ?([kMGT]?)B?")
_FAILED = re.compile(r"(open|execvp|net_connect_unix)\((/[^()\s]+)\) failed: (\w[\w ]*\w)")
_WRONG_SIZE = re.compile(r"Cached message size|Couldn't get (?:size of )?mailbox .*: read\(")
_FACTORS = {"": 1 / _MIB, "k": 1 / 1024, "M": 1, "G": 1024, "T": _MIB}

AS_ROOT = """\
# run mailquota doctor as root; the service sees the log where its user is in the group that may read it, for example:
# usermod -aG adm vmail"""


def bounces(facts: DovecotFacts) -> str:
    """For mail that is accepted and then refused."""
    fix = append(facts, "quota_full_tempfail = yes")
    return f"# lets such mails wait in the queue instead of bouncing them; see quota-bounces:\n{fix}"


def empty_answer(facts: DovecotFacts) -> str:
    """For quota-status of 2.4: any text will do there, as it is never sent."""
    if facts.fault or not is_modern(facts):
        return "# see quota-status-toolarge and quota-status-answers: no answer of a policy service may be empty"
    return append(facts, "quota_status_toolarge = 552 5.2.3 The message is larger than the whole mailbox")


def memory(facts: DovecotFacts, group: EventGroup) -> str:
    """Twice the memory for one service, at least 512 MB."""
    limit = _MEMORY.fullmatch(group.newest.limit)
    mebibytes = max(_LEAST, int(2 * int(limit[1]) * _FACTORS[limit[2]])) if limit else 2 * _LEAST
    return append(facts, f"service {group.newest.subject} {{", f"  vsz_limit = {mebibytes}M", "}")


def policy(server: str, reason: str, start: str, *, ours: bool) -> str:
    """For a policy service that does not answer; ``server`` in Postfix's words. ``start`` is what starts it."""
    unit = "mailquota" if ours else "dovecot"
    if "/" not in server or reason not in {"Permission denied", "No such file or directory", "Connection refused"}:
        return f"# it hangs or ends: see policy-service-answers and its log\njournalctl -u {unit} -n 50 --no-pager"
    if reason != "Permission denied":
        return f"# nobody listens at {visible(server)}: see policy-socket\n{start}"
    path = f'"$(postconf -h queue_directory)"/{shlex.quote(server)}' if server[0] != "/" else shlex.quote(server)
    setting = "policy.socket_user and socket_mode of mailquota" if ours else "the unix_listener of service quota-status"
    return (
        f"# to last, it has to be said in {setting}: see policy-socket-rights\nchown postfix {path}\nchmod 660 {path}"
    )


def is_wrong_size(said: str) -> bool:
    """Whether the name of a mail says a size that it has not."""
    return bool(_WRONG_SIZE.search(said))


def wrong_size(facts: DovecotFacts, address: str) -> str:
    """Dovecot reads all mails and names those that are wrong; without sizes in its name it counts a mail by itself.

    The owner renames them: root would follow the links in a folder that is not root's.
    """
    user = shlex.quote(address)
    wrong = f"{doveadm(facts)} fetch -u {user} text all 2>&1 >/dev/null |"
    owner = next((name for name in facts.mail_owner if not name.isdigit()), "")
    if not owner:
        return (
            "# these names of mails say sizes that are wrong; their owner has to take ,S=… and ,W=… out of them:\n"
            f"{wrong}\ngrep -o 'read(/.*) failed: Cached' | sort -u"
        )
    return f"""\
# takes sizes that are wrong out of the names of mails; mail clients load these mails once more
{wrong}
sed -n 's/.*: read(\\(\\/.*\\)) failed: Cached message size .*/\\1/p' | sort -u |
runuser -u {shlex.quote(owner)} -- sh -c 'while IFS= read -r mail; do
  mv -n -- "$mail" "${{mail%/*}}/$(basename -- "$mail" | sed "s/,[SW]=[0-9]*//g")"
done'
{doveadm(facts)} quota recalc -u {user}"""


def quota_error(facts: DovecotFacts, group: EventGroup) -> str:
    """For a use or limit that Dovecot can't find out."""
    if group.newest.subject and is_wrong_size(group.newest.text):
        return wrong_size(facts, group.newest.subject)
    failed = _FAILED.search(group.newest.text)
    if failed is None:
        if not group.newest.subject:
            return f"# mend the quota settings that it names, then:\n{reload(facts)}"
        return f"{doveadm(facts)} quota recalc -u {shlex.quote(group.newest.subject)}"
    path = shlex.quote(failed[2])
    if failed[3] == "Is a directory":
        return f"rmdir {path}"
    # Its place is its user's: chown and chmod of root must not be led elsewhere by a link.
    folder, _, name = failed[2].rpartition("/")
    if name != "maildirsize":
        look = f"ls -ld {shlex.quote(folder)} {path}"
        return f"# see who owns it, and whether it is a link; it should be as its folder:\n{look}"
    return f"test ! -L {path}\nchown -h --reference={shlex.quote(folder)} {path}\nchmod 600 {path}"


def warning_error(_facts: DovecotFacts, group: EventGroup) -> str:
    """For warnings of Dovecot that don't leave."""
    failed = _FAILED.search(group.newest.text)
    if failed is None:
        return "# the script failed: run it by hand as the user of service quota-warning, with the arguments 95 ADDRESS"
    call, path, reason = failed.groups()
    if call != "execvp":
        return "# see quota-warning-service: it has the lines for this server"
    if reason == "Permission denied":
        return f"chmod 755 {shlex.quote(path)}"
    return f"# make {path}, or the interpreter that its first line names; mailquota warn can take its place"
