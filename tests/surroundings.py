"""What the tests run in, whatever the machine and the person who starts them have set.

A variable, a umask, a time zone, a signal that `nohup` or a shell's `&` has ignored, settings in a home folder, the
machine's own Postfix, Dovecot and mail log: each of them changes what programs print and do, and each is rightly so on
some server. A test that is about one of them brings its own.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

# What says where programs are, and what the tests are told; an administrator's own are not among them.
_KEPT = frozenset({"PATH", "LD_LIBRARY_PATH", "TMPDIR", "USER", "LOGNAME", "VIRTUAL_ENV", "CI"})
_KEPT_KINDS = ("MAILQUOTA_", "PYTHON", "PYTEST_", "HYPOTHESIS_", "PIP_", "SSL_CERT_")
_MAILQUOTAS = frozenset({"MAILQUOTA_CONFIG", "MAILQUOTA_HANDOVER_FD"})  # read by mailquota itself
_SET = {"LC_ALL": "C.UTF-8", "TZ": "UTC", "TERM": "xterm-256color"}
# In the place of the programs that would tell of this machine's mail server.
_STAND_INS = ("postconf", "doveconf", "doveadm", "journalctl")
_STAND_IN = '#!/bin/sh\necho "the tests have no $0" >&2\nexit 1\n'
# The mail log that Postfix names is empty, as otherwise that of the machine would be looked for.
_POSTCONF = '#!/bin/sh\n[ "$1" = maillog_file ] && echo "maillog_file = {log}" && exit\n' + _STAND_IN


def settle() -> None:
    """Make this process, and what it starts, independent of them. There is a home folder until it ends."""
    index = _package_index()
    for name in [name for name in os.environ if not _is_kept(name)]:
        del os.environ[name]
    home = Path(tempfile.mkdtemp(prefix="mailquota-home-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    os.environ.update(_SET, **index, HOME=str(home))
    time.tzset()
    os.umask(0o022)
    for number, handler in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)
    _write_stand_ins(home)


def _package_index() -> dict[str, str]:
    """Where packages come from is the machine's affair: pip goes on reading it where it stands."""
    places = [f"{os.environ.get('XDG_CONFIG_HOME') or '~/.config'}/pip/pip.conf", "~/.pip/pip.conf"]
    file = next((place for place in map(os.path.expanduser, places) if os.path.exists(place)), "")
    return {"PIP_CONFIG_FILE": file} if file and "PIP_CONFIG_FILE" not in os.environ else {}


def show_servers(*, shown: bool) -> None:
    """Whether the programs of this machine's mail server are found: by tests that start servers of their own."""
    own = os.environ["HOME"]
    places = [place for place in os.environ["PATH"].split(os.pathsep) if place != own]
    os.environ["PATH"] = os.pathsep.join(places if shown else [own, *places])


def _write_stand_ins(home: Path) -> None:
    home.chmod(0o755)  # tests become other users
    (home / "mail.log").touch()
    for name in _STAND_INS:
        (home / name).write_text(_POSTCONF.format(log=home / "mail.log") if name == "postconf" else _STAND_IN)
        (home / name).chmod(0o755)


def _is_kept(name: str) -> bool:
    if name in _MAILQUOTAS:
        return False
    return name in _KEPT or name.startswith(_KEPT_KINDS) or name.lower().endswith("_proxy")
