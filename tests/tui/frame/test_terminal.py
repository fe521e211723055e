"""What the terminal can do, and a terminal that goes away."""

from __future__ import annotations

import io
import os

import pytest

from mailquota.tui.frame import terminal


@pytest.mark.parametrize(
    ("environ", "codeset", "ascii_only"),
    [
        pytest.param({"TERM": "xterm-256color", "LANG": "en_US.UTF-8"}, "UTF-8", False, id="today"),
        pytest.param({"TERM": "xterm-256color"}, "UTF-8", False, id="no locale, as in a container"),
        pytest.param({"TERM": "xterm", "LANG": "de_DE.ISO-8859-1"}, "ISO-8859-1", True, id="Latin 1"),
        pytest.param({"TERM": "xterm", "LANG": "C"}, "UTF-8", True, id="C asked for by name"),
        pytest.param({"TERM": "xterm", "LANG": "en_US.UTF-8", "LC_ALL": "POSIX"}, "UTF-8", True, id="LC_ALL wins"),
        pytest.param({"TERM": "vt100", "LANG": "en_US.UTF-8"}, "UTF-8", True, id="vt100"),
        pytest.param({"TERM": "linux", "LANG": "en_US.UTF-8"}, "UTF-8", True, id="the console's font"),
        pytest.param({"TERM": "screen", "LANG": "en_US.utf8"}, "utf8", False, id="spelled otherwise"),
    ],
)
def test_ascii_where_there_is_no_unicode(environ: dict[str, str], codeset: str, ascii_only: bool) -> None:
    """By the terminal's name and by the locale."""
    assert terminal.wants_ascii(environ, codeset) is ascii_only


@pytest.mark.parametrize(
    ("environ", "no_color"),
    [
        ({"TERM": "xterm"}, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True),
        ({"TERM": "xterm", "NO_COLOR": ""}, False),
        ({"TERM": "vt100"}, True),
        ({"TERM": "dumb"}, True),
    ],
)
def test_no_colours_where_they_are_not_wanted_or_not_there(environ: dict[str, str], no_color: bool) -> None:
    """NO_COLOR counts if it is not empty."""
    assert terminal.wants_no_color(environ) is no_color


def test_output_survives_its_terminal() -> None:
    """The loss is told once, and later writes go nowhere."""
    told: list[str] = []
    reader, writer = os.pipe()
    file = os.fdopen(writer, "w")
    output = terminal.Output(file, lambda: told.append("lost"))
    output.write("seen")
    output.flush()
    assert os.read(reader, 10) == b"seen"
    os.close(reader)
    for _time in range(3):
        output.write("x" * 100_000)
        output.flush()
    assert told == ["lost"]
    file.close()


def test_a_sign_that_the_terminal_lacks_is_no_error() -> None:
    """It becomes a question mark."""
    raw = io.BytesIO()
    output = terminal.Output(io.TextIOWrapper(raw, encoding="ascii", write_through=True), lambda: None)
    output.write("5 € ■")
    assert raw.getvalue() == b"5 ? ?"


def test_a_hang_up_is_seen_without_reading() -> None:
    """Keys that wait to be read are left alone."""
    reader, writer = os.pipe()
    os.write(writer, b"key")
    assert not terminal.hung_up(reader)
    os.close(writer)
    assert terminal.hung_up(reader)
    os.close(reader)
    assert terminal.hung_up(reader)


def test_an_environment_variable_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it was there or not."""
    monkeypatch.setenv("NO_COLOR", "before")
    with terminal.environment("NO_COLOR", None):
        assert "NO_COLOR" not in os.environ
    assert os.environ["NO_COLOR"] == "before"
    monkeypatch.delenv("NO_COLOR")
    with terminal.environment("NO_COLOR", "1"):
        assert os.environ["NO_COLOR"] == "1"
    assert "NO_COLOR" not in os.environ
