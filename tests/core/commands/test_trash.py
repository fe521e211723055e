"""``mailquota empty-trash`` and ``recalc``."""

from __future__ import annotations

import json
import re

from tests.core.commands.command_line import CommandLine
from tests.core.commands.test_limits import NOBODY, answered
from tests.core.worlds import ANNA, FREE, FULL, JOHN, TRASH

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def mails_in_trash(line: CommandLine) -> int:
    """The number of messages in Trash."""
    return len(list((line.world.maildir(TRASH) / ".Trash" / "cur").iterdir()))


def test_a_dry_run_says_what_would_go(mailquota: CommandLine) -> None:
    """Messages, bytes, oldest and newest; nothing is asked, nothing goes."""
    (result,) = mailquota.json("empty-trash", TRASH, "--dry-run")
    assert TIME.fullmatch(result.pop("oldest"))
    assert TIME.fullmatch(result.pop("newest"))
    assert result == {
        "address": TRASH, "folders": ["Trash"], "messages": 3, "bytes": 3000, "method": "unlink", "error": None,
    }  # fmt: skip
    assert mails_in_trash(mailquota) == 3


def test_it_always_asks(mailquota: CommandLine) -> None:
    """Without a terminal the answer is no; the preview comes first, and --yes is named."""
    done = mailquota("empty-trash", TRASH)
    assert (done.returncode, done.stdout) == (1, "")
    assert "3 messages" in done.stderr
    assert "--yes" in done.stderr
    assert mails_in_trash(mailquota) == 3
    assert answered(mailquota, b"no\n", "empty-trash", TRASH).returncode == 1
    assert mails_in_trash(mailquota) == 3


def test_yes_empties_it_and_the_figures_follow(mailquota: CommandLine) -> None:
    """What was removed is reported to the byte, and shown nowhere any more."""
    (result,) = mailquota.json("empty-trash", "--where", "trash>1k", "--yes")
    assert (result["address"], result["messages"], result["bytes"]) == (TRASH, 3, 3000)
    assert mails_in_trash(mailquota) == 0
    shown = mailquota.json("show", TRASH)
    assert (shown["used_bytes"], shown["trash_bytes"], shown["changes"][0]["kind"]) == (6000, 0, "trash")
    assert mailquota.json("empty-trash", TRASH)[0]["messages"] == 0  # nothing is left to ask about


def test_a_yes_on_the_terminal(alone: CommandLine) -> None:
    """It shows what would go before it asks."""
    done = answered(alone, b"yes\n", "empty-trash", TRASH)
    assert done.returncode == 0
    assert done.stderr.index(TRASH) < done.stderr.index("[y/N]")
    assert mails_in_trash(alone) == 0


def test_young_mail_stays(alone: CommandLine) -> None:
    """--older-than counts from when a mail came into Trash."""
    (result,) = alone.json("empty-trash", TRASH, "--older-than", "1d", "--yes")
    assert (result["messages"], result["oldest"], result["folders"]) == (0, None, [])
    assert mails_in_trash(alone) == 3


def test_recalc_counts_and_records(mailquota: CommandLine) -> None:
    """Before is what the file said, after is what is there."""
    (mailquota.world.maildir(JOHN) / "maildirsize").write_text("10000S\n3333 3\n")
    assert mailquota.json("recalc", JOHN) == [
        {
            "address": JOHN, "before_bytes": 3333, "after_bytes": 4000, "before_messages": 3, "after_messages": 4,
            "method": "rewrite", "error": None,
        }
    ]  # fmt: skip
    assert mailquota.json("show", JOHN)["used_bytes"] == 4000


def test_recalc_of_everybody(mailquota: CommandLine) -> None:
    """--all recounts each account once."""
    results = mailquota.json("recalc", "--all")
    assert sorted(r["address"] for r in results) == sorted([ANNA, FREE, FULL, JOHN, TRASH])
    assert not any(r["error"] for r in results)


def test_partly_done_names_each_failure(mailquota: CommandLine) -> None:
    """3, and the array has both."""
    for command, more in (("recalc", []), ("empty-trash", ["--yes"])):
        done = mailquota(command, TRASH, NOBODY, "--json", *more)
        assert done.returncode == 3
        assert done.stderr == f"mailquota: no such account: {NOBODY}\n"
        assert [r["error"] is None for r in json.loads(done.stdout)] == [True, False]
        assert mailquota(command, NOBODY, *more).returncode == 4
