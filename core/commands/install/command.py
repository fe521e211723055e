"""``mailquota install`` and ``uninstall``: make mailquota a service of this server, and take that back."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from ...base.errors import MailquotaError, SettingsError
from ...settings.config import DEFAULT_PATH, Config
from ...settings.declared import Settings
from ..options import YES, Common, command
from ..output import advise, complain
from ..results import DONE, FAILED, PARTLY, confirm

if TYPE_CHECKING:
    from .examine import Invocation
    from .machine import Machine
    from .model import Host, Plan

_APPLY = click.option("--apply", is_flag=True, help="Show the difference, ask, and do it.")


@command("install", acts=True)
@_APPLY
@YES
@click.option(
    "--user", metavar="NAME", default="", help="The user who owns the mailboxes; else the owner of their folder."
)
def install(common: Common, *, apply: bool, yes: bool, user: str) -> int:
    """Set mailquota up as a service, without root: settings, group, systemd units, Postfix's line.

    Prints the steps as a script to read. --apply shows what changes, asks, and does it; a second run has nothing left
    to do. Postfix comes last, and accepts mail as before while mailquota is down. Where systemd does not run, it says
    how to start mailquota; Postfix's line then waits until mailquota answers, and the same command goes on.

    A settings file that exists is kept. The service runs as the owner of the mailboxes.

    Exit codes: 0 done, 1 refused, or failed before anything was changed, 3 partly done; run it again to go on.
    """
    from ...settings.text import dump
    from .plan import install_plan

    config = common.load()
    machine, host = _look(config, user)
    if host.files.get(host.settings) is None:
        closed = bool(host.dovecot_closed)
        config = for_service(config, doveadm=not (host.systemd and closed), follows=not closed)
    plan = install_plan(config, host, dump(config))
    code = _carry_out(common, plan, machine, apply=apply, yes=yes)
    if not host.systemd and (apply or not plan.waits):  # else it stands in the script
        from .without_systemd import advice

        click.echo(advice(config, host))
    return code


@command("uninstall", acts=True)
@_APPLY
@YES
@click.option("--purge", is_flag=True, help="Also remove history, journal and the settings that install wrote.")
def uninstall(common: Common, *, apply: bool, yes: bool, purge: bool) -> int:
    """Take back what install wrote: Postfix's line first, then the service, its units and its group.

    Prints the steps as a script to read; --apply asks and does it. Postfix gets back exactly the value that it had
    before, unless it was changed since: then only mailquota's check is removed from it, and the lines that restore the
    old value are printed. A unit that was edited is kept. What is kept or left is named.

    Exit codes: 0 done, 1 refused, or failed before anything was changed, 3 partly done; run it again to go on.
    """
    from .removal import removal_plan

    config = _settings_or_none(common)
    machine, host = _look(config, "")
    return _carry_out(common, removal_plan(config, host, purge=purge), machine, apply=apply, yes=yes)


def _settings_or_none(common: Common) -> Config:
    """The settings; the defaults where they have a mistake, as the manifest says what the installation wrote."""
    try:
        return common.load()
    except SettingsError as error:
        complain(f"{error}; removing what the installation noted")
        return Config(Settings(), {})


def _look(config: Config, user: str) -> tuple[Machine, Host]:
    from .examine import examine
    from .machine import Machine

    machine = Machine()
    return machine, examine(config, machine, _invocation(config, user))


def _invocation(config: Config, user: str) -> Invocation:
    from ...base.socket_files import answers
    from ...doctor.postfix.probe import probe
    from ...settings.passwords import password_files
    from .examine import Invocation

    settings = str((config.path or DEFAULT_PATH).absolute())
    try:
        answering = answers(config.settings.control.socket)
    except PermissionError:
        answering = True
    command = own_command()
    code = str(Path(__file__).parents[4])
    program = tuple(dict.fromkeys((command[0], sys.prefix, sys.base_prefix, code)))
    engine = _process(config) if answering else 0
    ready = probe(config.settings.policy.listen_addresses[0]).result == "answer"
    return Invocation(
        command=command,
        program=program,
        settings=settings,
        user=user,
        passwords=password_files(config),
        answering=answering,
        engine=engine,
        ready=ready,
    )


def _process(config: Config) -> int:
    """The process id of the running engine; 0 where it does not answer."""
    from ...control.messages import GetStatus
    from ...control.results import Status
    from ..session import find_engine

    async def ask() -> int:
        found = await find_engine(config, "command", read_only=True)
        if found is None:
            return 0
        client, _ = found
        try:
            status: Status = await client.request(GetStatus(client.next_id()), Status)
            return status.pid
        finally:
            await client.close()

    try:
        return asyncio.run(ask())
    except MailquotaError:
        return 0


def own_command() -> tuple[str, ...]:
    """The command that starts this installation of mailquota again, with an absolute path."""
    called = shutil.which(sys.argv[0])
    if called is not None and Path(called).name == "mailquota":
        return (os.path.abspath(called),)
    return (sys.executable, "-m", "mailquota")


def for_service(config: Config, *, doveadm: bool, follows: bool) -> Config:
    """The settings in force, with what root learned from Dovecot where the service can't ask Dovecot itself.

    ``doveadm``: whether the service runs doveadm. ``follows``: whether the owner of the mailboxes can ask Dovecot. Then
    ``auto`` stays: a driver that is written down would be that of today's Dovecot for ever, and usage would stand still
    when Dovecot's is changed.
    """
    from ...mailboxes.from_settings import driver_name

    mailstore = config.settings.mailstore
    driver = mailstore.driver if follows else driver_name(config)
    trash = tuple(dict.fromkeys((*mailstore.trash, *config.found.trash_names)))
    tool = "off" if mailstore.doveadm == "auto" and not doveadm and driver != "doveadm" else mailstore.doveadm
    known = msgspec.structs.replace(mailstore, driver=driver, trash=trash, doveadm=tool)
    return msgspec.structs.replace(config, settings=msgspec.structs.replace(config.settings, mailstore=known))


def _carry_out(common: Common, plan: Plan, machine: Machine, *, apply: bool, yes: bool) -> int:
    from .apply import script

    for remark in plan.remarks:
        complain(remark)
    if apply:
        return _apply(common, plan, machine, yes=yes)
    if plan.obstacle:
        complain(plan.obstacle)
    click.echo(script(plan.steps), nl=False)
    advise(plan.left)
    return DONE


def _apply(common: Common, plan: Plan, machine: Machine, *, yes: bool) -> int:
    from .apply import carry_out, difference

    if not plan.pending:
        complain("nothing to do: everything is installed" if plan.kind == "install" else "nothing to take back")
        advise(plan.left)
        return DONE
    _refuse(common, plan, machine)
    click.echo(difference(plan))
    if not yes:
        asyncio.run(confirm(f"{len(plan.pending)} steps. Go on?"))
    report = carry_out(plan, machine, lambda text: complain(f"done: {text}"))
    for remark in report.remarks:
        complain(f"ignored: {remark}")
    advise(plan.left)
    if not report.fault:
        return DONE
    complain(f"{report.fault}; then mailquota {plan.kind} --apply goes on from there")
    return PARTLY if report.done else FAILED


def _refuse(common: Common, plan: Plan, machine: Machine) -> None:
    from .model import Put, Remove

    if common.read_only:
        raise MailquotaError("read-only: nothing was changed")
    if os.geteuid() != 0:
        raise MailquotaError(f"{plan.kind} --apply is for root; nothing was changed")
    if plan.obstacle:
        raise MailquotaError(f"{plan.obstacle}; nothing was changed")
    for step in plan.pending:
        if isinstance(step, Put | Remove) and (fault := machine.distrust(step.path)):
            raise MailquotaError(f"{step.path}: {fault}; its folders have to be root's alone; nothing was changed")


COMMANDS = {"install": install, "uninstall": uninstall}
