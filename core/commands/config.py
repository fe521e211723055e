"""``mailquota config``: the effective settings, each with its origin."""

from __future__ import annotations

import os
from typing import Any

import click

from ..base.errors import MailquotaError, UsageError
from ..base.others_folders import opened
from ..mailboxes.from_settings import driver_name, way_of
from ..settings.config import DEFAULT_PATH, Config
from ..settings.missing import missing, require
from ..settings.text import dump, listing, toml
from .options import JSON, Common, command
from .output import complain, write_json, write_table

_MASK = "***"


@command("config")
@click.option("--write", "target", metavar="FILE", help="Write a commented settings file; - prints it.")
@JSON
def config(common: Common, target: str | None, as_json: bool) -> None:
    """Print the effective settings, each with its origin; passwords are masked.

    --write makes a new file, and never replaces one. A password of a database URL is left out of it, and one that was
    found on the server is not copied: the file names the path that it is read from.
    """
    if as_json and target is not None:
        raise UsageError("give either --json or --write, not both")
    found = common.load()
    for remark in found.remarks:
        complain(remark)
    if target is not None:
        _write_file(found, target)
    elif as_json:
        write_json([{"key": key, "value": value, "origin": origin} for key, value, origin in _listing(found)])
    else:
        rows = [(key, toml(value), origin) for key, value, origin in _listing(found)]
        write_table(common, ["key", "value", "origin"], rows)


def _listing(found: Config) -> list[tuple[str, Any, str]]:
    """Key, value and origin of each setting; what "auto" means on this server; a note where it is an example."""
    notes = dict.fromkeys(missing(found), "not found, so it has to be set: this is an example")
    if found.settings.mailstore.driver == "auto":
        way = way_of(found)
        why = f", as {way.why}" if way is not None and way.why else ""
        notes["mailstore.driver"] = f"here: {driver_name(found)}{why}"
    if found.found.trash_names and "\\Trash" in found.settings.mailstore.trash:
        notes["mailstore.trash"] = f"here \\Trash is {', '.join(found.found.trash_names)}"
    return [
        (key, value, f"{origin}; {notes[key]}" if key in notes else origin) for key, value, origin in listing(found)
    ]


def _write_file(found: Config, target: str) -> None:
    require(found)  # an example must not become a setting by itself
    text = dump(found)
    if target == "-":
        click.echo(text, nl=False)
        return
    # What the listing masks may be in the text in another place, as a password among doveadm's options
    private = any(_MASK in toml(value) for _, value, _ in listing(found))
    try:
        make_folder(target)
        folder, name = os.path.split(os.path.abspath(target))
        with opened(folder) as place:
            handle = place.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o644)
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise MailquotaError(f"{target} exists already; remove it, or write to another file") from None
    except OSError as error:
        raise MailquotaError(f"{target} can't be written: {error.strerror}") from error
    complain(f"{target} was written")


def make_folder(target: str) -> None:
    """Make /etc/mailquota, if ``target`` is the default settings file: it is missing before an installation."""
    if os.path.abspath(target) == str(DEFAULT_PATH):
        with opened(str(DEFAULT_PATH.parent), make=0o755):
            pass


COMMANDS = {"config": config}
