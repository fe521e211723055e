"""A private mail server for tests and benchmarks: the ISPmail tutorial's MariaDB, Dovecot and Postfix.

`MailServer(folder)` is all three; fixture.py has them as pytest fixtures; `python -m tests.mailserver` starts them
for trials by hand. Everything listens on 127.0.0.1 or on unix sockets, and lives in one folder.
"""

from tests.mailserver.server import MailServer

__all__ = ["MailServer"]
