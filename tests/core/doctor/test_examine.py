"""The doctor at work in a small world: what it is told about mailquota's own parts, and what it does to them."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from mailquota.core.base.version import version
from mailquota.core.doctor import examine
from mailquota.core.doctor.dovecot import probe as probe_dovecot
from mailquota.core.doctor.dovecot.checks import DOVECOT_CHECKS
from mailquota.core.doctor.dovecot.facts import DovecotFacts
from mailquota.core.doctor.examine import CHECKS, judge
from mailquota.core.doctor.host import probe as probe_host
from mailquota.core.doctor.host import probe_mailquota
from mailquota.core.doctor.host.facts import HostFacts
from mailquota.core.doctor.model import Check, Facts, Finding, Outcome
from mailquota.core.doctor.postfix import probe as probe_postfix
from mailquota.core.doctor.postfix.checks import POSTFIX_CHECKS
from mailquota.core.doctor.postfix.facts import PostfixFacts
from mailquota.core.settings.config import Config
from tests.core.clients import ask, until
from tests.core.commands.command_line import CommandLine
from tests.core.engines import embedded, inner, measured, serving
from tests.core.worlds import JOHN, SmallWorld


@pytest.fixture
def line(small_world: SmallWorld) -> CommandLine:
    """No engine runs."""
    return CommandLine(small_world)


def found(world: SmallWorld, check: str) -> Finding:
    """What one check says."""
    return next(finding for finding in examine.examine(world.load()) if finding.check == check)


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    """What would show that somebody wrote: sizes and times of all files, but of what readers have in common."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith("-shm")]
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


# ---- the command


def test_every_check_says_something_as_json(line: CommandLine) -> None:
    done = line("doctor", "--json")
    findings = json.loads(done.stdout)
    assert [finding["check"] for finding in findings] == [check.name for check in CHECKS]
    assert list(findings[0]) == ["check", "state", "found", "why", "fix", "docs"]
    assert all(finding["found"] and finding["why"] and finding["docs"] for finding in findings)
    assert done.returncode == int(any(finding["state"] == "fail" for finding in findings))


def test_what_failed_stands_last_with_its_fix_above_the_sum(line: CommandLine) -> None:
    line.world.database.rename(line.world.folder / "elsewhere.db")
    done = line("doctor")
    assert done.returncode == 1
    assert "\nFAIL  accounts-database\n      found" in done.stdout
    assert done.stdout.index("\nok  ") < done.stdout.index("\nSKIP") < done.stdout.index("\nFAIL")
    assert done.stdout.splitlines()[-1].endswith(" ok")
    assert not done.stderr


def test_it_is_calm_where_nothing_failed(line: CommandLine) -> None:
    with line.engine():
        done = line("doctor", "--json")
    failed = [finding["check"] for finding in json.loads(done.stdout) if finding["state"] == "fail"]
    assert done.returncode == int(bool(failed))
    of_servers = {check.name for check in (*POSTFIX_CHECKS, *DOVECOT_CHECKS)}  # which this machine may have half
    assert not set(failed) - of_servers, failed


def test_the_engine_is_as_before(small_world: SmallWorld) -> None:
    """That its policy service answers is seen, and leaves no line among the decisions and no count."""
    with embedded(small_world) as engine:
        measured(engine)
        (finding,) = probe_postfix.gather(small_world.load()).sockets
        assert (finding.probe.result, finding.probe.text) == ("answer", "action=DUNNO\n\n")
        examine.examine(small_world.load())
        assert ask(small_world.policy_socket, JOHN) == "DUNNO"
        decisions, metrics = inner(engine).decisions, inner(engine).metrics
        assert [row.recipient for part in decisions.backlog() for row in part] == [JOHN]
        assert (decisions.count, metrics.requests, metrics.malformed) == (1, 1, 0)


def test_nothing_is_changed_by_it(small_world: SmallWorld) -> None:
    with serving(small_world):
        examine.examine(small_world.load())
    before = contents(small_world.folder)
    examine.examine(small_world.load())
    assert contents(small_world.folder) == before


# ---- accounts


def test_limits_and_the_right_to_edit_them_are_told(small_world: SmallWorld) -> None:
    limits, facts, disabled, _ = probe_mailquota.accounts(small_world.load())
    assert limits[JOHN] == 10_000
    assert not disabled
    assert (facts.fault, facts.may_write, facts.table, facts.column) == ("", True, "virtual_users", "quota")


def test_dovecot_is_not_asked_about_accounts_that_are_switched_off(
    small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = f"SELECT email, quota, email <> '{JOHN}' FROM virtual_users"
    small_world.settings["accounts"] |= {
        "schema": "custom", "users_query": query,
        "aliases_query": "SELECT source, destination FROM virtual_aliases",
        "set_query": "UPDATE virtual_users SET quota = %(limit)s WHERE email = %(address)s",
    }  # fmt: skip
    small_world.write_settings()
    small_world.add_account("jane@example.org")
    asked: list[str] = []

    def gather(_: Config, accounts: Mapping[str, int | None], **_more: object) -> DovecotFacts:
        asked.extend(accounts)
        return DovecotFacts()

    monkeypatch.setattr(probe_dovecot, "gather", gather)
    examine.examine(small_world.load())
    assert "jane@example.org" in asked
    assert JOHN not in asked


def test_a_database_that_is_gone_is_told_and_hides_nothing_else(small_world: SmallWorld) -> None:
    small_world.database.unlink()
    assert found(small_world, "accounts-database").state == "fail"
    assert str(small_world.database) in found(small_world, "accounts-database").found
    assert found(small_world, "disk-space").state in {"ok", "warn", "fail"}


def test_a_password_file_that_can_not_be_read_is_told(small_world: SmallWorld) -> None:
    small_world.settings["accounts"] |= {"database": "mysql://u@127.0.0.1:1/x", "password_file": "/nowhere/password"}
    small_world.write_settings()
    assert "/nowhere/password" in probe_mailquota.accounts(small_world.load()).facts.fault


# ---- the engine


def test_the_running_engine_is_asked(small_world: SmallWorld) -> None:
    with serving(small_world):
        running = probe_mailquota.engine(small_world.load())
    assert running.facts.running
    assert running.facts.version == version()
    assert running.facts.mode == "enforce"
    assert running.facts.listen == (f"unix:{small_world.policy_socket}",)


def test_no_engine_is_no_fault_of_the_socket(small_world: SmallWorld) -> None:
    facts = probe_mailquota.engine(small_world.load()).facts
    assert (facts.known, facts.running, facts.fault) == (True, False, "")


def test_an_engine_that_hangs_is_told(small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_mailquota, "_ENGINE_SECONDS", 0.05)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(small_world.control_socket))
        silent.listen()
        facts = probe_mailquota.engine(small_world.load()).facts
    assert not facts.running
    assert "no answer within" in facts.fault


# ---- the state database


def test_what_the_engine_says_of_the_state_database_counts(small_world: SmallWorld) -> None:
    config = small_world.load()
    with serving(small_world):
        until(lambda: probe_mailquota.state(config, None).newest, "the engine writes down that it started")
        status = probe_mailquota.engine(config).status
        assert status
        facts = probe_mailquota.state(config, status)
    assert (facts.fault, facts.write_fault) == ("", "")
    assert facts.schema == facts.schema_known > 0
    assert facts.size
    assert probe_mailquota.state(config, msgspec.structs.replace(status, state_problem="disk full")).write_fault


def test_a_damaged_state_database_is_told_and_left_where_it_is(small_world: SmallWorld) -> None:
    small_world.state.write_bytes(b"nothing of the kind " * 100)
    assert "not a database" in probe_mailquota.state(small_world.load(), None).fault
    assert small_world.state.read_bytes().startswith(b"nothing of the kind")


# ---- sides that fail


def test_a_side_that_fails_does_not_silence_the_others(
    small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> PostfixFacts:
        raise ZeroDivisionError("never thought of")

    monkeypatch.setattr(probe_postfix, "gather", fail)
    assert "never thought of" in found(small_world, "postfix-settings").found
    assert found(small_world, "accounts-database").state == "ok"


def test_a_check_that_fails_does_not_silence_the_others(small_world: SmallWorld) -> None:
    def fail(_facts: Facts) -> Outcome:
        raise ZeroDivisionError("never thought of")

    broken, sound = judge(Facts(config=small_world.load()), (Check("broken", "why", fail), CHECKS[0]))
    assert (broken.state, broken.check) == ("skip", "broken")
    assert "never thought of" in broken.found
    assert sound.check == CHECKS[0].name


def test_what_many_checks_lack_is_said_once(line: CommandLine) -> None:
    """And a text that is not for a terminal is never wrapped."""
    lines = line("doctor").stdout.splitlines()
    assert "SKIP  engine-version, engine-settings" in lines
    assert lines[lines.index("SKIP  engine-version, engine-settings") + 1].startswith("      no engine answers")


def test_a_file_system_that_hangs_below_the_mailboxes_ends_nothing(
    small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = threading.Event()

    def hang(*_: object, **__: object) -> HostFacts:
        never.wait()
        return HostFacts()

    monkeypatch.setattr(examine, "_PATIENCE", 0.2)
    monkeypatch.setattr(probe_host, "gather", hang)
    finding = found(small_world, "mailstore")
    assert (finding.state, finding.found) == ("skip", "the mailstore was not examined: no answer within 0.2 s")
    assert found(small_world, "disk-space").state == "skip"
    never.set()


def test_a_demo_is_told_to_mend_nothing(small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no Postfix, Dovecot or mail log; rights on this machine would not change that."""
    engine = probe_mailquota.engine

    def as_demo(config: Config) -> probe_mailquota.EngineAnswer:
        return engine(config)._replace(demo=True)

    monkeypatch.setattr(probe_mailquota, "engine", as_demo)
    findings = {finding.check: finding for finding in examine.examine(small_world.load())}
    assert [name for name, one in findings.items() if "a demo has none" in one.found and one.fix] == []
    assert (findings["mail-log"].state, findings["policy-socket"].state) == ("skip", "skip")
