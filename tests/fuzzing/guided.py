"""Runs one target under coverage, with atheris (libFuzzer for Python).

    python -m tests.fuzzing.guided TARGET [OPTION…]

Options are those of libFuzzer, such as ``-max_total_time=300``. New inputs go into a folder that is thrown away, and
one that fails is printed with the path of its copy. It goes into ``corpus/TARGET/`` together with the mend.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["mailquota.core"], enable_loader_override=False):
    from tests.fuzzing.targets import LONGEST_INPUT, TARGETS

CORPUS = Path(__file__).parent / "corpus"
# A slow input is one of seconds, not of a busy machine: what is read here takes some milliseconds.
BOUNDS = ("-timeout=20", "-rss_limit_mb=1024", "-malloc_limit_mb=256")


def main() -> None:
    """Ends with the exit code of libFuzzer: 0 where nothing failed."""
    name, *options = sys.argv[1:]
    with tempfile.TemporaryDirectory() as found:
        folders = [found, str(CORPUS / name)]
        artifacts = "" if any(option.startswith("-artifact_prefix=") for option in options) else found
        prefix = [f"-artifact_prefix={artifacts}/"] if artifacts else []
        command = [sys.argv[0], f"-max_len={LONGEST_INPUT}", *BOUNDS, *prefix, *options, *folders]
        atheris.Setup(command, lambda data: TARGETS[name](bytes(data)))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
