"""The check of usage and limits by Dovecot's own figures, which the engine compares account by account. Pure."""

from __future__ import annotations

import shlex

from ...base.text import visible
from ...base.units import format_age
from ..model import Check, Facts, Outcome, fail, ok, skip, warn

_FIX = """\
# mailquota goes by Dovecot for these accounts already. Where Dovecot's own record is old, a recount mends both:
{recounts}
# else docs/checks.md says what to look at"""


def _agrees(facts: Facts) -> Outcome:
    engine = facts.host.engine
    if not engine.running:
        return skip("no engine answers, so usage and limits were not compared with Dovecot's own")
    found, remark = engine.witness, visible(engine.witness_remark)
    if found.state == "off":
        return skip(f"usage and limits are not compared with Dovecot's own: {remark or 'it is switched off'}")
    if found.state == "away":
        return skip(f"Dovecot can't be asked for usage and limits: {remark}")
    age = "" if found.age_seconds is None else f", the last {format_age(found.age_seconds)} ago"
    asked = f"doveadm quota get was asked about {found.checked:,} accounts{age}"
    if not found.differing:
        return warn(f"{asked}; {remark}") if remark else ok(f"{asked}: usage and limits are the same")
    told = "; ".join(f"{visible(address)}: {visible(text)}" for address, text in engine.witness_examples.items())
    more = found.differing - len(engine.witness_examples)
    rest = f"; and {more:,} more (mailquota list differs)" if more > 0 else ""
    recounts = "\n".join(f"mailquota recalc {shlex.quote(address)}" for address in engine.witness_examples)
    text = f"{asked}, {found.differing:,} differ: {told}{rest}{f'; {remark}' if remark else ''}"
    return fail(text, _FIX.format(recounts=recounts))


WITNESS_CHECK = Check(
    "dovecot-agrees",
    "Dovecot decides how full a mailbox is. Where mailquota's own way finds something else, one of the two is wrong:"
    " mailquota does not see a part of the mail, or Dovecot's record is out of date.",
    _agrees,
)
