"""What each parser must hold, whatever the bytes are: it raises nothing but its declared error, and its results fit.

An input is the text itself. Where a parser reads two (settings and a file that they name, a map and its answer), they
are separated by a NUL.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Iterator

from mailquota.core.base.errors import MailquotaError, ProtocolError
from mailquota.core.base.programs import FileText
from mailquota.core.control.framing import EventReader, OrderReader, encode
from mailquota.core.control.messages import Request
from mailquota.core.mailboxes.maildirsize import MAX_BYTES, is_over, parse
from mailquota.core.policy.aliases import AliasMap
from mailquota.core.policy.map_answers import NotKnownError
from mailquota.core.policy.protocol import MAX_REQUEST, TURN, RequestReader, question, text_attribute
from mailquota.core.policy.recipient import user_name
from mailquota.core.policy.rewriting import RewritingResolver
from mailquota.core.servers.dovecot.conf import (
    dovecot_version,
    is_whole,
    parse_doveconf,
    path_template,
    quota_grace,
    status_answers,
    trash_names,
)
from mailquota.core.servers.dovecot.followed import dovecot_settings
from mailquota.core.servers.dovecot.given_limits import HIGHEST, given_limits
from mailquota.core.servers.dovecot.inbox_limits import largest_mail
from mailquota.core.servers.dovecot.quota import choose_driver, unenforced
from mailquota.core.servers.dovecot.quota_rows import mailbox_sizes, quotas, table_rows
from mailquota.core.servers.mail_log.blocks import telling_lines
from mailquota.core.servers.mail_log.lines import LONGEST, line_time, parse_entry, parse_line
from mailquota.core.servers.postfix.maps import (
    database_maps,
    database_url,
    main_cf_map,
    main_cf_password,
    map_query,
    parse_map_file,
    with_options,
)
from mailquota.core.servers.postfix.restrictions import entries, our_check, place, policy_check, without
from mailquota.core.servers.postfix.rewriting import PARAMETERS, Tables, asks_us, rewriting_maps

LONGEST_INPUT = 64 * 1024
NOW = 1_760_000_000.0
_SERVICE = "unix:private/mailquota"
_libc = ctypes.CDLL(None)


def _two(data: bytes) -> tuple[str, str]:
    first, _, second = data.partition(b"\0")
    return first.decode(errors="replace"), second.decode(errors="replace")


def _requests(reader: RequestReader, parts: list[bytes]) -> Iterator[bytes]:
    for part in parts:
        yield from reader.feed(part)
        while reader.more:
            found = reader.take()
            assert len(found) <= TURN
            yield from found
        assert reader.held <= MAX_REQUEST + len(part)


def _halves(data: bytes) -> list[bytes]:
    return [data[: len(data) // 2], data[len(data) // 2 :]]


def policy(data: bytes) -> None:
    """However they are cut, the same requests come out, and each is a question. Declared: ProtocolError."""
    outcomes: list[list[bytes] | None] = []
    for parts in ([data], _halves(data)):
        found: list[bytes] = []
        try:
            found += _requests(RequestReader(), parts)
        except ProtocolError:
            outcomes.append(None)
        else:
            outcomes.append(found)
    assert None in outcomes or outcomes[0] == outcomes[1]
    for request in outcomes[0] or ():
        asked = question(request)
        assert 0 <= asked.size < 2**64
        assert b"\n" not in asked.recipient
        name = user_name(asked.recipient, "+-")
        assert name is None or (name.isprintable() and len(name) <= len(asked.recipient))
        assert len(text_attribute(request, "helo_name").encode()) <= 3000


def _messages(reader: OrderReader | EventReader, parts: list[bytes]) -> tuple[list[str], bool]:
    found: list[str] = []
    try:
        for part in parts:
            for message in reader.feed(part):
                found.append(repr(message))
                if isinstance(message, Request):
                    again = list(OrderReader().feed(encode(message)))
                    assert list(map(repr, again)) == [repr(message)]
    except ProtocolError:
        return found, True
    return found, False


def control(data: bytes) -> None:
    """Both directions; what is an order can be sent again as it is. Declared: ProtocolError."""
    for kind in (OrderReader, EventReader):
        assert _messages(kind(), [data]) == _messages(kind(), _halves(data))


def maildirsize(data: bytes) -> None:
    """The sums are those that Dovecot's own function of C gives: sscanf("%lld %d") of each line."""
    size = parse(data)
    whole = data[: data.rfind(b"\n") + 1]
    if len(data) >= MAX_BYTES or len(whole) < 2 or b"\0" in whole:
        assert size is None
        return
    used, messages = ctypes.c_longlong(0), ctypes.c_int(0)
    for line in whole[:-1].split(b"\n")[1:]:
        more, mails = ctypes.c_longlong(0), ctypes.c_int(0)
        if _libc.sscanf(line, b"%lld %d", ctypes.byref(more), ctypes.byref(mails)) != 2:
            assert size is None
            return
        used.value += more.value
        messages.value += mails.value
    if used.value < 0 or messages.value < 0:
        assert size is None
        return
    assert size is not None
    assert (size.used, size.messages) == (used.value, messages.value)
    assert size.limit != 0
    is_over(size)


def mail_log(data: bytes) -> None:
    """Lines of files, and entries of the journal. What is shown prints, and has a bounded length."""
    for line in [*data.split(b"\n"), *telling_lines(data + b"\n")]:
        at = line_time(line, NOW)
        event = parse_line(line, NOW)
        _, entry = parse_entry(line)
        assert event is None or (at == event.at and len(line) <= LONGEST)
        for one in filter(None, (event, entry)):
            texts = (one.subject, one.text, one.sender, one.client, one.alias, one.limit)
            assert all(text.isprintable() for text in texts)


def doveconf(data: bytes) -> None:
    """Settings, and the text of each file that they name; as what doveadm prints, MailquotaError is declared."""
    text, file = _two(data)
    settings = dovecot_settings(text, lambda _path: FileText(file))
    choose_driver(settings.quota, doveadm=True)
    unenforced(settings.quota)
    conf, modern = parse_doveconf(text), dovecot_version(text) >= (2, 4)
    assert largest_mail(conf, modern=modern) >= 0
    quota_grace(text)
    status_answers(text)
    is_whole(text)
    path_template(file, modern=modern)
    assert all(trash_names(text)) or "mailbox" in text
    given = given_limits(conf, modern=modern, query=file, sqlite=len(file) % 2 == 0)
    limits = given.of(dict.fromkeys(given.columns, "7"))
    assert limits.size is None or 0 < limits.size <= HIGHEST
    rows = list(table_rows(file.splitlines()))
    for read in (lambda: list(quotas(rows)), lambda: mailbox_sizes(rows)):
        with contextlib.suppress(MailquotaError):
            read()


def _is_whole(text: str) -> bool:
    """Whether what is put behind it is an entry of its own: no brace is open, no restriction lacks its argument."""
    return entries(f"{text}, permit")[-1:] == entries("permit")


def postconf(data: bytes) -> None:
    """Settings of Postfix, restriction lists and main.cf; a list that mailquota was put into has it once."""
    text, file = _two(data)
    values = parse_map_file(text)
    asks_us(values, ["unix:/var/spool/postfix/private/mailquota", "inet:127.0.0.1:12345"])
    for value in [values[name] for name in PARAMETERS if name in values]:
        found = entries(value)
        for entry in found:
            policy_check(entry)
        if _is_whole(value):  # Postfix does not start with anything else
            placed = entries(place(value, _SERVICE))
            ours = [str(entry) for entry in placed if entry == entries(our_check(_SERVICE))[0]]
            assert len(ours) == 1
            assert entries(without(", ".join(map(str, placed)), {_SERVICE})) == entries(without(value, {_SERVICE}))
    main_cf_password(text, "mailserver", "mailserver")
    for kind, name in database_maps(values.get("virtual_alias_maps", "")):
        database_url(kind, with_options(main_cf_map(text, name), file))


def maps(data: bytes) -> None:
    """The file of a map, what it answers, and where a mail goes by it. Declared: NotKnownError."""
    text, answer = _two(data)
    values = parse_map_file(text)
    map_query(values)
    database_url("mysql", with_options(values, answer))
    read = {name: values.get(name, "") for name in PARAMETERS} | {"mydestination": "a.org", "recipient_delimiter": "+"}
    rewriting = rewriting_maps(read, Tables("ispmail", "mysql", "mailserver"), lambda _path: FileText(text))
    for lookup in rewriting.lookups:
        assert lookup.asked
    table = AliasMap((), accounts={"john@a.org"})
    resolver = RewritingResolver(rewriting, table, "+", "john@a.org".__eq__, "a.org".__eq__)
    for recipient in ("john@a.org", "info+x@a.org"):
        try:
            ends = resolver.resolve(recipient, lambda _name, key: answer if len(key) % 3 else None)
            ends += resolver.copies(recipient, lambda _name, _key: answer)
        except NotKnownError:
            continue
        assert len({end.address for end in ends}) <= 3 * rewriting.most_addresses + 3


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (policy, control, maildirsize, mail_log, doveconf, postconf, maps)
}
