"""Unprivileged users, who do things with their own rights beside the code under test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STRANGER = 64101  # numbers that no machine has in its passwd
OWNER = 64102
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")

_HOLD = """
import fcntl, os, sys
handle = os.open(sys.argv[1], os.O_RDONLY)
fcntl.flock(handle, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""
# All of core first: the checkout need not be open to that user. Where it reads files of the package later, the right to
# read all files (CAP_DAC_READ_SEARCH) is kept, by PR_SET_KEEPCAPS and capset(2).
_AS_USER = """
import ctypes, importlib, importlib.readers, os, pkgutil, struct, sys
import mailquota.core
for found in pkgutil.walk_packages(mailquota.core.__path__, "mailquota.core."):
    importlib.import_module(found.name)
user, reads_all = int(sys.argv[1]), sys.argv[2] == "True"
del sys.argv[1:3]
libc = ctypes.CDLL(None)
libc.prctl(8, int(reads_all), 0, 0, 0)
os.setgroups([])
os.setgid(user)
os.setuid(user)
if reads_all:
    libc.capset(struct.pack("Ii", 0x20080522, 0), struct.pack("6I", 4, 4, 0, 0, 0, 0))
"""


def do(user: int, *command: object) -> str:
    """What a command of another user prints; it has to succeed."""
    words = list(map(str, command))
    done = subprocess.run(words, user=user, group=user, extra_groups=[], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def holding_a_lock(user: int, path: Path) -> Iterator[None]:
    """Another user has flock on a file or folder that he may read."""
    command = ["/usr/bin/python3", "-c", _HOLD, str(path)]
    with subprocess.Popen(
        command, user=user, group=user, extra_groups=[], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        try:
            yield
        finally:
            holder.stdin.close()


@contextmanager
def code_of(user: int, code: str, *arguments: object, reads_all: bool = False) -> Iterator[subprocess.Popen[str]]:
    """Code of ours in a process of another user; killed at the end of the block if it still runs.

    ``reads_all``: it can read all files, as it needs those of the package.
    """
    command = [sys.executable, "-c", _AS_USER + code, str(user), str(reads_all), *map(str, arguments)]
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield running
    finally:
        running.kill()
        running.communicate()
