"""`modelmesh.local-llm.v1`: language models on this machine, each in a child process (`llm_child.py`).

Owns: finding the weights of models on this machine.
Must never: fetch weights itself (`meshctl pull` does), or import xllamacpp into the daemon.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import msgspec

from meshd.catalogue.known import load_local_models
from meshd.connectors.providers.embedded.provider import EmbeddedModel, check_installed, described
from meshd.host.trust.paths import untrusted
from meshd.operations.chat import CHAT
from meshd.operations.completion import COMPLETION
from meshd.pull.store import find, is_file, list_models
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

DEFAULT_MODEL = "smollm2-135m"
DEFAULT_CONTEXT = 4096
PARALLEL = 2
CAPABILITIES = ("chat-completion", "text-completion")
_SERVED = (CHAT, COMPLETION)
PACKAGE = "xllamacpp"


class Weights(msgspec.Struct, frozen=True):
    model: str
    path: Path
    context: int
    features: tuple[str, ...]


class LocalLlmProvider(Provider):
    """Options: `model` (a pulled name or a path), `context_window`, `threads`, `parallel`, `idle_timeout`,
    `start_timeout`. Every pulled model can be used; `model` is listed first."""

    def __init__(self, settings: ProviderSettings) -> None:
        super().__init__(settings)
        self._default = str(settings.options.get("model") or DEFAULT_MODEL)
        self._models: dict[str, EmbeddedModel] = {}

    async def execute(self, call: ProviderCall) -> ProviderAnswer:
        return await self._model(call).execute(call)

    async def stream(self, call: ProviderCall) -> AsyncGenerator[StreamEvent, None]:
        async with aclosing(self._model(call).stream(call)) as events:
            async for event in events:
                yield event

    async def list_models(self) -> list[ModelListing]:
        found = {weights.model: weights for weights in self._all_weights()}
        return [
            ModelListing(
                id=weights.model,
                capabilities=CAPABILITIES,
                context_window=weights.context,
                max_output_tokens=weights.context,
                features=weights.features,
            )
            for weights in found.values()
        ]

    async def probe(self, timeout: float) -> float:
        """Check that it could serve: the package and the weights exist. A running child counts as available."""
        check_installed(PACKAGE)
        self._weights(_name_of(self._default))
        return 0.0

    def describe(self) -> dict[str, Any]:
        return described(PACKAGE, _name_of(self._default), self._models)

    async def aclose(self) -> None:
        models, self._models = self._models, {}
        for model in models.values():
            await model.aclose()

    def _model(self, call: ProviderCall) -> EmbeddedModel:
        if call.operation not in _SERVED:
            raise ProviderFailure(FailureKind.UNSUPPORTED, f"{call.model} only writes text", status=400)
        model = self._models.get(call.model)
        if model is None:
            check_installed(PACKAGE)
            weights = self._weights(call.model)
            model = EmbeddedModel(self.settings, weights.model, lambda socket: self._command(weights, socket))
            self._models[call.model] = model
        return model

    def _command(self, weights: Weights, socket: str) -> list[str]:
        options = self.settings.options
        return [
            *("-m", "meshd.connectors.providers.embedded.llm_child", "--socket", socket, "--alias", weights.model),
            *("--model", str(weights.path), "--context", str(weights.context)),
            *("--parallel", str(options.get("parallel") or PARALLEL), "--threads", str(options.get("threads") or 0)),
        ]

    def _weights(self, name: str) -> Weights:
        """The weights of a model. Files are checked but not read, which takes a few microseconds each."""
        if is_file(self._default) and name == _name_of(self._default):
            path = Path(os.path.expanduser(self._default))
            if path.is_file():
                return self._described(name, path)
            raise ProviderFailure(FailureKind.MODEL_NOT_FOUND, f"there is no file {path}", status=404)
        pulled = find(name, self.settings.data_dir or None)
        if pulled is not None:
            if fault := untrusted(pulled.path):
                message = f"the weights {pulled.path} are not used: {fault}"
                raise ProviderFailure(FailureKind.MODEL_NOT_FOUND, message, status=404)
            return self._described(name, pulled.path)
        known = {row.name for row in load_local_models()}
        cure = f"run: meshctl pull {name}" if name in known else f"known are: {', '.join(sorted(known))}"
        raise ProviderFailure(FailureKind.MODEL_NOT_FOUND, f"{name} is not on this machine; {cure}", status=404)

    def _all_weights(self) -> list[Weights]:
        first: list[Weights] = []
        with suppress(ProviderFailure):
            first.append(self._weights(_name_of(self._default)))
        pulled = list_models(self.settings.data_dir or None)
        safe = (model for model in pulled if not untrusted(model.path))
        return first + [self._described(model.name, model.path) for model in safe]

    def _described(self, name: str, path: Path) -> Weights:
        row = next((row for row in load_local_models() if row.name == name), None)
        configured = self.settings.options.get("context_window") if name == _name_of(self._default) else None
        context = int(configured or (row.context_window if row else DEFAULT_CONTEXT))
        return Weights(name, path, context, row.features if row else ())


def _name_of(model: str) -> str:
    return Path(model).stem.lower() if is_file(model) else model
