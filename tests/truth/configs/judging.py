"""What mailquota and Dovecot say of one server: equal, by the witness, told, or a silent difference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.truth.configs.model import Configuration
from tests.truth.configs.ours import KIB, Answer, by_doveadm
from tests.truth.configs.server import Figure

EQUAL, WITNESS, TOLD, SILENT = "equal", "witness", "told", "SILENT"
_VERDICTS = {"accept": "accept", "over_quota": "refuse", "too_large": "refuse", "unknown": "nobody"}
# Which remarks and which checks of the doctor tell that a figure of this sort may be wrong.
_REMARKS = {
    "usage": ("mailstore", "accounts"),
    "limit": ("accounts", "policy: Dovecot keeps"),
    "verdict": ("accounts", "mailstore", "policy"),
    "account": ("accounts",),
}
_WITNESS = "dovecot-agrees"
_OF_USAGE = {"quota-driver", "quota-vsizes", "quota-plugin", "mailstore", "maildirsize", "username-characters"}
_OF_LIMITS = {"quota-limits", "quota-limit-in-block", "quota-plugin", "limits-valid", "quota-message-count"}
_CHECKS = {
    "usage": {*_OF_USAGE, _WITNESS},
    "limit": {*_OF_LIMITS, _WITNESS},
    "verdict": {*_OF_USAGE, *_OF_LIMITS, "grace", "quota-mail-size", "quota-enforced", _WITNESS},
    "account": {"username-characters", "user-listing", "limits-valid"},
}


@dataclass(frozen=True)
class Result:
    """Of one account in one respect; ``text`` has both sides."""

    sort: str
    outcome: str
    text: str


def judge(configuration: Configuration, ours: Answer, theirs: dict[str, Figure], verdicts: list[str]) -> list[Result]:
    """``verdicts`` are Dovecot's, in the order of ours."""
    if ours.get("error"):
        return [Result("start", TOLD, ours["error"])]
    found = list(_figures(configuration, ours, theirs))
    found += _verdicts(ours, theirs, verdicts)
    return found


def _figures(configuration: Configuration, ours: Answer, theirs: dict[str, Figure]) -> Iterator[Result]:
    for account in configuration.accounts:
        name = account.address.lower()
        row, figure = ours["rows"].get(name), theirs.get(name)
        if figure is None:
            continue  # for Dovecot there is no such user, and so no mailbox
        if row is None:
            yield _result(ours, "account", False, {}, f"{name}: ours none, Dovecot {figure}")
            continue
        used = None if row["used_bytes"] is None else (-(-row["used_bytes"] // 1024), row["messages"])
        if figure.used is not None:
            same = used == (figure.used, figure.messages)
            yield _result(ours, "usage", same, row, f"{name}: ours {row['used_bytes']} B, {row}; Dovecot {figure}")
        limits = (_kib(row["limit_bytes"]), row.get("limit_messages"))
        same = limits == (figure.limit or None, figure.limit_messages or None)
        yield _result(ours, "limit", same, row, f"{name}: ours {row['limit_bytes']} B, {row}; Dovecot {figure}")


def _kib(limit: int | None) -> int | None:
    return None if limit is None else -(-limit // 1024)


def _verdicts(ours: Answer, theirs: dict[str, Figure], verdicts: list[str]) -> Iterator[Result]:
    """Where Dovecot itself can't decide there is nothing to compare.

    Trouble is right only where Dovecot has no usage either, or the limit in the database is told to be unusable.
    """
    for (recipient, size, verdict, why, _), other in zip(ours["verdicts"], verdicts, strict=True):
        if other == "trouble":
            continue
        row, figure = ours["rows"].get(recipient, {}), theirs.get(recipient)
        text = f"{recipient}, {size} bytes: ours {verdict} ({why}), Dovecot {other}, {figure}"
        if verdict == "trouble":
            right = figure is None or figure.used is None or (row.get("limit_bytes") or 0) < 0
            yield Result("verdict", TOLD if why and right else SILENT, text)
        else:
            mine = _VERDICTS.get(verdict, verdict)
            yield _result(ours, "verdict", mine == other or _too_close(row), row, text)


def _too_close(row: dict[str, Any]) -> bool:
    """Whether the usage by doveadm, which rounds to KiB, can't tell the two sides of the limit apart."""
    limit, used = row.get("limit_bytes"), row.get("used_bytes")
    return by_doveadm(row) and None not in {limit, used} and abs(limit - used) <= KIB  # type: ignore[operator]


def _result(ours: Answer, sort: str, same: bool, row: dict[str, Any], text: str) -> Result:
    if same:
        return Result(sort, WITNESS if by_doveadm(row) else EQUAL, text)
    told = _told(ours, sort, row)
    return Result(sort, TOLD if told else SILENT, f"{text}{f' ({told})' if told else ''}")


def _told(ours: Answer, sort: str, row: dict[str, Any]) -> str:
    """By which words an administrator hears of it; "" where by none."""
    remarks = (remark for remark in ours.get("remarks", ()) if remark.startswith(_REMARKS[sort]))
    findings = (
        f"doctor {check}: {found}"
        for check, state, found in ours.get("findings", ())
        if check in _CHECKS[sort] and state in {"warn", "fail"}
    )
    return row.get("why") or next(remarks, "") or next(findings, "")


def is_silent(results: list[Result]) -> bool:
    """Whether one of them is."""
    return any(result.outcome == SILENT for result in results)


def table(counts: dict[str, Counter[str]]) -> str:
    """Outcomes by kind, to be printed."""
    titles = (EQUAL, WITNESS, TOLD, SILENT)
    lines = [f"{'kind':<16}" + "".join(f"{title:>9}" for title in titles)]
    lines += [f"{kind:<16}" + "".join(f"{found[title]:>9}" for title in titles) for kind, found in counts.items()]
    return "\n".join(lines)
