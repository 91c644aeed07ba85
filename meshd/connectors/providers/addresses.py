"""The address of a provider, with the parts that its row in the catalogue leaves open: an account, a region.

Owns: what fills such a part, and what to set if nothing does. Must never: contact a server.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from meshd.connectors.providers.aws_region import PLACE, region_of
from meshd.sdk.settings import ProviderSettings

_VARIABLE = re.compile(r"\$\{env:(\w+)\}")


def filled(address: str, settings: ProviderSettings, environ: Mapping[str, str] = os.environ) -> str:
    """The address with all its parts. Raises ValueError, which says what to set."""
    unset = [name for name in dict.fromkeys(_VARIABLE.findall(address)) if not environ.get(name)]
    if unset:
        raise ValueError(f"set {', '.join(unset)} in the daemon's environment, or base_url in the configuration")
    address = _VARIABLE.sub(lambda found: environ[found[1]], address)
    return address.replace(PLACE, region_of(settings)) if PLACE in address else address


def lacking(settings: ProviderSettings) -> str:
    """What to set before it can be asked; "": nothing."""
    if what := _lacking(settings.base_url or "", settings):
        return what
    return _lacking(PLACE, settings) if settings.auth_method == "aws" else ""  # a signature names the region


def lacking_at_hosts(settings: ProviderSettings) -> dict[str, list[str]]:
    """The same for a service's other servers (the quirk `hosts`), which serve only some of its models: what to set →
    the servers' names."""
    hosts: Mapping[str, str] = settings.quirks.get("hosts") or {}
    found: dict[str, list[str]] = {}
    for name, address in hosts.items():
        if what := _lacking(address, settings):
            found.setdefault(what, []).append(name)
    return found


def _lacking(address: str, settings: ProviderSettings) -> str:
    try:
        filled(address, settings)
    except ValueError as error:
        return str(error)
    return ""
