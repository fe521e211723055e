"""What the built-in mails say, in all kinds and languages."""

from __future__ import annotations

import re
from datetime import datetime
from email import message_from_bytes
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest

from mailquota.core.alerts.facts import FolderShare, MailFacts
from mailquota.core.alerts.formats import LANGUAGES, filters
from mailquota.core.alerts.message import Mail, compose, compose_copy, compose_digest
from mailquota.core.alerts.render import BUILT_IN
from mailquota.core.alerts.variables import digest_variables, warning_variables
from mailquota.core.base.model import Forecast, Trend
from tests.core.alerts.letters import GIB, MIB, Tags, facts, letter
from tests.core.zones import in_zone

CASES = {
    "near": facts(),
    "full": facts(used_bytes=5 * GIB),
    "over": facts(used_bytes=6 * GIB),
    "little left": facts(threshold="200M"),
    "room again": facts(threshold="below", used_bytes=GIB),
    "unlimited": facts(threshold="", limit_bytes=None),
    "unlimited, room again": facts(threshold="below", limit_bytes=None),
    "use unknown": facts(used_bytes=None),
    "use unknown, little left": facts(used_bytes=None, threshold="50M"),
    "nothing known": MailFacts(address="john@example.org", threshold=""),
    "empty": facts(used_bytes=0, messages=0, trash_bytes=0, folders=()),
    "test": facts(test=True),
}


def everything(language: str) -> list[Mail]:
    """All kinds of mails."""
    told = letter(language)
    single = [make(case, told) for case in CASES.values() for make in (compose, compose_copy)]
    return [*single, *(compose_digest(list(CASES.values())[:most], told) for most in (1, None))]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_mail_is_whole(language: str) -> None:
    """Nothing of a template shows, no line is left empty twice, the HTML is sound and loads nothing."""
    for mail in everything(language):
        assert (mail.language, mail.remark) == (language, None)
        for text in (mail.subject, mail.text, mail.html):
            assert not re.search(r"\{\{|\{%|None|&amp;|Undefined", text)
        assert "\n\n\n" not in mail.text
        assert not re.search(r"[ \t]\n", mail.text)
        tags = Tags(mail.html)
        assert not tags.open
        assert not tags.loads
        assert f'<html lang="{language}">' in mail.html


@pytest.mark.parametrize("language", LANGUAGES)
def test_all_languages_have_the_same_texts(language: str) -> None:
    """A text that a language lacks would show only in the mail that uses it."""
    words = {code: re.findall(r"\{% set (\w+)", (BUILT_IN / code / "words.txt").read_text()) for code in LANGUAGES}
    assert words[language] == words["en"]


def test_text_and_html_say_the_same() -> None:
    """All numbers are in both."""
    mail = compose(facts(), letter())
    for part in (mail.text, Tags(mail.html).text):
        for wanted in ("96 % full", "4.8 GiB of 5 GiB (96 %)", "190 MiB", "18,201", "Trash (3,120)", "2.1 GiB",
                       "INBOX (12,000)", "1.9 GiB", "by about 45 MiB a day, it will be full in 9 to 20 days.",
                       "Empty Trash: that frees 2.1 GiB.", "write to postmaster@example.org"):  # fmt: skip
            assert wanted in part


HEADLINES = {
    "near": "Your mailbox john@example.org is 96 % full",
    "full": "Your mailbox john@example.org is full",
    "over": "Your mailbox john@example.org is full",
    "little left": "Only 190 MiB left in your mailbox john@example.org",
    "room again": "There is room again in your mailbox john@example.org",
    "unlimited": "Your mailbox john@example.org has no limit",
    "use unknown": "Your mailbox john@example.org has reached 95 %",
    "use unknown, little left": "Your mailbox john@example.org is filling up",
    "test": "[Test] Your mailbox john@example.org is 96 % full",
}


@pytest.mark.parametrize(("case", "subject"), HEADLINES.items())
def test_the_subject_says_what_it_is_about(case: str, subject: str) -> None:
    """At a glance, and what follows for new mail is in the text."""
    mail = compose(CASES[case], letter())
    assert mail.subject == subject
    assert subject.removeprefix("[Test] ") + "." in mail.text
    assert ("is being refused already" in mail.text) == (case in {"full", "over"})
    assert ("will be refused" in mail.text) == (case not in {"full", "over", "room again", "unlimited"})
    assert ("arrives as usual" in mail.text) == (case == "room again")


def test_nearly_full_is_not_full() -> None:
    """A byte is left."""
    assert compose(facts(used_bytes=5 * GIB - 1), letter()).subject.endswith("is 99 % full")


def test_a_mailbox_that_is_full_meanwhile_gets_no_room_again() -> None:
    """Dovecot's "below" may come late."""
    assert compose(facts(threshold="below", used_bytes=5 * GIB), letter()).subject == HEADLINES["full"]


def test_tests_and_copies_are_marked() -> None:
    """In the subject and above the text."""
    test = compose(facts(test=True), letter())
    assert test.subject.startswith("[Test] ")
    assert "This is a test" in test.text
    copy = compose_copy(facts(), letter("de"))
    assert copy.subject == "[Kopie] Ihr Postfach john@example.org ist zu 96 % voll"
    assert "Kopie für Administratoren der Mail an john@example.org" in copy.text
    assert "Kopie für Administratoren" in copy.html


FORECASTS = {
    (12.2, 9.4, 19.1): "in 9 to 20 days",
    (12.2, 11.9, 11.0): "in about 11 days",
    (12.2, 9.4, None): "in 9 days at the earliest",
    (2.0, 1.2, 900.0): "in 1 day at the earliest",
    (12.2, None, None): "in 12 days at the earliest",
    (0.4, 0.1, 0.9): "within a day",
    (0.4, 0.1, 2.9): "in 1 to 3 days",
}


@pytest.mark.parametrize(("days", "words"), FORECASTS.items(), ids=str)
def test_the_forecast_is_as_honest_as_its_range(days: tuple[float, float, float | None], words: str) -> None:
    assert f"it will be full {words}." in compose(facts(forecast=Forecast(*days)), letter()).text


@pytest.mark.parametrize(
    "change",
    [
        {"forecast": None}, {"forecast": Forecast(None, 3.0, None)}, {"forecast": Forecast(400.0, 300.0, 500.0)},
        {"used_bytes": 5 * GIB}, {"limit_bytes": None}, {"used_bytes": None},
    ],
    ids=str,
)  # fmt: skip
def test_no_forecast_is_better_than_one_of_no_use(change: dict[str, object]) -> None:
    """Not in sight, far away, or reached already."""
    assert "goes on growing" not in compose(facts(**change), letter()).text


def test_growth_need_not_be_known() -> None:
    assert "as it did lately, it will be full" in compose(facts(growth=None), letter()).text
    assert "45 MiB" in compose(facts(growth=Trend(45 * MIB, 0, 0)), letter()).text


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"trash_bytes": 300 * MIB}, True),
        ({"trash_bytes": 100 * MIB}, False),
        ({"trash_bytes": 0}, False),
        ({"trash_bytes": None}, True),  # the folder is known
        ({"trash_bytes": None, "folders": ()}, False),
        ({"trash_bytes": 1, "used_bytes": None}, True),
    ],
    ids=str,
)
def test_emptying_trash_is_advised_where_it_helps(change: dict[str, object], told: bool) -> None:
    assert ("Empty Trash: that frees" in compose(facts(**change), letter()).text) is told


def test_only_the_biggest_folders_are_listed() -> None:
    """Five; a long name is cut."""
    many = tuple(FolderShare(f"Folder {number}", number, GIB) for number in range(9))
    text = compose(facts(folders=many), letter()).text
    assert "Folder 4" in text
    assert "Folder 5" not in text
    assert "x" * 60 + "… (1)" in compose(facts(folders=(FolderShare("x" * 99, 1, 1),)), letter()).text


def test_numbers_in_the_manner_of_the_language() -> None:
    """And times; a region changes nothing."""
    german = compose(facts(), letter("de-AT")).text
    assert all(wanted in german for wanted in ("4,8 GiB von 5 GiB", "18.201", "18.11.2026"))
    french = compose(facts(), letter("fr")).text
    assert all(wanted in french for wanted in ("4,8 GiB sur 5 GiB", "18\u202f201", "18/11/2026"))


@pytest.mark.parametrize(("month", "offset"), [(1, "+0100"), (7, "+0200")])
def test_times_are_those_of_the_clock_on_that_day(month: int, offset: str) -> None:
    """In the text and in the head, whatever the season is now."""
    at = datetime(2026, month, 10, 18, 0, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
    with in_zone("Europe/Berlin"):
        mail = compose(facts(), msgspec.structs.replace(letter(), at=at))
    assert f"by the mail server on 2026-{month:02}-10 18:00." in mail.text
    assert f"2026 18:00:00 {offset}" in message_from_bytes(mail.message)["Date"]


def test_the_digest_names_the_fullest_and_counts_the_rest() -> None:
    """10,000 at once are one short mail."""
    crowd = [facts(address=f"u{number}@example.org", used_bytes=number * 536871) for number in range(10_000)]
    mail = compose_digest(crowd, letter())
    rows = [line for line in mail.text.split("\n") if "@example.org" in line]
    assert mail.subject == "Warnings for 10,000 mailboxes"
    assert len(rows) == mail.html.count("@example.org</td>") == 50
    assert re.fullmatch(r"   99 %     5 GiB / 5 GiB      u9999@example.org  \(95 %\)", rows[0])
    assert "and 9,950 more" in mail.text
    assert "and 9,950 more" in mail.html


def test_the_digest_says_what_each_is_about() -> None:
    """Every kind of threshold."""
    text = compose_digest(list(CASES.values()), letter()).text
    for ending in ("(95 %)", "(< 200 MiB)", "(room again)", "(–)"):  # noqa: RUF001  the dash of an empty cell
        assert f"john@example.org  {ending}\n" in text
    assert compose_digest([facts()], letter()).subject == "Warning for a mailbox: john@example.org"


def test_the_docs_name_all_that_templates_can_use() -> None:
    """Variables and filters, in the tables of docs/warnings.md, and no others."""
    warning = warning_variables(facts(), postmaster="", at=0.0, copy=False)
    digest = digest_variables([facts()], postmaster="", at=0.0)
    page = (Path(__file__).parents[3] / "docs" / "warnings.md").read_text()
    for head, names in (("in `warning`", warning), ("in `digest`", digest), ("filter", filters("en"))):
        rows = page.partition(f"| {head}")[2].partition("\n\n")[0].split("\n")[2:]
        documented = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}
        assert documented - {"language"} == set(names)
    for name in (*warning["folders"][0], *digest["accounts"][0]):
        assert f"`{name}`" in page
