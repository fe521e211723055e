"""The known inputs, and a run under coverage: 5 minutes for all targets in the long form, some seconds each in
the short one."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzzing.targets import LONGEST_INPUT, TARGETS
from tests.truth.scale import LONG, SEED

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SHORT_RUNS = 200
LONG_SECONDS = 300 // len(TARGETS)
CPU_SECONDS, MEMORY = 60, 2 << 30  # for all stretched inputs of a target; what is quadratic takes many times that
STRETCHED = """
import sys
from pathlib import Path
from tests.fuzzing.test_corpus import inputs, stretched
from tests.fuzzing.targets import TARGETS
for path in inputs(sys.argv[1]):
    print(path, flush=True)
    TARGETS[sys.argv[1]](stretched(path.read_bytes()))
"""


def inputs(target: str) -> list[Path]:
    """The known ones of a target."""
    found = sorted((HERE / "corpus" / target).iterdir())
    assert found
    return found


def stretched(data: bytes) -> bytes:
    """Repeated, to the longest that is read: a parser whose time grows faster than its input is seen."""
    return (data * (LONGEST_INPUT // max(1, len(data)) + 1))[:LONGEST_INPUT]


@pytest.mark.parametrize("target", TARGETS)
def test_known_inputs(target: str) -> None:
    for path in inputs(target):
        TARGETS[target](path.read_bytes())


def test_every_folder_is_of_a_target() -> None:
    assert {path.name for path in (HERE / "corpus").iterdir()} == set(TARGETS)


def _bounded() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("target", TARGETS)
def test_long_inputs_cost_a_bounded_time_and_memory(target: str) -> None:
    command = [sys.executable, "-c", STRETCHED, target]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, preexec_fn=_bounded)
    assert done.returncode == 0, f"{done.stdout.splitlines()[-1:]} {done.stderr[-2000:]}"


@pytest.mark.timeout(900)
@pytest.mark.parametrize("target", TARGETS)
def test_inputs_that_coverage_finds(target: str, tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="there is no wheel of atheris for this Python or machine")
    long = [f"-max_total_time={LONG_SECONDS}", f"-seed={SEED % 2**31 or 1}"]
    much = long if LONG else [f"-runs={SHORT_RUNS}", "-seed=1"]
    command = [sys.executable, "-m", "tests.fuzzing.guided", target, *much, f"-artifact_prefix={tmp_path}/"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{list(tmp_path.iterdir())}\n{done.stdout[-3000:]}{done.stderr[-1000:]}"
