"""What starts a server here."""

from __future__ import annotations

import msgspec
import pytest

from mailquota.core.doctor import start_commands
from mailquota.core.doctor.dovecot.facts import DovecotFacts
from mailquota.core.doctor.model import Facts
from tests.core.doctor.healthy import facts, host


def known(*, systemd: bool, file: str = "/etc/dovecot/dovecot.conf") -> Facts:
    return msgspec.structs.replace(facts(host=host(systemd=systemd)), dovecot=DovecotFacts(config_file=file))


def test_systemd_starts_what_it_can() -> None:
    here = known(systemd=True)
    assert start_commands.postfix(here) == "systemctl start postfix"
    assert start_commands.dovecot(here, "restart") == "doveconf -n > /dev/null && { systemctl restart dovecot; }"
    assert start_commands.database(here) == "systemctl start mariadb || systemctl start mysql"


@pytest.mark.parametrize("systemd", [True, False])
def test_a_dovecot_with_settings_elsewhere_is_not_systemds(systemd: bool) -> None:
    here = known(systemd=systemd, file="/srv/a b/dovecot.conf")
    assert start_commands.dovecot(here, "start") == "dovecot -c '/srv/a b/dovecot.conf'"
    assert start_commands.dovecot(here, "restart") == (
        "doveconf -c '/srv/a b/dovecot.conf' -n > /dev/null && "
        "{ doveadm -c '/srv/a b/dovecot.conf' stop || true; dovecot -c '/srv/a b/dovecot.conf'; }"
    )


def test_without_systemd_the_programs_start_themselves() -> None:
    here = known(systemd=False)
    assert start_commands.postfix(here) == "postfix start"
    assert start_commands.dovecot(here, "start") == "dovecot"
    assert start_commands.database(here) == "service mariadb start || service mysql start"
