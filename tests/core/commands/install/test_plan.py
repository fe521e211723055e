"""What an installation finds to do on servers of different kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mailquota.core.base.errors import MailquotaError
from mailquota.core.commands.install.apply import difference, script
from mailquota.core.commands.install.model import (
    SERVICE_UNIT,
    SOCKET_UNIT,
    Await,
    Command,
    Plan,
    PostfixState,
    Put,
    Units,
)
from mailquota.core.commands.install.plan import install_plan
from mailquota.core.commands.install.without_systemd import advice
from mailquota.core.servers.postfix.restrictions import our_check
from mailquota.core.settings.config import Config
from tests.core.commands.install.hosts import OUR_CHECK, QUEUE, SETTINGS, config, host

PERMITS = "permit_mynetworks, reject_unauth_destination"


def plan(settings: Config | None = None, **facts: Any) -> Plan:
    return install_plan(settings or config(), host(**facts), "# settings\n")


def commands(made: Plan) -> list[str]:
    """Those that are to be run."""
    return [" ".join(step.argv) for step in made.pending if isinstance(step, Command)]


def texts(made: Plan) -> dict[str, str]:
    return {step.path: step.text for step in made.steps if isinstance(step, Put)}


def test_postfix_comes_last_and_is_told_what_to_do_without_an_answer() -> None:
    made = plan(postfix=PostfixState(PERMITS))
    assert commands(made) == [
        "groupadd --system mailquota",
        "systemctl daemon-reload",
        "systemctl enable --now mailquota.socket mailquota.service",
        f"postconf -e smtpd_recipient_restrictions = {PERMITS}, {OUR_CHECK}",
        "postfix reload",
    ]
    assert [type(step) for step in made.pending[:4]] == [Command, Put, Put, Put]
    assert "default_action=DUNNO" in OUR_CHECK
    assert made.remarks == ()


def test_the_service_runs_as_the_owner_of_the_mailboxes() -> None:
    unit = texts(plan())[SERVICE_UNIT].splitlines()
    assert "User=vmail" in unit
    assert "SupplementaryGroups=mailquota adm systemd-journal postdrop" in unit
    assert f"ExecStart=/usr/local/bin/mailquota --serve --config {SETTINGS}" in unit
    assert "ReadWritePaths=-/var/vmail" in unit
    assert not any("LoadCredential" in line for line in unit)
    assert texts(plan())[SETTINGS] == "# settings\n"


def test_a_group_that_is_not_there_is_not_named() -> None:
    """Systemd would not start a service with it."""
    assert "SupplementaryGroups=mailquota\n" in texts(plan(groups=frozenset()))[SERVICE_UNIT]


def test_passwords_of_root_are_handed_over_by_systemd() -> None:
    """As those of Postfix's maps, which only root and postfix may read. Only the names of files are in the unit."""
    map_file = "/etc/postfix/100%/mysql-virtual-mailbox-maps.cf"
    unit = texts(plan(credentials={"password": map_file, "write_password": "/etc/mailquota/w"}))[SERVICE_UNIT]
    assert f"LoadCredential=password:{map_file.replace('%', '%%')}\n" in unit
    assert "LoadCredential=write_password:/etc/mailquota/w\n" in unit


@pytest.mark.parametrize(
    ("listen", "lines", "service"),
    [
        (
            ["unix:/var/spool/postfix/private/mailquota"],
            ["ListenStream=/var/spool/postfix/private/mailquota", "SocketUser=postfix", "SocketMode=0660"],
            "unix:private/mailquota",
        ),
        (["inet:127.0.0.1:12345"], ["ListenStream=127.0.0.1:12345"], "inet:127.0.0.1:12345"),
        (
            ["inet:[::1]:12345", "unix:/run/mq/policy"],
            ["ListenStream=[::1]:12345", "ListenStream=/run/mq/policy", "SocketUser=postfix", "SocketMode=0660"],
            "inet:[::1]:12345",
        ),
    ],
)
def test_the_socket_unit_opens_all_that_postfix_may_ask(listen: list[str], lines: list[str], service: str) -> None:
    made = plan(config(policy={"listen": listen}))
    unit = texts(made)[SOCKET_UNIT].splitlines()
    assert [line for line in unit if line.startswith(("Listen", "SocketU", "SocketM"))] == lines
    assert our_check(service) in " ".join(commands(made))


def test_a_socket_of_nobody_else_has_no_owner() -> None:
    assert "SocketUser" not in texts(plan(config(policy={"socket_user": ""})))[SOCKET_UNIT]


def test_settings_that_are_there_are_kept_and_said_so() -> None:
    made = plan(files={SETTINGS: "# mine\n"})
    assert SETTINGS not in texts(made)
    assert any(SETTINGS in remark and "kept" in remark for remark in made.remarks)


def test_settings_that_the_service_can_not_read_are_shared_with_it() -> None:
    made = plan(files={SETTINGS: "# mine\n"}, settings_readable=False)
    assert commands(made)[1:3] == [f"chgrp vmail {SETTINGS}", f"chmod g+r {SETTINGS}"]


def test_restrictions_with_our_check_stay_as_they_are() -> None:
    text = "reject_unauth_destination check_policy_service unix:private/mailquota"
    assert not any("postconf" in command for command in commands(plan(postfix=PostfixState(text))))


def test_quota_status_is_pointed_out() -> None:
    made = plan(postfix=PostfixState("check_policy_service unix:private/quota-status"))
    assert any("quota-status" in remark and "docs/moving.md" in remark for remark in made.remarks)


def test_without_postfix_the_rest_is_done_and_the_line_is_told() -> None:
    made = plan(postfix=PostfixState(fault="postconf is not installed"))
    assert not any("post" in command for command in commands(made))
    assert any("unix:private/mailquota" in remark for remark in made.remarks)


def test_without_systemd_there_are_no_units() -> None:
    made = plan(systemd=False)
    assert set(texts(made)) == {SETTINGS}
    assert not any("systemctl" in command for command in commands(made))
    assert any("systemd does not run" in remark for remark in made.remarks)
    text = advice(config(), host(systemd=False))
    assert "@reboot root /usr/local/bin/mailquota --serve" in text
    assert all(line.startswith("#") for line in text.splitlines())


def test_without_systemd_postfix_asks_last_and_only_who_answers() -> None:
    """Who starts mailquota is the administrator; in the script, too, that comes before Postfix's line."""
    made = plan(systemd=False)
    at = next(at for at, step in enumerate(made.steps) if isinstance(step, Await))
    assert made.waits
    assert [step.argv[0] for step in made.steps[at + 1 :] if isinstance(step, Command)] == ["postconf", "postfix"]
    text = script(made.steps)
    assert text.index("@reboot root") < text.index("answers on unix:/var/spool/postfix/private/mailquota")
    assert text.index("answers on unix:") < text.index("postconf -e")
    assert "wait until mailquota answers on unix:" in difference(made)
    assert not plan(systemd=False, ready=True).waits
    assert not plan(systemd=False, postfix=PostfixState(OUR_CHECK)).waits
    assert not plan(systemd=False, postfix=PostfixState(fault="not installed")).waits


def test_every_start_keeps_the_log() -> None:
    """Each appends to the file that is named, and none throws anything away."""
    lines = advice(config(), host(systemd=False)).splitlines()
    starts = [line for line in lines if "--serve" in line]
    assert len(starts) == 4
    assert all(">> /var/log/mailquota.log 2>&1" in line for line in starts)
    assert "/dev/null" not in "".join(starts).replace("</dev/null", "")
    assert "its log is /var/log/mailquota.log" in lines[0]


def test_what_the_mail_user_needs_to_do_it_without_root_is_said() -> None:
    """A password file of its own, and which doveadm; nothing of both where it can read all that."""
    closed = {"credentials": {"password": "/etc/postfix/my map.cf"}, "dovecot_closed": "doveconf: Permission denied"}
    text = advice(config(), host(systemd=False, **closed))
    assert "# - it can't read /etc/postfix/my map.cf, " in text
    assert 'In [accounts]:\n#   password_file = "/etc/mailquota/password"\n' in text
    assert "install -o vmail -m 0400 /dev/null /etc/mailquota/password\n" in text
    assert 'doveconf: Permission denied), and does without. In [mailstore]:\n#   doveadm = "off"\n' in text
    assert 'In [policy]:\n#   listen = ["inet:127.0.0.1:12345"]\n' in text
    assert f"Those settings are in {SETTINGS}" in text
    assert "In [" not in advice(config(policy={"listen": ["inet:127.0.0.1:1"]}), host(systemd=False))


@pytest.mark.parametrize(
    ("facts", "settings", "word"),
    [
        ({"unreachable": "vmail can't read /root/x"}, {}, "/root/x"),
        ({"dovecot_closed": "no right"}, {"mailstore": {"driver": "doveadm"}}, "no right"),
        ({"other_engine": True}, {}, "/run/mailquota/control.sock"),
        ({}, {"policy": {"socket_user": "nobody-here"}}, "nobody-here"),
    ],
)
def test_what_can_not_work_is_told(facts: dict[str, Any], settings: dict[str, Any], word: str) -> None:
    """Where it concerns a service."""
    assert plan().obstacle == ""
    assert word in plan(config(**settings), **facts).obstacle
    assert plan(config(**settings), **facts, systemd=False).obstacle == ""


def test_a_service_needs_somebody_to_run_as() -> None:
    with pytest.raises(MailquotaError, match="is root's; name the user who owns the mailboxes, like --user vmail"):
        plan(owner=None, owner_fault="/var/vmail is root's")
    plan(owner=None, systemd=False)


def test_a_missing_socket_user_does_not_matter_over_tcp() -> None:
    assert plan(config(policy={"listen": ["inet:127.0.0.1:1"], "socket_user": "nobody-here"})).obstacle == ""


def test_a_changed_service_restarts_alone_so_the_socket_holds_the_requests() -> None:
    files = texts(plan(credentials={"password": "/old"}))
    made = plan(files=files, units=Units(enabled=True, active=True), postfix=PostfixState(OUR_CHECK))
    assert [command for command in commands(made) if "systemctl" in command][:2] == [
        "systemctl daemon-reload", "systemctl restart mailquota.service",
    ]  # fmt: skip
    assert not any("stop" in command for command in commands(made))


def test_homes_and_tmp_are_shut_unless_the_service_has_something_there() -> None:
    usual = texts(plan())[SERVICE_UNIT]
    assert "ProtectHome=yes\nPrivateTmp=yes\n" in usual
    homes = texts(plan(places=("/home/mail", "/tmp/mailquota")))[SERVICE_UNIT]
    assert "ProtectHome=read-only\nPrivateTmp=no\n" in homes


def test_what_the_service_may_write_is_not_run_unless_mailquota_is_there() -> None:
    folders = ["/var/vmail", f"{QUEUE}/maildrop", "/var/lib/mailquota"]
    made = texts(plan(config(mailstore={"path": "/var/vmail/{user}"})))[SERVICE_UNIT]
    assert [line for line in made.split("\n") if "NoExec" in line] == [f"NoExecPaths=-{folder}" for folder in folders]
    there = texts(plan(config(mailstore={"path": "/srv/{user}"}), places=("/srv/mailquota/bin/mailquota", "/srv")))
    assert "NoExecPaths=-/srv\n" not in there[SERVICE_UNIT]


def test_a_folder_below_one_that_may_be_written_is_not_named_again() -> None:
    """Else systemd lets programs run in it."""
    database = {"database": "sqlite:////srv/accounts.db"}
    made = texts(plan(config(mailstore={"path": "/srv/vmail/{user}"}, accounts=database)))[SERVICE_UNIT]
    assert "ReadWritePaths=-/srv\n" in made
    assert "ReadWritePaths=-/srv/vmail\n" not in made


def test_dovecot_may_write_its_log() -> None:
    assert "ReadWritePaths=-/var/log/dovecot.log\n" in texts(plan(dovecot_log="/var/log/dovecot.log"))[SERVICE_UNIT]


def test_a_dovecot_that_is_closed_to_the_service_is_told() -> None:
    """Unless the settings go by that already."""
    off = config(mailstore={"doveadm": "off", "driver": "count"})
    kept = {SETTINGS: "# mine\n"}
    assert 'have doveadm = "off"' in plan(off, dovecot_closed="Permission denied").remarks[0]
    assert 'write doveadm = "off"' in plan(dovecot_closed="Permission denied", files=kept).remarks[0]
    assert not any("Dovecot" in remark for remark in plan(off, dovecot_closed="Permission denied", files=kept).remarks)


def test_odd_paths_are_quoted_for_systemd() -> None:
    unit = texts(plan(command=("/opt/my mail/$x%y/mailquota",)))[SERVICE_UNIT]
    assert 'ExecStart="/opt/my mail/$$x%%y/mailquota" --serve' in unit


def test_the_difference_shows_every_line_and_command() -> None:
    files = {SERVICE_UNIT: texts(plan())[SERVICE_UNIT].replace("WatchdogSec=30", "WatchdogSec=5")}
    text = difference(plan(files=files))
    assert "-WatchdogSec=5\n" in text
    assert "+WatchdogSec=30\n" in text
    assert "+ListenStream=/var/spool/postfix/private/mailquota\n" in text
    assert "run: groupadd --system mailquota" in text


def test_the_script_tells_what_is_so_already() -> None:
    text = script(plan(groups=frozenset({"mailquota"})).steps)
    assert "# as it is already: groupadd --system mailquota\n" in text
    assert "postconf -e 'smtpd_recipient_restrictions = check_policy_service {" in text


def test_every_option_that_shuts_something_is_explained() -> None:
    """docs/service.md gives the reason of each, with its value where that is the same on every server."""
    text = (Path(__file__).parents[4] / "docs" / "service.md").read_text()
    unit = texts(plan())[SERVICE_UNIT]
    hardening = unit.partition("LimitNOFILE=65536\n")[2].partition("[Install]")[0].split("\n")
    options = [line if "/" not in line else line.partition("=")[0] + "=" for line in hardening if line]
    assert len(options) > 20
    assert not [option for option in options if f"`{option}`" not in text]
