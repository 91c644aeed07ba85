"""`client.audio`: speech from text, and text from speech."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from modelmesh._async.resources.resource import AsyncResource
from modelmesh._openai_sdk.arguments import NOT_GIVEN
from modelmesh.types import Object

if TYPE_CHECKING:
    from modelmesh._async.sender import AsyncSender
    from modelmesh._connection.pending_call import PendingCall

SPEECH: Final = "/v1/audio/speech"
TRANSCRIPTIONS: Final = "/v1/audio/transcriptions"
TRANSLATIONS: Final = "/v1/audio/translations"
VOICES: Final = "/v1/audio/voices"


class AsyncSpeech(AsyncResource):
    _called = "client.audio.speech"

    async def create(self, **params: Any) -> Any:
        """Read a text aloud: `input`, `voice`, `model`, and other parameters of the model. Returns a FileAnswer, or
        events with `stream_format="sse"`. with_streaming_response: the file as it comes; leaving it early cancels the
        request. Raises StreamInterrupted if it is cut off."""
        call = self._call(params)
        if params.get("stream_format") == "sse":
            return await self._sender.answer(call, Object)
        return await self._sender.file(call)

    async def pieces(self, **params: Any) -> Any:
        """The file's bytes as they come: iterate over it, then `close` it. `mesh` is set at the end."""
        return await self._sender.answer(self._call(params), None)

    def _call(self, params: dict[str, Any]) -> PendingCall:
        return self._sender.model_call(SPEECH, "text-to-speech", params, stream=True)

    def _parts(self) -> list[str]:
        return ["create", "pieces"]


class AsyncTranscriptions(AsyncResource):
    _called = "client.audio.transcriptions"

    async def create(self, *, file: Any, stream: Any = NOT_GIVEN, **params: Any) -> Any:
        """Transcribe a recording: an Object, a text with `response_format` text, srt or vtt, or a stream of events.
        file: an open file, bytes, a path, or a tuple of a name, one of these and perhaps a content type."""
        params["stream"] = stream
        return await self._sender.ask(
            TRANSCRIPTIONS, Object, "speech-to-text", params, files={"file": file}, stream=bool(stream)
        )


class AsyncTranslations(AsyncResource):
    _called = "client.audio.translations"

    async def create(self, *, file: Any, **params: Any) -> Any:
        """Translate a recording into English; otherwise like `transcriptions.create`."""
        return await self._sender.ask(TRANSLATIONS, Object, "speech-to-text", params, files={"file": file})


class AsyncVoices(AsyncResource):
    _called = "client.audio.voices"

    async def create(self, *, name: str, audio_sample: Any, **params: Any) -> Any:
        """Create a voice from a recording, or from a list of them. Returns an Object, whose `id` can be used as the
        `voice` of `speech`. audio_sample: like the `file` of a transcription."""
        params["name"] = name
        return await self._sender.ask(VOICES, Object, "voice-cloning", params, files={"audio_sample": audio_sample})


class AsyncAudio(AsyncResource):
    _called = "client.audio"

    def __init__(self, sender: AsyncSender) -> None:
        super().__init__(sender)
        self.speech = AsyncSpeech(sender)
        self.transcriptions = AsyncTranscriptions(sender)
        self.translations = AsyncTranslations(sender)
        self.voices = AsyncVoices(sender)

    def _parts(self) -> list[str]:
        return ["speech", "transcriptions", "translations", "voices"]
