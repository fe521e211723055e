"""Loads the settings: from a file, from what is found on the server, and from defaults. Reads files, writes none.

The first file named by ``--config``, ``MAILQUOTA_CONFIG`` or DEFAULT_PATH counts; only the last may be missing. What is
found on the server fills sections that the file lacks entirely: where a file has a section, a change of Postfix's or
Dovecot's settings does not change it. All values are checked when they are loaded. An error is a ``SettingsError``; it
names file and key, what was found and what is expected, and never shows a password.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec

from ..base.endpoints import mask_secrets
from ..base.errors import SettingsError, UsageError
from ..base.text import shown
from ..servers.dovecot.followed import UserNames
from ..servers.dovecot.quota import QuotaFacts
from .declared import Section, Settings

DEFAULT_PATH = Path("/etc/mailquota/mailquota.toml")
DEFAULT_ORIGIN = "default"

_WHERE = re.compile(r"^(?P<fault>.*?)(?: - at `(?:key in )?\$\.?(?P<path>.*)`)?$", re.DOTALL)
_EXPECTED = re.compile(r"^Expected `(?P<types>.*)`, got `(?P<got>.*)`$")
_TYPE_NAMES = {
    "str": "a text in quotes",
    "int": "a whole number",
    "bool": "true or false",
    "array": "a list in [ ]",
    "object": "a table",
    "float": "a number with a fraction",
}


class DiscoveredSettings(msgspec.Struct, frozen=True):
    """Settings found on the server: section → key → value, and in ``origins`` "section.key" → where it was found.

    ``trash_names`` are the folders that Dovecot's settings mark as \\Trash. ``users`` is what it says of their names,
    None where it was not asked. ``faults`` are the reasons where something
    could not be asked, read or understood; each begins with the key, or the section, that it is about.
    """

    values: dict[str, dict[str, Any]] = {}
    origins: dict[str, str] = {}
    trash_names: tuple[str, ...] = ()
    quota: QuotaFacts | None = None  # None: Dovecot was not asked
    users: UserNames | None = None
    faults: tuple[str, ...] = ()


NOTHING_DISCOVERED = DiscoveredSettings()


class Config(msgspec.Struct, frozen=True):
    """The settings in force, and the origin of each ("section.key"): ``file PATH``, ``found: …`` or ``default``.

    ``path`` is the settings file, None where there is none.
    """

    settings: Settings
    origin: dict[str, str]
    path: Path | None = None
    found: DiscoveredSettings = NOTHING_DISCOVERED
    remarks: tuple[str, ...] = ()  # settings that are valid but look like a mistake, and faults of the discovery

    def sender_for(self, address: str) -> str:
        """The sender of mails to an account: the setting, else the postmaster of its domain (RFC 5321, 4.5.1)."""
        if self.origin.get("warnings.from") == DEFAULT_ORIGIN:
            return f"postmaster@{address.rpartition('@')[2]}"
        return self.settings.warnings.from_


Discover = Callable[
    [str], DiscoveredSettings
]  # takes the setting mailstore.doveadm, whose -c selects Dovecot's configuration


def load(
    path: Path | None, environ: Mapping[str, str], found: DiscoveredSettings | Discover = NOTHING_DISCOVERED
) -> Config:
    """Read and check all settings. Raises SettingsError.

    ``found`` are settings found on the server, or a function that finds them: it is called only where the file lacks a
    section that they may fill.
    """
    file, data = _read_first(path, environ)
    where = str(file) if file else "settings"
    _check_keys(data, where)
    at_hand = _find(found, data)
    origin = _origins(data, file, at_hand)
    merged = {**at_hand.values, **data}
    settings = _convert(merged, where, origin)
    _check_values(settings, where, origin)
    remarks = (*_remarks(settings), *at_hand.faults)
    return Config(settings, origin, path=file, found=at_hand, remarks=remarks)


@cache
def keys(section: type[Section]) -> dict[str, msgspec.Meta]:
    """The keys of a section as the file has them, in order, each with its meaning and check."""
    hints = get_type_hints(section, include_extras=True)
    fields = zip(section.__struct_fields__, section.__struct_encode_fields__, strict=True)
    return {name: get_args(hints[field])[1] for field, name in fields}


@cache
def sections() -> dict[str, type[Section]]:
    """The sections of the file by name, in order."""
    hints = get_type_hints(Settings)
    return {name: hints[name] for name in Settings.__struct_fields__}


def value_of(settings: Settings, section: str, key: str) -> Any:
    """The value of a setting, by section and key as the file has them."""
    struct: Section = getattr(settings, section)
    field = struct.__struct_fields__[struct.__struct_encode_fields__.index(key)]
    return getattr(struct, field)


def check_value(section: str, key: str, value: Any) -> None:
    """Raises UsageError for a value that the setting's check refuses. It must have the right type."""
    check = (keys(sections()[section])[key].extra or {})["check"]
    if check is not None:
        check(value)


def _read_first(path: Path | None, environ: Mapping[str, str]) -> tuple[Path | None, dict[str, Any]]:
    named = path or (Path(environ["MAILQUOTA_CONFIG"]) if environ.get("MAILQUOTA_CONFIG") else None)
    file = named or DEFAULT_PATH
    try:
        return file, tomllib.loads(file.read_bytes().decode())
    except FileNotFoundError as error:
        if named is None:
            return None, {}
        raise SettingsError(f"{file}: can't be read: {error.strerror}") from None
    except (OSError, ValueError, RecursionError) as error:  # RecursionError: very many nested brackets
        raise SettingsError(f"{file}: {_unreadable(error)}") from None


def _unreadable(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"can't be read: {error.strerror}"
    if isinstance(error, UnicodeDecodeError):
        line = error.object[: error.start].count(b"\n") + 1
        return f"line {line}: found a byte that is not UTF-8, expected a TOML file in UTF-8"
    fault, _, place = str(error).rpartition(" (at ")
    line_number = re.match(r"line (\d+)", place)
    if line_number:
        return f"line {line_number[1]}: {fault} ({place.rstrip(')')}), expected TOML"
    return f"last line: {error}, expected TOML"


def _check_keys(data: Mapping[str, Any], where: str) -> None:
    """Refuse unknown names before types and values: an error that follows from a misspelt key would hide the cause."""
    known = sections()
    for name, table in data.items():
        if name not in known:
            fault = f"unknown section [{name}]" if isinstance(table, dict) else f"unknown key {name} outside a section"
            raise SettingsError(f"{where}: {fault}{_elsewhere(name) or _nearest(name, known)}")
        unknown = [key for key in table if key not in keys(known[name])] if isinstance(table, dict) else []
        if unknown:
            near = _elsewhere(unknown[0]) or _nearest(unknown[0], keys(known[name]))
            raise SettingsError(f"{where}: unknown key {name}.{unknown[0]}{near}")


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    near = _closest(name, known)
    return f"; did you mean {near}?" if near else f"; expected one of: {', '.join(known)}"


def _closest(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches  # late: needed for an error message only

    return "".join(get_close_matches(name, list(known), n=1))


def _elsewhere(key: str) -> str:
    homes = [f"[{name}]" for name, section in sections().items() if key in keys(section)]
    return f"; it belongs into {' or '.join(homes)}" if homes else ""


def _find(found: DiscoveredSettings | Discover, data: Mapping[str, Any]) -> DiscoveredSettings:
    fillable = {"accounts", "mailstore", "policy"}
    if isinstance(found, DiscoveredSettings) or not fillable - data.keys():
        at_hand = found if isinstance(found, DiscoveredSettings) else DiscoveredSettings()
    else:
        doveadm = data.get("mailstore", {})
        doveadm = doveadm.get("doveadm", "auto") if isinstance(doveadm, dict) else "auto"
        at_hand = found(doveadm if isinstance(doveadm, str) else "auto")
    values = {name: table for name, table in at_hand.values.items() if name not in data}
    faults = tuple(fault for fault in at_hand.faults if re.split(r"[.:]", fault, maxsplit=1)[0] not in data)
    return msgspec.structs.replace(at_hand, values=values, faults=faults)


def _origins(data: Mapping[str, Any], file: Path | None, found: DiscoveredSettings) -> dict[str, str]:
    origin = {}
    for name, section in sections().items():
        given = data.get(name, {})
        for key in keys(section):
            if isinstance(given, dict) and key in given:
                origin[f"{name}.{key}"] = f"file {file}"
            elif key in found.values.get(name, {}):
                origin[f"{name}.{key}"] = f"found: {found.origins.get(f'{name}.{key}', 'on this server')}"
            else:
                origin[f"{name}.{key}"] = DEFAULT_ORIGIN
    return origin


def _convert(data: Mapping[str, Any], where: str, origin: Mapping[str, str]) -> Settings:
    try:
        return msgspec.convert(data, Settings)
    except msgspec.ValidationError as error:
        match = _WHERE.match(str(error))
        path = (match["path"] or "") if match else ""
        fault = match["fault"] if match else str(error)
        raise SettingsError(f"{_named(where, origin, path)}: {_type_fault(fault, path, data)}") from None


def _named(where: str, origin: Mapping[str, str], key: str) -> str:
    source = origin.get(key.partition("[")[0], "")
    return f"{source.removeprefix('found: ')}: {key}" if source.startswith("found: ") else f"{where}: {key}"


def _type_fault(fault: str, path: str, data: Mapping[str, Any]) -> str:
    value = _look_up(data, path)
    mismatch = _EXPECTED.match(fault)
    if mismatch:
        types = " or ".join(_TYPE_NAMES.get(name, name) for name in mismatch["types"].split(" | "))
        return f"found {_as_toml(value, mismatch['got'])}, expected {types}{_example(path)}"
    if fault.startswith("Invalid enum value"):
        choices = _choices(path)
        near = _closest(str(value), choices)
        hint = f" (did you mean {near}?)" if near else ""
        return f"found {shown(str(value))}, expected {' or '.join(choices)}{hint}"
    return fault


def _example(path: str) -> str:
    name, _, key = path.partition(".")
    default = value_of(Settings(), name, key) if key in keys(sections().get(name, Section)) else None
    if isinstance(default, tuple):
        return ", like [" + ", ".join(f'"{item}"' if isinstance(item, str) else str(item) for item in default) + "]"
    return f', like "{default}"' if isinstance(default, str) and default else ""


def _as_toml(value: Any, kind: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'the text "{mask_secrets(value)[:60]}"'
    return f"the number {value}" if isinstance(value, int | float) else _TYPE_NAMES.get(kind, kind)


def _look_up(data: Any, path: str) -> Any:
    """The value at a path like ``policy.listen[0]``; None where there is none."""
    for step in re.findall(r"[^.\[\]]+", path):
        try:
            data = data[int(step)] if isinstance(data, list) else data[step]
        except (KeyError, IndexError, ValueError, TypeError):
            return None
    return data


def _choices(path: str) -> list[str]:
    name, _, key = path.partition(".")
    hint = get_type_hints(sections()[name])[key]
    return [str(choice) for choice in get_args(hint)]


def _check_values(settings: Settings, where: str, origin: Mapping[str, str]) -> None:
    for name, section in sections().items():
        for key in keys(section):
            try:
                check_value(name, key, value_of(settings, name, key))
            except UsageError as error:
                raise SettingsError(f"{_named(where, origin, f'{name}.{key}')}: {error}") from None
    accounts = settings.accounts
    for key in ("users_query", "set_query") if accounts.schema == "custom" else ():
        if not getattr(accounts, key).strip():
            raise SettingsError(f'{where}: accounts.{key}: found nothing, expected an SQL text (schema = "custom")')


def _remarks(settings: Settings) -> tuple[str, ...]:
    accounts, policy = settings.accounts, settings.policy
    queries = ("users_query", "aliases_query", "set_query", "change_query")
    unused = [key for key in queries if getattr(accounts, key) and accounts.schema != "custom"]
    refusing = policy.success.upper().startswith(("REJECT", "DEFER", "4", "5"))
    remarks = [f'accounts.{key} is not used: schema is "{accounts.schema}", not "custom"' for key in unused]
    if accounts.write_password_file and not accounts.write_database:
        remarks.append("accounts.write_password_file is not used: there is no accounts.write_database")
    if refusing:
        remarks.append(f"policy.success refuses mail that fits: {policy.success}")
    return tuple(remarks)
