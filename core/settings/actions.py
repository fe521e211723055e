"""Which actions may be sent to Postfix. Pure.

Postfix takes the text after ``action=`` like the right-hand side of an access(5) table (check_table_result in its
source). ``OK``, ``RELAY``, digits alone and an empty text *permit*: all later restrictions are skipped. ``DISCARD``
accepts mail and drops it; ``HOLD``, ``FILTER`` and ``REDIRECT`` send it elsewhere. Any other word is taken as the name
of a restriction, which may permit too; where there is none of that name, all mail is deferred with "Server
configuration error".
"""

from __future__ import annotations

import re

from ..base.endpoints import has_control
from ..base.errors import UsageError
from ..base.text import shown

ANSWER_FORMS = (
    "DUNNO, a 4xx or 5xx code with a text (452 4.2.2 Mailbox is full), "
    "REJECT, DEFER, DEFER_IF_PERMIT, DEFER_IF_REJECT, INFO or WARN, each with or without a text"
)
# A request that only checks whether a policy service answers. Its protocol state is one in which none decides, and it
# has fewer attributes than any request of Postfix, by which the engine knows it and neither counts nor logs it.
PROBE = b"request=smtpd_access_policy\nprotocol_state=CONNECT\nprotocol_name=ESMTP\n\n"
_WORDS = frozenset({"DUNNO", "REJECT", "DEFER", "DEFER_IF_PERMIT", "DEFER_IF_REJECT", "INFO", "WARN"})
_PERMITS = frozenset({"OK", "RELAY", "PERMIT"})
_CODE = re.compile(r"[45][0-9]{2} +\S.*", re.DOTALL)


def permits(text: str) -> bool:
    """Whether Postfix takes an action as permit, and evaluates no later restriction of the list."""
    words = text.upper().split()
    return not words or text.strip().isdigit() or words[0] in _PERMITS


def check_answer(text: str, *, may_be_empty: bool = False) -> None:
    """Raises UsageError for an action that permits, loses mail, or makes Postfix defer all mail."""
    fault = _fault(text, may_be_empty=may_be_empty)
    if fault:
        raise UsageError(f"{shown(text)} {fault}; accepted: {ANSWER_FORMS}")


def _fault(text: str, *, may_be_empty: bool) -> str:
    if not text:
        return "" if may_be_empty else "is empty, which Postfix takes as permit"
    if text != text.strip():
        return "has blanks around it"
    if has_control(text):
        return "has a control character in it"
    if permits(text):
        return "permits: Postfix would skip every later restriction"
    if text.split(" ", 1)[0].upper() in _WORDS or _CODE.fullmatch(text):
        return ""
    return "is not an answer to a mail"
