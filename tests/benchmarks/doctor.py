"""Discovery and the doctor on a server with many accounts: ``mailquota config`` and ``mailquota doctor``.

Both run as processes of their own, as an administrator runs them, with the settings of the server at hand and without
a settings file for what is found. The limits that Dovecot sees are asked for a sample; so beside it stands what Dovecot
itself takes to list its users.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from tests.benchmarks import worlds
from tests.mailserver.fixture import temporary_folder
from tests.mailserver.server import MailServer

_COMMAND = (sys.executable, "-m", "tui.command")


def measure(accounts: int, rounds: int) -> None:
    """Wall-clock time of each, median of the rounds."""
    with ExitStack() as stack:
        server = stack.enter_context(MailServer(stack.enter_context(temporary_folder())))
        worlds.fill(server, accounts)
        config = worlds.write_settings(server)
        environ = {**os.environ, "MAIL_CONFIG": str(server.postfix.config)}
        serve = (*_COMMAND, "--serve", "--config", str(config))
        stack.enter_context(worlds.process(*serve, ready=server.policy_socket))
        figures: dict[str, list[float]] = {"--version": [], "config": [], "doctor": [], "doveadm user '*'": []}
        for _ in range(rounds):
            figures["--version"].append(_timed((*_COMMAND, "--version"), environ))
            figures["config"].append(_timed((*_COMMAND, "config", "--config", str(_bare(config, server))), environ))
            figures["doctor"].append(_timed((*_COMMAND, "doctor", "--json", "--config", str(config)), environ))
            figures["doveadm user '*'"].append(_timed((*server.doveadm, "user", "*"), environ))
        medians = {name: statistics.median(times) for name, times in figures.items()}
        print(f"{accounts} accounts: {' · '.join(f'{name} {seconds:.2f} s' for name, seconds in medians.items())}")
        print(f"sampled: {_sampled(config, environ)}")


def _bare(config: Path, server: MailServer) -> Path:
    """Only what leads to the private Dovecot: all else has to be found."""
    bare = config.with_name("bare.toml")
    bare.write_text(f'[warnings]\nthresholds = []\n[control]\nsocket = "{server.folder}/control.sock"\ngroup = ""\n')
    return bare


def _timed(command: tuple[str, ...], environ: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, cwd=worlds.ROOT, env=environ, stdout=subprocess.DEVNULL, check=False)
    return time.perf_counter() - started


def _sampled(config: Path, environ: dict[str, str]) -> str:
    """What the doctor says about the limits that Dovecot sees."""
    done = subprocess.run(
        (*_COMMAND, "doctor", "--json", "--config", str(config)),
        cwd=worlds.ROOT, env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return " | ".join(one["found"] for one in json.loads(done.stdout) if "limit" in one["check"])
