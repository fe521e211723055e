"""A machine of its own where a real systemd is process 1: namespaces of this kernel, not a container or a virtual one.

Its /etc, /var and /opt are ours with a layer above them that goes with it; it has a network of its own, and its
processes are in cgroups of its own. mailquota is in /opt/mailquota there, where every user can read it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from tests.mailserver.fixture import cannot_run, require_servers, temporary_folder
from tests.mailserver.process import render, wait_until

ROOT = Path(__file__).parents[2]
MAILQUOTA = "/opt/mailquota/bin/mailquota"
SYSTEMD = Path("/lib/systemd/systemd")

_CGROUPS = Path("/sys/fs/cgroup")
_NAMESPACES = ("--pid", "--mount", "--fork", "--cgroup", "--ipc", "--uts", "--net", "--kill-child")
_SECONDS = 60.0

_numbers = itertools.count()

Done = subprocess.CompletedProcess[str]


class Machine:
    """Started by ``with``; all that it did is gone at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name = f"mailquota-{os.getpid()}-{next(_numbers)}"
        self._outer: subprocess.Popen[bytes] | None = None
        self._pid = 0

    def __enter__(self) -> Self:
        script = self._folder / "boot.sh"
        mounts = "\n".join(_mount_cgroup(path) for path in _hierarchies())
        render(
            "boot.sh.in", script, folder=self._folder / "layers", root=ROOT, cgroups=mounts,
            python=sys.base_prefix, packages=sysconfig.get_path("purelib"),
        )  # fmt: skip
        (self._folder / "layers").mkdir()
        self._make_cgroups()
        enter = "; ".join(f"echo $$ > {path}/cgroup.procs" for path in self._cgroups())
        command = f"{enter}; exec unshare {' '.join(_NAMESPACES)} bash {script}"
        with (self._folder / "log").open("wb") as log:
            self._outer = subprocess.Popen(
                ["bash", "-c", command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        if not wait_until(self._is_up, _SECONDS):
            self.__exit__()
            cannot_run(f"no systemd in namespaces here: {(self._folder / 'log').read_text(errors='replace')[-500:]}")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._outer is not None
        with contextlib.suppress(OSError):
            os.kill(self._first(), 9)  # the kernel ends all others of its namespace
        self._outer.wait()
        for path in self._cgroups():
            wait_until(lambda path=path: _removed(path), 10)  # type: ignore[misc]

    def _first(self) -> int:
        """Process 1, by the number that it has out here."""
        assert self._outer is not None
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children").read_text().split()
        if not children:
            raise ProcessLookupError
        return int(children[0])

    def _is_up(self) -> bool:
        assert self._outer is not None
        if self._outer.poll() is not None:
            return True
        with contextlib.suppress(OSError):
            self._pid = self._first()
            if os.readlink(f"/proc/{self._pid}/exe").endswith("/systemd"):
                return self.run("systemctl", "is-active", "test.target").returncode == 0
        return False

    def _cgroups(self) -> list[Path]:
        return [path / self._name for path in _hierarchies()]

    def _make_cgroups(self) -> None:
        for path in self._cgroups():
            path.mkdir()

    def path(self, path: str) -> Path:
        """A file of that machine, as seen from here."""
        return Path(f"/proc/{self._pid}/root{path}")

    def run(self, *words: str, stdin: str | None = None) -> Done:
        """A program there, as root, with little in its environment."""
        inside = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", *words]
        return subprocess.run(
            ["nsenter", "--target", str(self._pid), "--all", *inside],
            input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL,
            capture_output=True, text=True, timeout=_SECONDS, check=False,
        )  # fmt: skip

    def must(self, *words: str) -> str:
        """Its standard output; it must succeed."""
        done = self.run(*words)
        assert done.returncode == 0, f"{shlex.join(words)}: {done.stdout}{done.stderr}{self.journal()}"
        return done.stdout

    def mailquota(self, *words: str) -> Done:
        """``mailquota WORDS`` there."""
        return self.run(MAILQUOTA, *words)

    def journal(self) -> str:
        """The last lines."""
        return self.run("journalctl", "--no-pager", "-n", "60", "-o", "cat").stdout


def _hierarchies() -> list[Path]:
    """Of cgroup v2, or those of v1 that systemd needs."""
    if (_CGROUPS / "cgroup.procs").exists():
        return [_CGROUPS]
    return [path for name in ("systemd", "unified") if (path := _CGROUPS / name).is_dir()]


def _mount_cgroup(path: Path) -> str:
    kind = "cgroup -o none,name=systemd" if path.name == "systemd" else "cgroup2"
    return f"mkdir -p {path} && mount -t {kind} cgroup {path}"


def _removed(top: Path) -> bool:
    for folder, _, _ in os.walk(top, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(folder)
    return not top.exists()


@contextmanager
def machine() -> Iterator[Machine]:
    """One with nothing but systemd in it; the test is skipped where that can't be."""
    require_servers("unshare", "nsenter", "systemctl", "ip")
    if not SYSTEMD.exists():
        cannot_run("systemd is not installed")
    with temporary_folder() as folder, Machine(folder) as started:
        yield started
