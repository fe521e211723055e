"""``mailquota explain``: the answer that Postfix would get, and each step of the decision."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from ..base.text import visible
from ..base.units import format_exact, format_limit, format_size, parse_size
from ..control.messages import Explain
from ..control.results import Explanation, Target
from .options import JSON, Common, command, utf8
from .output import write_json, write_pairs
from .session import Session, run


@command("explain")
@click.argument("address")
@click.option("--size", metavar="BYTES", default="0", help="The size of the mail, like 5000 or 5M; default 0.")
@JSON
def explain(common: Common, address: str, size: str, as_json: bool) -> None:
    """Show the answer that Postfix would get for this recipient now, and why.

    It is decided like a live request, but not counted. An address without an account here gets its answer, too.
    """
    recipient, length = utf8(address), parse_size(size)
    answer: Explanation = run(common, lambda session: _ask(session, recipient, length))
    if as_json:
        write_json(_json(answer))
    else:
        _write(answer)


async def _ask(session: Session, recipient: str, size: int) -> Explanation:
    await session.measure_recipient(recipient)
    explanation: Explanation = await session.ask(lambda number: Explain(number, recipient, size), Explanation)
    return explanation


def _json(answer: Explanation) -> dict[str, Any]:
    """The document; what Postfix's maps would add is left out where they are not known."""
    document: dict[str, Any] = msgspec.to_builtins(answer)
    for target in document["targets"]:
        if not target["maps"]:
            del target["maps"]
    if not answer.lost_copies:
        del document["lost_copies"]
    return document


def _write(answer: Explanation) -> None:
    pairs = [("recipient", answer.recipient), ("size", format_exact(answer.size))]
    pairs += [("target", _target(target)) for target in answer.targets]
    write_pairs([*pairs, ("verdict", answer.verdict), ("action", answer.action)])
    click.echo(f"\n{visible(answer.why)}")


def _target(target: Target) -> str:
    text = f"{target.address} ({target.kind})"
    if target.kind == "mailbox":
        text += f" uses {format_size(target.used_bytes)} of {format_limit(target.limit_bytes)}"
        if target.grace_bytes:
            text += f" and {format_size(target.grace_bytes)} of grace"
        text += ", fits" if target.fits else ", does not fit"
    steps = zip(target.via, target.maps, strict=True) if target.maps else ((one, "") for one in target.via)
    via = " → ".join(f"{address} ({name})" if name else address for address, name in steps)
    return f"{via} → {text}" if via else text


COMMANDS = {"explain": explain}
