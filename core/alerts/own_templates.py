"""Renders an administrator's own templates in a child process. Both sides are here; the child's is ``main``.

A template can contain an endless loop, a text of 10 GB, or a power that takes a year to compute. The last two run in C
without giving up the interpreter: in the engine nothing could stop them, and no policy request would be answered. So
a child does it, under limits that the kernel enforces: memory; CPU time, by a timer whose error names the line of the
template, and a second later by a signal that kills the child, in case the first was not handled. For anything else
there is a timeout in the parent. Request and answer are one JSON document each. It takes a tenth of a second of CPU a
mail, only with own templates.
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

from ..base.errors import MailquotaError
from ..base.text import visible

START_SECONDS = 10.0  # for the child to begin, on a busy machine
_MEMORY = 256 << 20


class TemplateError(MailquotaError):
    """An own template that can't be used; the text names file, line and fault."""


def render_own(
    folder: Path, names: Sequence[str], language: str, variables: dict[str, Any], seconds: float
) -> dict[str, str]:
    """The texts of these templates, by name. Takes at most ``seconds`` of CPU time, and START_SECONDS more in all.

    Raises TemplateError for each fault of a template, and where the child can't be started.
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
    """Why a child ended without an answer."""
    if -code == signal.SIGXCPU:
        return _slow(seconds)
    last = complaints.decode("utf-8", "replace").strip().rpartition("\n")[2]
    return f"ended by signal {-code}" if code < 0 else f"failed: {visible(last)[:300]}"


def _slow(seconds: float) -> str:
    return f"takes more than {seconds:g} s"


class _TooSlowError(Exception):
    """The template has used up its CPU time."""


def main() -> None:
    """The child: reads a request from standard input, writes the answer to standard output."""
    order = json.load(sys.stdin)
    folder, names = Path(order["folder"]), order["names"]
    from . import render  # late: importing Jinja2 must not count as time of the template

    try:
        with _limits(order["seconds"]):
            texts = render.render(names, order["language"], order["variables"], folder)
        answer: dict[str, Any] = {"texts": texts}
    except Exception as error:  # noqa: BLE001  an outer edge: any error of a template is reported as its fault
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
