"""Start the private mail server, print how to reach it, stop it at Enter, Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

from tests.mailserver.fixture import temporary_folder
from tests.mailserver.mariadb import MAIL_PASSWORD
from tests.mailserver.server import MailServer
from tests.surroundings import settle


def main() -> None:
    settle()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    options = _options()
    with ExitStack() as stack:
        folder = options.folder or stack.enter_context(temporary_folder())
        server = stack.enter_context(MailServer(folder.absolute(), driver=options.driver, tuned=options.tuned))
        for address in options.user:
            server.add_user(address, options.quota)
        for name, value in server.facts().items():
            print(f"{name} = {value}")
        print(f"Users have the password {MAIL_PASSWORD}. Running; Enter or SIGTERM stops.", flush=True)
        _wait()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mailserver", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="kept afterwards (default: a temporary one)")
    parser.add_argument("--driver", choices=["maildir", "count"], default="maildir", help="Dovecot's quota driver")
    parser.add_argument("--tuned", action="store_true", help="quota-status with 4 processes and an auth cache")
    parser.add_argument("--user", action="append", default=[], metavar="ADDRESS", help="add a mailbox; repeatable")
    parser.add_argument("--quota", type=int, default=0, metavar="BYTES", help="limit of these users, 0 = unlimited")
    return parser.parse_args()


def _wait() -> None:
    """Until Enter; without a terminal or pipe on stdin, until a signal."""
    try:
        if not sys.stdin.readline():
            signal.pause()
    except KeyboardInterrupt:
        print()


if __name__ == "__main__":
    main()
