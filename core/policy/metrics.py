"""Counters of the policy server: written for each answer, on the engine's loop alone, and read once a second."""

from __future__ import annotations

from collections import deque

import msgspec

_SUB = 16  # buckets for each power of two, so that a value is exact within 6 %
_BUCKETS = _SUB * 32


def _bucket(micros: int) -> int:
    if micros < _SUB:
        return max(micros, 0)
    shift = micros.bit_length() - 5
    return min((shift + 1) * _SUB + (micros >> shift) - _SUB, _BUCKETS - 1)


def _value(bucket: int) -> int:
    shift, rest = divmod(bucket, _SUB)
    return bucket if shift == 0 else (rest + _SUB) << (shift - 1)


_FIRST_POWER, _LAST_POWER = 4, 21  # of two: the histogram goes from 16 µs to 2.1 s, in whole buckets
_SMALL = 1024  # microseconds; most answers take less, and their bucket comes from a list
_BUCKET = [_bucket(micros) for micros in range(_SMALL)]


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """The counters since ``since`` (seconds since the epoch), for a hand-over; ``answers`` by bucket of their time."""

    since: float
    requests: int
    refused: int
    would_refuse: int
    trouble: int
    malformed: int
    answers: list[int]


class Metrics:
    """Counts answers since ``since`` (seconds since the epoch), with their rate, and their times by bucket.

    Times are in three lists: of this minute, of the one before, and of all earlier ones. So the latency of the last one
    to two minutes is known without a list of answers.
    """

    def __init__(self, since: float = 0.0) -> None:
        self.since = since
        self.requests = 0
        self.refused = 0
        self.would_refuse = 0
        self.trouble = 0
        self.malformed = 0
        self._now = [0] * _BUCKETS
        self._before = [0] * _BUCKETS
        self._older = [0] * _BUCKETS
        self._rates: deque[tuple[float, int]] = deque(maxlen=6)
        self._minute = 0

    def answered(self, micros: int) -> None:
        """Count one answer that took so many microseconds."""
        self.requests += 1
        self._now[_BUCKET[micros] if micros < _SMALL else _bucket(micros)] += 1

    def note_trouble(self) -> None:
        """Count one answer for trouble: usage or limit was not known."""
        self.trouble += 1

    def counts(self) -> Counts:
        """All counters, for the engine that takes over."""
        answers = [sum(of_all) for of_all in zip(self._older, self._before, self._now, strict=True)]
        return Counts(
            since=self.since,
            requests=self.requests,
            refused=self.refused,
            would_refuse=self.would_refuse,
            trouble=self.trouble,
            malformed=self.malformed,
            answers=answers,
        )

    def go_on(self, before: Counts) -> None:
        """Add the counters of the engine before this one."""
        self.since = before.since
        self.requests += before.requests
        self.refused += before.refused
        self.would_refuse += before.would_refuse
        self.trouble += before.trouble
        self.malformed += before.malformed
        if len(before.answers) == _BUCKETS:  # an older version may have had other buckets
            self._older = [a + b for a, b in zip(self._older, before.answers, strict=True)]

    def tick(self, now: float) -> None:
        """To be called once a second, with ``now`` in seconds by a clock that never jumps."""
        self._rates.append((now, self.requests))
        minute = int(now // 60)
        if self._minute != minute:
            self._minute = minute
            self._older = [a + b for a, b in zip(self._older, self._before, strict=True)]
            self._before, self._now = self._now, [0] * _BUCKETS

    @property
    def per_second(self) -> float:
        """Answers a second over the last few seconds."""
        if len(self._rates) < 2:
            return 0.0
        (since, before), (until, after) = self._rates[0], self._rates[-1]
        return (after - before) / (until - since) if until > since else 0.0

    def percentile(self, share: float) -> int | None:
        """Microseconds, within 6 %, that this share of the answers of the last one to two minutes took at most.

        None where there were no answers.
        """
        counts = [a + b for a, b in zip(self._now, self._before, strict=True)]
        wanted = share * sum(counts)
        if not wanted:
            return None
        seen = 0
        for bucket, count in enumerate(counts):
            seen += count
            if seen >= wanted:
                return _value(bucket)
        return None

    def histogram(self) -> tuple[list[tuple[int, int]], int]:
        """Since the start: pairs of microseconds and how many answers took less, and the sum of all, within 6 %."""
        counts = [sum(of_all) for of_all in zip(self._older, self._before, self._now, strict=True)]
        edges = [(1 << power, sum(counts[: _bucket(1 << power)])) for power in range(_FIRST_POWER, _LAST_POWER + 1)]
        return edges, sum(_value(bucket) * count for bucket, count in enumerate(counts) if count)
