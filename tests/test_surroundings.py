"""Tests see nothing of what their machine or their person has set."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from mailquota.core.base import programs
from mailquota.core.servers.mail_log.source import find_log
from mailquota.core.servers.mail_log.subprocess_reader import read_apart

TESTS = Path(__file__).parent
ODD = {
    "MAILQUOTA_CONFIG": "/nonexistent", "NO_COLOR": "1", "TERM": "dumb", "LC_ALL": "de_DE.UTF-8", "LANGUAGE": "de",
    "TZ": "Pacific/Chatham", "COLUMNS": "40", "LINES": "10", "PAGER": "false", "MYSQL_PWD": "wrong",
    "SUDO_USER": "boss", "NOTIFY_SOCKET": "/nonexistent", "CREDENTIALS_DIRECTORY": "/nonexistent",
    "MAILQUOTA_SEED": "7",
}  # fmt: skip
LOOK = """
import os, signal, time

def test_nothing_of_it_is_seen():
    os.umask(mask := os.umask(0))
    home = os.environ["HOME"]
    print(mask, *map(signal.getsignal, (signal.SIGHUP, signal.SIGINT)), time.tzname[0], os.path.exists(home))
    print(sorted(name for name in os.environ if name in {odd}), os.environ["PIP_CONFIG_FILE"], home)
"""


def test_the_mail_server_of_this_machine_is_out_of_sight() -> None:
    """Of tests that start none of their own: its settings, its mailboxes, and what its log tells."""
    for program in ("postconf", "doveconf", "doveadm"):
        assert programs.run([program, "-n"]).fault.startswith(f"{program} ended with 1: the tests have no ")
    read = read_apart(find_log("auto"))
    assert (read.events, read.fault, [Path(source).name for source in read.sources]) == ([], "", ["mail.log"])


def environment(home: Path) -> dict[str, str]:
    """Of somebody with odd habits."""
    known = {name: value for name, value in os.environ.items() if name != "PIP_CONFIG_FILE"}
    return {**known, **ODD, "HOME": str(home)}


def test_each_of_them_is_put_aside(tmp_path: Path) -> None:
    """As after `umask 077` and `nohup`; what the tests are told by a variable is heard."""
    (tmp_path / "conftest.py").write_text(
        f"import sys\nsys.path.insert(0, {str(TESTS.parent)!r})\n"
        "from tests import surroundings\nsurroundings.settle()\n"
    )
    (tmp_path / "test_look.py").write_text(LOOK.replace("{odd}", repr({*ODD, "HOME"})))
    home = tmp_path / "home"
    (home / ".config/pip").mkdir(parents=True)
    (home / ".config/pip/pip.conf").touch()
    command = f"umask 077; trap '' INT; exec nohup {sys.executable} -m pytest -q -s -p no:cacheprovider {tmp_path}"
    done = subprocess.run(
        ["sh", "-c", command], env=environment(home), cwd=tmp_path,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    first, second = done.stdout.splitlines()[:2]
    assert first == f"18 {signal.SIG_DFL!s} {signal.default_int_handler!s} UTC True"
    left, own_home = second.rsplit(" ", 1)
    assert left == f"['HOME', 'LC_ALL', 'MAILQUOTA_SEED', 'TERM', 'TZ'] {home}/.config/pip/pip.conf"
    assert own_home != str(home)
    assert not Path(own_home).exists()  # it went with the tests
