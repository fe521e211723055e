"""``mailquota warn``: send a warning now, also as the ``executable`` of Dovecot's ``service quota-warning``.

Dovecot starts it with an empty environment, as root or as the owner of the mailboxes, who may not be able to read the
settings: where no engine runs and the accounts can't be read either, the mail is made from the mailbox alone.
"""

from __future__ import annotations

import os
from typing import Any

import click
import msgspec

from ..alerts.warn_now import parse_threshold
from ..base.errors import MailquotaError, SettingsError, UnreachableError, UsageError
from ..base.text import visible
from ..control.messages import TrialWarning, Warn
from ..control.results import WarnResult
from ..settings.config import Config
from .options import JSON, Common, account_names, command, utf8
from .output import complain, write_json
from .session import Session, run

_NOW = "now"  # whichever threshold the present usage is at; what that is only an engine knows


@command("warn", acts=True)
@click.argument("percent")
@click.argument("address")
@click.option("--again", is_flag=True, help="Also if this warning was sent within the last ten minutes.")
@click.option("--test-to", default="", metavar="ADDRESS", help="Send it there instead, labelled as a test.")
@JSON
def warn(common: Common, *, percent: str, address: str, again: bool, test_to: str, as_json: bool) -> int:
    """Send the owner of a mailbox the warning for PERCENT now; with "below" the mail that there is room again, with
    "now" the one that the present usage calls for.

    Can be the executable of Dovecot's service quota-warning: a warning that was sent already is not sent again.

    With --test-to the owner gets nothing, and it does not count as a warning.
    """
    mark = "" if percent.strip().lower() == _NOW else parse_threshold(percent)
    if not mark and not percent.strip():
        raise UsageError("a percentage is missing; accepted: a percentage like 95, below, or now")
    if common.read_only:
        raise MailquotaError("read-only: nothing was sent")
    (name,) = account_names((address,))
    if test_to:
        result = _tested(common, name, mark, utf8(test_to))
    else:
        result = _warned(common, name, mark, "again" if again else _source())
    if as_json:
        write_json(_result_json(result))
    if result.error is not None:
        complain(result.error)
        return result.code or 1
    if not as_json:
        click.echo(_text(result, utf8(test_to)))
    return 0


def _source() -> str:
    """The source of the order: Dovecot gives its services no PATH, a shell has one."""
    return "operator" if os.environ.get("PATH") else "dovecot"


def _warned(common: Common, address: str, mark: str, source: str) -> WarnResult:
    async def ask(session: Session) -> WarnResult:
        results: list[WarnResult] = await session.ask(
            lambda number: Warn(number, [address], mark, source), list[WarnResult]
        )
        return results[0]

    try:
        return run(common, ask)
    except (UnreachableError, SettingsError, OSError) as error:
        if not mark:
            raise
        why = f"done without engine and accounts: {error}"
        try:
            result = _alone(common.load(), address, mark)
        except MailquotaError:
            complain(why)
            raise
        return msgspec.structs.replace(result, remark=why)  # on standard error it would be an error in Dovecot's log


def _tested(common: Common, address: str, mark: str, to: str) -> WarnResult:
    async def ask(session: Session) -> WarnResult:
        result: WarnResult = await session.ask(lambda number: TrialWarning(number, address, mark, to), WarnResult)
        return result

    return run(common, ask)


def _alone(config: Config, address: str, mark: str) -> WarnResult:
    """Make the warning from settings and mailbox, and deliver it, without engine and accounts."""
    from ..alerts.from_settings import make_deliverer
    from ..alerts.letters import make_letter
    from ..alerts.message import compose
    from ..alerts.without_engine import mailbox_facts

    mail = compose(mailbox_facts(config, address, mark), make_letter(config, address))
    method = make_deliverer(config).deliver(address, mail.message)
    return WarnResult(address=address, mark=mark, state="sent", method=method)


def _result_json(result: WarnResult) -> dict[str, Any]:
    return {key: value for key, value in msgspec.structs.asdict(result).items() if key != "code"}


def _text(result: WarnResult, test_to: str) -> str:
    words = {
        "sent": f"sent to {visible(test_to) if test_to else result.address} ({result.method})",
        "queued": f"queued for {result.address}",
        "merged": f"not sent to {result.address}",
    }
    return words[result.state] + (f": {result.remark}" if result.remark else "")


COMMANDS = {"warn": warn}
