"""The HTTP API, against a server that gives the recorded answers of both versions."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mailquota.core.base.errors import MailquotaError, NoSuchAccountError, UnreachableError
from mailquota.core.servers.dovecot.doveadm_http import HttpDoveadm
from mailquota.core.servers.dovecot.quota_rows import MailboxSize, Quota, QuotaLimits
from tests.mailserver.ports import free_port

DATA = Path(__file__).parents[3] / "data"
JANE, JOHN = "jane@example.org", "john@example.org"
KEY, PASSWORD = "X-Dovecot-API Q2hhbmdlTWU=", "Basic ZG92ZWFkbTpDaGFuZ2VNZQ=="


class Recorded(ThreadingHTTPServer):
    """Answers as it was recorded for the same command and parameters, whatever the tag."""

    def __init__(self, version: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.accepted = {KEY, PASSWORD}
        self.asked: list[Any] = []
        self.ways: list[str] = []
        self.answers: dict[str, tuple[int | None, str]] = {}
        for case in json.loads((DATA / f"dovecot-{version}/http-api.json").read_text()):
            request, response = case["request"], case["response"]
            if request["method"] == "POST" and request["headers"].get("Authorization") == KEY:
                self.answers.setdefault(_words(request["body"]), (response["status"], response["body"]))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


def _words(body: str) -> str:
    """The body without its tag."""
    try:
        return json.dumps([call[:2] for call in json.loads(body)], sort_keys=True)
    except (ValueError, TypeError):
        return body


class _Handler(BaseHTTPRequestHandler):
    server: Recorded

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.asked.append(json.loads(body)[0][:2])
        self.server.ways.append(self.headers["Authorization"])
        if self.headers["Authorization"] not in self.server.accepted:
            self._say(401, "")
            return
        status, answer = self.server.answers.get(_words(body), (200, '[["doveadmResponse",[],"t1"]]'))
        if status is not None:
            self._say(status, answer)

    def _say(self, status: int, text: str) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing on the screen."""


@pytest.fixture(params=["2.3", "2.4"])
def server(request: pytest.FixtureRequest) -> Iterator[Recorded]:
    with Recorded(request.param) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def doveadm(server: Recorded) -> HttpDoveadm:
    return HttpDoveadm(server.url + "/", "ChangeMe")


def test_quotas(doveadm: HttpDoveadm) -> None:
    assert doveadm.quota("full@example.org") == Quota(6, 2, QuotaLimits(5, None))
    assert doveadm.quota("postmaster@example.org").messages == 3
    everybody = dict(doveadm.quota_all())
    assert everybody["full@example.org"] == Quota(6, 2, QuotaLimits(5, None))
    assert len(everybody) == 6


def test_mailboxes(doveadm: HttpDoveadm) -> None:
    sizes = doveadm.sizes(JANE)
    assert MailboxSize("Archive.2024", 1, 650139) in sizes
    assert "Entwürfe" in doveadm.mailboxes(JANE)
    assert "Archive" not in {size.name for size in sizes}


def test_changes(doveadm: HttpDoveadm, server: Recorded) -> None:
    """The words are those of the recording; the messages are named one by one."""
    doveadm.recalc(JOHN)
    doveadm.expunge(JANE, "Trash", [3, 1])
    assert server.asked == [
        ["quotaRecalc", {"user": JOHN}],
        ["quotaGet", {"user": JOHN}],
        ["expunge", {"user": JANE, "query": ["mailbox", "Trash", "uid", "1,3"]}],
    ]


def test_trash(doveadm: HttpDoveadm, server: Recorded) -> None:
    call = {"user": JANE, "field": ["uid", "size.physical", "date.saved.unixtime"], "query": ["mailbox", "Trash"]}
    row = {"uid": "1", "size.physical": "192130", "date.saved.unixtime": "1795335706"}
    for ages in (["all"], ["savedbefore", "1800000000"]):
        words = _words(json.dumps([["fetch", call | {"query": ["mailbox", "Trash", *ages]}, "t"]]))
        server.answers[words] = 200, json.dumps([["doveadmResponse", [row], "t"]])
    for before in (None, 1_800_000_000.9):
        (message,) = doveadm.trash(JANE, "Trash", before)
        assert (message.uid, message.size, message.saved) == (1, 192130, 1795335706.0)
    words = _words(json.dumps([["fetch", call | {"query": ["mailbox", "Gone", "all"]}, "t"]]))
    server.answers[words] = 200, '[["error",{"type":"exitCode","exitCode":68},"t"]]'
    assert doveadm.trash(JANE, "Gone", None) == []


def test_received(doveadm: HttpDoveadm, server: Recorded) -> None:
    """Sizes and dates; a mailbox that is not there is an error."""
    fields = ["size.virtual", "date.received.unixtime"]
    for folder, answer in (
        ("Sent", '[["doveadmResponse",[{"size.virtual":"192","date.received.unixtime":"1795335706"}],"t"]]'),
        ("Odd", '[["doveadmResponse",[{"size.virtual":"192"}],"t"]]'),
        ("Gone", '[["error",{"type":"exitCode","exitCode":68},"t"]]'),
    ):
        call = {"user": JANE, "field": fields, "query": ["mailbox", folder, "all"]}
        server.answers[_words(json.dumps([["fetch", call, "t"]]))] = 200, answer
    assert list(doveadm.received(JANE, "Sent", virtual=True)) == [(192, 1795335706.0)]
    for folder in ("Odd", "Gone"):
        with pytest.raises(MailquotaError):
            list(doveadm.received(JANE, folder, virtual=True))


def test_no_such_user(doveadm: HttpDoveadm) -> None:
    for call in (doveadm.quota, doveadm.recalc):
        with pytest.raises(NoSuchAccountError):
            call("nobody@example.org")


@pytest.mark.parametrize("way", [KEY, PASSWORD])
def test_the_secret_is_a_key_or_a_password(doveadm: HttpDoveadm, server: Recorded, way: str) -> None:
    """What was accepted once is not tried again."""
    server.accepted = {way}
    doveadm.quota(JOHN)
    doveadm.quota(JOHN)
    assert server.ways[-2:] == [way, way]
    assert len(server.ways) == 2 + (way == PASSWORD)


def test_a_wrong_secret(server: Recorded) -> None:
    with pytest.raises(MailquotaError, match=r"does not accept .*doveadm_password_file"):
        HttpDoveadm(server.url, "wrong").quota(JOHN)


def test_no_answer(doveadm: HttpDoveadm, server: Recorded) -> None:
    """A connection that is closed is a request that Dovecot's worker did not survive, not a server that is down."""
    server.answers[_words(json.dumps([["quotaGet", {"user": JOHN}, "t"]]))] = None, ""
    with pytest.raises(MailquotaError, match="without an answer") as caught:
        doveadm.quota(JOHN)
    assert not isinstance(caught.value, UnreachableError)
    with pytest.raises(UnreachableError, match="does not answer"):
        HttpDoveadm(f"http://127.0.0.1:{free_port()}", "ChangeMe").quota(JOHN)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((400, "JSON parse error: \x1b[31m"), MailquotaError),
        ((404, "Path Not Found\n"), MailquotaError),
        ((200, "[]"), MailquotaError),
        ((200, '[["error",{"type":"unknownMethod","exitCode":0},"t"]]'), MailquotaError),
        ((200, '[["error",{"type":"exitCode","exitCode":75},"t"]]'), UnreachableError),
        ((200, '[["doveadmResponse",{"userList":[]},"t"]]'), MailquotaError),
    ],
)
def test_failures(doveadm: HttpDoveadm, server: Recorded, answer: tuple[int, str], kind: type[Exception]) -> None:
    server.answers[_words(json.dumps([["quotaRecalc", {"user": JOHN}, "t"]]))] = answer
    with pytest.raises(kind) as caught:
        doveadm.recalc(JOHN)
    assert type(caught.value) is kind


@pytest.mark.parametrize("result", ['"text"', "[1]", '[{"root": 1}]', "null"])
def test_an_answer_of_another_form(doveadm: HttpDoveadm, server: Recorded, result: str) -> None:
    words = _words(json.dumps([["quotaGet", {"user": JOHN}, "t"]]))
    server.answers[words] = 200, f'[["doveadmResponse",{result},"t"]]'
    with pytest.raises(MailquotaError, match="not understood"):
        doveadm.quota(JOHN)
