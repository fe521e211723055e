"""mailquota's own engine, files and databases: every state of their checks."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mailquota.core.base.guarded import aside, line, mode_by, owner_to
from mailquota.core.doctor.host.facts import DatabaseFacts, EngineFacts, StateFacts
from mailquota.core.doctor.model import Outcome
from mailquota.core.doctor.paths import PathFacts, UserFacts
from mailquota.core.doctor.postfix.facts import ProbeAnswer, SocketFacts
from mailquota.core.settings.config import Config
from tests.core.doctor.healthy import HOST, SOCKET, config, facts, folder, host, outcome, postfix

SETTINGS = "/etc/mailquota/mailquota.toml"
RUNNING = HOST.engine
DATABASE = HOST.database
STATE = HOST.state


def said(check: str, config_: Config | None = None, **changes: Any) -> Outcome:
    return outcome(check, facts(host=host(**changes), config_=config_))


def file(path: str, mode: int = 0o640, kind: Any = "file", fault: str = "") -> PathFacts:
    return PathFacts(path, kind, mode, 0, 0, "root", "root", fault=fault)


# ---- the engine


@pytest.mark.parametrize(
    ("engine", "state", "words"),
    [
        (RUNNING, "ok", "version 1.2.3, mode enforce"),
        (msgspec.structs.replace(RUNNING, mode="shadow"), "ok", "refuses nothing"),
        (EngineFacts(known=True), "warn", "no engine answers at /run/mailquota/control.sock"),
        (EngineFacts(known=True, fault="permission denied\x1b[31m"), "skip", "permission denied\\x1b"),
        (EngineFacts(), "skip", "was not asked"),
    ],
)
def test_engine(engine: EngineFacts, state: str, words: str) -> None:
    found = said("engine", engine=engine)
    assert found.state == state
    assert words in found.found


@pytest.mark.parametrize(
    ("systemd", "installed", "command"),
    [
        (True, True, "systemctl enable --now mailquota"),
        (True, False, "mailquota install --apply"),
        (False, False, "mailquota install"),
    ],
)
def test_an_engine_is_started_as_this_server_starts_things(systemd: bool, installed: bool, command: str) -> None:
    found = said("engine", engine=EngineFacts(known=True), systemd=systemd, installed=installed)
    assert [line for line in found.fix.splitlines() if line[0] != "#"] == [command]


@pytest.mark.parametrize(("version", "state"), [("1.2.3", "ok"), ("1.2.2", "warn")])
def test_engine_version(version: str, state: str) -> None:
    found = said("engine-version", engine=msgspec.structs.replace(RUNNING, version=version))
    assert (found.state, found.fix) == (state, "mailquota reload --restart" if state == "warn" else "")


@pytest.mark.parametrize("check", ["engine-version", "engine-settings"])
def test_without_an_engine_there_is_nothing_to_compare(check: str) -> None:
    assert said(check, engine=EngineFacts(known=True)).state == "skip"


@pytest.mark.parametrize(
    ("changes", "state", "words"),
    [
        ({}, "ok", "follows"),
        ({"listen": ()}, "ok", "follows"),
        ({"listen": ("inet:127.0.0.1:10040",)}, "warn", f"does not listen on unix:{SOCKET}"),
        ({"policy": {"mode": "shadow"}}, "warn", 'policy.mode of the engine is "shadow", of the settings "enforce"'),
        ({"policy": {"grace": "20%", "reserve": "30s"}}, "warn", 'policy.grace of the engine is "20%"'),
        ({"policy": {"exempt": ["postmaster@*"], "of another version": 1}}, "ok", "follows"),
    ],
)
def test_settings_in_force(changes: dict[str, Any], state: str, words: str) -> None:
    found = said("engine-settings", engine=msgspec.structs.replace(RUNNING, **changes))
    fix = "mailquota install --apply" if "listen" in changes else "mailquota reload"
    assert (found.state, found.fix) == (state, fix if state == "warn" else "")
    assert words in found.found


@pytest.mark.parametrize(("origin", "state"), [("found: doveconf quota_grace", "ok"), ("file /etc/x.toml", "warn")])
def test_who_may_not_see_all_of_the_server_blames_no_engine(origin: str, state: str) -> None:
    seen = msgspec.structs.replace(config(), origin={"policy.grace": origin})
    engine = msgspec.structs.replace(RUNNING, policy={"grace": "20%"})
    assert said("engine-settings", seen, engine=engine, is_root=False).state == state


# ---- files


def files(**changed: PathFacts) -> dict[str, PathFacts]:
    return HOST.files | {name.replace("_", " "): one for name, one in changed.items()}


@pytest.mark.parametrize(
    ("mode", "state"), [(0o755, "ok"), (0o1777, "ok"), (0o777, "fail")], ids=["closed", "sticky", "open"]
)
def test_control_folder(mode: int, state: str) -> None:
    found = said("control-socket", files=files(control_folder=folder("/run/mailquota", mode)))
    assert (found.state, found.fix) == (state, line("/run/mailquota", "chmod o-w {}") if state == "fail" else "")


def test_a_file_in_place_of_the_control_socket() -> None:
    found = said("control-socket", files={"control.socket": file("/run/mailquota/control.sock")})
    assert found.state == "fail"
    assert found.fix.startswith(line("/run/mailquota/control.sock", aside()) + "\n")


def test_a_group_of_the_settings_is_missing() -> None:
    set_ = config(origin={"control.group": f"file {SETTINGS}"}, control={"group": "mail admins"})
    found = said("control-socket", set_, groups_missing=("mail admins",))
    assert (found.state, found.fix) == ("warn", "groupadd --system 'mail admins'")


def test_the_group_of_the_defaults_may_be_missing() -> None:
    """Also where ``config --write`` has put it into the file."""
    for origin in ("default", f"file {SETTINGS}"):
        found = said("control-socket", config(origin={"control.group": origin}), groups_missing=("mailquota",))
        assert found.state == "ok"
        assert "no group mailquota" in found.found


WITH_PASSWORD = config(accounts={"database": "mysql://mailserver:ChangeMe@127.0.0.1/mailserver"})


@pytest.mark.parametrize(
    ("seen", "config_", "state", "fix"),
    [
        (file(SETTINGS, 0o644), None, "ok", ""),
        (file(SETTINGS, 0o640), WITH_PASSWORD, "ok", ""),
        (file(SETTINGS, 0o644), WITH_PASSWORD, "warn", line(SETTINGS, "chmod o-r {}")),
        (file(SETTINGS, 0o646), None, "fail", line(SETTINGS, "chmod go-w {}")),
        (file(SETTINGS, 0, "closed", f"{SETTINGS}: Permission denied"), None, "skip", ""),
        (None, None, "ok", ""),
    ],
)
def test_settings_file(seen: PathFacts | None, config_: Config | None, state: str, fix: str) -> None:
    found = said("settings-file", config_, files={} if seen is None else {"settings": seen})
    assert (found.state, found.fix) == (state, fix)
    assert "ChangeMe" not in repr(found)


PASSWORD = "/etc/postfix/mysql-virtual-mailbox-maps.cf"
FROM_FILE = config(origin={"accounts.password_file": f"file {SETTINGS}"})


@pytest.mark.parametrize(
    ("seen", "config_", "state"),
    [
        (file(PASSWORD), None, "ok"),
        (file(PASSWORD, 0o644), None, "warn"),
        (file(PASSWORD, 0o642), None, "warn"),
        (file(PASSWORD, 0, "missing"), None, "ok"),
        (file(PASSWORD, 0, "missing"), FROM_FILE, "fail"),
        (file(PASSWORD, 0, "closed", f"{PASSWORD}: Permission denied"), None, "skip"),
    ],
)
def test_password_files(seen: PathFacts, config_: Config | None, state: str) -> None:
    found = said("password-files", config_, files={"accounts.password_file": seen})
    assert found.state == state
    assert (found.fix == line(PASSWORD, "chmod o-rwx {}")) == (state == "warn")


# ---- databases


@pytest.mark.parametrize(
    ("state_", "state", "words"),
    [
        (STATE, "ok", "sqlite:////var/lib/mailquota/state.db, 4 KiB"),
        (StateFacts(known=True), "ok", "it is created when it is needed"),
        (StateFacts(), "skip", "was not examined"),
        (
            StateFacts(known=True, schema=4, schema_known=3),
            "fail",
            "newer mailquota (tables of version 4, here 3 is known)",
        ),
        (StateFacts(known=True, fault="it is damaged"), "fail", "can't be read: it is damaged"),
        (StateFacts(known=True, write_fault="read-only file"), "fail", "can't be written: read-only file"),
    ],
)
def test_state_database(state_: StateFacts, state: str, words: str) -> None:
    found = said("state-database", state=state_)
    assert found.state == state
    assert words in found.found


def test_the_state_database_goes_to_whom_its_folder_belongs() -> None:
    owned = files(state_folder=PathFacts("/var/lib/mailquota", "folder", 0o750, 5000, 5000, "vmail", "vmail"))
    found = said("state-database", state=StateFacts(known=True, write_fault="read-only"), files=owned)
    path = "/var/lib/mailquota/state.db"
    steps = owner_to("vmail:vmail"), mode_by("vmail", "u+rw")
    assert found.fix == line(path, *steps, then="mailquota reload --restart")
    alone = said("state-database", state=StateFacts(known=True, fault="x"), files=owned, engine=EngineFacts(known=True))
    assert alone.fix == line(path, *steps)


def test_a_state_database_on_a_full_disk_has_no_wrong_owner() -> None:
    full = StateFacts(known=True, write_fault="state database /x: database or disk is full")
    fix = said("state-database", state=full).fix
    assert fix.startswith("# free space")
    assert "chown" not in fix


def test_the_folder_of_the_state_database_is_open() -> None:
    found = said("state-database", files=files(state_folder=folder("/var/lib/mailquota", 0o777)))
    assert (found.state, found.fix) == ("fail", line("/var/lib/mailquota", "chmod o-w {}"))


@pytest.mark.parametrize(
    ("database", "state"),
    [(DATABASE, "ok"), (DatabaseFacts(known=True, fault="access denied"), "fail"), (DatabaseFacts(), "skip")],
)
def test_accounts_database(database: DatabaseFacts, state: str) -> None:
    found = said("accounts-database", WITH_PASSWORD, database=database)
    assert found.state == state
    assert "ChangeMe" not in repr(found)


@pytest.mark.parametrize(
    ("fault", "fix"),
    [
        ("Access denied for user 'mailserver'@'localhost' (using password: YES)", "in /etc/postfix/x.cf"),
        ("Access denied for user 'mailserver'@'localhost' (using password: NO)", "put it into /etc/postfix/x.cf"),
        ("Too many connections", "SHOW PROCESSLIST"),
    ],
)
def test_what_the_database_of_accounts_needs_is_said_by_its_own_fault(fault: str, fix: str) -> None:
    known = config(accounts={"password_file": "/etc/postfix/x.cf"})
    database = DatabaseFacts(known=True, fault=fault)
    assert fix in said("accounts-database", known, database=database).fix
    in_url = config(accounts={"database": "mysql://mailserver:secret@127.0.0.1/mailserver"})
    text = said("accounts-database", in_url, database=database).fix
    assert ("in the URL" in text) == ("using password: YES" in fault)
    assert "secret" not in text


READS = DatabaseFacts(known=True, may_write=False, write_fault="UPDATE command denied", writer="mysql://mailserver@h/m")


def test_accounts_database_whose_password_only_root_may_read() -> None:
    """As root it is a fault, else only not to be judged."""
    closed = DatabaseFacts(known=True, fault="/etc/postfix/x.cf can't be read: Permission denied")
    assert said("accounts-database", database=closed, is_root=False).state == "skip"
    assert said("accounts-database", database=closed, is_root=True).state == "fail"


WRITER = config(accounts={"write_database": "mysql://mailadmin@127.0.0.1/mailserver"})


@pytest.mark.parametrize(
    ("database", "config_", "state", "words"),
    [
        (DATABASE, None, "ok", "may change limits"),
        (READS, None, "ok", "set accounts.write_database"),
        (READS, WRITER, "fail", "UPDATE command denied"),
        (DatabaseFacts(known=True), None, "skip", "is not known"),
        (DatabaseFacts(known=True, fault="away"), None, "skip", "was not asked"),
        (DatabaseFacts(), None, "skip", "was not asked"),
    ],
)
def test_limits_editable(database: DatabaseFacts, config_: Config | None, state: str, words: str) -> None:
    found = said("limits-editable", config_, database=database)
    assert found.state == state
    assert words in found.found


@pytest.mark.parametrize(
    ("kind", "most", "state"),
    [
        ("bigint(20)", 2**63 - 1, "ok"),
        ("decimal(20,0)", None, "ok"),
        ("int(11)", 2**31 - 1, "warn"),
        ("int(10) unsigned", 2**32 - 1, "warn"),
        ("", None, "skip"),
    ],
)
def test_limit_column(kind: str, most: int | None, state: str) -> None:
    found = said("limit-column", database=msgspec.structs.replace(DATABASE, column_type=kind, column_max=most))
    assert found.state == state
    widen = "ALTER TABLE `virtual_users` MODIFY `quota` BIGINT NOT NULL DEFAULT 0"
    assert found.fix == (f"mariadb mailserver -e '{widen}'" if state == "warn" else "")


# ---- who asks


def test_what_could_not_be_seen_is_named() -> None:
    closed = PathFacts(SOCKET, "closed", fault=f"{SOCKET}: Permission denied")
    listed = postfix(sockets=(SocketFacts(f"unix:{SOCKET}", closed, (), ProbeAnswer()),))
    somebody = host(is_root=False, user=UserFacts("anna", 1000, (1000,)), files={"settings": file("/x", 0, "closed")})
    found = outcome("run-as", facts(listed, host=somebody))
    assert (found.state, found.fix) == ("skip", "sudo mailquota doctor")
    assert found.found == f"run as anna, who may not look at /x, {SOCKET}"


def test_somebody_who_sees_everything_is_as_good_as_root() -> None:
    somebody = host(is_root=False, user=UserFacts("anna", 1000, (1000,)))
    assert outcome("run-as", facts(host=somebody)).state == "ok"
    assert "root" in outcome("run-as", facts()).found


AT, REFUSED, NO_FILE = "accounts database ", "Connection refused", "No such file or directory"


@pytest.mark.parametrize(
    ("url", "fault", "starts"),
    [
        ("mysql://u@127.0.0.1/d", f"{AT}127.0.0.1:3306/d: {REFUSED}", True),
        ("mysql://u@%2Fs,localhost/d", f"{AT}/s/d: {NO_FILE}; localhost:3306/d: {REFUSED}", True),
        ("mysql://u@%2Fs,localhost/d", f"{AT}/s/d: {NO_FILE}; localhost:3306/d: Access denied", False),
        ("mysql://u@127.0.0.1/d", f"{AT}127.0.0.1:3306/d: Access denied", False),
        ("mysql://u@127.0.0.1/d", f"accounts.password_file: /etc/p can't be read: {NO_FILE}", False),
        ("mysql://u@db.example.org/d", f"{AT}db.example.org:3306/d: {REFUSED}", False),
        ("sqlite:////srv/users.db", f"{AT}/srv/users.db: {NO_FILE}", False),
    ],
)
def test_a_database_of_this_machine_is_started_where_nobody_listens(url: str, fault: str, starts: bool) -> None:
    database = DatabaseFacts(known=True, fault=fault)
    found = said("accounts-database", config(accounts={"database": url}), database=database)
    assert (found.state, found.fix.startswith("systemctl start")) == ("fail", starts)
