"""``mailquota install`` with a user of its own for the engine, beside a real systemd and a real Postfix."""

from __future__ import annotations

import json

import pytest

from tests.core.worlds import FULL, JOHN, TRASH
from tests.mailserver.process import wait_until
from tests.mailserver.systemd import SystemdNamespace
from tests.real.test_service import answer, apply, found_by_doctor, host, main_pid, postfix

__all__ = ["host", "postfix"]  # the fixtures

pytestmark = pytest.mark.server

_WORLD = "/var/mail-world"
_SETTINGS = "/etc/mailquota/mailquota.toml"
_HELPER = "mailquota-helper.service"
_SOCKET = "/run/mailquota-helper/helper.sock"


def ask_for_helper(host: SystemdNamespace, *, helper: bool = True) -> None:
    """Mailboxes that nobody but their owner can look into, and settings with a helper."""
    text = host.path(_SETTINGS).read_text().replace(f'\nhelper = "{_SOCKET}"', "")
    if helper:
        text = text.replace("[mailstore]", f'[mailstore]\nhelper = "{_SOCKET}"')
    host.path(_SETTINGS).write_text(text)
    host.check(["chmod", "-R", "go=", f"{_WORLD}/vmail"])
    host.check(["chmod", "o+rx", _WORLD])
    host.check(["chmod", "o+r", f"{_WORLD}/accounts.db"])


def users(host: SystemdNamespace) -> dict[str, str]:
    """The users that the processes of both units run as."""
    found = {}
    for unit in ("mailquota.service", _HELPER):
        pid = host.check(["systemctl", "show", "--property=MainPID", "--value", unit]).strip()
        found[unit] = host.check(["ps", "-o", "user=", "-p", pid]).strip() if pid != "0" else ""
    return found


def may(host: SystemdNamespace, user: str, *command: str) -> bool:
    """Whether a user may do this."""
    words = ["setpriv", "--clear-groups", f"--reuid={user}", f"--regid={user}", *command]
    return host.run(words).returncode == 0


def owner_of(host: SystemdNamespace, path: str) -> str:
    return host.check(["stat", "--format=%U", path]).strip()


def test_two_users(host: SystemdNamespace, postfix: None) -> None:
    """Each may do what it has to, and cannot do what the other one may."""
    ask_for_helper(host)
    apply(host, "install")
    assert users(host) == {"mailquota.service": "mailquota", _HELPER: "vmail"}
    assert wait_until(lambda: answer(host, FULL).startswith("452 4.2.2 "), 60)
    assert answer(host, JOHN).startswith("250 ")
    assert "nothing to do" in apply(host, "install").stderr
    john = f"{_WORLD}/vmail/example.org/john/Maildir"
    mail = host.check(["find", f"{john}/cur", "-type", "f"]).split()[0]
    assert may(host, "vmail", "cat", mail)
    assert not may(host, "mailquota", "cat", mail)
    assert not may(host, "mailquota", "ls", john)
    assert owner_of(host, "/var/lib/mailquota/state.db") == "mailquota"
    assert not may(host, "vmail", "cat", "/var/lib/mailquota/state.db")
    assert not may(host, "vmail", "kill", str(main_pid(host)))
    (emptied,) = json.loads(host.mailquota("empty-trash", TRASH, "--yes", "--json").stdout)
    assert (emptied["messages"], emptied["error"]) == (3, None)
    (counted,) = json.loads(host.mailquota("recalc", JOHN, "--json").stdout)
    assert (counted["after_bytes"], counted["error"]) == (4000, None)
    assert host.mailquota("warn", "100", FULL).returncode == 0
    assert "new/" in host.check(
        ["find", f"{_WORLD}/vmail/example.org/full/Maildir/new", "-user", "vmail", "-type", "f"]
    )


def test_a_helper_that_is_killed_and_a_hand_over(host: SystemdNamespace, postfix: None) -> None:
    ask_for_helper(host)
    apply(host, "install")
    assert wait_until(lambda: answer(host, FULL).startswith("452 4.2.2 "), 60)
    host.check(["systemctl", "kill", "--signal=KILL", _HELPER])
    assert wait_until(lambda: users(host)[_HELPER] == "vmail", 60)
    done = host.mailquota("reload", "--restart")
    assert done.returncode == 0, done.stderr
    assert users(host)["mailquota.service"] == "mailquota"
    assert wait_until(lambda: answer(host, FULL).startswith("452 4.2.2 "), 60)
    host.check(["systemctl", "reload", "mailquota.service"])
    host.check(["systemctl", "restart", "mailquota.service"])
    assert wait_until(lambda: answer(host, FULL).startswith("452 4.2.2 "), 60)
    host.check(["systemctl", "stop", _HELPER])
    assert wait_until(lambda: "the helper of the engine is away" in host.mailquota("status").stdout, 60)
    assert "systemctl restart mailquota-helper" in found_by_doctor(host)["mailstore"]["fix"]


def test_an_installation_that_changes_over_and_back(host: SystemdNamespace, postfix: None) -> None:
    """History and journal stay, and belong to whom the engine runs as."""
    host.check(["chmod", "-R", "go=", f"{_WORLD}/vmail"])
    apply(host, "install")
    assert users(host)["mailquota.service"] == "vmail"
    (counted,) = json.loads(host.mailquota("recalc", JOHN, "--json").stdout)
    assert counted["error"] is None
    ask_for_helper(host)
    apply(host, "install")
    assert users(host) == {"mailquota.service": "mailquota", _HELPER: "vmail"}
    assert owner_of(host, "/var/lib/mailquota/state.db") == "mailquota"
    assert wait_until(lambda: answer(host, FULL).startswith("452 4.2.2 "), 60)
    assert JOHN in host.mailquota("journal", "--json").stdout
    ask_for_helper(host, helper=False)
    apply(host, "install")
    assert users(host) == {"mailquota.service": "vmail", _HELPER: ""}
    assert owner_of(host, "/var/lib/mailquota/state.db") == "vmail"
    assert not host.path(f"/etc/systemd/system/{_HELPER}").exists()
    assert wait_until(lambda: answer(host, FULL).startswith("452 4.2.2 "), 60)
    apply(host, "uninstall", "--purge")
    known = host.check(["getent", "passwd"])
    assert "mailquota:" not in known
    assert "vmail:" in known
