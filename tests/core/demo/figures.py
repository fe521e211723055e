"""What lies in a world, looked at from outside."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from mailquota.core.base.model import Level, level_of
from mailquota.core.demo.people import Person
from mailquota.core.demo.world import World
from mailquota.core.mailboxes.folders import sum_folders
from mailquota.core.mailboxes.measure import Unmeasurable, measure, recorded

_NAME = re.compile(r"(\d+)\.M\d+P\d+\.mail,S=(\d+),W=(\d+)(?::2,S)?")


def by_address(world: World) -> dict[str, Person]:
    """The people by their addresses."""
    return {person.address: person for person in world.people}


def messages_of(maildir: str) -> list[Path]:
    """Every file in a cur or new directory."""
    return [Path(root, name) for root, _, names in os.walk(maildir) for name in names if root[-4:] in {"/cur", "/new"}]


def check_message(path: Path) -> int:
    """The size of a message, once its name agrees with the file."""
    match = _NAME.fullmatch(path.name)
    assert match, path
    found = path.stat()
    assert int(match[2]) == found.st_size
    assert int(match[3]) >= found.st_size
    assert abs(int(match[1]) - found.st_mtime) < 3
    return found.st_size


def counted(world: World, person: Person) -> tuple[int, int]:
    """Bytes and messages as a count of the folders gives them."""
    folders = sum_folders(world.mailstore.maildir(person.address))
    return sum(folder.bytes for folder in folders), sum(folder.messages for folder in folders)


def check_record(world: World, person: Person) -> bool:
    """Where there is a maildirsize file, it says what a count says. Whether there is one."""
    found = recorded(world.mailstore.maildir(person.address))
    assert found in (None, counted(world, person)), person.address
    return found is not None


def level(world: World, person: Person) -> Level:
    """The level that the product would show."""
    try:
        maildir = world.mailstore.maildir(person.address)
        used = measure(world.mailstore, maildir, person.limit, None, time.time()).used
    except Unmeasurable:
        return level_of(None, person.limit)
    return level_of(used, person.limit)
