"""Finished mails, read back: their heads whatever comes in, their lines, their parts."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailquota.core.alerts import mime
from mailquota.core.alerts.facts import FolderShare
from mailquota.core.alerts.message import compose, compose_copy, compose_digest
from mailquota.core.base.errors import UsageError
from tests.core.alerts.letters import AT, Tags, facts, letter, parsed

HEADERS = {
    "From", "To", "Message-ID", "Subject", "Date", "Auto-Submitted", "Precedence", "X-Auto-Response-Suppress",
    "MIME-Version", "Content-Type",
}  # fmt: skip
OUR_TAGS = {
    "html", "head", "meta", "title", "body", "table", "tr", "td", "p", "strong", "ul", "li"
}  # fmt: skip
HOSTILE = (
    "<script>alert(1)</script>", "{{ 7 * 7 }}", "{% for a in b %}", "a\r\nBcc: eve@example.com", "\x1b[31mred", "\0",
    "\u202egpj.exe", "\udce9t\udce9", "' onload='x", '"><img src=x>', "&lt;", "\u2028",
)  # fmt: skip


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The time zone of this machine."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


def test_the_head_is_complete(in_berlin: None) -> None:
    """Every header once; the date is local and has its zone."""
    mail = compose(facts(), letter())
    read = parsed(mail.message)
    assert sorted(read.keys()) == sorted(HEADERS)
    assert str(read["From"]) == "postmaster@example.org"
    assert str(read["To"]) == "john@example.org"
    assert str(read["Message-ID"]) == "<1.a@example.org>"
    assert str(read["Subject"]) == mail.subject == "Your mailbox john@example.org is 96 % full"
    assert str(read["Date"]) == "Wed, 18 Nov 2026 12:06:40 +0100"
    assert read["Date"].datetime == datetime.fromtimestamp(AT, UTC)
    assert str(read["Auto-Submitted"]) == "auto-generated"
    assert str(read["Precedence"]) == "bulk"
    assert str(read["X-Auto-Response-Suppress"]) == "All"
    assert "2026-11-18 12:06" in mail.text


def test_it_has_text_and_html() -> None:
    """Alternatives in UTF-8, the text first; they are what ``Mail`` says."""
    mail = compose(facts(), letter("fr"))
    read = parsed(mail.message)
    assert read.get_content_type() == "multipart/alternative"
    text, html = read.iter_parts()
    assert [part.get_content_type() for part in (text, html)] == ["text/plain", "text/html"]
    assert [part.get_content_charset() for part in (text, html)] == ["utf-8", "utf-8"]
    assert (text.get_content(), html.get_content()) == (mail.text, mail.html)
    assert "boîte" in mail.text


@pytest.mark.parametrize("language", ["en", "de", "fr"])
def test_lines_end_in_lf_and_are_short(language: str) -> None:
    """However long the names are that go in."""
    long = FolderShare("Ärchiv/" * 500, 1, 1)
    mail = compose(facts(address="x" * 800 + "@example.org", folders=(long,) * 9), letter(language))
    assert b"\r" not in mail.message
    assert mail.message.endswith(b"\n")
    assert max(map(len, mail.message.split(b"\n"))) <= 998
    assert mail.message.isascii()


ODD_ADDRESSES = {
    "o'brien+x@example.org": "o'brien+x@example.org",
    "jürgen@müller.example": "jürgen@müller.example",
    "a..b@example.org": '"a..b"@example.org',
    'a "b\\c@example.org': '"a \\"b\\\\c"@example.org',
    "eve@x, john@example.org": '"eve@x, john"@example.org',
    "(a)<b>@example.org": '"(a)<b>"@example.org',
    "=?utf-8?q?a?=@example.org": "=?utf-8?q?a?=@example.org",
    "a b " * 50 + "@example.org": '"' + "a b " * 50 + '"@example.org',
}


@pytest.mark.parametrize(("address", "header"), ODD_ADDRESSES.items(), ids=repr)
def test_odd_addresses_stand_in_the_head_as_they_must(address: str, header: str) -> None:
    """In quotes where they need them, on one line, not encoded: an address is no text."""
    head = compose(facts(address=address), letter(to=address)).message.decode().partition("\n\n")[0]
    assert f"To: {header}" in head.split("\n")


@pytest.mark.parametrize(
    "address",
    [
        "a\r\nBcc: eve@example.com", "a@example.org\nBcc: eve@example.com", "a\0@example.org", "a@exa\x1bmple.org",
        "a@b,eve@c,d", "a@b>", "a@b c", "a", "@b", "a@", "", "a\u202e@b", "\udce9@b", "ü" * 450 + "@b", "a\x85b@c",
    ],
    ids=repr,
)  # fmt: skip
def test_an_address_that_would_be_more_is_refused(address: str) -> None:
    """As the recipient and as the sender, with what was read and what is expected."""
    for change in ({"to": address}, {"sender": address}):
        with pytest.raises(UsageError, match="can't stand in the head of a mail; expected"):
            compose(facts(), letter(**change))


def test_a_mail_about_an_account_with_a_hostile_name() -> None:
    """Administrators get their copy and their digest: there it is only shown."""
    bad = facts(address="a\r\nBcc: eve@example.com")
    for mail in (compose_copy(bad, letter()), compose_digest([bad, facts()], letter())):
        assert set(parsed(mail.message).keys()) == HEADERS
        assert "a\\r\\nBcc: eve@example.com" in mail.text


@given(st.text(), st.text(), st.text())
@example("a@b\nX: y", "a@b", "<a@b>")
@example("a@b", "a@b", "<a@b>\nX: y")
def test_no_text_makes_another_header(to: str, sender: str, message_id: str) -> None:
    """Refused, or the same headers as ever."""
    try:
        message = build(to=to, sender=sender, message_id=message_id)
    except UsageError:
        return
    assert set(parsed(message).keys()) == HEADERS


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=70))
def test_any_local_part_is_one_header(local: str) -> None:
    """Those that are taken come back whole from their quotes."""
    try:
        message = build(to=f"{local}@example.org")
    except UsageError:
        return
    (line,) = [line for line in message.decode().partition("\n\n")[0].split("\n") if line.startswith("To: ")]
    read = line.removeprefix("To: ").removesuffix("@example.org")
    if read.startswith('"'):
        read = read[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    assert read == local


@given(st.lists(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1), min_size=1, max_size=9))
@example(["¡ࠀ", "00¡¡¡¡¡ࠀ", "00¡¡¡¡¡¡¡¡¡", "¡", "¡"])
@example(["=?utf-8?q?a?="])
@example(["word"] * 50)
def test_a_subject_comes_back(words: list[str]) -> None:
    """In encoded words where it needs them, over several lines where it is long."""
    subject = " ".join(words)[:200].strip()
    message = build(subject=subject)
    assert set(parsed(message).keys()) == HEADERS
    assert message.partition(b"\n\n")[0].isascii()
    assert str(parsed(message)["Subject"]) == subject


def build(**changes: str) -> bytes:
    """A mail with these headers."""
    values = {"sender": "a@b", "to": "a@b", "message_id": "<a@b>", "subject": "s", "text": "t\n", "html": "<p>t</p>"}
    return mime.build(at=AT, **values | changes)


@pytest.mark.parametrize("hostile", HOSTILE, ids=repr)
@pytest.mark.parametrize("language", ["en", "de", "fr"])
def test_what_others_named_is_shown_and_does_nothing(hostile: str, language: str) -> None:
    """In every text that comes from outside, in all kinds of mail."""
    hurt = facts(address=f"{hostile}@example.org", folders=(FolderShare(hostile, 1, 1),))
    told = letter(language)
    mails = [compose(hurt, told), compose_copy(hurt, told), compose_digest([hurt] * 2, told)]
    mails.append(compose(facts(address=f"{hostile}@example.org", threshold="below"), told))
    for mail in mails:
        read = parsed(mail.message)
        assert set(read.keys()) == HEADERS
        tags = Tags(mail.html)
        assert tags.seen <= OUR_TAGS
        assert not tags.loads
        for text in (mail.subject, *mail.text.split("\n"), *mail.html.split("\n")):
            assert text.replace("\u202f", " ").isprintable()
        if hostile.isprintable():
            assert hostile in mail.text
            assert hostile in tags.text
    assert mails[0].remark is None


def test_jinja_is_loaded_by_the_first_mail_and_not_before() -> None:
    """An engine that sends none does without it, and without the email package."""
    code = (
        "import sys, mailquota.core.alerts.message as m\n"
        "from mailquota.core.alerts.facts import MailFacts\n"
        "heavy = {'jinja2', 'email'}\n"
        "print(sorted(heavy & sys.modules.keys()))\n"
        "m.compose(MailFacts(address='a@b', threshold='80%', used_bytes=8, limit_bytes=10),"
        " m.Letter(sender='a@b', to='a@b', at=0.0, message_id='<a@b>',"
        " language='en'))\n"
        "print(sorted(heavy & sys.modules.keys()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "['email', 'jinja2']"]
