"""``mailquota install`` and ``uninstall`` beside a real systemd and a real Postfix, on a throwaway machine."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from mailquota.core.commands.install.model import UNITS
from tests.core.clients import PolicyClient
from tests.core.smtpds import Smtpds
from tests.core.worlds import FULL, JOHN, OVERQUOTA, TRASH, SmallWorld, fill
from tests.mailserver.fixture import require_servers, temporary_folder
from tests.mailserver.process import wait_until
from tests.mailserver.recipes import write_new_postfix
from tests.mailserver.series import dovecot_series
from tests.mailserver.systemd import MAILQUOTA, ROOT, SystemdNamespace, systemd_namespace

pytestmark = pytest.mark.server

_WORLD = "/var/mail-world"
_SOCKET = "/var/spool/postfix/private/mailquota"
_SETTINGS = "/etc/mailquota/mailquota.toml"
_SHUT_DOWN = """
import ctypes, os, socket, sys
pid, path = sys.argv[1:]
listening = (line for line in open("/proc/net/unix") if " 00010000 " in line)
inode = next(line.split()[6] for line in listening if line.endswith(f" {path}\\n"))
folder = f"/proc/{pid}/fd"
number = next(int(name) for name in os.listdir(folder) if os.readlink(f"{folder}/{name}") == f"socket:[{inode}]")
pidfd_getfd = 438
handle = ctypes.CDLL(None).syscall(pidfd_getfd, os.pidfd_open(int(pid)), number, 0)
socket.socket(fileno=handle).shutdown(socket.SHUT_RDWR)
"""
_RCPT = """
import smtplib, sys
with smtplib.SMTP("127.0.0.1", 25, "client.example.net") as smtp:
    smtp.ehlo_or_helo_if_needed()
    smtp.mail("somebody@example.net")
    code, text = smtp.rcpt(sys.argv[1])
    print(code, text.decode())
"""


@pytest.fixture
def host() -> Iterator[SystemdNamespace]:
    """Postfix, not started; a user vmail who owns the mailboxes of the small world, settings for it; no service yet."""
    require_servers("postfix", "postconf")
    with systemd_namespace() as new:
        new.check(["groupadd", "--gid", "5000", "vmail"])
        new.check(["useradd", "--gid", "5000", "--uid", "5000", "--no-create-home", "--home-dir", _WORLD, "vmail"])
        _make_world(new)
        write_new_postfix(new)
        new.check(
            [
                "postconf",
                "-e",
                "virtual_mailbox_domains = example.org, example.com",
                "virtual_mailbox_maps = static:x",
                "virtual_transport = discard:",
                "mynetworks = 127.0.0.2",
                "inet_interfaces = loopback-only",
            ]
        )
        yield new


@pytest.fixture
def postfix(host: SystemdNamespace) -> None:
    """It runs; elsewhere a reload of it goes by."""
    unit = "postfix@-.service" if dovecot_series() == "2.3" else "postfix.service"  # Debian 12 and 13
    host.check(["systemctl", "start", unit])


def _make_world(new: SystemdNamespace) -> None:
    with temporary_folder() as folder:
        world = SmallWorld(folder)
        fill(world)
        del world.settings["accounts"]["refresh"]
        world.settings |= {"policy": {}, "control": {}, "state": {}}
        world.write_settings()
        new.path(_SETTINGS).parent.mkdir()
        new.path(_SETTINGS).write_text(world.config.read_text().replace(str(folder), _WORLD))
        shutil.copytree(folder, new.path(_WORLD))
    new.check(["chown", "-R", "vmail:vmail", _WORLD])


def answer(host: SystemdNamespace, to: str) -> str:
    """What Postfix says to a recipient."""
    return host.check(["/opt/python/bin/python3", "-c", _RCPT, to]).strip()


def apply(host: SystemdNamespace, *words: str) -> subprocess.CompletedProcess[str]:
    """It must succeed."""
    done = host.mailquota(*words, "--apply", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr + host.journal()
    return done


def journal(host: SystemdNamespace) -> str:
    """What the service and systemd said of it."""
    return host.check(["journalctl", "--no-pager", "--output=cat", "--unit=mailquota.service"])


def main_pid(host: SystemdNamespace) -> int:
    """Of the service, as that machine counts."""
    return int(host.check(["systemctl", "show", "--property=MainPID", "--value", "mailquota.service"]))


def found_by_doctor(host: SystemdNamespace) -> dict[str, dict[str, str]]:
    """By check."""
    return {one["check"]: one for one in json.loads(host.mailquota("doctor", "--json").stdout)}


def test_installed_postfix_asks_and_uninstalled_no_more(host: SystemdNamespace, postfix: None) -> None:
    """And main.cf is, to the byte, what it was."""
    before = host.path("/etc/postfix/main.cf").read_text()
    assert answer(host, FULL).startswith("250 ")
    apply(host, "install")
    assert answer(host, FULL).startswith("452 4.2.2 ")
    assert answer(host, JOHN).startswith("250 ")
    again = apply(host, "install")
    assert again.stdout == ""
    assert "nothing to do" in again.stderr
    apply(host, "uninstall")
    assert answer(host, FULL).startswith("250 ")
    assert host.path("/etc/postfix/main.cf").read_text() == before
    left = ["/etc/systemd/system/mailquota.service", "/etc/systemd/system/mailquota.socket", str(_SOCKET)]
    assert not [path for path in left if host.path(path).exists()]
    assert host.run(["getent", "group", "mailquota"]).returncode != 0
    assert host.path(_SETTINGS).exists()


def test_the_doctor_leads_to_the_service(host: SystemdNamespace, postfix: None) -> None:
    """Where there is none yet, where it was stopped, and where the file of its socket is gone."""
    assert found_by_doctor(host)["engine"]["fix"] == "mailquota install --apply"
    apply(host, "install")
    assert found_by_doctor(host)["engine"]["state"] == "ok"
    host.check(["systemctl", "disable", "--now", *UNITS])
    host.check(["sh", "-ec", found_by_doctor(host)["engine"]["fix"]])
    assert found_by_doctor(host)["engine"]["state"] == "ok"
    host.path(_SOCKET).unlink()
    found = found_by_doctor(host)["policy-socket"]
    assert found["state"] == "fail"
    host.check(["sh", "-ec", found["fix"]])
    assert found_by_doctor(host)["policy-socket"]["state"] == "ok"
    assert answer(host, FULL).startswith("452 4.2.2 ")


def test_a_look_changes_nothing(host: SystemdNamespace) -> None:
    before = host.path("/etc/postfix/main.cf").read_text()
    looked = host.mailquota("install")
    assert looked.returncode == 0
    assert "User=vmail" in looked.stdout
    refused = host.mailquota("install", "--apply")
    assert refused.returncode == 1
    assert "--yes" in refused.stderr
    assert host.path("/etc/postfix/main.cf").read_text() == before
    assert not host.path("/etc/systemd/system/mailquota.service").exists()


def test_the_service_has_no_right_of_roots_and_does_all_the_same(host: SystemdNamespace) -> None:
    """Behind every seal of its unit; a state database that root made before becomes its own. Nobody complains."""
    state = host.path("/var/lib/mailquota")
    state.mkdir()
    (state / "state.db").touch()
    apply(host, "install")
    status = host.path(f"/proc/{main_pid(host)}/status").read_text()
    ids = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert ids["Uid"].split() == ["5000"] * 4
    assert [ids[name].strip("0") for name in ("CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb")] == [""] * 5
    assert (ids["NoNewPrivs"], ids["Seccomp"]) == ("1", "2")
    assert (state / "state.db").stat().st_uid == 5000
    assert "\n" + JOHN in host.check([MAILQUOTA, "recalc", JOHN])
    assert "2.9 KiB" in host.check([MAILQUOTA, "empty-trash", "--yes", TRASH])
    assert "sent to" in host.check([MAILQUOTA, "warn", "90", JOHN])
    assert "19.5 KiB" in host.check([MAILQUOTA, "set", "--yes", JOHN, "20000"])
    assert JOHN in host.check([MAILQUOTA, "journal"])
    host.check(["systemctl", "reload", "mailquota.service"])
    said = [line for line in journal(host).splitlines() if "mailquota.service" not in line]
    assert said == [f"answering on unix:{_SOCKET}", "settings and accounts were read again"]


def test_sendmail_needs_nothing_setgid(host: SystemdNamespace, postfix: None) -> None:
    """The service is in the group that may put mail into the maildrop."""
    settings = host.path(_SETTINGS)
    settings.write_text(settings.read_text().replace("[warnings]", '[warnings]\ndelivery = "sendmail"'))
    apply(host, "install")
    assert "sent to" in host.check([MAILQUOTA, "warn", "90", JOHN])
    assert wait_until(lambda: f"to=<{JOHN}>" in host.journal(), 20), host.journal()


def test_no_request_is_lost_while_it_restarts_dies_or_is_replaced(host: SystemdNamespace) -> None:
    """Clients ask without a pause and try twice, as Postfix does; the socket stays open all the time."""
    apply(host, "install")
    with Smtpds(host.path(_SOCKET), {FULL: OVERQUOTA, JOHN: "DUNNO"}, 10) as smtpds:
        smtpds.wait_for(200)
        for change in (
            ("systemctl", "restart", "mailquota.service"),
            ("systemctl", "kill", "--signal=KILL", "mailquota.service"),
            (MAILQUOTA, "reload", "--restart"),
            ("systemctl", "restart", "mailquota.service"),
        ):
            before = main_pid(host)
            host.check([*change])
            assert wait_until(lambda before=before: main_pid(host) not in {0, before}, 20)  # type: ignore[misc]
            smtpds.wait_for(smtpds.answers + 200)
    assert smtpds.wrong == []


def test_an_engine_that_hangs_is_replaced(host: SystemdNamespace) -> None:
    """The watchdog hears nothing from it; who asked meanwhile gets the answer of the next one."""
    drop_in = host.path("/etc/systemd/system/mailquota.service.d")
    drop_in.mkdir()
    (drop_in / "fast.conf").write_text("[Service]\nWatchdogSec=1\nTimeoutAbortSec=1\n")
    apply(host, "install")
    first = main_pid(host)
    host.check(["kill", "-STOP", str(first)])
    with PolicyClient(host.path(_SOCKET)) as postfix:
        assert wait_until(lambda: main_pid(host) not in {0, first}, 20), journal(host)
        postfix.close()
    with PolicyClient(host.path(_SOCKET)) as postfix:
        assert postfix.ask(FULL) == OVERQUOTA
    assert "Watchdog timeout" in journal(host)


def test_an_engine_that_lost_a_socket_for_good_is_replaced(host: SystemdNamespace) -> None:
    """It ends, and says why; the next one has a socket that answers. Whoever asks Postfix's never notices."""
    apply(host, "install")
    first = main_pid(host)
    with Smtpds(host.path(_SOCKET), {FULL: OVERQUOTA, JOHN: "DUNNO"}, 2) as smtpds:
        smtpds.wait_for(20)
        host.check(["/opt/python/bin/python3", "-c", _SHUT_DOWN, str(first), "/run/mailquota/control.sock"])
        assert wait_until(lambda: main_pid(host) not in {0, first}, 20), journal(host)
        assert wait_until(lambda: host.mailquota("status").returncode == 0, 20), journal(host)
        smtpds.wait_for(smtpds.answers + 20)
    assert smtpds.wrong == []
    assert "unix:/run/mailquota/control.sock takes no connections any more" in journal(host)


def test_a_password_that_only_root_reads_reaches_the_service(host: SystemdNamespace) -> None:
    """Out of a Postfix map. No database is there, but without its password the engine would not start."""
    password = host.path("/etc/postfix/mysql-test.cf")
    password.write_text("user = mailserver\npassword = geheim\n")
    password.chmod(0o600)
    settings = host.path(_SETTINGS)
    database = 'database = "mysql://mailserver@127.0.0.1/mailserver"\npassword_file = "/etc/postfix/mysql-test.cf"'
    settings.write_text(re.sub("database = .*", database, settings.read_text(), count=1))
    done = apply(host, "install")
    assert "LoadCredential=password:/etc/postfix/mysql-test.cf" in done.stdout
    assert "geheim" not in done.stdout + done.stderr + journal(host)
    assert "can't be read" not in journal(host)


def test_a_service_that_can_not_start_is_not_asked(host: SystemdNamespace, postfix: None) -> None:
    """What was done is told, and the same command goes on when the cause is mended."""
    good = host.path(_SETTINGS).read_text()
    host.path("/var/lib/mailquota").write_text("in the way")
    failed = host.mailquota("install", "--apply", "--yes")
    assert failed.returncode == 3
    assert "systemctl enable --now" in failed.stderr
    assert host.run(["postconf", "-n", "smtpd_recipient_restrictions"]).stdout == ""
    apply(host, "uninstall")
    assert host.check(["systemctl", "show", "--property=ActiveState", *UNITS]).split() == ["ActiveState=inactive"] * 2
    assert host.mailquota("install", "--apply", "--yes").returncode == 3
    host.path("/var/lib/mailquota").unlink()
    apply(host, "install")
    assert answer(host, FULL).startswith("452 ")
    assert host.path(_SETTINGS).read_text() == good


def test_systemd_has_nothing_to_complain_and_the_figure_in_the_docs_is_true(host: SystemdNamespace) -> None:
    apply(host, "install")
    units = ["/etc/systemd/system/mailquota.service", "/etc/systemd/system/mailquota.socket"]
    verified = host.run(["systemd-analyze", "verify", *units])
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
    security = host.check(["systemd-analyze", "security", "--no-pager", "mailquota.service"])
    level = re.search(r"Overall exposure level for mailquota.service: ([0-9.]+)", security)
    assert level is not None
    assert f"**{level[1]}**" in (ROOT / "docs" / "service.md").read_text()
