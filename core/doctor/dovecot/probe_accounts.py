"""Asks Dovecot about a few accounts, and examines files of mailboxes. Writes nothing and raises nothing.

Each account takes a call of doveadm, of 10 to 30 ms, so that no answer can be taken for that of another account. The
enforced limit is asked only for accounts whose mailbox exists, because the question would create it. Where a mailbox
is says Dovecot, not mailquota's settings.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from ...base.programs import DENIED, ProgramResult, Run
from ...mailboxes.mailstore import Mailstore
from ...servers.dovecot.conf import Block
from ...servers.dovecot.doveadm_errors import errors, outcome
from .facts import USERNAME_CHARACTERS, AccountFacts, FileFacts, NameFacts

SAMPLE = 12  # accounts
_ODD_SAMPLE = 20  # accounts with unusual names
_NO_USER = 67  # exit code of doveadm
_SHOWN_FIELDS = {"uid", "gid", "home", "mail", "mail_path", "mail_driver", "user"}
_INDEX_FILES = ("dovecot-uidlist", "dovecot.index", "dovecot.index.cache")

Stat = Callable[[str], os.stat_result]
LookUpNames = Callable[[str, str], list[str]]


class AccountsProbe:
    """``doveadm`` is its command line before the subcommand; ``mailstore`` knows the path and the name of each account.

    Dovecot's paths are below ``root`` where it is called by chroot.
    """

    def __init__(
        self, doveadm: Sequence[str], accounts: Mapping[str, int | None], mailstore: Mailstore, run: Run, stat: Stat, *,
        root: str = "",
    ) -> None:  # fmt: skip
        self._root = root
        self._doveadm = doveadm
        self._accounts = accounts
        self._mailstore = mailstore
        self._run = run
        self._stat = stat
        self._chosen = choose(accounts)
        self._gave_up = False  # doveadm took too long once, and would for each account
        self.count = len(accounts)
        self.with_domain = any("@" in address for address in accounts)

    def sample(self) -> tuple[str, tuple[AccountFacts, ...]]:
        """The reason why Dovecot could not be asked about users, or "", and the accounts of the sample."""
        found = []
        for address in self._chosen:
            said = self._run([*self._doveadm, "-f", "json", "user", self._user(address)])
            if said.fault and said.code != _NO_USER:
                return _reason(said), ()
            found.append(self._account(address, said))
        return "", tuple(found)

    def _account(self, address: str, said: ProgramResult) -> AccountFacts:
        expected = self._accounts[address]
        if said.code == _NO_USER:
            return AccountFacts(address=address, expected=expected, unknown=True)
        fields = _fields(said.out)
        theirs, ours = maildir_of(fields), self.maildir(address)
        maildir = self._root + theirs if theirs else ""
        elsewhere = bool(maildir) and os.path.realpath(maildir) != os.path.realpath(ours or "/")
        asked = AccountFacts(
            address=address, expected=expected, fields=fields, maildir=maildir, ours=ours, elsewhere=elsewhere
        )
        if self._gave_up or self._status(maildir or ours) is None:
            return asked
        got = self._run([*self._doveadm, "-f", "json", "quota", "get", "-u", self._user(address)])
        self._gave_up = got.code is None
        fault = (outcome(got.err) or got.fault) if got.fault or errors(got.err) else ""
        return msgspec.structs.replace(asked, enforced=None if fault else _limit(got.out), fault=fault)

    def listed(self) -> tuple[int | None, str]:
        """The number of users that Dovecot lists; None and the reason where it can't."""
        said = self._run([*self._doveadm, "user", "*"])
        if said.fault or errors(said.err):
            return None, _reason(said)
        return sum(1 for line in said.out.splitlines() if line.strip()), ""

    def names(self, allowed: str | None, *, ask: bool) -> NameFacts:
        """The accounts with unusual names, some of which Dovecot is asked to look up.

        ``allowed`` is auth_username_chars: None for its default, and "" allows all.
        """
        odd = sorted(address for address in self._accounts if lacking(address, None) or lacking(address, allowed))
        refused = [address for address in odd if lacking(address, allowed)]
        others = [address for address in odd if not lacking(address, allowed)]
        half = _ODD_SAMPLE // 2
        chosen = [*_spread(refused, half), *_spread(others, half)]
        said = {address: self._run([*self._doveadm, "user", self._user(address)]) for address in chosen if ask}
        answered = {address: one.code == _NO_USER for address, one in said.items() if one.code in {0, _NO_USER}}
        return NameFacts(
            count=len(odd),
            asked=tuple(answered),
            unknown=tuple(address for address, unknown in answered.items() if unknown),
            refused=tuple(refused),
        )

    def maildirsizes(self) -> tuple[FileFacts, ...]:
        """The maildirsize files of the accounts in the sample."""
        facts = (self._file(self.maildir(address), "maildirsize") for address in self._chosen)
        return tuple(fact for fact in facts if fact is not None)

    def largest_index(self) -> FileFacts | None:
        """The size of Dovecot's index files of the INBOX with the largest dovecot-uidlist; None without any."""
        folders = (self.maildir(address) for address in self._accounts)
        sizes = ((self._size(f"{folder}/{_INDEX_FILES[0]}"), folder) for folder in folders)
        size, folder = max(sizes, default=(0, ""))
        if not size:
            return None
        return FileFacts(path=folder, folder=folder, size=sum(self._size(f"{folder}/{name}") for name in _INDEX_FILES))

    def maildir(self, address: str) -> str:
        """The path of a mailbox; empty for an address that would lead out of the mailstore, as with ``..``."""
        user, _, domain = address.rpartition("@")
        if "/" in address or {user, domain} & {"", ".", ".."}:
            return ""
        return self._mailstore.maildir(address)

    def _user(self, address: str) -> str:
        """The name that Dovecot is asked by."""
        return self._mailstore.names.in_path(address)

    def _size(self, path: str) -> int:
        status = self._status(path)
        return status.st_size if status else 0

    def _file(self, folder: str, name: str) -> FileFacts | None:
        path = f"{folder}/{name}"
        status, of_folder = self._status(path), self._status(folder)
        if status is None or of_folder is None:
            return None
        return FileFacts(
            path=path, folder=folder, size=status.st_size, uid=status.st_uid, owner=of_folder.st_uid,
            mode=status.st_mode & 0o7777,
        )  # fmt: skip

    def _status(self, path: str) -> os.stat_result | None:
        try:
            return self._stat(path) if path.startswith("/") else None
        except (OSError, ValueError):
            return None


def lacking(address: str, allowed: str | None) -> str:
    """The characters of a name that ``auth_username_chars`` lacks, once each; that counts bytes."""
    characters = USERNAME_CHARACTERS if allowed is None else allowed
    if not characters or not address.strip(characters):  # the names of nearly all of 100,000 accounts
        return ""
    known = set(characters.encode())
    return "".join(sorted({char for char in address if not known.issuperset(char.encode())}))


def _spread(names: Sequence[str], most: int) -> Sequence[str]:
    """At most ``most`` names at even distances."""
    return names[:: max(1, -(-len(names) // most))]


def maildir_of(fields: Mapping[str, str]) -> str:
    """The path of a user's Maildir by the fields of ``doveadm user``; empty where it is none, or not known.

    2.3 gives ``mail`` as ``maildir:~/Maildir:OPTION…`` with ~ for ``home``, 2.4 the whole path as ``mail_path``.
    """
    kind, _, rest = fields.get("mail", "").partition(":")
    path = rest.partition(":")[0] if kind == "maildir" else ""
    if not fields.get("mail") and fields.get("mail_driver", "maildir") == "maildir":
        path = fields.get("mail_path", "")
    if path == "~" or path.startswith("~/"):
        path = fields["home"] + path[1:] if fields.get("home") else ""
    return os.path.normpath(path) if path.startswith("/") and "%" not in path else ""


def choose(accounts: Mapping[str, int | None]) -> list[str]:
    """SAMPLE accounts, always the same: smallest and largest limit, an unlimited one, and some at even distances."""
    names = sorted(accounts)
    limited = sorted((limit, name) for name, limit in accounts.items() if limit is not None)
    unlimited = next((name for name in names if accounts[name] is None), None)
    chosen = [name for _, name in (*limited[:1], *limited[-1:])] + ([unlimited] if unlimited is not None else [])
    step = max(1, len(names) // SAMPLE)
    return list(dict.fromkeys([*chosen, *names[::step]]))[:SAMPLE]


def mail_names(conf: Block, sample: Sequence[AccountFacts], kind: str, names: LookUpNames) -> tuple[str, ...]:
    """Name and number of the user (``uid``) or group (``gid``) that mail is delivered as; empty if not a single one."""
    found = {account.fields[kind] for account in sample if account.fields.get(kind)}
    found = found or {conf.values.get(f"mail_{kind}", "")}
    one = found.pop()
    return tuple(dict.fromkeys([one, *names(one, kind)])) if one and not found else ()


def also_called(name: str, kind: str) -> list[str]:
    """Name and number of a user (``uid``) or group (``gid``) of this machine; empty where there is none."""
    try:
        if kind == "uid":
            user = pwd.getpwuid(int(name)) if name.isdigit() else pwd.getpwnam(name)
            return [user.pw_name, str(user.pw_uid)]
        group = grp.getgrgid(int(name)) if name.isdigit() else grp.getgrnam(name)
        return [group.gr_name, str(group.gr_gid)]
    except (KeyError, OverflowError, ValueError):
        return []


def _fields(text: str) -> dict[str, str]:
    """The fields in ``[{"field": …, "value": …}]``, the form of both 2.3 and 2.4."""
    return {
        row["field"]: row["value"] if row["field"] in _SHOWN_FIELDS or "quota" in row["field"] else ""
        for row in _rows(text)
        if isinstance(row.get("field"), str) and isinstance(row.get("value"), str)
    }


def _reason(said: ProgramResult) -> str:
    """The reason why doveadm failed: an error that Dovecot could not be reached, if any, else the last one."""
    unreached = [error.text for error in errors(said.err) if DENIED in error.text or "connect(" in error.text]
    return next(iter(unreached), outcome(said.err)) or said.fault


def _limit(text: str) -> int | None:
    """The storage limit in KiB, 0 = unlimited: also without a row, as then the user has no quota."""
    limits = [str(row.get("limit")) for row in _rows(text) if row.get("type") == "STORAGE"]
    if not limits or limits[0] == "-":
        return 0
    return int(limits[0]) if limits[0].isdigit() else None


def _rows(text: str) -> list[dict[str, Any]]:
    try:
        rows = json.loads(text)
    except ValueError:
        return []
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
