"""Recounting one big Maildir: our own method beside ``doveadm quota recalc``, and beside just listing it.

And what becomes of the answers meanwhile.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mailquota.core.mailboxes.count_driver import CountDriver
from mailquota.core.mailboxes.folders import folder_names, folder_path
from mailquota.core.mailboxes.mailstore import Mailstore
from mailquota.core.mailboxes.recount import rewrite
from mailquota.core.servers.dovecot.folder_names import TrashNames
from tests.benchmarks import load, mailboxes, worlds
from tests.mailserver.dovecot import VMAIL_UID
from tests.mailserver.fixture import temporary_folder
from tests.mailserver.server import MailServer

USER = "big@bench.example"
LIMIT = 10**12
FOLDERS = 20
MESSAGES = 5000  # each
SIZE = 3000


def measure(rounds: int) -> None:
    """All of them in turn, so that a slow moment of the machine meets each."""
    with ExitStack() as stack:
        server = stack.enter_context(MailServer(stack.enter_context(temporary_folder())))
        server.add_user(USER, quota=LIMIT)
        maildir = server.maildir(USER)
        fill(maildir)
        doveadm = [*server.doveadm, "quota", "recalc", "-u", USER]
        store = Mailstore(server.mailstore, TrashNames(["Trash"]))
        works: dict[str, Callable[[], object]] = {
            "os.listdir alone": lambda: listing(maildir),
            "doveadm quota recalc": lambda: subprocess.run(doveadm, check=True),
            "our own recount": lambda: recount(store, maildir),
            "driver count, all anew": lambda: CountDriver(store).measure(USER, LIMIT, None, 0.0),
        }
        taken: dict[str, list[float]] = {name: [] for name in works}
        for number in range(rounds + 1):
            for name, work in works.items():
                seconds = timed(work)
                if number:  # the first time warms up
                    taken[name].append(seconds)
        report(taken)
        beside(server, stack.enter_context(temporary_folder()), rounds)


def beside(server: MailServer, folder: Path, rounds: int) -> None:
    """Answers of a mailquota that recounts this mailbox by itself without a pause, and without anything else to do."""
    users = folder / "users"
    users.write_text("\n".join(_small_mailboxes(server)) + "\n")
    settings = worlds.write_settings(server, doveadm="off")
    command = [sys.executable, "-m", "mailquota", "--config", str(settings), "recalc", USER]
    program = load.compile_generator(folder)
    runs: dict[str, list[float]] = {"alone": [], "beside": []}
    with worlds.mailquota(settings, server.policy_socket):
        for _ in range(rounds):
            runs["alone"].append(load.run(program, server.policy_socket, users, 100, 4.0).p99)
            with _again_and_again(command):
                runs["beside"].append(load.run(program, server.policy_socket, users, 100, 4.0).p99)
    alone, meanwhile = (statistics.median(runs[name]) for name in ("alone", "beside"))
    ratio = statistics.median(b / a for a, b in zip(runs["alone"], runs["beside"], strict=True))
    print(f"p99 of answers at 100 connections: {alone:.1f} ms, while it recounts {meanwhile:.1f} ms ({ratio:.2f} x)")


def _small_mailboxes(server: MailServer) -> list[str]:
    users = mailboxes.addresses(200)
    server.add_users((user, mailboxes.LIMIT) for user in users)
    mailboxes.make(server.mailstore, users, (VMAIL_UID, VMAIL_UID))
    return users


@contextmanager
def _again_and_again(command: list[str]) -> Iterator[None]:
    ended = threading.Event()

    def run() -> None:
        while not ended.is_set():
            subprocess.run(command, cwd=worlds.ROOT, check=True, stdout=subprocess.DEVNULL)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def report(taken: dict[str, list[float]]) -> None:
    reference = statistics.median(taken["doveadm quota recalc"])
    print(f"{FOLDERS * MESSAGES:,} messages in {FOLDERS} folders, median of {len(next(iter(taken.values())))} rounds")
    for name, seconds in taken.items():
        median = statistics.median(seconds)
        spread = f"{min(seconds):.3f}-{max(seconds):.3f}"
        print(f"{name:24} {median:.3f} s  ({spread})  {median / reference:.2f} x doveadm")


def recount(store: Mailstore, maildir: Path) -> None:
    path = maildir / "maildirsize"
    text = path.read_text()
    assert rewrite(store, str(maildir), LIMIT) == "rewrite"
    assert path.read_text() == text


def listing(maildir: Path) -> None:
    for name in folder_names(str(maildir)):
        for part in ("new", "cur"):
            os.listdir(os.fsencode(f"{folder_path(str(maildir), name)}/{part}"))


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def fill(maildir: Path) -> None:
    """Empty files whose names tell a size, as nobody reads them here."""
    for folder in range(FOLDERS):
        place = maildir / f".Folder{folder:02}" if folder else maildir
        for part in ("cur", "new", "tmp"):
            os.makedirs(place / part)
        for number in range(MESSAGES):
            name = f"1700000000.M{folder:03}{number:05}P1.mail,S={SIZE},W={SIZE + 60}:2,S"
            os.close(os.open(place / "cur" / name, os.O_CREAT | os.O_WRONLY))
        for part in ("cur", "new"):
            os.utime(place / part, (1_700_000_000, 1_700_000_000))
    mailboxes.give(maildir.parent, (VMAIL_UID, VMAIL_UID))
