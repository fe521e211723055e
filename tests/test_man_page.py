"""The manual page and the completions are of this version, and programs that read them can."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mailquota.core.commands.main import root
from tests.man_page import COMPLETIONS, ROOT, files

ZSH = """
autoload -U compinit && compinit -u -d $HOME/dump
compadd() { [[ "$*" == *-a* ]] && print -l -- ${(P)@[-1]} }
_describe() { print -l -- ${(P)@[-2]} }
source $FILE
words=(mailquota $WORD) CURRENT=2
_mailquota_completion
"""
ASK = {
    "bash": "source $FILE; COMP_WORDS=(mailquota $WORD); COMP_CWORD=1; _mailquota_completion mailquota;"
    ' printf "%s\\n" "${COMPREPLY[@]}"',
    "zsh": ZSH,
    "fish": 'source $FILE; complete --do-complete "mailquota $WORD"',
}


def test_they_are_what_the_declarations_give() -> None:
    """``python -m tests.man_page`` writes them."""
    assert {path: (ROOT / path).read_text() for path in files()} == files()


def test_the_page_has_every_command_and_option() -> None:
    page = files()["docs/mailquota.1"].replace("\\-", "-")
    context = root.make_context("mailquota", [], resilient_parsing=True)
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        assert command is not None
        section = page.partition(f".SS mailquota {name} ")[2].partition(".SS ")[0]
        ours = {option for param in command.params for option in param.opts if option.startswith("--")}
        shared = {"--config", "--read-only", "--no-color", "--version", "--help"}
        assert not [option for option in ours - shared if option not in section], name


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_the_page_can_be_typeset() -> None:
    """Without a warning, every one switched on."""
    done = subprocess.run(
        ["groff", "-ww", "-man", "-Tutf8", str(ROOT / "docs/mailquota.1")], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert "mailquota empty-trash" in re.sub(".\x08", "", done.stdout)  # bold is a letter printed over itself


@pytest.mark.parametrize("shell", COMPLETIONS)
def test_a_shell_completes_a_command(shell: str, tmp_path: Path) -> None:
    """The real shell, by the file that is installed."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    program = tmp_path / "mailquota"
    program.write_text(f'#!/bin/sh\ncd {ROOT} && exec {sys.executable} -m mailquota "$@"\n')
    program.chmod(0o755)
    env = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path), "WORD": "unin",
        "FILE": str(ROOT / "completion" / COMPLETIONS[shell]),
    }  # fmt: skip
    done = subprocess.run([shell, "-c", ASK[shell]], env=env, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert [line.split(":")[0].split("\t")[0] for line in done.stdout.splitlines()] == ["uninstall"], done
