"""Checks whether Dovecot's own warnings (quota_warning) would be delivered. Pure.

At a threshold, Dovecot's delivering process connects to a socket of a service, which runs a script, which gives a mail
to dovecot-lda. A failure of any of these steps is only logged.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import msgspec

from ...base import guarded
from ...base.text import shown, visible
from ...servers.dovecot.conf import Block, plugin_values
from ...servers.dovecot.quota import unenforced
from ...settings.config import DEFAULT_PATH
from ..model import Check, Facts, Outcome, fail, ok, skip, together, warn
from .common import append, combined_check, comparable, dovecot_check, is_modern, unasked
from .facts import DovecotFacts, ScriptFacts

_NONE = ok("Dovecot itself has no warnings; mailquota sends them")
_SINGLE = re.compile(r"%(?=\s)")  # a percent sign after which Dovecot expects the letter of a variable
_OLD_OPTION = re.compile(r"plugin/quota=")
_OLD_BACKEND = re.compile(r"plugin/quota=(\w+)")
_LDA = "dovecot-lda"
_WHOSE = (
    "# write the service as in mailquota's docs/warnings.md, with the owner of the mailboxes as user in both places"
)
_DRIVERS = frozenset({"count", "maildir", "dict", "dirsize", "fs", "imapc"})  # for others see quota-driver


class DovecotWarning(msgspec.Struct, frozen=True):
    """A warning of Dovecot: its threshold, as in the settings, and the socket that Dovecot connects to."""

    mark: str
    socket: str


def _warnings(facts: DovecotFacts) -> list[DovecotWarning]:
    if is_modern(facts):
        return list(_modern(facts.conf))
    words = (text.replace("%%", "%").split() for _, text in _old(facts.conf))
    return [DovecotWarning(parts[0], parts[1]) for parts in words if len(parts) > 1]


def _old(conf: Block) -> Iterator[tuple[str, str]]:
    return ((name, text) for name, text in plugin_values(conf).items() if re.fullmatch(r"quota_warning[0-9]*", name))


def _is_single(text: str) -> bool:
    return bool(_SINGLE.search(text.replace("%%", "")))


def _doubled(text: str) -> str:
    return "%%".join(_SINGLE.sub("%%", part) for part in text.split("%%"))


def _modern(conf: Block) -> Iterator[DovecotWarning]:
    for place in (*conf.of_kind("quota"), conf):
        for warning in (*place.of_kind("quota_warning"), *place.of_kind("warning")):
            names = (f"{prefix}{name}" for name in ("storage_percentage", "percentage") for prefix in ("quota_", ""))
            mark = next((warning.values[name] for name in names if name in warning.values), "")
            for execute in (*warning.of_kind("execute"), *warning.of_kind("quota_warning_execute")):
                yield DovecotWarning(f"{_below(warning)}{mark}%" if mark else warning.name, execute.name)


def _below(warning: Block) -> str:
    """``below `` for a warning that is due when usage falls below the threshold; else empty."""
    threshold = warning.values.get("quota_warning_threshold") or warning.values.get("threshold")
    return "below " if threshold == "under" else ""


def _marks(facts: DovecotFacts) -> Outcome:
    found = _warnings(facts)
    if not found:
        return _NONE
    single = {} if is_modern(facts) else {name: text for name, text in _old(facts.conf) if _is_single(text)}
    if single:
        told = ", ".join(f"{name} = {visible(text)}" for name, text in single.items())
        lines = [f"  {name} = {_doubled(text)}" for name, text in single.items()]
        why = "Dovecot takes a single one for an unknown variable, and loads no user: no login, no delivery."
        return fail(f"a percent sign is not doubled in {told}", append(facts, "plugin {", *lines, "}"), why)
    marks = ", ".join(visible(warning.mark) for warning in found)
    return ok(f"Dovecot warns at {marks}, when a mail crosses the threshold")


def _sockets(facts: DovecotFacts) -> Outcome:
    names = list(dict.fromkeys(warning.socket for warning in _warnings(facts)))
    if not names:
        return _NONE
    return together((_socket(facts, name) for name in names), ok(f"mail can be delivered to {', '.join(names)}"))


def _socket(facts: DovecotFacts, name: str) -> Outcome:
    service, listener = _listener(facts, name)
    if listener is None:
        return fail(f"no service listens at {shown(name)}, to which Dovecot sends warnings", _service(facts, name))
    owner, mode = listener.values.get("user", "root"), _octal(listener.values.get("mode", "0600"))
    told = f"the socket {visible(name)} has user {visible(owner)} and mode {mode:04o}"
    if _admits(facts, listener, owner, mode):
        return ok(told)
    if not facts.mail_owner:
        return unasked(facts) or skip(f"{told}; which user delivers mail is not known")
    if not comparable(owner, facts.mail_owner):
        return skip(f"{told}; mail is delivered as {facts.mail_owner[0]}, whose name and number are not known here")
    fix = append(facts, f"service {service} {{", *_listener_lines(facts, name), "}")
    return fail(f"{told}, and mail is delivered as {visible(facts.mail_owner[0])}", fix)


def _admits(facts: DovecotFacts, listener: Block, owner: str, mode: int) -> bool:
    """Whether the user that delivers mail may connect."""
    of_owner = owner in facts.mail_owner and mode & 0o200
    of_group = listener.values.get("group", "") in facts.mail_group and mode & 0o020
    return bool(mode & 0o002 or of_owner or of_group)


def _listener(facts: DovecotFacts, name: str) -> tuple[str, Block | None]:
    """The service with this listener, and the listener. Names are relative to Dovecot's base_dir."""
    base = facts.conf.values.get("base_dir", "/run/dovecot").rstrip("/") + "/"
    for service in facts.conf.of_kind("service"):
        for listener in service.of_kind("unix_listener"):
            if listener.name.removeprefix(base) == name.removeprefix(base):
                return service.name, listener
    return name, None


def _listener_lines(facts: DovecotFacts, name: str) -> list[str]:
    return [f"  unix_listener {name} {{", f"    user = {_owner(facts)}", "    mode = 0660", "  }"]


def _service(facts: DovecotFacts, name: str) -> str:
    if not facts.mail_owner:
        return _WHOSE
    return append(facts, f"service {name} {{", *_ours(facts), *_listener_lines(facts, name), "}")


def _ours(facts: DovecotFacts) -> list[str]:
    """The lines that run ``mailquota warn``. Clients of the socket choose arguments, so it must not run as root."""
    return [f"  executable = script {facts.mailquota} warn", f"  user = {_owner(facts)}"]


def _owner(facts: DovecotFacts) -> str:
    return next((one for one in facts.mail_owner if not one.isdigit()), facts.mail_owner[0])


def _octal(text: str) -> int:
    return int(text, 8) if re.fullmatch(r"[0-7]{1,6}", text) else 0


def _scripts(facts: DovecotFacts) -> Outcome:
    found = _warning_scripts(facts)
    if not _warnings(facts):
        return _NONE
    if not found:
        return ok("no script is run")
    paths = ", ".join(visible(script.path) for script in found)
    return together((_runs(facts, script) for script in found), ok(f"can be run: {paths}"))


def _warning_scripts(facts: DovecotFacts) -> list[ScriptFacts]:
    services = {_listener(facts, warning.socket)[0] for warning in _warnings(facts)}
    return [script for script in facts.scripts if script.service in services]


def _runs(facts: DovecotFacts, script: ScriptFacts) -> Outcome:
    path = visible(script.path)
    if "No such file" in script.fault:
        fix = append(facts, f"service {script.service} {{", *_ours(facts), "}") if facts.mail_owner else _WHOSE
        return fail(f"{path}, which service {visible(script.service)} runs, does not exist", fix)
    if script.fault:
        return skip(f"{visible(script.fault)}; run the doctor as root")
    if not script.mode & 0o111:
        return fail(
            f"{path} is not executable (mode {script.mode:04o})",
            guarded.line(script.path, guarded.mode_by_handle("0755")),
        )
    if script.interpreter.endswith("\r"):
        found = f"{path} has line ends of Windows, so that its interpreter {shown(script.interpreter)} is not found"
        return fail(found, rf"sed -i 's/\r$//' {shlex.quote(script.path)}")
    if script.interpreter:
        fix = append(facts, f"service {script.service} {{", *_ours(facts), "}") if facts.mail_owner else _WHOSE
        return fail(f"{path} needs {shown(script.interpreter)}, which does not exist", fix)
    return ok(path)


def _options(facts: DovecotFacts) -> Outcome:
    if not _warnings(facts):
        return _NONE
    delivering = [script for script in _warning_scripts(facts) if any(_LDA in line for line in script.lines)]
    return together(
        (_option(facts, script) for script in delivering), ok("a warning is delivered to a full mailbox, too")
    )


def _option(facts: DovecotFacts, script: ScriptFacts) -> Outcome:
    """Whether the script calls dovecot-lda with an option by which a full mailbox accepts the warning.

    Without ``-e`` dovecot-lda drops a mail that is refused, and ends with exit code 0.
    """
    text, path = " ".join(script.lines), visible(script.path)
    if is_modern(facts):
        if _OLD_OPTION.search(text):
            return fail(f"{path} calls {_LDA} with the option plugin/quota, which 2.4 ignores", _new_option(script))
        if "quota_enforce=no" in text or re.search(r"enforce=no\b", text):
            return ok(path)
    elif "noenforcing" in text:
        return _backend(facts, script, text)
    found = f"{path} calls {_LDA} without an option that lets a full mailbox take the warning"
    return fail(found, _with_option(facts, script))


def _backend(facts: DovecotFacts, script: ScriptFacts, text: str) -> Outcome:
    match = _OLD_BACKEND.search(text)
    if match is None or match[1] == facts.quota.backend or facts.quota.backend not in _DRIVERS:
        return ok(visible(script.path))
    why = "dovecot-lda then counts usage in another way than the other processes, and creates files for that."
    name, quoted = match[1], shlex.quote(script.path)
    fix = f"sed -i 's/plugin\\/quota={name}:/plugin\\/quota={facts.quota.backend}:/' {quoted}"
    return warn(f"{visible(script.path)} names quota driver {name}, Dovecot has {facts.quota.backend}", fix, why)


def _new_option(script: ScriptFacts) -> str:
    pattern = r"""s/"plugin\/quota=[^"]*"|'plugin\/quota=[^']*'|plugin\/quota=[^[:space:]]*/quota_enforce=no/"""
    return f"sed -i -E {shlex.quote(pattern)} {shlex.quote(script.path)}"


def _with_option(facts: DovecotFacts, script: ScriptFacts) -> str:
    options = " ".join(f'-o "{option}"' for option in unenforced(facts.quota)[:1])
    options = re.sub(r"[\\&/]", r"\\\g<0>", options)
    return f"sed -i {shlex.quote(f's/dovecot-lda /dovecot-lda -e {options} /')} {shlex.quote(script.path)}"


def _twice(facts: Facts) -> Outcome:
    """Whether owners get warnings both from a script of Dovecot and from mailquota."""
    dovecot, thresholds = facts.dovecot, facts.config.settings.warnings.thresholds
    if not _warnings(dovecot):
        return _NONE
    if not thresholds:
        return ok("mailquota sends no warnings (thresholds = []), only Dovecot does")
    others = [script for script in _warning_scripts(dovecot) if not script.ours]
    if not others:
        return ok("Dovecot runs mailquota for its warnings, and mailquota sends none twice")
    marks = ", ".join(visible(warning.mark) for warning in _warnings(dovecot))
    own = ", ".join(f"{mark} %" if isinstance(mark, int) else f"{visible(mark)} left" for mark in thresholds)
    outcomes = [
        warn(f"Dovecot runs {visible(script.path)} at {marks}, and mailquota warns at {own}", _once(facts, script))
        if not script.fault
        else skip(f"{visible(script.fault)}: whether it calls mailquota is not known")
        for script in others
    ]
    return together(outcomes, _NONE)


def _once(facts: Facts, script: ScriptFacts) -> str:
    """The two fixes: mailquota takes the place of the script, or mailquota sends no warnings."""
    dovecot, path = facts.dovecot, facts.config.path or DEFAULT_PATH
    through_us = append(dovecot, f"service {script.service} {{", *_ours(dovecot), "}") if dovecot.mail_owner else _WHOSE
    made = "" if facts.config.path else f" (mailquota config --write {path} makes it)"
    return (
        f"# mailquota takes the place of the script:\n{through_us}\n"
        f"# or the script stays, and mailquota sends no warnings: in {path}{made} write\n"
        "#   [warnings]\n#   thresholds = []\n# and then: mailquota reload"
    )


WARNING_CHECKS: tuple[Check, ...] = (
    dovecot_check(
        "quota-warnings",
        "Dovecot warns only when a mail crosses a threshold: owners whose mailbox is above it already get no warning.",
        _marks,
    ),
    dovecot_check(
        "quota-warning-service",
        "A warning that can't be passed to its service is lost; Dovecot only logs that.",
        _sockets,
    ),
    dovecot_check("quota-warning-script", "Without its script the service sends nothing.", _scripts),
    dovecot_check(
        "quota-warning-option",
        "Without the option dovecot-lda drops a warning to a full mailbox, and reports success.",
        _options,
    ),
    combined_check(
        "quota-warning-twice",
        "The owner gets two warnings, from the script and from mailquota; and the mail of one can fill the mailbox up "
        "to a threshold of the other, which sends the next.",
        _twice,
    ),
)
