"""Dovecots that are made of recorded outputs: what doveconf prints, and what doveadm says of users."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from mailquota.core.base.mysql import Target
from mailquota.core.base.programs import FileText, ProgramResult
from mailquota.core.doctor.dovecot.checks import DOVECOT_CHECKS
from mailquota.core.doctor.dovecot.facts import DovecotFacts
from mailquota.core.doctor.dovecot.probe import gather
from mailquota.core.doctor.examine import judge
from mailquota.core.doctor.model import Facts, Finding
from mailquota.core.doctor.postfix.facts import PostfixFacts
from mailquota.core.settings.config import Config, DiscoveredSettings
from mailquota.core.settings.declared import Policy, Settings

DATA = Path(__file__).parents[3] / "data"
BULLSEYE = "dovecot-2.3/doveconf-n.ispmail-bullseye.txt"
BOOKWORM = "dovecot-2.3/doveconf-n.ispmail-bookworm.txt"
ONE_FILE = "dovecot-2.3/doveconf-n.one-file.txt"
TRIXIE = "dovecot-2.4/doveconf-n.ispmail-trixie.txt"
TRIXIE_MAILDIR = "dovecot-2.4/doveconf-n.maildir-driver.txt"
SQL_FILE = """driver = mysql
connect = host=127.0.0.1 dbname=mailserver user=mailserver password=geheim
user_query = SELECT email AS user, \\
  concat('*:bytes=', quota) AS quota_rule, \\
  '/var/vmail/%d/%n' AS home, 5000 AS uid, 5000 AS gid FROM virtual_users WHERE email='%u'
iterate_query = SELECT email AS user FROM virtual_users
"""
OPTIONS = {"2.3": '"plugin/quota=maildir:User quota:noenforcing"', "2.4": "quota_enforce=no"}
SCRIPTS = {"2.3": "/usr/local/bin/quota-warning.sh", "2.4": "/usr/local/bin/ispmail-quota-warning.sh"}
STOPPED = "auth-master: userdb lookup(x): connect(/run/dovecot/auth-userdb) failed: Connection refused"
JOHN = "john@example.org"

Change = Callable[[str], str]
# Of a check: the output, what is changed in it, facts that are replaced; then state, and parts of what is found and of
# the fix, which is empty where there is none.
StateCase = tuple[str, str, Change, dict[str, Any], str, str, str]


def data(name: str) -> str:
    """A recorded output."""
    return (DATA / name).read_text()


class Outside:
    """A server that is not there: answers by the last words of a command, texts and modes of files by their paths."""

    def __init__(self, doveconf: str | ProgramResult, answers: Mapping[str, ProgramResult] | None = None) -> None:
        self.doveconf = doveconf if isinstance(doveconf, ProgramResult) else ProgramResult(doveconf, code=0)
        self.answers = dict(answers or {})
        self.files: dict[str, str] = {}
        self.modes: dict[str, int] = {}
        self.uids: dict[str, int] = {}
        self.asked: list[str] = []
        self.away: dict[str, str] = {}  # hosts of databases
        self.logins: list[str] = []

    def run(self, argv: Sequence[str]) -> ProgramResult:
        words = " ".join(argv)
        self.asked.append(words)
        if argv[-1] == "-n":
            return self.doveconf
        return next(
            (said for end, said in self.answers.items() if words.endswith(end)), ProgramResult(fault="no answer")
        )

    def read(self, path: str) -> FileText:
        return (
            FileText(self.files[path])
            if path in self.files
            else FileText(fault=f"{path} can't be read: Permission denied")
        )

    def stat(self, path: str) -> os.stat_result:
        if path not in self.modes:
            raise FileNotFoundError(2, "No such file or directory", path)
        uid = self.uids.get(path, 5000)
        return os.stat_result((self.modes[path], 0, 0, 1, uid, 5000, len(self.files.get(path, "")), 0, 0, 0))

    def gather(self, accounts: Mapping[str, int | None] | None = None, config: Config | None = None) -> DovecotFacts:
        return gather(
            config or our_settings(),
            accounts or {},
            self.run,
            self.read,
            self.stat,
            names=vmail,
            log_in=self.log_in,
            listed=lambda _: [],
        )

    def log_in(self, target: Target) -> str:
        """The reason why a database lets nobody in."""
        assert target.password in {"geheim", ""}
        self.logins += [f"{host}:{port}" for host, port in target.hosts]
        return next((self.away[host] for host, _ in target.hosts if host in self.away), "")


def vmail(name: str, kind: str) -> list[str]:
    """The one user and group of these servers."""
    return ["vmail", "5000"] if name in {"vmail", "5000"} else []


def our_settings(grace: str = "10%", doveadm: str = "auto") -> Config:
    """The defaults, but for these."""
    settings = Settings(policy=Policy(grace=grace))
    mailstore = msgspec.structs.replace(settings.mailstore, doveadm=doveadm)
    return Config(msgspec.structs.replace(settings, mailstore=mailstore), {}, None, DiscoveredSettings())


def healthy(name: str) -> Outside:
    """The server that a recorded output is of, with john in it."""
    version = "2.4" if "2.4" in name else "2.3"
    folder = f"dovecot-{version}"
    answers = {
        f"quota get -u {JOHN}": ProgramResult(data(f"{folder}/quota-get-u.john.json"), code=0),
        f"user {JOHN}": ProgramResult(data(f"{folder}/user.john.json"), code=0),
        "user *": ProgramResult(f"{JOHN}\n", code=0),
    }
    outside = Outside(data(name), answers)
    outside.files["/etc/dovecot/dovecot-sql.conf.ext"] = SQL_FILE
    if version == "2.4":
        outside.files["/etc/dovecot/dovecot.conf"] = "mysql localhost {\n  password = geheim\n}\n"
    script = SCRIPTS[version]
    option = OPTIONS[version].replace("maildir:", "count:" if name == BOOKWORM else "maildir:")
    outside.files[script] = f"#!/bin/sh\n# calls dovecot-lda\ncat | /usr/lib/dovecot/dovecot-lda -d $2 -o {option}\n"
    outside.modes[script] = outside.modes["/bin/sh"] = 0o100755
    outside.modes["/var/vmail/example.org/john/Maildir"] = 0o40700
    return outside


def facts(name: str, change: Change = str, **known: Any) -> DovecotFacts:
    """Of a recorded output, changed; ``known`` replaces what was found."""
    outside = healthy(name)
    before = outside.doveconf.out
    outside.doveconf = ProgramResult(change(before), code=0)
    assert change is str or outside.doveconf.out != before
    return msgspec.structs.replace(outside.gather({JOHN: 100000}), **known)


def say(check: str, dovecot: DovecotFacts, postfix: PostfixFacts | None = None, grace: str = "10%") -> Finding:
    """What one check says of it."""
    known = Facts(config=our_settings(grace), dovecot=dovecot, postfix=postfix or PostfixFacts())
    (one,) = [one for one in DOVECOT_CHECKS if one.name == check]
    return judge(known, (one,))[0]


def adding(*lines: str) -> Change:
    """Lines at the end of doveconf's output."""
    return lambda text: "\n".join([text.rstrip("\n"), *lines, ""])


def replacing(old: str, new: str) -> Change:
    """One text for another."""
    return lambda text: text.replace(old, new)


def without(name: str) -> Change:
    """No line that sets it."""
    return lambda text: "\n".join(line for line in text.splitlines() if not line.strip().startswith(f"{name} ="))


def asking(service: str) -> PostfixFacts:
    """A Postfix that asks this policy service about recipients."""
    restrictions = f"permit_mynetworks, check_policy_service {service}"
    values = {"smtpd_recipient_restrictions": restrictions, "queue_directory": "/var/spool/postfix"}
    return PostfixFacts(fault="", values=values)
