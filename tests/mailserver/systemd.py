"""A namespace where a real systemd is process 1, and mailquota lies where every user can read it.

Its /etc, /var, /opt and /usr/local are ours with a layer above them that goes with it, its network is its own, and its
processes are in cgroups of its own. What systemd would start by itself is not there. It ends with its process 1.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.mailserver.fixture import cannot_run, require_servers, temporary_folder
from tests.mailserver.namespace import Namespace
from tests.mailserver.process import ServerFailedError, render, wait_until

ROOT = Path(__file__).parents[2]
MAILQUOTA = "/opt/mailquota/bin/mailquota"

_SYSTEMD = Path("/lib/systemd/systemd")
_CGROUPS = Path("/sys/fs/cgroup")
_UNSHARE = "unshare --pid --mount --fork --cgroup --ipc --uts --net --kill-child"
_SECONDS = 60.0


class SystemdNamespace(Namespace):
    """Started with nothing in it but systemd and its journal."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._log = folder / "log"
        self._cgroup = _unified() / f"mailquota-{secrets.token_hex(8)}"  # a process id is one of its namespace only

    def start(self) -> None:
        script = self._folder / "boot.sh"
        render(
            "boot.sh.in", script, folder=self._folder / "layers", root=ROOT,
            python=sys.base_prefix, packages=sysconfig.get_path("purelib"),
        )  # fmt: skip
        (self._folder / "layers").mkdir()
        self._cgroup.mkdir()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["bash", "-c", f"echo $$ > {self._cgroup}/cgroup.procs; exec {_UNSHARE} bash {script}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        if not wait_until(lambda: self._ended() or self._is_up(), _SECONDS) or self._ended():
            self.stop()
            raise ServerFailedError(f"no systemd in a namespace here: {self._log.read_text(errors='replace')[-500:]}")

    def stop(self) -> None:
        """The kernel ends all others of a namespace with its process 1."""
        process, self._process = self._process, None
        if process is None:
            return
        if self.pid:
            with contextlib.suppress(ProcessLookupError):  # it may have ended by itself
                os.kill(self.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
        wait_until(lambda: _removed(self._cgroup), _SECONDS)

    def place_of(self, path: str) -> str:
        """Its /tmp is new, and the tests may lie in that of the host."""
        places = {sys.base_prefix: "/opt/python", sysconfig.get_path("purelib"): "/opt/packages"}
        return {**places, str(ROOT): "/opt/product"}.get(path, path)

    def _ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _is_up(self) -> bool:
        assert self._process is not None
        with contextlib.suppress(OSError, IndexError):
            outer = self._process.pid
            self.pid = int(Path(f"/proc/{outer}/task/{outer}/children").read_text().split()[0])
            if os.readlink(f"/proc/{self.pid}/exe").endswith("/systemd"):
                return self.run(["systemctl", "is-active", "test.target"]).returncode == 0
        return False

    def mailquota(self, *words: str) -> subprocess.CompletedProcess[str]:
        """``mailquota WORDS`` there."""
        return self.run([MAILQUOTA, *words])

    def journal(self) -> str:
        """The last lines."""
        return self.run(["journalctl", "--no-pager", "-n", "60", "-o", "cat"]).stdout


def _unified() -> Path:
    """Where cgroup v2 is; it is elsewhere on a machine that has v1 beside it, which newer versions do without."""
    return _CGROUPS if (_CGROUPS / "cgroup.procs").exists() else _CGROUPS / "unified"


def _removed(top: Path) -> bool:
    for folder, _, _ in os.walk(top, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(folder)
    return not top.exists()


@contextmanager
def systemd_namespace() -> Iterator[SystemdNamespace]:
    """One that runs, by the rules of `require_servers`."""
    require_servers(*Namespace.programs, "systemctl")
    if not _SYSTEMD.exists():
        cannot_run("systemd is not installed")
    with temporary_folder() as folder, contextlib.ExitStack() as stack:
        try:
            namespace = stack.enter_context(SystemdNamespace(folder))
        except ServerFailedError as error:  # a container may forbid it even to root
            cannot_run(str(error))
        yield namespace
