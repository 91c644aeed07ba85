"""A discovery connector: servers become providers, and their models can be asked."""

from collections.abc import Iterable
from pathlib import Path

from meshd.sdk.discovery import Discovery, FoundServer
from meshd.sdk.provider import ModelListing


class ServerList(Discovery):
    def look(self) -> Iterable[FoundServer]:
        for line in Path(self.settings["path"]).read_text("utf-8").splitlines():
            name, url, *models = line.split()
            listed = tuple(ModelListing(id=model, capabilities=("chat-completion",)) for model in models)
            yield FoundServer(name, "openai-compatible.v1", url, listed)
