"""A mail server in use, to run the tests on: `python -m tests.mailserver.in_use ARGS` gives ARGS to pytest there.

Theory of operation: a `DebianServer` is the machine, and its namespace holds all that is changed. To the tutorial's
server comes what its administrator has: mailquota installed, on the PATH and with settings, an engine that Postfix
asks, mailboxes with the addresses that the tests use, a mail log that tells of refusals, settings of MariaDB's and of
its clients, a home folder that can't be written. The tests are started as from a shell that has everything set
otherwise. They have to pass, and to leave the server as it was: the two looks at it, before and after, are compared.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.mailserver.debian import DebianServer
from tests.mailserver.process import ServerFailedError, wait_until
from tests.mailserver.series import ispmail_recipe

ROOT = Path(__file__).parents[2]
IN_USE = "MAILQUOTA_TESTS_ON_A_SERVER_IN_USE"  # in the environment of the tests that run on one
ADDRESSES = ("john@example.org", "full@example.org", "free@example.org", "anna@example.com", "trash@example.com")

_PREPARE = """
set -e
for folder in root opt usr/lib/locale; do
    mkdir -p "/mnt/changed/$folder" "/mnt/spare/$folder"
    mount -t overlay -o "lowerdir=/$folder,upperdir=/mnt/changed/$folder,workdir=/mnt/spare/$folder" overlay "/$folder"
done
[ ! -e /usr/share/i18n/locales/de_DE ] || localedef -i de_DE -f UTF-8 de_DE.UTF-8
groupadd --system mailquota
mkdir -p /opt/mailquota/bin /etc/mailquota/templates/en
cp -r "$1/core" "$1/tui" /opt/mailquota
cp /usr/local/bin/mailquota /opt/mailquota/bin
mailquota config --write /etc/mailquota/mailquota.toml
echo 'Your mailbox is {{ percent }} % full.' > /etc/mailquota/templates/en/subject.txt
printf '[mysqld]\\nport = 3399\\ndatadir = /var/lib/nobodys\\nskip-networking\\n' > /etc/mysql/conf.d/own.cnf
printf '[client]\\nuser = nobody\\npassword = wrong\\nport = 3399\\n' | cat - /etc/mysql/conf.d/own.cnf > /root/.my.cnf
mount --bind /root /root
mount -o remount,bind,ro /root
"""
_ASKS_US = (
    "smtpd_recipient_restrictions=reject_unauth_destination,"
    " check_policy_service { unix:private/mailquota, timeout=10s, default_action=DUNNO }"
)
_SHELL = 'umask 077; cd "$1"; shift; exec nohup "$@"'
_ENVIRONMENT = {
    IN_USE: "1", "PYTHONDONTWRITEBYTECODE": "1", "MAILQUOTA_CONFIG": "/etc/mailquota/mailquota.toml", "HOME": "/root",
    "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "40", "LINES": "10", "PAGER": "false", "XDG_CONFIG_HOME": "/root",
    "LC_ALL": "de_DE.UTF-8", "LANGUAGE": "de", "TZ": "Pacific/Chatham",
    "SUDO_USER": "boss", "SSH_CONNECTION": "192.0.2.7 1 192.0.2.8 22",
    "NOTIFY_SOCKET": "/nonexistent", "WATCHDOG_USEC": "1000000", "LISTEN_FDS": "1", "LISTEN_PID": "1",
    "JOURNAL_STREAM": "1:1", "CREDENTIALS_DIRECTORY": "/nonexistent", "MYSQL_PWD": "wrong", "MYSQL_TCP_PORT": "3399",
}  # fmt: skip
# Rights, owner, and when it was written; servers that live write in some at any time.
_LOOK_AT_FILES = """
import json, os, sys
living = ("/var/lib/mysql/", "/var/lib/postfix/", "/var/lib/dovecot/", "/var/lib/mailquota/", "/var/log/", "/run/",
          "/var/spool/postfix/")
found = {}
for top in ("/etc", "/usr/local", "/opt/mailquota", "/var", "/run"):
    for folder, folders, files in os.walk(top):
        for path in (os.path.join(folder, name) for name in folders + files):
            try:
                status = os.lstat(path)
            except FileNotFoundError:
                continue
            written = "" if f"{path}/".startswith(living) else f" {status.st_size} {status.st_mtime_ns}"
            found[path] = f"{status.st_mode:o} {status.st_uid} {status.st_gid}{written}"
# Postfix makes one for each program of its own when that is first asked for; the engine begins a recording each hour.
news = ("/var/spool/postfix/pid/", "/var/lib/mailquota/recordings")
print(json.dumps({path: known for path, known in found.items() if not path.startswith(news)}))
"""


class InUse:
    """The server, ready for tests. `look` at it before and after them."""

    def __init__(self, server: DebianServer) -> None:
        self.server = server

    def prepare(self) -> None:
        """All that an administrator has there. The engine runs until the namespace's end."""
        for address in ADDRESSES:
            self.server.add_user(address, 5000)
            self.server.deliver_lmtp(address, size=3000)
            self.server.set_quota(address, 1000)
            if self.server.send_mail(address)[0] != 452:
                raise ServerFailedError(f"{address} is not full")
        self.server.check(["sh", "-c", _PREPARE, "sh", str(ROOT)])
        start = "setsid mailquota --serve > /var/log/mailquota.log 2>&1 < /dev/null &"
        self.server.check(["sh", "-c", start])
        if not wait_until(lambda: self.server.mailquota("status").returncode == 0, 30):
            raise ServerFailedError(self.server.path("/var/log/mailquota.log").read_text())
        self.server.check(["postconf", "-e", _ASKS_US])
        self.server.check(["postfix", "reload"])
        self._settle()

    def _settle(self) -> None:
        """Each owner has the warning, and all has been written that is written once after a start.

        That is what the engine knows of the mailstore, and what Dovecot counts when it is asked about a mailbox.
        """

        def warned() -> bool:
            rows = json.loads(self.server.check(["mailquota", "journal", "--json"]))
            return {row["address"] for row in rows if row["kind"] == "warning"} >= set(ADDRESSES)

        if not wait_until(warned, 30):
            raise ServerFailedError("not every owner was warned")
        if not wait_until(self.server.path("/var/lib/mailquota/mailstore.json").exists, 60):
            raise ServerFailedError("what is known of the mailstore was not written down")
        self.server.check(["doveadm", "quota", "get", "-A"])

    def pytest(self, *words: str) -> int:
        """Its exit status; what it prints goes to our standard output."""
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *words]
        told = {name: value for name, value in os.environ.items() if name.startswith("MAILQUOTA_")}
        running = self.server.popen(
            ["sh", "-c", _SHELL, "sh", str(ROOT), *command], stdout=1, stderr=1, environ={**told, **_ENVIRONMENT}
        )
        return running.wait()

    def look(self) -> dict[str, str]:
        """What must stay as it is, by its name."""
        check = self.server.check
        status = json.loads(check(["mailquota", "status", "--json"]))
        dump = ["mariadb-dump", "--no-defaults", "--socket=/run/mysqld/mysqld.sock", "--skip-dump-date", "mailserver"]
        return {
            **json.loads(check([sys.executable, "-c", _LOOK_AT_FILES])),
            **{f"mailquota's {name}": str(status[name]) for name in ("requests", "refused")},
            "the database": check(dump),
            "the journal": check(["mailquota", "journal", "--json"]),
            "the queue": check(["postqueue", "-p"]),
            "mail in the log": str(self.server.path("/var/log/mail.log").read_text().count(": to=<")),
            "processes": "\n".join(sorted(self._processes())),
        }

    def _processes(self) -> Iterator[str]:
        """Not those that Postfix and Dovecot start and end as they like, nor the one that looks."""
        table = self.server.check(["ps", "-eo", "pid=,ppid=,args="]).splitlines()
        rows = [(int(pid), int(parent), args) for pid, parent, args in (line.split(None, 2) for line in table)]
        masters = {pid for pid, _, args in rows if args.endswith(("/sbin/master -w", "/sbin/dovecot"))}
        return (f"{pid} {args}" for pid, parent, args in rows if parent not in masters and not args.startswith("ps "))


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """What is another one, gone, or new."""
    names = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    return [f"{name}: {before.get(name, 'not there')} -> {after.get(name, 'gone')}" for name in names]


@contextmanager
def server_in_use() -> Iterator[InUse]:
    """By the tutorial for the Dovecot that is installed. Raises ServerFailedError where there can be none."""
    with DebianServer(ispmail_recipe()) as server:
        machine = InUse(server)
        machine.prepare()
        yield machine


def main(words: Sequence[str]) -> int:
    """Pytest's exit status, or 1 for a server that is not what it was."""
    with server_in_use() as machine:
        before = machine.look()
        code = machine.pytest(*words)
        found = changes(before, machine.look())
    for line in found:
        print(f"*** not as it was: {line}")
    return code or (1 if found else 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
