"""Shows what a plan changes, as a script or a difference, and carries it out."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Callable, Iterable
from typing import assert_never

import msgspec

from ...base.text import visible
from .machine import Machine
from .model import Await, Command, Plan, Put, Remove, Step


class Report(msgspec.Struct, frozen=True):
    """The steps that were ``done``, as text, and the errors: ``fault`` ended it, ``remarks`` did not."""

    done: tuple[str, ...]
    remarks: tuple[str, ...] = ()
    fault: str = ""


def script(steps: Iterable[Step]) -> str:
    """The steps as a shell script for root; those that are done already are comments."""
    return "\n".join(f"# as it is already: {described(step)}\n" if step.done else _typed(step) for step in steps)


def _typed(step: Step) -> str:
    if isinstance(step, Put):
        return f"install -D -m {step.mode:04o} /dev/stdin {shlex.quote(step.path)} <<'EOF'\n{step.text}EOF\n"
    if isinstance(step, Remove):
        return f"{described(step)}\n"
    if isinstance(step, Await):
        return f"{step.how}\n#\n# The rest only when {step.what}:\n"
    why = f"  # {step.why}" if step.why else ""
    return f"{described(step)}{why}\n"


def described(step: Step) -> str:
    """A step as one line, without control characters."""
    match step:
        case Put():
            return f"write {visible(step.path)}"
        case Remove():
            return f"rm {'-r ' if step.folder else ''}{shlex.quote(step.path)}"
        case Command():
            return visible(shlex.join(step.argv))
        case Await():
            return f"wait until {step.what}"
        case _:
            assert_never(step)


def difference(plan: Plan) -> str:
    """A unified diff of each file that changes, and each command, in the order of the plan."""
    return "\n\n".join(_difference(step) for step in plan.pending)


def _difference(step: Step) -> str:
    if isinstance(step, Await):
        return described(step)
    if isinstance(step, Command) or (isinstance(step, Remove) and step.before is None):
        return f"run: {_typed(step)}".rstrip("\n")
    before, after = step.before or "", step.text if isinstance(step, Put) else ""
    names = (step.path if before else "/dev/null", step.path if after else "/dev/null")
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), *names, lineterm="")
    return "\n".join(visible(line) for line in lines)


def carry_out(plan: Plan, machine: Machine, tell: Callable[[str], None]) -> Report:
    """Carry out the steps that are not done; ``tell`` gets each as text. The first that fails ends it."""
    done: list[str] = []
    remarks: list[str] = []

    def note(text: str) -> None:
        done.append(text)
        tell(text)

    doing = "write what was installed"
    try:
        if plan.manifest is not None and plan.pending:
            machine.remember(plan.manifest)
        for step in plan.pending:
            doing = described(step)
            fault = _take(step, machine)
            if not fault:
                note(described(step))
            elif isinstance(step, Command) and step.lenient:
                remarks.append(fault)
            else:
                return Report(done=tuple(done), remarks=tuple(remarks), fault=fault)
        if plan.manifest is not None and plan.pending:
            machine.remember(msgspec.structs.replace(plan.manifest, complete=True))
    except OSError as error:
        fault = f"{error.filename or doing}: {error.strerror or error}"
        return Report(done=tuple(done), remarks=tuple(remarks), fault=fault)
    return Report(done=tuple(done), remarks=tuple(remarks))


def _take(step: Step, machine: Machine) -> str:
    """The error, or "". Raises OSError."""
    match step:
        case Put():
            machine.write(step.path, step.text, step.mode)
        case Remove():
            machine.remove(step.path, folder=step.folder)
        case Command():
            said = machine.run(step.argv)
            if said.fault:
                return f"{described(step)}: {said.fault}"
        case Await():
            return f"mailquota has to be started now: what comes next waits until {step.what}"
        case _:
            assert_never(step)
    return ""
