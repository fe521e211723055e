"""The texts that Postfix gets as answers, and how addresses are read on both sides: every state of the checks."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from mailquota.core.doctor.model import Outcome
from mailquota.core.settings.config import load
from tests.core.doctor.healthy import config, facts, outcome, postfix

FILE = Path("/etc/mailquota/my quota.toml")


def said(check: str, policy: dict[str, Any], path: Path | None = None) -> Outcome:
    """With these keys in [policy], from a file if ``path`` is given."""
    origin = {f"policy.{key}": f"file {path}" if path else "default" for key in policy}
    return outcome(check, facts(config_=config(path=path, origin=origin, policy=policy)))


@pytest.mark.parametrize(
    ("text", "state", "words"),
    [
        ("452 4.2.2 Mailbox is full", "ok", "Mailbox is full"),
        ("452 4.2.2", "ok", "4.2.2"),
        ("552 5.2.2 Mailbox is full", "ok", "a bounce at once"),
        ("452 5.2.2 full", "warn", "452 and 5.2.2 do not agree"),
        ("552 4.2.2 full", "warn", "552 and 4.2.2 do not agree"),
        ("452 Mailbox is full", "warn", "Postfix makes it 4.7.1"),
        ("552 Mailbox is full", "warn", "Postfix makes it 5.7.1"),
        ("422 4.2.2 full", "warn", "is not a reply code about a recipient"),
        ("421 4.2.2 full", "warn", "is not a reply code about a recipient"),
        ("REJECT full", "warn", "general reply code"),
        ("DEFER_IF_PERMIT full", "warn", "general reply code"),
        ("DUNNO", "fail", "refuses nothing"),
        ("WARN full", "fail", "refuses nothing"),
    ],
)
@pytest.mark.parametrize("key", ["overquota", "toolarge"])
def test_codes(key: str, text: str, state: str, words: str) -> None:
    found = said("answer-codes", {key: text})
    assert found.state == state
    assert words in found.found
    assert bool(found.fix) == (state != "ok")


def test_a_code_is_mended_where_it_stands() -> None:
    edit, reload = said("answer-codes", {"overquota": "452 5.2.2 full"}, FILE).fix.splitlines()
    line = """'s|^[[:blank:]]*overquota[[:blank:]]*=.*|overquota = "452 4.2.2 full"|'"""
    assert edit == f"sed -i {line} '{FILE}'"
    assert reload == f"mailquota --config '{FILE}' reload"


@pytest.mark.parametrize("text", ["full & closed", "see a|b", r"back\\slash \\1", "\"quoted\" and 'so'", "voll: Ärger"])
def test_any_text_survives_the_edit(tmp_path: Path, text: str) -> None:
    """The shell, sed and TOML each have their own letters that mean something."""
    file = tmp_path / "mailquota.toml"
    file.write_text("[policy]\nmode = 'enforce'\n  overquota = 'old'\n")
    fix = said("answer-codes", {"overquota": f"452 5.2.2 {text}"}, file).fix
    subprocess.run(["sh", "-e", "-c", fix.splitlines()[0]], check=True)
    assert load(file, {}).settings.policy.overquota == f"452 4.2.2 {text}"


def test_what_no_file_holds_is_told() -> None:
    assert said("answer-codes", {"overquota": "452 5.2.2 full"}).fix.startswith("# in [policy]")


@pytest.mark.parametrize(
    ("text", "state"), [("DUNNO", "ok"), ("WARN who", "ok"), ("REJECT no such user", "warn"), ("550 5.1.1 no", "warn")]
)
def test_no_such_user(text: str, state: str) -> None:
    assert said("answer-no-such-user", {"nouser": text}).state == state


@pytest.mark.parametrize(
    ("success", "trouble", "state"),
    [
        ("DUNNO", "DUNNO", "ok"),
        ("INFO fits", "DUNNO", "ok"),
        ("DUNNO", "451 4.3.0 later", "ok"),
        ("DUNNO", "DEFER_IF_PERMIT later", "ok"),
        ("DUNNO", "550 5.3.0 no", "warn"),
        ("DUNNO", "REJECT", "warn"),
        ("REJECT", "DUNNO", "fail"),
        ("450 4.2.0 never", "REJECT", "fail"),
    ],
)
def test_otherwise(success: str, trouble: str, state: str) -> None:
    found = said("answer-otherwise", {"success": success, "trouble": trouble})
    assert found.state == state
    assert ("mail is deferred" in found.found) == (state == "ok" and trouble != "DUNNO")


@pytest.mark.parametrize(
    ("theirs", "ours", "state"),
    [("+", "+", "ok"), ("+-", "-+", "ok"), ("", "", "ok"), ("-", "+", "warn"), ("", "+", "warn"), ("+-", "+", "warn")],
)
def test_delimiter(theirs: str, ours: str, state: str) -> None:
    changed = config(policy={"recipient_delimiter": ours})
    found = outcome("recipient-delimiter", facts(postfix(values={"recipient_delimiter": theirs}), config_=changed))
    assert found.state == state
    assert (f"postconf -e 'recipient_delimiter = {ours}'" in found.fix) == (state == "warn")


def test_a_delimiter_of_our_file_is_changed_there() -> None:
    found = said("recipient-delimiter", {"recipient_delimiter": "-"}, FILE)
    assert 'recipient_delimiter = "+"' in found.fix
    assert found.fix.startswith("sed -i ")


def test_aliases_that_are_not_followed_are_told() -> None:
    assert "policy.aliases is false" in said("aliases-followed", {"aliases": False}).found
