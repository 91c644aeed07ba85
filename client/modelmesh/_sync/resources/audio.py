# Generated from modelmesh/_async/resources/audio.py by client/sync_twins.py; edit that file.
"""`client.audio`: speech from text, and text from speech."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from modelmesh._openai_sdk.arguments import NOT_GIVEN
from modelmesh._shared.file_answer import FileAnswer, to_write
from modelmesh._sync.resources.resource import Resource
from modelmesh._sync.stream import Stream
from modelmesh.types import Object

if TYPE_CHECKING:
    from modelmesh._sync.sender import Sender

SPEECH: Final = "/v1/audio/speech"
TRANSCRIPTIONS: Final = "/v1/audio/transcriptions"
TRANSLATIONS: Final = "/v1/audio/translations"


class StreamedFile:
    """A file that comes in pieces; left early, it cancels the request. Raises StreamInterrupted if it is cut off."""

    def __init__(self, ask: Callable[[], Any]) -> None:
        self._ask = ask
        self._stream: Stream[bytes] | None = None

    def __enter__(self) -> StreamedFile:
        self._stream = self._ask()
        return self

    def __exit__(self, *error: object) -> None:
        if self._stream is not None:
            self._stream.close()

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """As it comes, or in pieces of that size."""
        assert self._stream is not None, "use it in a `with` statement"
        held = b""
        for piece in self._stream:
            if chunk_size is None:
                yield piece
                continue
            held += piece
            while len(held) >= chunk_size:
                yield held[:chunk_size]
                held = held[chunk_size:]
        if held:
            yield held

    def read(self) -> bytes:
        return b"".join(list(self.iter_bytes()))

    def stream_to_file(self, file: str | os.PathLike[str]) -> None:
        with to_write(file) as opened:
            for piece in self.iter_bytes():
                opened.write(piece)


class StreamedSpeech:
    """`client.audio.speech.with_streaming_response`"""

    def __init__(self, speech: Speech) -> None:
        self._speech = speech

    def create(self, **params: Any) -> StreamedFile:
        return StreamedFile(lambda: self._speech.ask(**params))


class Speech(Resource):
    _called = "client.audio.speech"

    def create(self, **params: Any) -> Any:
        """Read a text aloud: `input`, `voice`, `model`, and what else the model takes. Returns a FileAnswer, or events
        with `stream_format="sse"`."""
        if params.get("stream_format") == "sse":
            return self._send(Object, params)
        stream = self.ask(**params)
        try:
            content = b"".join(list(stream))
        finally:
            stream.close()
        return FileAnswer(content, stream.content_type)

    def ask(self, **params: Any) -> Stream[bytes]:
        """The pieces of the file as they come."""
        return self._send(None, params)  # type: ignore[no-any-return]

    def _send(self, kind: Any, params: dict[str, Any]) -> Any:
        return self._sender.ask(SPEECH, kind, "text-to-speech", params, stream=True)

    @property
    def with_streaming_response(self) -> StreamedSpeech:
        return StreamedSpeech(self)

    def _parts(self) -> list[str]:
        return ["create"]


class Transcriptions(Resource):
    _called = "client.audio.transcriptions"

    def create(self, *, file: Any, stream: Any = NOT_GIVEN, **params: Any) -> Any:
        """The words of a recording: an Object, a text with `response_format` text, srt or vtt, or a stream of events.
        file: an open file, bytes, a path, or a tuple of a name, one of these and perhaps a content type."""
        params["stream"] = stream
        return self._sender.ask(
            TRANSCRIPTIONS, Object, "speech-to-text", params, files={"file": file}, stream=bool(stream)
        )


class Translations(Resource):
    _called = "client.audio.translations"

    def create(self, *, file: Any, **params: Any) -> Any:
        """What is said in a recording, in English; as `transcriptions.create`."""
        return self._sender.ask(TRANSLATIONS, Object, "speech-to-text", params, files={"file": file})


class Audio(Resource):
    _called = "client.audio"

    def __init__(self, sender: Sender) -> None:
        super().__init__(sender)
        self.speech = Speech(sender)
        self.transcriptions = Transcriptions(sender)
        self.translations = Translations(sender)

    def _parts(self) -> list[str]:
        return ["speech", "transcriptions", "translations"]
