"""Finds the maps of Postfix that rewrite recipients, where this machine's Postfix is the one that asks mailquota."""

from __future__ import annotations

from ..base import programs
from ..base.programs import Read
from ..servers.postfix.maps import parse_map_file
from ..servers.postfix.rewriting import PARAMETERS, RewritingMaps, Tables, asks_us, rewriting_maps
from .config import Config


def find_rewriting(
    config: Config, run: programs.Run = programs.run, read: Read = programs.read
) -> RewritingMaps | None:
    """The maps that rewrite recipients; None where Postfix can't be asked, or is not the one that asks mailquota.

    The setting ``accounts.maps`` counts before virtual_alias_maps. Blocks for some seconds at most.
    """
    said = run(["postconf", "-x", *PARAMETERS])
    values = {} if said.fault else parse_map_file(said.out)
    settings = config.settings
    if not asks_us(values, settings.policy.listen):
        values = {"recipient_delimiter": settings.policy.recipient_delimiter}
        if not settings.accounts.maps:
            return None
    return rewriting_maps(values, tables_of(config), read, settings.accounts.maps)


def tables_of(config: Config) -> Tables:
    """The tables that accounts and aliases are read from."""
    accounts = config.settings.accounts
    url = accounts.url
    return Tables(accounts.schema, url.kind, str(url.path) if url.kind == "sqlite" else url.database)
