"""The load generator, compiled once, and what it prints."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parent / "policyload.c"


@dataclass(frozen=True)
class Load:
    """One run. Latencies in milliseconds."""

    per_second: float
    p50: float
    p99: float
    worst: float
    faults: int  # malformed, closed by the server, timed out
    starved: int  # connections that never got an answer
    answers: dict[str, int]


def compile_generator(folder: Path) -> Path:
    """The program; needs gcc."""
    if shutil.which("gcc") is None:
        raise SystemExit("the benchmarks need gcc for the load generator")
    program = folder / "policyload"
    subprocess.run(["gcc", "-O2", "-o", str(program), str(SOURCE)], check=True)
    return program


def run(program: Path, socket: Path, users: Path, connections: int, seconds: float) -> Load:
    """Ask for random users over so many kept connections, one request outstanding on each."""
    done = subprocess.run(
        [
            *(str(program), "--unix", str(socket), "--users", str(users), "--conns", str(connections)),
            *("--seconds", str(seconds), "--warmup", "1"),
        ],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return parse(done.stdout)


def parse(text: str) -> Load:
    """What the generator printed."""
    figures = {name: float(value) for name, value in re.findall(r"([\w.]+)=([\d.]+)", text)}
    answers = {action: int(count) for count, action in re.findall(r"^answer (\d+) x (.*)$", text, re.MULTILINE)}
    return Load(
        per_second=figures["rps"],
        p50=figures["p50_us"] / 1000,
        p99=figures["p99_us"] / 1000,
        worst=figures["max_us"] / 1000,
        faults=int(figures["malformed"] + figures["server_closed"] + figures["timeouts"]),
        starved=int(figures["conns_never_answered"]),
        answers=answers,
    )
