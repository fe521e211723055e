"""Mail by random alias tables: it ends where we say, by the log of the real Postfix.

Known and wanted: a catch-all of several rows, one of which is ``@other.domain``, is not generated. Postfix puts the
name before the whole list, which then is no address, while we look at each row. What we call a loop is left to Postfix,
and Postfix refuses it, too.
"""

from __future__ import annotations

import pytest

from tests.core.clients import Console
from tests.mailserver.fixture import temporary_folder
from tests.mailserver.server import MailServer
from tests.real.aliasing import compare, tables
from tests.real.beside import Mailquota, wait_until, write_settings
from tests.truth.scale import count, generate, report

pytestmark = [pytest.mark.server, pytest.mark.timeout(1800)]


def test_mail_ends_where_we_say(mailserver: MailServer) -> None:
    cases = [table.named(number) for number, table in enumerate(generate(tables(), count(60, 1000)))]
    mailserver.clear()
    mailserver.add_users((user, 0) for table in cases for user in table.users)
    mailserver.add_aliases(row for table in cases for row in table.rows)
    with temporary_folder() as folder, Mailquota(write_settings(mailserver, folder), mailserver) as mailquota:
        accounts = sum(len(table.users) for table in cases)
        wait_until(lambda: mailquota.json("status")["accounts"] == accounts, "the accounts are read")
        with Console(folder / "control.sock") as console:
            differences = compare(mailserver, console, cases)
    report("aliases, Postfix", sum(len(table.asked) for table in cases), differences)
