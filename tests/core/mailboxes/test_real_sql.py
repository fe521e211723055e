"""The driver ``sql`` beside a real Dovecot that keeps use in MariaDB, as dict quota and as a copy by quota_clone."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mailquota.core.mailboxes import asking
from mailquota.core.mailboxes.from_settings import driver_name, make_driver, make_mailstore
from mailquota.core.mailboxes.measure import Unmeasurable
from mailquota.core.mailboxes.sql_driver import SqlDriver
from mailquota.core.settings.config import load
from tests.mailserver import MailServer
from tests.mailserver.fixture import require_mailserver, temporary_folder
from tests.mailserver.process import wait_until

pytestmark = [pytest.mark.server, pytest.mark.dovecot("2.3")]  # 2.4 has no dict quota

USER = "edge@sql.example"
LIMIT = 500_000
DICT = """
dict {{
  quota = mysql:{file}
}}
service dict {{
  unix_listener dict {{
    mode = 0666
  }}
}}
"""
MAP = """connect = host={host} port={port} dbname={database} user=dovecot password={password}
map {{
  pattern = priv/quota/storage
  table = quota2
  username_field = username
  value_field = bytes
}}
map {{
  pattern = priv/quota/messages
  table = quota2
  username_field = username
  value_field = messages
}}
"""
WAYS = {
    "dict": ("quota = dict:User quota::proxy::quota", ""),
    "clone": ("quota = count:User quota\n  quota_vsizes = yes\n  quota_clone_dict = proxy::quota", "quota_clone"),
}


@pytest.fixture(scope="module")
def server() -> Iterator[MailServer]:
    """A mail server with PostfixAdmin's table in its database."""
    require_mailserver()
    with temporary_folder() as folder, MailServer(folder, driver="count") as started:
        database = started.mariadb
        started.sql(
            f"CREATE TABLE {database.database}.quota2"
            " (username VARCHAR(100) PRIMARY KEY, bytes BIGINT NOT NULL DEFAULT 0, messages INT NOT NULL DEFAULT 0)"
        )
        started.sql(f"CREATE USER dovecot@{database.host} IDENTIFIED BY '{database.password}'")
        started.sql(f"GRANT ALL ON {database.database}.quota2 TO dovecot@{database.host}")
        yield started


@contextmanager
def keeping(server: MailServer, way: str) -> Iterator[None]:
    """Dovecot with another way of keeping use, for the length of the block."""
    dovecot, database = server.dovecot, server.mariadb
    file = dovecot.folder / "dict-sql.conf.ext"
    names = {"host": database.host, "port": database.port, "database": database.database}
    file.write_text(MAP.format(password=database.password, **names))
    quota, plugin = WAYS[way]

    def change(text: str) -> str:
        text = text.replace("quota = count:User quota\n  quota_vsizes = yes", quota)
        return text.replace("mail_plugins = quota\n", f"mail_plugins = quota {plugin}\n") + DICT.format(file=file)

    with dovecot.changed(change):
        yield
    server.clear()


@pytest.mark.parametrize("way", WAYS)
def test_figures_are_those_of_dovecot(
    server: MailServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """A round and a decision; ``auto`` finds dict quota out, and counts by itself beside a copy."""
    monkeypatch.setattr(asking, "WAIT", 20.0)
    server.add_user(USER, quota=LIMIT)
    file = tmp_path / "mailquota.toml"
    with keeping(server, way):
        file.write_text(
            f'[accounts]\ndatabase = "{server.database_url}"\n'
            f'[mailstore]\npath = "{server.mailstore}"\ndoveadm = "{shlex.join(server.doveadm)}"\n'
        )
        assert driver_name(load(file, {})) == {"dict": "sql", "clone": "count"}[way]
        file.write_text(file.read_text() + 'driver = "sql"\n')
        config = load(file, {})
        for size in (3000, 2000, 1000):
            assert server.deliver_lmtp(USER, size)[0] == 250
        assert wait_until(lambda: agrees(server, make_driver(config, make_mailstore(config))), 30)


def agrees(server: MailServer, driver: object) -> bool:
    """Dovecot says KiB, rounded up."""
    assert isinstance(driver, SqlDriver)
    try:
        known = driver.survey(USER, LIMIT, None, time.time())
    except Unmeasurable:
        return False
    assert driver.count(USER, LIMIT, None, time.time() + 10).used == known.used
    return server.doveadm_quota(USER) == (-(-known.used // 1024), 3) and known.messages == 3
