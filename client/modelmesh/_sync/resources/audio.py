# Generated from modelmesh/_async/resources/audio.py by client/sync_twins.py; edit that file.
"""`client.audio`: speech from text, and text from speech."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from modelmesh._openai_sdk.arguments import NOT_GIVEN
from modelmesh._sync.resources.resource import Resource
from modelmesh.types import Object

if TYPE_CHECKING:
    from modelmesh._connection.pending_call import PendingCall
    from modelmesh._sync.sender import Sender

SPEECH: Final = "/v1/audio/speech"
TRANSCRIPTIONS: Final = "/v1/audio/transcriptions"
TRANSLATIONS: Final = "/v1/audio/translations"
VOICES: Final = "/v1/audio/voices"


class Speech(Resource):
    _called = "client.audio.speech"

    def create(self, **params: Any) -> Any:
        """Read a text aloud: `input`, `voice`, `model`, and other parameters of the model. Returns a FileAnswer, or
        events with `stream_format="sse"`. with_streaming_response: the file as it comes; leaving it early cancels the
        request. Raises StreamInterrupted if it is cut off."""
        call = self._call(params)
        if params.get("stream_format") == "sse":
            return self._sender.answer(call, Object)
        return self._sender.file(call)

    def pieces(self, **params: Any) -> Any:
        """The file's bytes as they come: iterate over it, then `close` it. `mesh` is set at the end."""
        return self._sender.answer(self._call(params), None)

    def _call(self, params: dict[str, Any]) -> PendingCall:
        return self._sender.model_call(SPEECH, "text-to-speech", params, stream=True)

    def _parts(self) -> list[str]:
        return ["create", "pieces"]


class Transcriptions(Resource):
    _called = "client.audio.transcriptions"

    def create(self, *, file: Any, stream: Any = NOT_GIVEN, **params: Any) -> Any:
        """Transcribe a recording: an Object, a text with `response_format` text, srt or vtt, or a stream of events.
        file: an open file, bytes, a path, or a tuple of a name, one of these and perhaps a content type."""
        params["stream"] = stream
        return self._sender.ask(
            TRANSCRIPTIONS, Object, "speech-to-text", params, files={"file": file}, stream=bool(stream)
        )


class Translations(Resource):
    _called = "client.audio.translations"

    def create(self, *, file: Any, **params: Any) -> Any:
        """Translate a recording into English; otherwise like `transcriptions.create`."""
        return self._sender.ask(TRANSLATIONS, Object, "speech-to-text", params, files={"file": file})


class Voices(Resource):
    _called = "client.audio.voices"

    def create(self, *, name: str, audio_sample: Any, **params: Any) -> Any:
        """Create a voice from a recording, or from a list of them. Returns an Object, whose `id` can be used as the
        `voice` of `speech`. audio_sample: like the `file` of a transcription."""
        params["name"] = name
        return self._sender.ask(VOICES, Object, "voice-cloning", params, files={"audio_sample": audio_sample})


class Audio(Resource):
    _called = "client.audio"

    def __init__(self, sender: Sender) -> None:
        super().__init__(sender)
        self.speech = Speech(sender)
        self.transcriptions = Transcriptions(sender)
        self.translations = Translations(sender)
        self.voices = Voices(sender)

    def _parts(self) -> list[str]:
        return ["speech", "transcriptions", "translations", "voices"]
