"""Metrics for Prometheus: the figures, the server, and who may not hold it up."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mailquota.core.base.version import version
from mailquota.core.control.messages import Reload
from mailquota.core.engine import exporter
from mailquota.core.engine.serve import Embedded
from tests.core.clients import PolicyClient, until
from tests.core.engines import console, embedded, ended, inner, measured
from tests.core.worlds import FULL, JOHN, SmallWorld
from tests.mailserver.ports import free_port

DOCS = Path(__file__).parents[3] / "docs" / "metrics.md"

Samples = dict[tuple[str, str], float]


@pytest.fixture
def port(small_world: SmallWorld) -> int:
    """Of metrics that the settings switch on."""
    found = free_port()
    switch(small_world, found)
    return found


def switch(world: SmallWorld, port: int | None) -> None:
    """Put it into the settings; None switches off."""
    world.settings["metrics"] = {"listen": f"127.0.0.1:{port}" if port else ""}
    world.write_settings()


@pytest.fixture
def measuring(small_world: SmallWorld, port: int) -> Iterator[Embedded]:
    """An engine whose metrics can be read."""
    with embedded(small_world) as engine:
        until(lambda: listens(port), "the metrics are there")
        yield measured(engine)


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def page(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        found: str = answer.read().decode()
        return found


def samples(port: int) -> Samples:
    """Each by its name and its label's value, "" without one."""
    return {
        (sample.name, "".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(page(port))
        for sample in family.samples
    }


def raw(port: int, request: bytes) -> bytes:
    """What a client gets for its bytes, until the server closes."""
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        client.sendall(request)
        parts = []
        while part := client.recv(65536):
            parts.append(part)
    return b"".join(parts)


# ---- the figures


def test_the_figures_are_those_of_the_engine(measuring: Embedded, small_world: SmallWorld, port: int) -> None:
    with PolicyClient(small_world.policy_socket) as postfix:
        for recipient in (JOHN, FULL, FULL):
            postfix.ask(recipient)
        until(lambda: samples(port)["mailquota_requests_total", "refused"] == 2, "the figures are new")
        found = samples(port)
    assert found["mailquota_requests_total", "accepted"] == 1
    assert found["mailquota_requests_total", "trouble"] == 0
    assert found["mailquota_answer_seconds_count", ""] == 3
    assert found["mailquota_answer_seconds_bucket", "+Inf"] == 3
    assert 0 < found["mailquota_answer_seconds_sum", ""] < 60
    levels = {level: found["mailquota_accounts", level] for level in ("ok", "near", "critical", "over", "unlimited")}
    assert levels == {"ok": 2, "near": 1, "critical": 0, "over": 1, "unlimited": 1}
    assert (found["mailquota_used_bytes", ""], found["mailquota_granted_bytes", ""]) == (30_100, 40_000)
    assert found["mailquota_unused_bytes", ""] == 12_000
    assert found["mailquota_build_info", version()] == 1
    assert (found["mailquota_enforcing", ""], found["mailquota_accounts_database_up", ""]) == (1, 1)
    assert found["process_resident_memory_bytes", ""] > 1e6


def test_the_buckets_grow_and_end_at_all(measuring: Embedded, small_world: SmallWorld, port: int) -> None:
    """Each holds what the one before it holds."""
    with PolicyClient(small_world.policy_socket) as postfix:
        for _ in range(50):
            postfix.ask(JOHN)
    until(lambda: samples(port)["mailquota_answer_seconds_count", ""] == 50, "the figures are new")
    buckets = sorted((float(le), n) for (name, le), n in samples(port).items() if name.endswith("_bucket"))
    assert [count for _, count in buckets] == sorted(count for _, count in buckets)
    assert buckets[-1] == (float("inf"), 50)


def test_a_database_that_went_away_shows(measuring: Embedded, small_world: SmallWorld, port: int) -> None:
    small_world.database.rename(small_world.folder / "away")
    until(lambda: samples(port)["mailquota_accounts_database_up", ""] == 0, "it is missed")


def test_no_figure_is_of_a_single_account(measuring: Embedded, port: int) -> None:
    """Addresses are people's, and a series each would be thousands."""
    assert "@" not in page(port)
    assert "example" not in page(port)


def test_the_docs_have_each_metric_and_no_other(measuring: Embedded, port: int) -> None:
    """With its type; by the name that a query needs. Just after the start some are not known yet."""
    until(lambda: "age_seconds" in page(port) and "disk_free" in page(port), "all are known")
    shown = {
        (f"{family.name}_total" if family.type == "counter" else family.name, family.type)
        for family in text_string_to_metric_families(page(port))
    }
    documented = re.findall(r"^\| `([a-z_]+)(?:\{[a-z]+\})?` \| ([a-z]+) \|", DOCS.read_text(), re.MULTILINE)
    assert sorted(documented) == sorted(shown)


def test_the_rules_in_the_docs_ask_for_what_there_is() -> None:
    """Every metric that an example names is documented."""
    text = DOCS.read_text()
    rules = text.rpartition("```yaml")[2]
    named = set(re.findall(r"\bmailquota_[a-z_]+", rules))
    assert named
    assert {re.sub(r"_(bucket|count|sum)$", "", name) for name in named} <= set(re.findall(r"`([a-z_]+)", text))


# ---- the server


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET /metrics?x=1 HTTP/1.0\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\n\r\n", 404),
        (b"GET /metrics/../etc/passwd HTTP/1.1\r\n\r\n", 404),
        (b"POST /metrics HTTP/1.1\r\n\r\n", 405),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
        (b"request=smtpd_access_policy\r\n\r\n", 400),
    ],
)
def test_requests(measuring: Embedded, port: int, request_: bytes, status: int) -> None:
    """One answer, and the end of the connection."""
    head, _, body = raw(port, request_).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert f"Content-Length: {len(body)}".encode() in head


def test_head_is_get_without_the_page(measuring: Embedded, port: int) -> None:
    answer = raw(port, b"HEAD /metrics HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\n")


def test_an_endless_head_ends(measuring: Embedded, port: int) -> None:
    """And the next one is served."""
    with socket.create_connection(("127.0.0.1", port), 10) as client, contextlib.suppress(ConnectionError):
        client.sendall(b"GET /metrics HTTP/1.1\r\n" + b"x: y\r\n" * 100_000)
        assert client.recv(1) == b""
    assert "mailquota_build_info" in page(port)


def test_slow_clients_are_bounded_and_given_up(
    measuring: Embedded, small_world: SmallWorld, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each gives way to newer ones, which are served at once; answers never wait."""
    monkeypatch.setattr(exporter, "_CLIENT_SECONDS", 0.3)
    slow = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(100)]
    try:
        for client in slow:
            client.sendall(b"GET /met")
        with PolicyClient(small_world.policy_socket) as postfix:
            assert postfix.ask(JOHN) == "DUNNO"
        assert "mailquota_build_info" in page(port)
        for client in slow:
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(1) == b""
    finally:
        for client in slow:
            client.close()
    until(lambda: can_be_read(port), "it serves again")


def can_be_read(port: int) -> bool:
    try:
        return "mailquota_build_info" in page(port)
    except (OSError, urllib.error.URLError):
        return False


# ---- where it listens


def test_off_is_off(small_world: SmallWorld) -> None:
    """No thread, and no package is loaded for it."""
    with embedded(small_world) as engine:
        measured(engine)
        assert inner(engine).upkeep._exporter._task is None


def test_a_reload_follows(measuring: Embedded, small_world: SmallWorld, port: int) -> None:
    """To another place, and off."""
    other = free_port()
    with console(measuring) as client:
        switch(small_world, other)
        assert client.ask(Reload, str | None) is None
        until(lambda: can_be_read(other), "it is there")
        until(lambda: not listens(port), "it left its old place")
        switch(small_world, None)
        client.ask(Reload, str | None)
        until(lambda: not listens(other), "it is off")


def test_a_place_that_is_taken_is_had_when_it_is_free(
    small_world: SmallWorld, port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The engine goes on without, and the log has it once."""
    monkeypatch.setattr(exporter, "_RETRY_SECONDS", 0.02)
    with socket.create_server(("127.0.0.1", port)), embedded(small_world) as engine:
        measured(engine)
        until(lambda: f"can't listen on inet:127.0.0.1:{port}: Address already in use" in caplog.text, "it is told")
    with socket.create_server(("127.0.0.1", port)) as taken, embedded(small_world):
        until(lambda: caplog.text.count("Address already in use") == 2, "it is told")
        taken.close()
        until(lambda: can_be_read(port), "it is had")
    assert caplog.text.count("Address already in use") == 2


def test_a_missing_package_is_named(
    small_world: SmallWorld, port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with embedded(small_world) as engine:
        measured(engine)
        until(lambda: "pip install 'mailquota[metrics]'" in caplog.text, "it is told")
        with PolicyClient(small_world.policy_socket) as postfix:
            assert postfix.ask(JOHN) == "DUNNO"
    assert not listens(port)


def test_a_successor_gets_the_place(measuring: Embedded, port: int) -> None:
    pid = measuring.hand_over()
    try:
        until(lambda: not measuring._thread.is_alive(), "the first engine has ended")
        until(lambda: can_be_read(port), "the second one has its metrics there")
    finally:
        os.kill(pid, signal.SIGTERM)
        assert ended(pid)


def test_nothing_is_left_at_the_end(small_world: SmallWorld, port: int) -> None:
    with embedded(small_world):
        until(lambda: can_be_read(port), "it is there")
    until(lambda: not listens(port), "it is gone")
