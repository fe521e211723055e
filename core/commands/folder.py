"""``mailquota show ADDRESS --folder NAME``: what is in one folder of a mailbox."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from ..base.model import rfc3339
from ..base.text import NOTHING, visible
from ..base.times import local_time
from ..base.units import format_count, format_size
from ..control.contents import FolderContents
from ..control.messages import GetFolder
from .options import Common
from .output import complain, write_json, write_pairs, write_table
from .session import Session, run


def show_folder(common: Common, address: str, folder: str, *, as_json: bool) -> None:
    """Write what is in the folder."""
    found = run(common, lambda session: _contents(session, address, folder))
    if not found.complete:
        complain("the time did not suffice for all messages of the folder: these are the sums of a part")
    if as_json:
        write_json(folder_json(found))
    else:
        _write(common, found)


async def _contents(session: Session, address: str, folder: str) -> FolderContents:
    found: FolderContents = await session.ask(lambda number: GetFolder(number, address, folder), FolderContents)
    return found


def folder_json(found: FolderContents) -> dict[str, Any]:
    """The document of --json."""
    return msgspec.structs.asdict(found) | {
        "oldest": rfc3339(found.oldest),
        "newest": rfc3339(found.newest),
        "largest": [{"bytes": message.bytes, "at": rfc3339(message.at)} for message in found.largest],
    }


def _write(common: Common, found: FolderContents) -> None:
    click.echo(f"{visible(found.address)}  {visible(found.folder)}")
    write_pairs(
        [
            ("messages", format_count(found.messages)),
            ("size", format_size(found.bytes)),
            ("oldest", _moment(found.oldest)),
            ("newest", _moment(found.newest)),
            *(
                (f"last {recent.days} days" if recent.days > 1 else "last day", _sum(recent.messages, recent.bytes))
                for recent in found.recent
            ),
        ]
    )
    if found.years:
        click.echo()
        rows = [[str(year.year), format_count(year.messages), format_size(year.bytes)] for year in found.years]
        write_table(common, ["year", ">messages", ">size"], rows)
    if found.largest:
        click.echo()
        rows = [[format_size(message.bytes), _moment(message.at)] for message in found.largest]
        write_table(common, [">largest", "received"], rows)


def _sum(messages: int, size: int) -> str:
    return f"{format_size(size)} in {format_count(messages)} messages" if messages else "nothing came"


def _moment(at: float | None) -> str:
    return NOTHING if at is None else local_time(at)
