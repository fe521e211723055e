"""Counters of the policy server: cheap to keep for each answer, read once a second. Written on the loop alone."""

from __future__ import annotations

from collections import deque

import msgspec

_SUB = 16  # buckets for each power of two: values within 6 %
_BUCKETS = _SUB * 32


def _bucket(micros: int) -> int:
    if micros < _SUB:
        return max(micros, 0)
    shift = micros.bit_length() - 5
    return min((shift + 1) * _SUB + (micros >> shift) - _SUB, _BUCKETS - 1)


def _value(bucket: int) -> int:
    shift, rest = divmod(bucket, _SUB)
    return bucket if shift == 0 else (rest + _SUB) << (shift - 1)


_FIRST_POWER, _LAST_POWER = 4, 21  # of two: 16 µs to 2.1 s, the edges of a histogram; an edge of buckets, too
_SMALL = 1024  # microseconds; most answers, whose bucket is looked up
_BUCKET = [_bucket(micros) for micros in range(_SMALL)]


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted since ``since`` (seconds since the epoch); ``answers`` by bucket."""

    since: float
    requests: int
    refused: int
    would_refuse: int
    trouble: int
    malformed: int
    answers: list[int]


class Metrics:
    """Answers since ``since`` (seconds since the epoch), and their rate and latency over the last minute."""

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
        """One answer, after so many microseconds."""
        self.requests += 1
        self._now[_BUCKET[micros] if micros < _SMALL else _bucket(micros)] += 1

    def note_trouble(self) -> None:
        """Usage or limit could not be found out, so the answer was the one for trouble."""
        self.trouble += 1

    def counts(self) -> Counts:
        """For the engine that goes on with them."""
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
        """Go on counting where another engine stopped."""
        self.since = before.since
        self.requests += before.requests
        self.refused += before.refused
        self.would_refuse += before.would_refuse
        self.trouble += before.trouble
        self.malformed += before.malformed
        if len(before.answers) == _BUCKETS:  # an older engine may have had others
            self._older = [a + b for a, b in zip(self._older, before.answers, strict=True)]

    def tick(self, now: float) -> None:
        """Once a second: ``now`` in seconds of any clock that does not jump."""
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
        """Microseconds, within 6 %, that this share of the answers of the last one to two minutes did not exceed."""
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
        """Since the start: how many answers took less than so many microseconds, and the sum of all, within 6 %."""
        counts = [sum(of_all) for of_all in zip(self._older, self._before, self._now, strict=True)]
        edges = [(1 << power, sum(counts[: _bucket(1 << power)])) for power in range(_FIRST_POWER, _LAST_POWER + 1)]
        return edges, sum(_value(bucket) * count for bucket, count in enumerate(counts) if count)
