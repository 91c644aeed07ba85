"""The interface of a discovery connector, which finds model servers.

Owns: `FoundServer` and the abstract `Discovery`.
Must never: change anything; what is found becomes a provider in the config actor.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from meshd.sdk.provider import ModelListing


class FoundServer(msgspec.Struct, frozen=True):
    """A server that answers.

    name: for the provider, if the name is free. connector: the provider connector that speaks to it; it must not need a
    key, because no key is sent to a server that was found. models: those it serves; empty if they cannot be read now.
    """

    name: str
    connector: str
    base_url: str
    models: tuple[ModelListing, ...] = ()


class Discovery(ABC):
    """settings: the connector's own keys in its entry under `discovery.connector`. `look` runs in a thread of its
    own."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings

    @abstractmethod
    def look(self) -> Iterable[FoundServer]:
        """Every server that is running now; may block for a few seconds. A server that is missing twice is removed.

        An exception means that nothing is known now; what was found before stays.
        """
