"""Command lines that a shell takes as they are meant."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from mailquota.tui.draw import command_line
from tests.core.zones import in_zone

WORDS = [
    "john@example.org", "o'brien@example.org", "$(touch x)@example.org", "`id`@x", "a b@x", "+20%", "used*1.2",
    "~root@x",
    "!history@x", '"quoted"@x', "back\\slash@x", "=ls@x", "{a,b}@x", "#no@x", "&@x", ";reboot@x", "ümlaut@x", "",
    "line\nbreak@x", "\x1b[2Jclear@x", "tab\there@x", "'\n'@x", "byte\udcfc@x", "\\\x01", "a\u202eb@x",
]  # fmt: skip


@pytest.mark.parametrize("shell", [shell for shell in ("bash", "zsh") if shutil.which(shell)])
def test_a_shell_gets_the_words(shell: str) -> None:
    """Whatever an address contains, each word stays one, and nothing of it is carried out."""
    line = command_line.line(["printf", r"%s\0", *WORDS])
    assert line.isprintable()
    environ = {"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}
    done = subprocess.run([shell, "-c", line], capture_output=True, check=True, env=environ)
    assert done.stdout.split(b"\0")[:-1] == [word.encode("utf-8", "surrogateescape") for word in WORDS]


def test_no_word_is_taken_for_an_option() -> None:
    """Neither an address nor the text of an option."""
    assert command_line.addressed("set", [], ["a@x"], "-1G") == ["set", "a@x", "-1G"]
    assert command_line.addressed("set", ["--reason", "x"], ["--yes@x"], "1G") == [
        "set", "--reason", "x", "--", "--yes@x", "1G",
    ]  # fmt: skip
    assert command_line.option("--reason", "--yes") == ["--reason=--yes"]
    assert command_line.option("--reason", "") == []


def test_many_addresses_are_several_lines() -> None:
    """None longer than what the kernel takes; all addresses are in them, in order."""
    addresses = [f"account{number}@example.org" for number in range(20_000)]
    parts = list(command_line.parts(addresses))
    assert [address for part in parts for address in part] == addresses
    assert all(len(" ".join(part)) <= command_line.LONGEST for part in parts)
    assert len(parts) > 1


def test_a_line_that_is_shown_names_a_few() -> None:
    """And how many more there are."""
    assert command_line.few(["a", "b"]) == ["a", "b"]
    assert command_line.line(["set", *command_line.few(list("abcde")), "1G"]) == "set a (4 more) 1G"


def test_a_moment_is_exact() -> None:
    """As a day, as a time of a day, or to the second with the offset."""
    with in_zone("Europe/Berlin"):
        assert command_line.moment(1_796_079_600.0) == "2026-12-01"
        assert command_line.moment(1_796_079_600.0 + 18 * 3600) == "2026-12-01 18:00"
        assert command_line.moment(1_796_079_600.0 + 61) == "2026-12-01T00:01:01+01:00"
