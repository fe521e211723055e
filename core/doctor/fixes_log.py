"""What mends the trouble that the mail log tells of, as text for a shell of root. Pure."""

from __future__ import annotations

import re
import shlex

from core.doctor.facts_log import Group

_LOCAL = "/etc/dovecot/local.conf"  # read last by the dovecot.conf of Debian, 2.3 and 2.4
_MIB = 1 << 20
_LEAST = 512  # MiB
_MEMORY = re.compile(r"([0-9]{1,12}) ?([kMGT]?)B?")
_FAILED = re.compile(r"(open|execvp|net_connect_unix)\((/[^()\s]+)\) failed: (\w[\w ]*\w)")
_FACTORS = {"": 1 / _MIB, "k": 1 / 1024, "M": 1, "G": 1024, "T": _MIB}

AS_ROOT = """\
# run mailquota doctor as root; the service sees the log where its user is in the group that may read it, for example:
# usermod -aG adm vmail"""


def _dovecot(*lines: str) -> str:
    return "\n".join([f"cat >> {_LOCAL} <<'EOF'", *lines, "EOF", "doveadm reload"])


TEMPFAIL = "# lets such mails wait in the queue instead of bouncing them:\n" + _dovecot("quota_full_tempfail = yes")

TOOLARGE = f"""\
# any text will do, it is never sent; 2.3 has no such fault
case "$(dovecot --version)" in 2.4.*)
{_dovecot('quota_status_toolarge = "452 4.2.2 Mailbox is full"')}
esac"""


def memory(group: Group) -> str:
    """Twice the memory for one service, at least 512 MB."""
    limit = _MEMORY.fullmatch(group.newest.limit)
    mebibytes = max(_LEAST, int(2 * int(limit[1]) * _FACTORS[limit[2]])) if limit else 2 * _LEAST
    return _dovecot(f"service {group.newest.subject} {{", f"  vsz_limit = {mebibytes}M", "}")


def policy(server: str, reason: str, *, ours: bool) -> str:
    """For a policy service that does not answer; ``server`` in Postfix's words."""
    unit = "mailquota" if ours else "dovecot"
    if "/" not in server or reason not in {"Permission denied", "No such file or directory", "Connection refused"}:
        return f"# it hangs, ends or is not reachable: see its log\njournalctl -u {unit} -n 50 --no-pager"
    if reason != "Permission denied":
        return f"# nobody listens at {server}\nsystemctl restart {unit}"
    path = f'"$(postconf -h queue_directory)"/{shlex.quote(server)}' if server[0] != "/" else shlex.quote(server)
    setting = "policy.socket_user and socket_mode of mailquota" if ours else "the unix_listener of service quota-status"
    return f"# to last, it has to be said in {setting}\nchown postfix {path}\nchmod 660 {path}"


def quota_error(group: Group) -> str:
    """For a use or limit that Dovecot can't find out."""
    failed = _FAILED.search(group.newest.text)
    if failed is None:
        name = shlex.quote(group.newest.subject) if group.newest.subject else ""
        return (
            f"doveadm quota recalc -u {name}"
            if name
            else "# mend the quota settings that it names, then:\ndoveadm reload"
        )
    path = shlex.quote(failed[2])
    if failed[3] == "Is a directory":
        return f"rmdir {path}"
    folder = shlex.quote(failed[2].rpartition("/")[0])
    return f"chown --reference={folder} {path}\nchmod 600 {path}"


def warning_error(group: Group) -> str:
    """For warnings of Dovecot that don't leave."""
    failed = _FAILED.search(group.newest.text)
    if failed is None:
        return "# the script failed: run it by hand as the user of service quota-warning, with the arguments 95 ADDRESS"
    call, path, reason = failed.groups()
    if call == "execvp" and reason == "Permission denied":
        return f"chmod 755 {shlex.quote(path)}"
    if call == "execvp":
        return f"# make {path}, or the interpreter that its first line names; mailquota warn can take its place"
    if reason == "Permission denied":
        return _dovecot("service quota-warning {", "  unix_listener quota-warning {", "    mode = 0666", "  }", "}")
    script = "  executable = script /usr/local/bin/quota-warning.sh"
    return _dovecot("service quota-warning {", script, "  unix_listener quota-warning {", "    mode = 0666", "  }", "}")
