"""A wire format by its name, imported at its first use."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from meshd.formats.known import FORMATS
from meshd.formats.protocol import Format, ProviderFormat


@cache
def provider_format(name: str) -> ProviderFormat:
    """Raises KeyError for a name that is not known."""
    module, _, attribute = FORMATS[name].at.partition(":")
    found: ProviderFormat = getattr(import_module(module), attribute)
    return found


def app_format(name: str) -> Format:
    """A format that apps speak. Raises KeyError for any other name."""
    found = provider_format(name)
    if not isinstance(found, Format):
        raise KeyError(name)
    return found
