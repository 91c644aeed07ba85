"""What the discovery actor hears."""

from __future__ import annotations

from typing import Any

from meshd.core.messaging.message import Message


class ModelsListed(Message, frozen=True):
    provider: str
    models: tuple[dict[str, Any], ...]
    error: str = ""


class LocalScanned(Message, frozen=True):
    """A scan of this machine ended (discovery → itself, from the thread that scanned). None: it failed."""

    found: Any


class DiscoverNow(Message, frozen=True):
    """`meshctl discover` → discovery. Answered with a list of maps: what was found, new and gone."""


class DiscoveryRemarks(Message, frozen=True):
    """→ discovery, for the status. Answered with a list of texts: whose servers are at addresses that are, or were, in
    use."""
