"""A machine of its own for servers that insist on Debian's places and ports, without touching the host.

Theory of operation: `unshare` gives a process its own mounts, network and process ids. /etc, /var and /usr/local are
overlays there, whose changes lie in a memory file system; /run is empty. That process is number 1 of its world and
waits for the end of its stdin, a pipe from here. So whatever ends this Python ends the pipe, with it number 1, with it
(the kernel's doing) every process inside, and with the last of them all mounts and changes. Nothing is left to clean.

From outside, files are reached through /proc/PID/root, unix sockets among them; TCP ports with `network()`.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from tests.mailserver.process import SEARCH_PATH, ServerFailedError, find_program, wait_until

_SECONDS = 120.0
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET
# Number 1 prints its process id as the host sees it, before it has a /proc of its own. It collects no children, so the
# kernel shall: that is what an ignored SIGCHLD means, also after exec.
_SETUP = """
set -e
read -r pid rest < /proc/self/stat
mount --make-rprivate /
mount -t proc proc /proc
ip link set lo up
mount -t tmpfs -o mode=0755 tmpfs /mnt
for folder in etc var usr/local; do
    mkdir -p "/mnt/changed/$folder" "/mnt/spare/$folder"
    mount -t overlay -o "lowerdir=/$folder,upperdir=/mnt/changed/$folder,workdir=/mnt/spare/$folder" overlay "/$folder"
done
mount -t tmpfs -o mode=0755 tmpfs /run
# Of a mailquota that the host has, and of its mail user, nothing is in here.
rm -rf /etc/mailquota /var/lib/mailquota /usr/local/bin/mailquota /etc/systemd/system/mailquota.*
for file in passwd shadow group gshadow; do
    [ ! -e "/etc/$file" ] || sed -i '/^vmail:/d; /^mailquota:/d' "/etc/$file"
done
echo "$pid"
exec env --ignore-signal=CHLD cat
"""


class Inside(subprocess.Popen[str]):
    """A process inside. What is started is nsenter, which waits for it: signals are passed to the one that counts."""

    def send_signal(self, sig: int) -> None:
        """To the process inside; nsenter ends as it does."""
        for pid in _children(self.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, sig)


class Namespace:
    """The host's files to begin with, without its mailquota, and an empty /run; every change stays inside."""

    programs = ("unshare", "nsenter", "setpriv", "ip")

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self.pid = 0

    def start(self) -> None:
        """Raises ServerFailedError where this machine allows no such thing."""
        unshare = [find_program("unshare") or "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child"]
        self._process = subprocess.Popen(
            [*unshare, "/bin/sh", "-c", _SETUP],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={"PATH": SEARCH_PATH, "LC_ALL": "C"}, start_new_session=True,
        )  # fmt: skip
        atexit.register(self.stop)
        assert self._process.stdout
        line = self._process.stdout.readline().strip()
        if not line:
            said = self._process.communicate()[1].decode(errors="replace")
            self.stop()
            raise ServerFailedError(f"no private mounts and network here: {said.strip()}")
        self.pid = int(line)

    def stop(self) -> None:
        """End everything inside, at once."""
        process, self._process = self._process, None
        if process is None:
            return
        process.communicate(timeout=_SECONDS)  # closes its stdin
        atexit.unregister(self.stop)

    def path(self, path: str) -> Path:
        """A path inside, as seen from outside. Beware of links: an absolute one leads to the host's file."""
        return Path(f"/proc/{self.pid}/root{path}")

    def place_of(self, path: str) -> str:
        """Where a folder of the host is inside."""
        return path

    def write(self, path: str, text: str, mode: int = 0o644, owner: str = "root:root") -> None:
        """A file inside, with its folders."""
        file = self.path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        if owner != "root:root":
            self.check(["chown", owner, path])

    def _enter(self, argv: Sequence[str], user: str | None) -> list[str]:
        enter = [find_program("nsenter") or "nsenter", f"--target={self.pid}", "--mount", "--net", "--pid", "--"]
        become = ["setpriv", f"--reuid={user}", f"--regid={self.group_of(user)}", "--init-groups"] if user else []
        return [*enter, *become, *argv]

    def group_of(self, user: str) -> int:
        """The number of a user's own group."""
        for line in self.path("/etc/passwd").read_text().splitlines():
            name, _, _, group = line.split(":")[:4]
            if name == user:
                return int(group)
        raise KeyError(user)

    def run(
        self,
        argv: Sequence[str],
        user: str | None = None,
        *,
        stdin: str = "",
        environ: Mapping[str, str] | None = None,
        seconds: float = _SECONDS,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program inside, as root or as another user, and wait for it. What it prints is text."""
        return subprocess.run(
            self._enter(argv, user),
            input=stdin, capture_output=True, text=True, errors="replace", check=False, timeout=seconds, cwd="/",
            env=_environment(environ),
        )  # fmt: skip

    def check(self, argv: Sequence[str], user: str | None = None, *, stdin: str = "") -> str:
        """What a program prints that must succeed. Raises ServerFailedError with its complaints."""
        done = self.run(argv, user, stdin=stdin)
        if done.returncode:
            raise ServerFailedError(
                f"{' '.join(argv)[:500]} ended with {done.returncode}: {done.stderr or done.stdout}"
            )
        return done.stdout

    def popen(
        self,
        argv: Sequence[str],
        user: str | None = None,
        *,
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
        environ: Mapping[str, str] | None = None,
    ) -> Inside:
        """Start a program inside without waiting. The caller ends it, or the namespace's end does."""
        process = Inside(
            self._enter(argv, user),
            stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, text=True, cwd="/", env=_environment(environ),
        )  # fmt: skip
        if not wait_until(lambda: process.poll() is not None or bool(_children(process.pid)), 10):
            raise ServerFailedError(f"{argv[0]} was not started")
        return process

    @contextmanager
    def network(self) -> Iterator[None]:
        """Sockets that this thread opens meanwhile are inside; they stay so."""
        with open("/proc/thread-self/ns/net", "rb") as home, open(f"/proc/{self.pid}/ns/net", "rb") as inside:
            _enter_network(inside.fileno())
            try:
                yield
            finally:
                _enter_network(home.fileno())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _environment(more: Mapping[str, str] | None) -> dict[str, str]:
    # Not root's home, where programs find settings of root's own, such as ~/.my.cnf.
    return {"PATH": SEARCH_PATH, "LC_ALL": "C.UTF-8", "HOME": "/mnt", **(more or {})}


def _enter_network(handle: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(handle, _NEW_NETWORK):
        raise OSError(ctypes.get_errno(), "setns")


def _children(parent: int) -> list[int]:
    """Direct children that live."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError):
                state, ppid = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[:2]
                if int(ppid) == parent and state not in "ZX":
                    found.append(int(name))
    return found
