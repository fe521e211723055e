"""What this process is to others of the same user."""

from __future__ import annotations

import ctypes
import os
import resource
import site
from pathlib import Path

_SET_DUMPABLE = 4  # PR_SET_DUMPABLE, prctl(2)


def close_to_others() -> None:
    """Let no other process of this user look into this one: its memory has passwords, and rights that they lack.

    They can't trace it, nor read its memory or descriptors below /proc. It leaves no core dump, and neither do the
    programs that it starts, as doveadm and sendmail hold mails; else those are as usual.
    """
    ctypes.CDLL(None).prctl(_SET_DUMPABLE, 0, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def environment_for_python() -> dict[str, str]:
    """The environment for another Python process of the same code as this one."""
    environment = dict(os.environ)
    root = str(Path(__file__).parents[3])
    if root not in {*site.getsitepackages(), site.getusersitepackages()}:  # not installed
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return environment
