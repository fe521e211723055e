"""What commands reckon with: exit codes, order, widths, log lines."""

from __future__ import annotations

import logging
import os

import click
import pytest

from mailquota.core.base.errors import UsageError
from mailquota.core.base.model import AccountRow
from mailquota.core.commands import logs
from mailquota.core.commands.columns import SORT_KEYS, check_sort_key, sort_by, worst_first
from mailquota.core.commands.options import Common, Replay
from mailquota.core.commands.output import percent_text, write_table
from mailquota.core.commands.results import exit_code
from mailquota.core.control.results import RecalcResult
from tests.core.others import OWNER, as_root, do
from tests.mailserver.fixture import temporary_folder


def no_console(common: Common, demo: int | None, replay: Replay | None = None) -> int:
    """A console that these tests never open."""
    raise AssertionError


def result(code: int) -> RecalcResult:
    """One that failed with this code, or went well with 0."""
    return RecalcResult("a@b", 1, 1, 1, 1, "rewrite", "it failed" if code else None, code)


@pytest.mark.parametrize(
    ("codes", "expected"),
    [([], 0), ([0, 0], 0), ([0, 4], 3), ([4, 4], 4), ([4, 5], 1), ([5], 5), ([2], 2), ([0, 1, 4], 3)],
)
def test_exit_codes(codes: list[int], expected: int) -> None:
    """The contract's: 3 for partly, else what all failures share, else 1."""
    assert exit_code([result(code) for code in codes]) == expected


def test_order_of_the_table() -> None:
    """By percent, then those of unknown usage, then unlimited ones by usage."""
    over, near = AccountRow("c@x", 100, 120), AccountRow("b@x", 100, 90)
    unknown, small, large = AccountRow("a@x", 100), AccountRow("d@x", None, 1), AccountRow("e@x", None, 9)
    assert worst_first([small, unknown, near, large, over]) == [over, near, unknown, large, small]


def test_what_is_unknown_is_last_either_way() -> None:
    """And equal ones go by address."""
    a, b, none = AccountRow("a@x", 100, 5), AccountRow("b@x", 100, 5), AccountRow("c@x", 100)
    assert sort_by([none, b, a], "used") == [a, b, none]
    assert sort_by([none, b, a], "-used") == [a, b, none]
    assert sort_by([a, AccountRow("z@x", None)], "limit")[0].address == "z@x"


def test_every_sort_key_sorts() -> None:
    """Of any mixture, known or not."""
    rows = [AccountRow("a@x", 100), AccountRow("b@x", None, 5, 1, 0, 0, "scan", 1.0), AccountRow("c@x", 9, 9)]
    for key in SORT_KEYS:
        check_sort_key(f"-{key}")
        assert sorted(row.address for row in sort_by(rows, key)) == ["a@x", "b@x", "c@x"]
    with pytest.raises(UsageError, match="accepted"):
        check_sort_key("--used")


def test_percent_is_never_rounded_up() -> None:
    """100 is where the level changes."""
    assert percent_text(99.99) == "99.9 %"
    assert percent_text(1234.5) == "1,234.5 %"


def test_wide_letters_take_their_room(capsys: pytest.CaptureFixture[str]) -> None:
    """Columns stay aligned on a terminal."""
    common = Common(no_console)
    write_table(common, ["name", ">size"], [["漢字", "1"], ["cafe\u0301", "22"]])
    assert capsys.readouterr().out == "name  size\n漢字     1\ncafe\u0301    22\n"


@pytest.mark.parametrize(("no_color", "variable", "term", "coloured"), [
    (False, "", "xterm", True), (True, "", "xterm", False), (False, "1", "xterm", False), (False, "", "dumb", False),
])  # fmt: skip
def test_colours_only_where_they_are_wanted(
    monkeypatch: pytest.MonkeyPatch, no_color: bool, variable: str, term: str, coloured: bool
) -> None:
    """On a terminal, unless an option or the environment turns them off."""
    from mailquota.core.commands import output

    monkeypatch.setenv("NO_COLOR", variable)
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(output, "is_terminal", lambda _stream: True)
    assert output.wants_colour(Common(no_console, no_color=no_color), None) is coloured


def test_log_lines_hold_what_comes_from_outside() -> None:
    """One line, or with an exception each line with the head."""
    record = logging.LogRecord("x", logging.WARNING, "", 0, "from %s", ("a\nb\x1b",), None)
    assert logs._Lines().format(record) == "WARNING from a\\nb\\x1b"
    assert logs._Journal().format(record) == "<4>from a\\nb\\x1b"
    try:
        raise ValueError("wrong")
    except ValueError as error:
        record.exc_info = (ValueError, error, error.__traceback__)
    lines = logs._Journal().format(record).splitlines()
    assert len(lines) > 3
    assert all(line.startswith("<4>") for line in lines)


def test_a_log_file_that_can_t_be_made_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without syslog there is a file; without that, silence."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level, logging.raiseExceptions)
    monkeypatch.setattr(logs, "_SYSLOG", "/nonexistent/log")
    try:
        logs.log_detached("/nonexistent/control.sock")
        assert isinstance(root.handlers[0], logging.FileHandler)
        logging.getLogger("test").error("lost")
    finally:
        root.handlers[:] = before[0]
        root.setLevel(before[1])
        monkeypatch.setattr(logging, "raiseExceptions", before[2])


@as_root
@pytest.mark.parametrize("target", ["roots", "new"])
def test_a_log_file_in_a_folder_of_another_user_is_no_link_out_of_it(target: str) -> None:
    """The owner of the folder of the control socket can put one there; the log has text from outside."""
    with temporary_folder() as folder:
        folder.chmod(0o755)
        theirs, victim = folder / "theirs", folder / target
        theirs.mkdir()
        os.chown(theirs, OWNER, OWNER)
        if target == "roots":
            victim.touch()
        do(OWNER, "ln", "-s", victim, theirs / "control.sock.log")
        handlers = [logs._File(f"{theirs}/{name}.log", delay=True) for name in ("control.sock", "other")]
        for handler in handlers:
            handler.emit(logging.LogRecord("x", logging.WARNING, "", 0, "* * * * * root id", (), None))
            handler.close()
        assert not victim.exists() or victim.read_text() == ""
        written = theirs / "other.log"
        assert written.read_text() == "* * * * * root id\n"
        assert written.stat().st_uid == OWNER


def test_click_gives_way_to_numbers_only() -> None:
    """A minus before a digit or a point is a number, before anything else an option."""
    from mailquota.core.commands.options import NumbersCommand

    command = NumbersCommand("x", params=[click.Argument(["words"], nargs=-1), click.Option(["--reason"])])
    parsed = command.make_context("x", ["a", "-1G", "-.5G", "--reason", "-5 is enough", "--", "-x", "-2"]).params
    assert parsed == {"words": ("a", "-1G", "-.5G", "-x", "-2"), "reason": "-5 is enough"}
    with pytest.raises(click.NoSuchOption):
        command.make_context("x", ["a", "-y1"])
