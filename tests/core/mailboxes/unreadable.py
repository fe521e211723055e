"""What the owner of a mailbox may do to it so that nobody can read it."""

from __future__ import annotations

import os
import stat

from tests.core.mailboxes.boxes import Box
from tests.core.others import OWNER

LOOP = "ln -s {0} {0}"
BY_OWNER = {
    "a link to itself": "mv {box} {box}.old; " + LOOP.format("{box}"),
    "two links to each other": "mv {box} {box}.old; ln -s {box} {box}.two; ln -s {box}.two {box}",
    "a named pipe": "mv {box} {box}.old; mkfifo {box}",
    "a file": "mv {box} {box}.old; echo > {box}",
    "maildirsize is a folder": "rm -f {box}/maildirsize; mkdir {box}/maildirsize",
    "maildirsize is a named pipe": "rm -f {box}/maildirsize; mkfifo {box}/maildirsize",
    "maildirsize is a link to itself": "rm -f {box}/maildirsize; ln -s maildirsize {box}/maildirsize",
    "new is a link to itself": "rm -rf {box}/new {box}/maildirsize; " + LOOP.format("{box}/new"),
    "cur is a named pipe": "rm -rf {box}/cur {box}/maildirsize; mkfifo {box}/cur",
    "a folder is a link to itself": "rm -f {box}/maildirsize; mkdir {box}/.A; " + LOOP.format("{box}/.A/cur"),
    "a mail is a link to itself": "rm -f {box}/maildirsize; " + LOOP.format("{box}/cur/1"),
    "a link too long": "rm -f {box}/maildirsize; ln -s $(printf '%0300d' 1) {box}/maildirsize",
}


def own(box: Box) -> None:
    """The folder of the account, and all below it, belong to its owner; the ones above can be passed."""
    for path in (box.path.parent, box.path, *box.path.rglob("*")):
        os.chown(path, OWNER, OWNER, follow_symlinks=False)
    for above in box.path.parents:
        if not above.stat().st_mode & stat.S_IXOTH:
            above.chmod(above.stat().st_mode | 0o111)
