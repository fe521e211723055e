"""``mailquota set --messages``: limits of messages, where the accounts database has them."""

from __future__ import annotations

import pytest

from tests.core.commands.command_line import CommandLine
from tests.core.worlds import FREE, JOHN, LIMIT, SmallWorld


@pytest.fixture
def messages(small_world: SmallWorld) -> SmallWorld:
    """Users with a column of their own for it; JOHN has one message."""
    small_world.execute("ALTER TABLE virtual_users ADD COLUMN most INTEGER")
    small_world.settings["accounts"] |= {
        "schema": "custom",
        "users_query": "SELECT email, quota, most AS messages FROM virtual_users",
        "set_query": "UPDATE virtual_users SET quota = %(limit)s, most = %(messages)s WHERE email = %(address)s",
    }
    small_world.write_settings()
    return small_world


def most(world: SmallWorld, address: str = JOHN) -> object:
    """What the database has."""
    return world.execute("SELECT most, quota FROM virtual_users WHERE email = ?", address)[0]


def test_it_is_set_shown_and_taken_back(messages: SmallWorld, alone: CommandLine) -> None:
    """The limit of bytes stays; the journal has both numbers, and undo puts the old one back."""
    (result,) = alone.json("set", JOHN, "--messages", "500", "--reason", "many", "--yes")
    assert (result["old_messages"], result["new_messages"], result["old_bytes"]) == (None, 500, LIMIT)
    assert most(messages) == (500, LIMIT)
    (change,) = [entry for entry in alone.json("journal") if entry["address"]]
    assert (change["kind"], change["old"], change["new"], change["reason"]) == ("messages", None, 500, "many")
    assert change["id"] == result["journal_id"]
    shown = alone.json("show", JOHN)
    assert (shown["limit_messages"], shown["level"]) == (500, "ok")
    assert "500" in alone("set", JOHN, "--messages", "600", "--dry-run").stdout
    assert most(messages) == (500, LIMIT)
    (undone,) = alone.json("undo")
    assert (undone["old_messages"], undone["new_messages"]) == (500, None)
    assert most(messages) == (0, LIMIT)
    again = alone("undo", str(change["id"]))
    assert (again.returncode, "was taken back already" in again.stderr) == (1, True)


def test_one_that_was_changed_since_is_not_taken_back(messages: SmallWorld, alone: CommandLine) -> None:
    """As with a limit of bytes."""
    alone.json("set", JOHN, "--messages", "500")
    messages.execute("UPDATE virtual_users SET most = 7 WHERE email = ?", JOHN)
    for options in ([], ["--yes"], ["--dry-run"]):
        done = alone("undo", *options)
        assert (done.returncode, "is 7 messages by now" in done.stderr) == (1, True)
    assert most(messages) == (7, LIMIT)


def test_both_limits_at_once(messages: SmallWorld, alone: CommandLine) -> None:
    """SIZE is the last word, as without the option; unlimited is none."""
    (result,) = alone.json("set", JOHN, "20k", "--messages", "1000")
    assert (result["new_bytes"], result["new_messages"], result["error"]) == (20_480, 1000, None)
    assert most(messages) == (1000, 20_480)
    assert alone("set", "--where", JOHN, "--messages", "unlimited").returncode == 0
    assert most(messages) == (0, 20_480)


def test_at_its_limit(messages: SmallWorld, alone: CommandLine) -> None:
    """It asks first; then the account is over, and explain says why."""
    count = alone.json("show", JOHN)["messages"]
    asked = alone("set", JOHN, "--messages", str(count))
    assert (asked.returncode, "would be at the limit of messages" in asked.stderr) == (1, True)
    assert alone("set", JOHN, "--messages", str(count), "--yes").returncode == 0
    (row,) = alone.json("list", f"over {JOHN}")
    assert (row["limit_messages"], row["messages"], row["level"]) == (count, count, "over")
    answer = alone.json("explain", JOHN)
    assert (answer["verdict"], answer["targets"][0]["limit_messages"]) == ("over_quota", count)
    assert f"{count:,} of {count:,} messages" in answer["why"]
    alone.json("set", FREE, "--messages", "1000")
    assert "of 1,000 messages, and no limit of bytes" in alone.json("explain", FREE)["why"]


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("set", JOHN, "--messages", "5G"), 2, "no limit of messages; accepted: a whole number"),
        (("set", JOHN, "--messages", "-5"), 2, ""),
        (("set", JOHN, "1G", "--messages", "5", "--until", "3d"), 2, "--until is for limits of bytes alone"),
        (("set",), 2, "a size is missing"),
        (("set", "nobody@example.org", "--messages", "5"), 4, "nobody@example.org"),
    ],
)
def test_what_is_refused(
    messages: SmallWorld, alone: CommandLine, words: tuple[str, ...], code: int, text: str
) -> None:
    """In words, and nothing is changed."""
    done = alone(*words)
    assert done.returncode == code
    assert text in done.stderr
    assert most(messages) == (None, LIMIT)


def test_a_database_without_such_limits(alone: CommandLine) -> None:
    """It is refused, with the reason."""
    done = alone("set", JOHN, "--messages", "5")
    assert (done.returncode, "the accounts database has no limits of messages" in done.stderr) == (1, True)
