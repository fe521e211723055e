"""Commands of a fix that change a file or folder whose folder may belong to somebody else. Pure.

Root pastes them some time after they were made, and the owner of a folder above may have put a symbolic link in the
place of anything in it. So each is one line. The shell enters the folder and stays in it; if it came there by a link,
or the file itself is one, it does nothing. Owners are changed without following a link (chown -h), modes by the owner
himself, who can't change more through a link than without it. Where root does it in a folder of others, it opens the
file, looks whether it got the one of that path, and changes the mode by the handle: chmod follows a link that came in
between.
"""

from __future__ import annotations

import posixpath
import re
import shlex

_NAME = "{}"
_PATH = "{path}"
_PLACE = re.compile(r"\{(?:path)?\}")
_HANDLE = "/proc/self/fd/3"


def owner_to(owner: str) -> str:
    """The step that changes the owner: ``USER`` or ``USER:GROUP``."""
    return f"chown -h {shlex.quote(owner)} {_NAME}"


def all_to(owner: str) -> str:
    """The step that changes the owner of a folder and of all that is in it."""
    return f"chown -hR -P {shlex.quote(owner)} {_NAME}"


def mode_by(owner: str, mode: str, *, everything: bool = False) -> str:
    """The step in which the owner of a file changes its mode, or that of all that is in a folder."""
    change = f"chmod {'-R ' if everything else ''}{shlex.quote(mode)} {_NAME}"
    if owner in {"", "root", "0"}:
        return change
    if owner.isdigit():  # a user without a name
        return f"setpriv --reuid={owner} --clear-groups {change}"
    return f"runuser -u {shlex.quote(owner)} -- {change}"


def mode_by_handle(mode: str) -> str:
    """The step in which root changes the mode of one file or folder, whoever owns the folders above."""
    opening = f'test ! -p {_NAME} && exec 3<{_NAME} && test "$(readlink {_HANDLE})" = {_PATH}'
    return f"{opening} && chmod {shlex.quote(mode)} {_HANDLE}"


def aside() -> str:
    """The step that moves a file out of the way, to ``NAME.old``."""
    return f"mv -nT {_NAME} {_NAME}.old"


def removed() -> str:
    """The step that removes a file."""
    return f"rm -f {_NAME}"


def line(path: str, *steps: str, then: str = "") -> str:
    """The steps on a path as one line, and ``then`` (commands) after their success."""
    return _line(path, f"test ! -L {_NAME}", *steps, then=then)


def without_link(path: str) -> str:
    """The line that removes a symbolic link, and nothing else that may be in its place by then."""
    return _line(path, f"test -L {_NAME}", f"rm {_NAME}")


def _line(path: str, *steps: str, then: str = "") -> str:
    folder, name = posixpath.split(path.rstrip("/"))
    whole = shlex.quote(posixpath.join(folder or "/", name))
    folder, name = shlex.quote(folder or "/"), shlex.quote(f"./{name}")
    work = [f"cd -P {folder}", f'test "$PWD" = {folder}']
    values = {_PATH: whole, _NAME: name}
    work += [_PLACE.sub(lambda found: values[found[0]], step) for step in steps]
    done = f"({' && '.join(work)})" + (f" && {then}" if then else "")
    return f"{done} || echo 'not done: is there a link in this path?'"
