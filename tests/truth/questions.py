"""Generated policy requests about a mailbox: what Postfix sends, and what else a client might."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from tests.truth.mailboxes import Mailbox, mailboxes

STATES = [
    None, b"rcpt", b"RcPt", b"END-OF-MESSAGE", b"end-of-message", b"CONNECT", b"EHLO", b"HELO", b"MAIL", b"DATA",
    b"BDAT", b"VRFY", b"ETRN", b"", b" RCPT", b"RCPT ", b"x",
]  # fmt: skip
ODD_SIZES = [
    b"", b"0", b"1", b"-1", b"+1", b" 1", b"1 ", b"1e3", b"abc", b"0x10", b"007", b"1.5", b"9223372036854775807",
    b"9223372036854775808", b"18446744073709551615", b"18446744073709551616", b"99999999999999999999999",
]  # fmt: skip
# USER stands for the local part, which a case learns when it is laid out; in capitals for the same in capitals.
USER, DOMAIN = b"{user}", b"truth.example"


@dataclass(frozen=True)
class Case:
    """A mailbox and one question about it; ``lines`` are those of the request."""

    mailbox: Mailbox
    lines: tuple[bytes, ...]

    def request(self, user: str) -> bytes:
        """On the wire, about the account that has this mailbox."""
        text = b"".join(line + b"\n" for line in self.lines) + b"\n"
        return text.replace(USER, user.encode()).replace(USER.upper(), user.upper().encode())


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Half of them plain, half of them odd in one way or more."""
    mailbox = draw(mailboxes())
    plain = draw(st.booleans())
    lines = [b"recipient=" + draw(_recipients(plain=plain))]
    state = b"RCPT" if plain else draw(st.sampled_from([b"RCPT"] * 10 + STATES))
    if state is not None:
        lines.append(b"protocol_state=" + state)
    size = draw(_sizes(mailbox, plain=plain))
    if size is not None:
        lines.append(b"size=" + size)
    if not plain:
        lines += draw(st.lists(_extra(), max_size=3))
        lines = draw(st.permutations(lines))
    return Case(mailbox, (b"request=smtpd_access_policy", *lines))


def _sizes(mailbox: Mailbox, *, plain: bool) -> st.SearchStrategy[bytes | None]:
    """None: not sent. Most are where the answer changes, for the use on disk and the one that is claimed."""
    limit, free = mailbox.limit, mailbox.limit - mailbox.held
    edges = {0, 1, limit, free, free + limit // 10, free + 1024, free + 10 * 2**20, limit + limit // 10}
    near = sorted({max(0, edge + step) for edge in edges for step in (-1, 0, 1)})
    number = st.one_of(st.sampled_from(near), st.sampled_from(near), st.integers(0, 2 * limit + 10))
    known = number.map(lambda size: b"%d" % size)
    return known if plain else st.one_of(known, known, st.sampled_from([None, *ODD_SIZES]))


def _recipients(*, plain: bool) -> st.SearchStrategy[bytes]:
    user, domain = USER, DOMAIN
    here = user + b"@" + domain
    if plain:
        return st.sampled_from([here] * 8 + [user + b"+tag@" + domain, b"nobody-here@" + domain, here.upper()])
    tag = st.binary(max_size=6).map(_harmless)
    spelled = st.sampled_from([
        here, b"<" + here + b">", b'"' + user + b'"@' + domain, user + b"@TRUTH.Example", user + b"+@" + domain,
        b"<@a.example:" + here + b">", b'"' + user + b'+x"@' + domain, user + b"-tag@" + domain, user, b"@" + domain,
        b"", here + b".", here + b" ", b" " + here, b"<" + here, here + b">", here + b",x@y.example",
        user + b"@other.example", b'"' + user + b"@" + domain, user + b"@@" + domain, b"x@" + here,
        b'"\\' + user + b'"@' + domain, b"<>",
    ])  # fmt: skip
    tagged = tag.map(lambda text: user + b"+" + text + b"@" + domain)
    broken = st.builds(lambda text, at: here[:at] + text + here[at:], tag, st.integers(0, len(here)))
    return st.one_of(spelled, spelled, tagged, broken, st.binary(max_size=30).map(_harmless))


def _harmless(text: bytes) -> bytes:
    """Without what ends a line or, to Dovecot, a text: Postfix never sends those."""
    return text.translate(None, b"\n\r\0")


def _extra() -> st.SearchStrategy[bytes]:
    """Further attributes, some of them a second time."""
    here = USER + b"@" + DOMAIN
    return st.one_of(
        st.sampled_from([
            b"recipient=", b"recipient=" + here, b"recipient=other@" + DOMAIN, b"size=1", b"size=x", b"size=5000000",
            b"protocol_state=RCPT", b"protocol_state=DATA", b"sender=a@b.example", b"stress=", b"no equals sign", b"=",
            b"xrecipient=" + here, b"recipient =" + here, b"Size=7", b"sender=size=9", b"recipient", b"size",
        ]),
        st.binary(min_size=1, max_size=20).map(lambda text: b"x=" + _harmless(text)),
    )  # fmt: skip
