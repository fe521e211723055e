"""Setting mailquota up as a service, and taking that back.

Theory of operation. ``gather`` looks at the machine; ``plan`` and ``removal`` are pure and make of that, and of the
settings, a list of steps in which each says whether it is done already; ``apply`` shows the difference and carries it
out. So a second run has nothing to do, and one that was cut short is finished by the next. What was written, and the
value of Postfix's that was there before, are in a manifest that is written first and that only root can write: who runs
as the owner of the mailboxes must not be able to tell root what to remove.

Mail never stops: the line that makes Postfix ask comes last, says what to do if nobody answers (``default_action``),
and is the first to go.
"""
