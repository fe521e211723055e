"""The end of a command on many accounts: its exit code and its errors; and the question before it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence

import click

from ..base.errors import MailquotaError
from ..base.text import visible
from ..control.results import RecalcResult, SetResult, TrashResult
from .output import complain, is_terminal

Results = Sequence[SetResult] | Sequence[RecalcResult] | Sequence[TrashResult]

DONE, FAILED, PARTLY = 0, 1, 3


def exit_code(results: Results) -> int:
    """0 where all accounts succeeded, 3 where some did; else the code that all errors share, or 1."""
    failed = [result for result in results if result.error is not None]
    if len(failed) < len(results):
        return PARTLY if failed else DONE
    codes = {result.code or FAILED for result in failed}
    return codes.pop() if len(codes) == 1 else (FAILED if codes else DONE)


def finish(results: Results, *, interrupted: bool, dry_run: bool = False) -> int:
    """Write each error and remark to stderr; returns the exit code."""
    for result in results:
        if result.error is not None:
            named = result.address in result.error
            complain(result.error if named else f"{result.address}: {result.error}")
    for remark in dict.fromkeys(result.remark for result in results if result.remark):
        complain(remark)
    if dry_run:
        complain("dry run: nothing was changed")
    if interrupted:
        complain(f"interrupted after {len(results):,} accounts")
    code = exit_code(results)
    return PARTLY if interrupted and code == DONE else code


async def confirm(question: str) -> None:
    """Ask a question on the terminal. MailquotaError unless the answer is yes, and where there is no terminal."""
    if not is_terminal(sys.stdin):
        raise MailquotaError(f"{question} Answered no, as there is no terminal to ask on; --yes answers yes")
    click.echo(f"{visible(question)} [y/N] ", nl=False, err=True)
    if (await _answer()).strip().lower() not in {"y", "yes"}:
        raise MailquotaError("nothing was changed")


def _resolve(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


async def _answer() -> str:
    """A line from the terminal, waited for on the loop, so that Ctrl-C works meanwhile."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    handle = sys.stdin.fileno()
    loop.add_reader(handle, _resolve, ready)
    try:
        await ready
    finally:
        loop.remove_reader(handle)
    return os.read(handle, 4096).decode(errors="replace")
