"""A folder with Debian 13's Dovecot 2.4 in it, for chroot: made once by debootstrap, used by dovecot24.py.

`MAILQUOTA_TRIXIE` names the folder, which is kept, and made where it is not there yet and the long tests run. Without
that variable the long tests make one in a temporary folder; the short ones have none. Making it takes root, a Debian
package mirror and a minute.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.mailserver.fixture import cannot_run, require_servers, temporary_folder

VARIABLE = "MAILQUOTA_TRIXIE"
_READY = "etc/dovecot/mailquota-ready"  # written last: a folder without it was left half made
_NOT_TESTED = "*** NOT TESTED against Dovecot 2.4"
_PACKAGES = ("dovecot-core", "dovecot-imapd", "dovecot-lmtpd", "dovecot-mysql")
_MYSQL = "usr/lib/dovecot/modules/auth/libdriver_mysql.so"  # folders made for older tests lack it
_SECONDS = 900.0


@contextmanager
def trixie_folder(*, may_make: bool, mysql: bool = False) -> Iterator[Path]:
    """The folder; the test is skipped, or fails, where there is none and none can be made."""
    require_servers("chroot")
    named = os.environ.get(VARIABLE, "")
    if named:
        folder = Path(named)
        if not (folder / _READY).exists() or (mysql and not (folder / _MYSQL).exists()):
            _make_or_skip(folder, may_make=may_make)
        yield folder
        return
    _not_in_short_form(may_make=may_make)
    with temporary_folder() as parent:
        folder = parent / "trixie"
        _make_or_skip(folder, may_make=True)
        yield folder


def _make_or_skip(folder: Path, *, may_make: bool) -> None:
    _not_in_short_form(may_make=may_make)
    require_servers("debootstrap")
    try:
        make(folder)
    except (subprocess.SubprocessError, OSError) as error:
        said = getattr(error, "stdout", None) or b""
        cannot_run(f"a Debian 13 folder can't be made: {error}: {said.decode(errors='replace')[-500:]}")


def _not_in_short_form(*, may_make: bool) -> None:
    if not may_make:
        pytest.skip(f"{_NOT_TESTED}: {VARIABLE} names no ready Debian 13 folder (with dovecot-mysql); --long makes one")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """These may be skipped where no other real-server test may (`.ci/run`), so it is said under a heading."""
    reports: list[pytest.TestReport] = terminalreporter.stats.get("skipped", [])
    left_out = sum(_NOT_TESTED in str(report.longrepr) for report in reports)
    if left_out:
        terminalreporter.section(_NOT_TESTED)
        terminalreporter.line(f"{left_out} real-server tests were skipped, as .ci/run allows for these alone.")
        terminalreporter.line(f"They run by tests/run --long, or where {VARIABLE} names a ready Debian 13 folder.")


def make(folder: Path) -> None:
    """Debootstrap it and install Dovecot; its services are never started by the packages."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    if not (folder / "etc/debian_version").exists():
        _run("debootstrap", "--variant=minbase", "trixie", str(folder))
    forbid = folder / "usr/sbin/policy-rc.d"
    forbid.write_text("#!/bin/sh\nexit 101\n")
    forbid.chmod(0o755)
    _run("mount", "-t", "proc", "proc", str(folder / "proc"))
    try:
        install = ("apt-get", "install", "-y", "-qq", "--no-install-recommends", *_PACKAGES)
        _run("chroot", str(folder), *install)
        _run("chroot", str(folder), "apt-get", "clean")
    finally:
        _run("umount", str(folder / "proc"))
    (folder / _READY).touch()


def _run(*command: str) -> None:
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    environment |= {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    subprocess.run(
        command, check=True, timeout=_SECONDS, env=environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
