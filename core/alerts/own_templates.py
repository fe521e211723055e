"""An administrator's own templates, rendered in a process apart. Both ends are here; the child's is ``main``.

A template can ask for endless loops, for 10 GB of letters, or for a power that takes a year. In this process the last
two could not be ended by anything: they run in C, hold the interpreter, and with it every answer to Postfix. So a child
does it, with limits that the kernel keeps: CPU time (a timer that names the line, and one that kills where the timer
is not heard), memory, and the parent's patience for all else. A request is one JSON document, so is the answer.
It costs a tenth of a second of a CPU for a mail, only where there are such templates.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from types import FrameType
from typing import Any

from mailquota.core.base.errors import MailquotaError
from mailquota.core.base.text import visible

START_SECONDS = 10.0  # for the child to begin, on a busy machine
_MEMORY = 256 << 20


class TemplateError(MailquotaError):
    """A template of the administrator's that can't be used; the text names file, line and fault."""


def render_own(
    folder: Path, names: Sequence[str], language: str, variables: dict[str, Any], seconds: float
) -> dict[str, str]:
    """What these templates give. It takes at most ``seconds`` of CPU time, and little longer than that in all.

    Raises TemplateError, whatever a template does.
    """
    order = {"folder": str(folder), "names": names, "language": language, "variables": variables, "seconds": seconds}
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "mailquota.core.alerts.own_templates"],
            input=json.dumps(order).encode(), capture_output=True, timeout=seconds + START_SECONDS, check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(os.path.isabs, sys.path))}, cwd="/",
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise TemplateError(f"{folder}: the templates were not done within {seconds + START_SECONDS:g} s") from None
    except OSError as error:
        raise TemplateError(f"{folder}: the templates can't be tried: {error.strerror or error}") from error
    if done.returncode:
        raise TemplateError(f"{folder}/{names[0]}: {_end(done.returncode, done.stderr, seconds)}")
    answer = json.loads(done.stdout)
    if "fault" in answer:
        raise TemplateError(visible(answer["fault"]))
    texts: dict[str, str] = answer["texts"]
    return texts


def _end(code: int, complaints: bytes, seconds: float) -> str:
    """What became of a child that did not answer."""
    if -code == signal.SIGXCPU:
        return _slow(seconds)
    last = complaints.decode("utf-8", "replace").strip().rpartition("\n")[2]
    return f"ended by signal {-code}" if code < 0 else f"failed: {visible(last)[:300]}"


def _slow(seconds: float) -> str:
    return f"takes more than {seconds:g} s"


class _TooSlowError(Exception):
    """The template has had its time."""


def main() -> None:
    """The child: an order on standard input, the answer on standard output."""
    order = json.load(sys.stdin)
    folder, names = Path(order["folder"]), order["names"]
    from mailquota.core.alerts import render  # late: its start is not on the template's account

    try:
        with _limits(order["seconds"]):
            texts = render.render(names, order["language"], order["variables"], folder)
        answer: dict[str, Any] = {"texts": texts}
    except Exception as error:  # noqa: BLE001  an outer edge: whatever a template does is told as its fault
        answer = {"fault": render.reason(error, folder / names[0])}
    json.dump(answer, sys.stdout)


@contextmanager
def _limits(seconds: float) -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise _TooSlowError(_slow(seconds))

    used = resource.getrusage(resource.RUSAGE_SELF)
    kill_at = ceil(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (kill_at, kill_at + 1))
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, before[1]))
    signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, before)


if __name__ == "__main__":
    main()
