"""Checks of mailquota itself: its engine, files and databases. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import msgspec

from ...base import guarded
from ...base.programs import DENIED
from ...base.text import shown, visible
from ...base.units import format_size
from ...settings.declared import Control
from .. import start_commands
from ..model import Check, Facts, Outcome, fail, ok, skip, together, warn
from ..paths import READ, WRITE, PathFacts

_INT_MAX = 2**31 - 1
_STICKY = 0o1000
_GROUP_WRITE = 0o020
_AS_ROOT = "run the doctor as root"
_LONGEST = 200  # characters of a value that are shown
_DISK_FULL = "disk is full"  # in SQLite's message
_MAKE_ROOM = "# free space on its file system: see disk-space and disk-inodes"
_NOBODY = ("Connection refused", "No such file or directory")
_OF_MAIN_CF = """\
# sendmail(1) reads main.cf as the user who calls it, so it has to stay readable. Put hosts, user, password, dbname and
# query of the map into a separate file, without their prefix, and use mysql:/etc/postfix/FILE.cf in main.cf. Then:
# chown root:postfix /etc/postfix/FILE.cf; chmod 0640 /etc/postfix/FILE.cf"""
_PASSWORD_FILES = ("accounts.password_file", "accounts.write_password_file", "mailstore.doveadm_password_file")


def _engine(facts: Facts) -> Outcome:
    engine = facts.host.engine
    if not engine.known:
        return skip("the engine was not asked")
    if engine.fault:
        return skip(f"the engine could not be asked: {visible(engine.fault)}")
    if not engine.running:
        return warn(f"no engine answers at {facts.config.settings.control.socket}", start_commands.start(facts))
    shadow = ": it decides and logs, but refuses nothing" if engine.mode == "shadow" else ""
    return ok(f"it runs, version {visible(engine.version)}, mode {visible(engine.mode)}{shadow}")


def _version(facts: Facts) -> Outcome:
    engine, ours = facts.host.engine, facts.host.version
    if not engine.running or not ours:
        return skip("no engine answers, so there is nothing to compare")
    if engine.version != ours:
        text = f"the running engine has version {visible(engine.version)}, this command {ours}"
        return warn(text, "mailquota reload --restart")
    return ok(f"the engine has version {ours}, like this command")


def _settings_in_force(facts: Facts) -> Outcome:
    engine, policy = facts.host.engine, facts.config.settings.policy
    if not engine.running:
        return skip("no engine answers, so there is nothing to compare")
    outcomes = []
    missing = [address for address in policy.listen if address not in engine.listen]
    if engine.listen and missing:
        fix = (
            "mailquota install --apply" if facts.host.installed else "mailquota reload"
        )  # the address is in systemd's socket unit, too
        outcomes.append(warn(f"the engine does not listen on {', '.join(missing)}", fix))
    outcomes += [warn(text, "mailquota reload") for text in _differing(facts)]
    return together(outcomes, ok("the engine follows these settings"))


def _differing(facts: Facts) -> Iterator[str]:
    """Settings of [policy] that differ from those of the engine.

    A user other than root may discover fewer settings on the server than the engine did: then only those in the file
    are compared.
    """
    origin, engine = facts.config.origin, facts.host.engine.policy
    wanted = msgspec.json.decode(
        msgspec.json.encode(facts.config.settings.policy)
    )  # in the form in which the engine's came
    for key in sorted(engine.keys() & wanted.keys() - {"listen"}):
        known = facts.host.is_root or origin.get(f"policy.{key}", "").startswith("file ")
        if known and engine[key] != wanted[key]:
            yield f"policy.{key} of the engine is {_literal(engine[key])}, of the settings {_literal(wanted[key])}"


def _literal(value: Any) -> str:
    """A value as in the settings file; JSON writes such values as TOML does."""
    return visible(msgspec.json.encode(value).decode()[:_LONGEST])


def _control(facts: Facts) -> Outcome:
    folder = facts.host.files.get("control folder")
    outcomes = [_group(facts, name) for name in facts.host.groups_missing]
    if folder is not None and folder.kind == "folder" and folder.mode & WRITE and not folder.mode & _STICKY:
        text = f"everybody may write in {shown(folder.path, 200)} ({folder.rights}), and replace the control socket"
        outcomes.append(fail(text, guarded.line(folder.path, guarded.mode_by(folder.owner, "o-w"))))
    socket = facts.host.files.get("control.socket")
    if socket is not None and socket.kind == "file":
        fix = f"{guarded.line(socket.path, guarded.aside())}\n{start_commands.restart(facts)}"
        outcomes.append(fail(f"{shown(socket.path, 200)} is a file, not a socket", fix))
    missing = [name for name in facts.host.groups_missing if not _is_set(facts, name)]
    told = f"; only root may connect, as there is no group {', '.join(missing)}" if missing else ""
    return together(outcomes, ok(f"{facts.config.settings.control.socket}{told}"))


def _group(facts: Facts, name: str) -> Outcome:
    if not _is_set(facts, name):
        return ok("")
    return warn(f"there is no group {shown(name)}: only root may connect", f"groupadd --system {shlex.quote(name)}")


def _is_set(facts: Facts, group: str) -> bool:
    """Whether the settings file names a group other than the default one, which need not exist."""
    control, default = facts.config.settings.control, Control()
    keys = [
        key for key in ("group", "read_only_group") if getattr(control, key) == group and group != getattr(default, key)
    ]
    return any(facts.config.origin.get(f"control.{key}", "").startswith("file ") for key in keys)


def _settings_file(facts: Facts) -> Outcome:
    distrusted = [
        fail(f"root does not use {shown(one.path, 200)}: {visible(one.text)}", one.fix) for one in facts.host.distrusted
    ]
    return together([*distrusted, _settings_mode(facts)], ok("")) if distrusted else _settings_mode(facts)


def _settings_mode(facts: Facts) -> Outcome:
    file = facts.host.files.get("settings")
    if file is None:
        return ok("there is no settings file: settings found on the server and defaults are in use")
    if file.kind == "closed":
        return skip(f"{file.fault}: {_AS_ROOT}")
    if file.mode & WRITE:
        return fail(f"everybody may write {_named(file)}", guarded.line(file.path, guarded.mode_by(file.owner, "go-w")))
    if file.mode & _GROUP_WRITE:
        return warn(f"its group may write {_named(file)}", guarded.line(file.path, guarded.mode_by(file.owner, "g-w")))
    accounts, state = facts.config.settings.accounts, facts.config.settings.state
    secret = [url for url in (accounts.url, accounts.write_url, state.url) if url.password]
    if secret and file.mode & READ:
        fix = guarded.line(file.path, guarded.mode_by(file.owner, "o-r"))
        return warn(f"everybody may read {_named(file)}, which holds a password", fix)
    return ok(_named(file))


def _named(file: PathFacts) -> str:
    return f"{shown(file.path, 200)} ({file.rights})"


def _password_files(facts: Facts) -> Outcome:
    files = {key: facts.host.files[key] for key in _PASSWORD_FILES if key in facts.host.files}
    outcomes = [_password_file(facts, key, file) for key, file in files.items()]
    there = [_named(file) for file in files.values() if file.kind == "file"]
    return together(outcomes, ok(", ".join(there) or "no password is kept in a file of its own"))


def _password_file(facts: Facts, key: str, file: PathFacts) -> Outcome:
    if file.kind == "closed":
        return skip(f"{file.fault}: {_AS_ROOT}")
    if file.kind == "missing" and facts.config.origin.get(key, "").startswith("file "):
        return fail(
            f"{key} names {shown(file.path, 200)}, which does not exist", f"# put the password into {file.path}"
        )
    if file.kind == "file" and file.mode & (READ | WRITE):
        closed = guarded.line(file.path, guarded.mode_by(file.owner, "o-rwx"))
        fix = _OF_MAIN_CF if file.path.endswith("/main.cf") else closed
        return warn(f"everybody may read {_named(file)}, which holds a password", fix)
    return ok("")


def _state(facts: Facts) -> Outcome:
    state, file = facts.host.state, facts.host.files.get("state.database")
    folder = facts.host.files.get("state folder")
    if not state.known:
        return skip("the state database was not examined")
    if folder is not None and (wrong := _state_folder(folder)):
        return wrong
    if state.schema > state.schema_known > 0:
        text = (
            f"it was made by a newer mailquota (tables of version {state.schema}, here {state.schema_known} is known)"
        )
        return fail(text, "# upgrade mailquota, or restore an older backup of the state database")
    fault = state.fault or state.write_fault
    if fault:
        verb = "read" if state.fault else "written"
        fix = _MAKE_ROOM if _DISK_FULL in fault else _owned(facts, folder, file)
        return fail(f"the state database can't be {verb}: {visible(fault)}", fix)
    size = f", {format_size(state.size)}" if state.size is not None else "; it is created when it is needed"
    return ok(f"{facts.config.settings.state.url.without_password()}{size}")


def _state_folder(folder: PathFacts) -> Outcome | None:
    if folder.mode & WRITE and not folder.mode & _STICKY:
        fix = guarded.line(folder.path, guarded.mode_by(folder.owner, "o-w"))
        return fail(f"everybody may write in {_named(folder)}", fix)
    return None


def _owned(facts: Facts, folder: PathFacts | None, file: PathFacts | None) -> str:
    """Commands that give the file to the owner of its folder; a running engine has to open it anew."""
    if folder is None or file is None or file.kind != "file":
        return "# the message says what is wrong with the database"
    steps = guarded.owner_to(f"{folder.owner}:{folder.group}"), guarded.mode_by(folder.owner, "u+rw")
    anew = "mailquota reload --restart" if facts.host.engine.running else ""
    return guarded.line(file.path, *steps, then=anew)


def _accounts(facts: Facts) -> Outcome:
    database, url = facts.host.database, facts.config.settings.accounts.url.without_password()
    if not database.known:
        return skip("the accounts database was not asked")
    if DENIED in database.fault and not facts.host.is_root:
        return skip(f"{url}: {visible(database.fault)}")
    if database.fault:
        return fail(f"{url}: {visible(database.fault)}", _database_fix(facts))
    return ok(url)


def _database_fix(facts: Facts) -> str:
    """The fix by the database's own message, such as MySQL's errors 1045 (access denied) and 1040 (connections)."""
    fault, accounts = facts.host.database.fault, facts.config.settings.accounts
    if facts.host.database.advice:
        return "\n".join(f"# {line}".rstrip() for line in facts.host.database.advice)
    if _is_stopped(facts):
        return start_commands.database(facts)
    if "using password: NO" in fault:
        file = visible(accounts.password_file)
        return f"# no password was given: put it into {file}, alone on a line, for root only"
    if "using password" in fault:
        where = "the URL accounts.database" if accounts.url.password is not None else visible(accounts.password_file)
        return f"# the password in {where} is not that of the database user: correct one of the two"
    if "Too many connections" in fault:
        return "# see who holds the connections; raise max_connections if all are needed:\nmysql -e 'SHOW PROCESSLIST'"
    return "# correct [accounts] of mailquota's settings:\nmailquota config"


def _is_stopped(facts: Facts) -> bool:
    """Whether the database is on this machine and not running: nothing listens at its address."""
    url, failures = facts.config.settings.accounts.url, facts.host.database.fault.split("; ")
    here = all(host.startswith(("/", "127.")) or host in {"localhost", "::1"} for host, _ in url.hosts)
    connecting = url.kind == "mysql" and failures[0].startswith("accounts database ")
    return connecting and here and all(failure.endswith(_NOBODY) for failure in failures)


def _editable(facts: Facts) -> Outcome:
    database, accounts = facts.host.database, facts.config.settings.accounts
    if database.fault or not database.known:
        return skip("the accounts database was not asked")
    if database.may_write is None:
        return skip(f"whether {database.writer or 'the database user'} may change limits is not known")
    if database.may_write:
        return ok(f"{database.writer} may change limits")
    if accounts.write_database:
        return fail(
            f"limits can't be edited: {visible(database.write_fault)}",
            "# correct write_database and write_password_file in [accounts] of mailquota's settings",
        )
    # No fault: ISPmail's tutorial makes an account that may only read, and an administrator may want no more.
    return ok(f"{database.writer} may only read; to edit limits here set accounts.write_database to one that may")


def _column(facts: Facts) -> Outcome:
    database = facts.host.database
    if not database.known or database.fault or not database.column_type:
        return skip("the column of the limits is not known")
    text = f"{visible(database.table)}.{visible(database.column)} is {visible(database.column_type)}"
    if database.column_max is None or database.column_max > 2 * _INT_MAX + 1:
        return ok(text)
    sql = f"ALTER TABLE `{database.table}` MODIFY `{database.column}` BIGINT NOT NULL DEFAULT 0"
    name = facts.config.settings.accounts.url.database
    return warn(
        f"{text}: no limit above {format_size(database.column_max)}",
        f"mariadb {shlex.quote(name)} -e {shlex.quote(sql)}",
    )


def _seen(facts: Facts) -> Outcome:
    if facts.host.is_root:
        return ok("run as root: everything could be examined")
    host, postfix = facts.host, facts.postfix
    closed = [
        file.path for file in (*host.files.values(), host.mailstore) if file is not None and file.kind == "closed"
    ]
    closed += [one.file.path for one in postfix.sockets if one.file is not None and one.file.kind == "closed"]
    name = host.user.name if host.user else "an unknown user"
    if not closed:
        return ok(f"run as {name}: everything could be examined")
    return skip(f"run as {name}, who may not look at {', '.join(dict.fromkeys(closed))}", "sudo mailquota doctor")


OWN_CHECKS: tuple[Check, ...] = (
    Check("engine", "Without an engine nothing is measured, no owner is warned, and Postfix gets no answer.", _engine),
    Check("engine-version", "After an upgrade the old engine runs on until it is restarted.", _version),
    Check("engine-settings", "The engine follows changed settings only after a reload.", _settings_in_force),
    Check("control-socket", "The console and the commands reach the engine by this socket.", _control),
    Check(
        "settings-file",
        "A user who can write the settings decides which mail is refused and which programs are run.",
        _settings_file,
    ),
    Check("password-files", "A user who can read them can read, and perhaps change, the database.", _password_files),
    Check("state-database", "It has the history, the journal, temporary limits, and which warnings were sent.", _state),
    Check("accounts-database", "Limits, mailboxes and aliases are read from it.", _accounts),
    Check(
        "limits-editable",
        "ISPmail's database user mailserver may only read: to change limits, another one is needed.",
        _editable,
    ),
    Check("limit-column", "An int column holds at most 2 GiB - 1; a larger limit is cut off or refused.", _column),
    Check("run-as", "What this user may not look at can't be judged.", _seen),
)
