"""`client.audio`: speech from text, and text from speech."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Final

from modelmesh._async.resources.resource import AsyncResource
from modelmesh._async.stream import AsyncStream
from modelmesh._openai_sdk.arguments import NOT_GIVEN
from modelmesh._shared.file_answer import FileAnswer, to_write
from modelmesh.types import Object

if TYPE_CHECKING:
    from modelmesh._async.sender import AsyncSender

SPEECH: Final = "/v1/audio/speech"
TRANSCRIPTIONS: Final = "/v1/audio/transcriptions"
TRANSLATIONS: Final = "/v1/audio/translations"


class AsyncStreamedFile:
    """A file that comes in pieces; left early, it cancels the request. Raises StreamInterrupted if it is cut off."""

    def __init__(self, ask: Callable[[], Any]) -> None:
        self._ask = ask
        self._stream: AsyncStream[bytes] | None = None

    async def __aenter__(self) -> AsyncStreamedFile:
        self._stream = await self._ask()
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._stream is not None:
            await self._stream.close()

    async def iter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """As it comes, or in pieces of that size."""
        assert self._stream is not None, "use it in a `with` statement"
        held = b""
        async for piece in self._stream:
            if chunk_size is None:
                yield piece
                continue
            held += piece
            while len(held) >= chunk_size:
                yield held[:chunk_size]
                held = held[chunk_size:]
        if held:
            yield held

    async def read(self) -> bytes:
        return b"".join([piece async for piece in self.iter_bytes()])

    async def stream_to_file(self, file: str | os.PathLike[str]) -> None:
        with to_write(file) as opened:
            async for piece in self.iter_bytes():
                opened.write(piece)


class AsyncStreamedSpeech:
    """`client.audio.speech.with_streaming_response`"""

    def __init__(self, speech: AsyncSpeech) -> None:
        self._speech = speech

    def create(self, **params: Any) -> AsyncStreamedFile:
        return AsyncStreamedFile(lambda: self._speech.ask(**params))


class AsyncSpeech(AsyncResource):
    _called = "client.audio.speech"

    async def create(self, **params: Any) -> Any:
        """Read a text aloud: `input`, `voice`, `model`, and what else the model takes. Returns a FileAnswer, or events
        with `stream_format="sse"`."""
        if params.get("stream_format") == "sse":
            return await self._send(Object, params)
        stream = await self.ask(**params)
        try:
            content = b"".join([piece async for piece in stream])
        finally:
            await stream.close()
        return FileAnswer(content, stream.content_type)

    async def ask(self, **params: Any) -> AsyncStream[bytes]:
        """The pieces of the file as they come."""
        return await self._send(None, params)  # type: ignore[no-any-return]

    async def _send(self, kind: Any, params: dict[str, Any]) -> Any:
        return await self._sender.ask(SPEECH, kind, "text-to-speech", params, stream=True)

    @property
    def with_streaming_response(self) -> AsyncStreamedSpeech:
        return AsyncStreamedSpeech(self)

    def _parts(self) -> list[str]:
        return ["create"]


class AsyncTranscriptions(AsyncResource):
    _called = "client.audio.transcriptions"

    async def create(self, *, file: Any, stream: Any = NOT_GIVEN, **params: Any) -> Any:
        """The words of a recording: an Object, a text with `response_format` text, srt or vtt, or a stream of events.
        file: an open file, bytes, a path, or a tuple of a name, one of these and perhaps a content type."""
        params["stream"] = stream
        return await self._sender.ask(
            TRANSCRIPTIONS, Object, "speech-to-text", params, files={"file": file}, stream=bool(stream)
        )


class AsyncTranslations(AsyncResource):
    _called = "client.audio.translations"

    async def create(self, *, file: Any, **params: Any) -> Any:
        """What is said in a recording, in English; as `transcriptions.create`."""
        return await self._sender.ask(TRANSLATIONS, Object, "speech-to-text", params, files={"file": file})


class AsyncAudio(AsyncResource):
    _called = "client.audio"

    def __init__(self, sender: AsyncSender) -> None:
        super().__init__(sender)
        self.speech = AsyncSpeech(sender)
        self.transcriptions = AsyncTranscriptions(sender)
        self.translations = AsyncTranslations(sender)

    def _parts(self) -> list[str]:
        return ["speech", "transcriptions", "translations"]
