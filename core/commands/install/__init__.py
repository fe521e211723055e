"""``mailquota install`` and ``uninstall``.

Theory of operation. ``examine`` reads the state of the machine; ``plan`` and ``removal`` are pure and make a list of
steps of that and the settings, in which each step says whether it is done already; ``apply`` shows and carries out the
others. So a second run has nothing to do, and one that was interrupted is finished by the next. What was written, and
the former value of Postfix's setting, are noted in a manifest, which is written first. Only root can write it: the
service, which runs as the owner of the mailboxes, must not be able to tell root what to remove.

Mail never stops: the line that makes Postfix ask mailquota is written last, says what Postfix does without an answer
(``default_action``), and is the first to be removed.
"""
