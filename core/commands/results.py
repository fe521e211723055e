"""What became of an order on many accounts: the exit code, the failures by name, and questions before it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence

import click

from mailquota.core.base.errors import MailquotaError
from mailquota.core.base.text import visible
from mailquota.core.commands.output import complain, is_terminal
from mailquota.core.control.results import RecalcResult, SetResult, TrashResult

Results = Sequence[SetResult] | Sequence[RecalcResult] | Sequence[TrashResult]

DONE, FAILED, PARTLY = 0, 1, 3


def exit_code(results: Results) -> int:
    """0 where all went well, 3 where some did; else the code that all failures share, or 1."""
    failed = [result for result in results if result.error is not None]
    if len(failed) < len(results):
        return PARTLY if failed else DONE
    codes = {result.code or FAILED for result in failed}
    return codes.pop() if len(codes) == 1 else (FAILED if codes else DONE)


def finish(results: Results, *, interrupted: bool, dry_run: bool = False) -> int:
    """Name each failure on stderr; the exit code."""
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
    """Ask on the terminal. MailquotaError unless the answer is yes; without a terminal it is no."""
    if not is_terminal(sys.stdin):
        raise MailquotaError(f"{question} Answered no, as there is no terminal to ask on; --yes answers yes")
    click.echo(f"{visible(question)} [y/N] ", nl=False, err=True)
    if (await _answer()).strip().lower() not in {"y", "yes"}:
        raise MailquotaError("nothing was changed")


def _resolve(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


async def _answer() -> str:
    """A line from the terminal. Waited for on the loop, so that Ctrl-C gets through."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    handle = sys.stdin.fileno()
    loop.add_reader(handle, _resolve, ready)
    try:
        await ready
    finally:
        loop.remove_reader(handle)
    return os.read(handle, 4096).decode(errors="replace")
