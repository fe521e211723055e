"""Engines with each driver: from the settings to the answer that Postfix gets."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from mailquota.core.base.errors import SettingsError
from mailquota.core.history.who import Operator
from mailquota.core.mailboxes import vsizes
from mailquota.core.mailboxes.dovecot_driver import DoveadmDriver
from mailquota.core.mailboxes.from_settings import driver_name, make_doveadm, make_driver, make_mailstore
from mailquota.core.mailboxes.vsizes import virtual_size
from mailquota.core.servers.dovecot.doveadm_http import HttpDoveadm
from mailquota.core.servers.dovecot.quota import QuotaFacts
from mailquota.core.settings.config import DiscoveredSettings, load
from tests.core.clients import ask, until
from tests.core.engines import embedded, inner, measured, rows
from tests.core.worlds import FULL, JOHN, OVERQUOTA, SmallWorld


def use(world: SmallWorld, driver: str, doveadm: str = "off") -> None:
    """Write settings with another driver."""
    world.settings["mailstore"] |= {"driver": driver, "doveadm": doveadm}
    world.write_settings()


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, an answer that comes is in time."""
    for name in ("mailquota.core.mailboxes.asking.WAIT", "mailquota.core.policy.answering.DEADLINE"):
        monkeypatch.setattr(name, 20.0)
    monkeypatch.setattr("mailquota.core.policy.lookup.COUNT_PATIENCE", 20.0)


def test_a_leftover_record_beside_the_driver_count_is_of_no_account(small_world: SmallWorld) -> None:
    """Four mails of 1,000 bytes, 1,010 with CRLF, whatever the file says; decisions go by that."""
    (small_world.maildir(JOHN) / "maildirsize").write_text("10000S\n10000 4\n")
    small_world.settings["mailstore"]["driver"] = "count"
    small_world.write_settings()
    with embedded(small_world) as engine:
        measured(engine)
        row = rows(engine)[JOHN]
        assert (row.used_bytes, row.source, row.drift_bytes) == (4040, "scan", None)
        assert ask(small_world.policy_socket, JOHN) == "DUNNO"
        small_world.put_mail(JOHN, 9000)
        assert ask(small_world.policy_socket, JOHN) == OVERQUOTA
        (done,) = engine.call(inner(engine).actions.recalc([JOHN], Operator("mary")))
        assert (done.before_bytes, done.after_bytes, done.method) == (13_050, 13_050, "unlink")


def test_a_count_that_goes_on_holds_nobody_up(small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the mailbox itself, of which something is known, nor anybody else."""
    use(small_world, "count")
    monkeypatch.setattr("mailquota.core.mailboxes.count_driver.READS_FOR_A_DECISION", 0)
    entered, go_on = threading.Event(), threading.Event()

    def slow(path: bytes) -> int | None:
        entered.set()
        assert go_on.wait(20)
        return virtual_size(path)

    with embedded(small_world) as engine:
        measured(engine)
        monkeypatch.setattr(vsizes, "virtual_size", slow)
        (small_world.maildir(JOHN) / "new/1").write_bytes(b"x" * 9000)
        assert ask(small_world.policy_socket, JOHN) == "DUNNO"
        assert entered.wait(20)  # the poller looks at who was asked about
        assert ask(small_world.policy_socket, JOHN) == "DUNNO"
        assert ask(small_world.policy_socket, FULL) == OVERQUOTA
        assert inner(engine).metrics.trouble == 0
        go_on.set()
        until(lambda: ask(small_world.policy_socket, JOHN) == OVERQUOTA)


def test_sql(small_world: SmallWorld) -> None:
    """PostfixAdmin's table in the accounts database; without a row the usage is not known."""
    use(small_world, "sql")
    small_world.execute("CREATE TABLE quota2 (username TEXT PRIMARY KEY, bytes INTEGER, messages INTEGER)")
    small_world.execute("INSERT INTO quota2 VALUES (?, 9999, 3)", JOHN)
    with embedded(small_world) as engine:
        measured(engine)
        row = rows(engine)[JOHN]
        assert (row.used_bytes, row.messages, row.source, row.trash_bytes) == (9999, 3, "sql", None)
        assert rows(engine)[FULL].used_bytes is None
        assert (ask(small_world.policy_socket, JOHN), ask(small_world.policy_socket, FULL)) == ("DUNNO", "DUNNO")
        small_world.execute("UPDATE quota2 SET bytes = 10000")
        until(lambda: ask(small_world.policy_socket, JOHN) == OVERQUOTA)
        (done,) = engine.call(inner(engine).actions.recalc([JOHN], Operator("mary")))
        assert (done.code, done.method) == (1, None)
        assert "doveadm" in (done.error or "")


DOVEADM = r"""#!{python}
import sys
words = sys.argv[1:]
text = open({file!r}).read()
if "status" in words:
    print("mailbox\tmessages\tvsize\nINBOX\t2\t" + text + "\nTrash\t1\t24")
elif "get" in words:
    everybody = "-A" in words
    print(("Username\t" if everybody else "") + "Quota name\tType\tValue\tLimit\t%")
    user = "{john}\t" if everybody else ""
    print(user + "User quota\tSTORAGE\t" + str(-(-(int(text) + 24) // 1024)) + "\t98\t1")
    print(user + "User quota\tMESSAGE\t3\t-\t0")
"""


@pytest.fixture
def doveadm(small_world: SmallWorld) -> Path:
    """A file with the bytes that INBOX holds, and a doveadm that tells so."""
    program, file = small_world.folder / "doveadm", small_world.folder / "bytes"
    file.write_text("4976")
    program.write_text(DOVEADM.format(python=sys.executable, file=str(file), john=JOHN))
    program.chmod(0o755)
    use(small_world, "doveadm", str(program))
    return file


def test_doveadm(small_world: SmallWorld, doveadm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailquota.core.mailboxes.dovecot_driver.FRESH", 0.0)
    with embedded(small_world) as engine:
        measured(engine)
        assert rows(engine)[JOHN].source == "doveadm"
        assert ask(small_world.policy_socket, JOHN) == "DUNNO"
        until(lambda: rows(engine)[JOHN].trash_bytes == 24)
        assert rows(engine)[JOHN].used_bytes == 5000
        doveadm.write_text("9976")
        until(lambda: ask(small_world.policy_socket, JOHN) == OVERQUOTA)
        (done,) = engine.call(inner(engine).actions.recalc([JOHN], Operator("mary")))
        assert (done.after_bytes, done.after_messages, done.method, done.error) == (10_000, 3, "doveadm", None)


def test_settings_that_can_not_work_together(small_world: SmallWorld) -> None:
    use(small_world, "doveadm", "off")
    config = small_world.load()
    with pytest.raises(SettingsError, match=r"mailstore\.driver"):
        make_driver(config, make_mailstore(config))


def test_the_http_form(small_world: SmallWorld, tmp_path: Path) -> None:
    """Its secret comes from the file; it is insisted on for changes."""
    secret = tmp_path / "secret"
    secret.write_text("ChangeMe\n")
    use(small_world, "doveadm", "http://127.0.0.1:9")
    small_world.settings["mailstore"]["doveadm_password_file"] = str(secret)
    small_world.write_settings()
    config = small_world.load()
    tool, insist = make_doveadm(config)
    assert isinstance(tool, HttpDoveadm)
    assert insist
    assert isinstance(make_driver(config, make_mailstore(config)), DoveadmDriver)


@pytest.mark.parametrize(("backend", "driver"), [("count", "count"), ("maildir", "maildir"), ("", "maildir")])
def test_auto(tmp_path: Path, backend: str, driver: str) -> None:
    file = tmp_path / "mailquota.toml"
    file.write_text("[policy]\n")
    config = load(file, {}, DiscoveredSettings(quota=QuotaFacts(backend)))
    assert driver_name(config) == driver
    assert make_driver(config, make_mailstore(config)).name == driver
