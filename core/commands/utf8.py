"""Names of files and arguments are UTF-8, as Dovecot's mailboxes are, whatever the locale says."""

from __future__ import annotations

import os
import sys

_UTF8 = "utf-8"


def start_in_utf8() -> None:
    """Start this program anew in Python's UTF-8 mode where Python would write names of files in another encoding.

    In a Latin-1 locale the mailbox of an address like ``jürgen@example.org`` would else be looked for under another
    name. Arguments are handed on as the terminal meant them; what is printed is in the encoding of the terminal.
    Does nothing where the encoding is UTF-8 already; does not return where it is not.
    """
    if sys.getfilesystemencoding() == _UTF8 or not sys.executable:
        return
    environment = dict(os.environ, PYTHONUTF8="1")
    if sys.stdout is not None:
        environment.setdefault("PYTHONIOENCODING", sys.stdout.encoding)
    words: list[str | bytes] = [sys.executable, "-X", "utf8"]
    words += [word.encode(_UTF8, "surrogateescape") for word in sys.orig_argv[1:]]
    os.execve(sys.executable, words, environment)  # noqa: S606  no shell is wanted
