"""What others see of this process, and what is left of programs that it started: real ones, ended by a fault."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_FAULT = """
import os, resource
from mailquota.core.base import process
soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
process.close_to_others()
child = os.fork()
if not child:
    os.execvp("sh", ["sh", "-c", "kill -SEGV $$"])
print(os.WCOREDUMP(os.waitpid(child, 0)[1]), resource.getrlimit(resource.RLIMIT_CORE))
"""


def test_a_program_that_the_engine_started_leaves_no_core_dump(tmp_path: Path) -> None:
    """doveadm and sendmail hold mails and passwords."""
    command = [sys.executable, "-c", _FAULT]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "False (0, 0)\n"
