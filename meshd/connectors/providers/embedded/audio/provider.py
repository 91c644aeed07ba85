"""`modelmesh.local-speech.v1` and `modelmesh.local-transcription.v1`: each in a child process of the daemon.

Owns: each one's single model. Must never: import their packages into the daemon.
"""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, ClassVar

from meshd.connectors.providers.embedded.provider import EmbeddedModel, check_installed, described
from meshd.operations.audio.speech import SPEECH
from meshd.operations.audio.transcription import TRANSCRIPTION
from meshd.sdk.provider import (
    FailureKind,
    ModelListing,
    OperationSpec,
    Provider,
    ProviderAnswer,
    ProviderCall,
    ProviderFailure,
    ProviderSettings,
    StreamEvent,
)

EXTRA = "speech"


class _LocalAudioProvider(Provider):
    """Options: `idle_timeout`, `start_timeout`. PACKAGES: the one that contains the model, then what it needs
    here. CHILD: the module. SERVICE: of `meshd/services`."""

    MODEL: ClassVar[str]
    PACKAGES: ClassVar[tuple[str, ...]]
    CAPABILITY: ClassVar[str]
    OPERATION: ClassVar[OperationSpec]
    CHILD: ClassVar[str]
    SERVICE: ClassVar[str]

    def __init__(self, settings: ProviderSettings) -> None:
        super().__init__(settings)
        self._model = EmbeddedModel(settings, self.MODEL, self._command, self.SERVICE)

    async def execute(self, call: ProviderCall) -> ProviderAnswer:
        self._check(call)
        return await self._model.execute(call)

    async def stream(self, call: ProviderCall) -> AsyncGenerator[StreamEvent, None]:
        self._check(call)
        async with aclosing(self._model.stream(call)) as events:
            async for event in events:
                yield event

    async def list_models(self) -> list[ModelListing]:
        if any(importlib.util.find_spec(package) is None for package in self.PACKAGES):
            return []
        return [ModelListing(id=self.MODEL, capabilities=(self.CAPABILITY,))]

    async def probe(self, timeout: float) -> float:
        self._check_installed()
        return 0.0

    def describe(self) -> dict[str, Any]:
        return described(self.PACKAGES[0], self.MODEL, {self.MODEL: self._model})

    async def aclose(self) -> None:
        await self._model.aclose()

    def _check(self, call: ProviderCall) -> None:
        if call.operation != self.OPERATION:
            message = f"{self.MODEL} supports only {self.OPERATION}"
            raise ProviderFailure(FailureKind.UNSUPPORTED, message, status=400)
        if call.model != self.MODEL:
            raise ProviderFailure(FailureKind.MODEL_NOT_FOUND, f"there is only {self.MODEL} here", status=404)
        if not self._model.child.running:
            self._check_installed()

    def _check_installed(self) -> None:
        for package in self.PACKAGES:
            check_installed(package, EXTRA)

    def _command(self, socket: str) -> list[str]:
        module = f"meshd.connectors.providers.embedded.audio.{self.CHILD}"
        return ["-m", module, "--socket", socket, "--alias", self.MODEL]


class LocalSpeechProvider(_LocalAudioProvider):
    """eSpeak NG."""

    MODEL = "espeak-ng"
    PACKAGES = ("espeakng_loader", "numpy")
    CAPABILITY = "text-to-speech"
    OPERATION = SPEECH
    CHILD = "speech_child"
    SERVICE = "local-speech"


class LocalTranscriptionProvider(_LocalAudioProvider):
    """PocketSphinx with its model of US English."""

    MODEL = "pocketsphinx-en-us"
    PACKAGES = ("pocketsphinx", "numpy")
    CAPABILITY = "speech-to-text"
    OPERATION = TRANSCRIPTION
    CHILD = "transcription_child"
    SERVICE = "local-transcription"
