"""The doctor's check of usage and limits by Dovecot's own: every state."""

from __future__ import annotations

import msgspec
import pytest

from mailquota.core.control.results import WitnessStatus
from mailquota.core.doctor.host.facts import EngineFacts
from tests.core.doctor.healthy import HOST, facts, host, outcome

TEXT = "Dovecot counts 783 KiB in 4 messages, mailquota's own way 196 KiB in 1 messages: the namespace archive"


def seen(status: WitnessStatus, remark: str = "", **examples: str) -> EngineFacts:
    found = {f"{name}@example.org": text for name, text in examples.items()}
    return msgspec.structs.replace(HOST.engine, witness=status, witness_remark=remark, witness_examples=found)


@pytest.mark.parametrize(
    ("engine", "state", "words"),
    [
        (EngineFacts(known=True), "skip", "no engine answers"),
        (seen(WitnessStatus(), 'mailstore.verify is "0s"'), "skip", 'mailstore.verify is "0s"'),
        (seen(WitnessStatus("away"), "closed\x1b[31m"), "skip", "closed\\x1b"),
        (
            seen(WitnessStatus("agrees", 3, 0, 5.0)),
            "ok",
            "was asked about 3 accounts, the last 5 s ago: usage and limits",
        ),
        (seen(WitnessStatus("agrees", 3, 0, 5.0), "Dovecot gives no usage of 2"), "warn", "gives no usage of 2"),
        (seen(WitnessStatus("differs", 9, 1, 5.0), john=TEXT), "fail", f"1 differ: john@example.org: {TEXT}"),
        (seen(WitnessStatus("differs", 9, 7, 5.0), john=TEXT), "fail", "and 6 more (mailquota list differs)"),
    ],
)
def test_states(engine: EngineFacts, state: str, words: str) -> None:
    found = outcome("dovecot-agrees", facts(host=host(engine=engine)))
    assert found.state == state
    assert words in found.found


def test_either_side_may_be_wrong() -> None:
    """The fix is a recount, which corrects both, and names each account."""
    engine = seen(WitnessStatus("differs", 9, 1, 5.0), john=TEXT)
    found = outcome("dovecot-agrees", facts(host=host(engine=engine)))
    assert "mailquota recalc john@example.org" in found.fix.splitlines()
    assert "a recount mends both" in found.fix
