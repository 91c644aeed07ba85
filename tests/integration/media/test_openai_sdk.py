"""OpenAI's SDK, over HTTP: each operation, streams and files, and what a provider does wrong."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.support.providers.media_server import PICTURE, SOUND, WORDS, MediaServer
from tests.support.waiting import WAIT

AUDIO = b"ID3" + bytes(range(256)) * 40
TEXT = "".join(WORDS)


@pytest.fixture(scope="module")
def url(daemon: Any) -> str:
    return str(daemon.status()["http"]["addresses"][0])


@pytest.fixture(params=["http", "socket"])
def client(request: Any, daemon: Any, url: str) -> Iterator[openai.OpenAI]:
    if request.param == "http":
        with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=WAIT) as made:
            yield made
    else:
        import modelmesh

        with modelmesh.openai_client(socket=str(daemon.socket), max_retries=0, timeout=WAIT) as made:
            yield made


@pytest.mark.parametrize("model", ["tts", "failing-then-tts", "told-then-tts", "page-then-tts", "empty-then-tts"])
def test_speech(client: openai.OpenAI, model: str) -> None:
    answer = client.audio.speech.create(model=model, voice="alloy", input="Hello there")
    assert answer.read() == SOUND
    assert answer.response.headers["content-type"] == "audio/mpeg"


def test_speech_is_streamed(client: openai.OpenAI, tmp_path: Path) -> None:
    streamed = client.audio.speech.with_streaming_response
    with streamed.create(model="tts", voice="alloy", input="Hello") as answer:
        answer.stream_to_file(tmp_path / "speech.mp3")
    assert (tmp_path / "speech.mp3").read_bytes() == SOUND


def test_speech_as_events(client: openai.OpenAI) -> None:
    streamed = client.audio.speech.with_streaming_response
    with streamed.create(model="tts", voice="alloy", input="Hello", stream_format="sse") as answer:
        lines = [line for line in answer.iter_lines() if line.startswith("data: {")]
    assert len(lines) == 4
    assert "speech.audio.done" in lines[-1]


def test_speech_that_breaks_off_is_no_whole_file(client: openai.OpenAI) -> None:
    """Its first bytes were on their way."""
    with pytest.raises((openai.APIError, httpx.HTTPError)):
        client.audio.speech.create(model="dying-then-tts", voice="alloy", input="Hello").read()


@pytest.mark.parametrize("model", ["told-tts", "page-tts", "empty-tts", "failing-tts"])
def test_what_is_no_speech_is_an_error(client: openai.OpenAI, model: str) -> None:
    with pytest.raises(openai.InternalServerError):
        client.audio.speech.create(model=model, voice="alloy", input="Hello")


def test_a_refusal_is_passed_on(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="no such voice"):
        client.audio.speech.create(model="refusing-tts", voice="alloy", input="Hello")


@pytest.mark.parametrize("model", ["stt", "failing-then-stt", "told-then-stt", "page-then-stt", "empty-then-stt"])
def test_a_transcript(client: openai.OpenAI, media: MediaServer, model: str) -> None:
    answer = client.audio.transcriptions.create(model=model, file=("a.mp3", AUDIO), language="en", prompt="names: Ada")
    assert answer.text == TEXT
    sent = media.sent[-1]
    assert sent.files == {"file": [AUDIO]}
    assert sent.fields == {"model": "stt", "language": "en", "prompt": "names: Ada"}
    assert sent.headers["Authorization"] == "Bearer sk-upstream"


def test_only_the_model_of_a_form_is_replaced(client: openai.OpenAI, media: MediaServer) -> None:
    content = b"--not-a-boundary\r\n\r\n" + AUDIO
    client.audio.transcriptions.create(
        model="stt", file=("naïve.wav", io.BytesIO(content), "audio/wav"), timestamp_granularities=["word", "segment"]
    )
    sent = media.sent[-1]
    assert sent.files == {"file": [content]}
    assert sent.body.count(b'name="timestamp_granularities[]"') == 2
    assert "naïve.wav".encode() in sent.body
    assert b"audio/wav" in sent.body


@pytest.mark.parametrize("format", ["text", "vtt", "verbose_json"])
def test_formats_of_transcripts(client: openai.OpenAI, format: Any) -> None:
    answer: Any = client.audio.transcriptions.create(model="stt", file=("a.mp3", AUDIO), response_format=format)
    assert TEXT in (answer if isinstance(answer, str) else answer.text)


def test_a_streamed_transcript(client: openai.OpenAI) -> None:
    events = list(client.audio.transcriptions.create(model="stt", file=("a.mp3", AUDIO), stream=True))
    assert [event.type for event in events] == ["transcript.text.delta"] * 4 + ["transcript.text.done"]
    assert "".join(event.delta for event in events if event.type == "transcript.text.delta") == TEXT


def test_a_streamed_transcript_that_breaks_off_is_an_error(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIError):
        list(client.audio.transcriptions.create(model="dying-then-stt", file=("a.mp3", AUDIO), stream=True))


def test_a_translation(client: openai.OpenAI) -> None:
    assert client.audio.translations.create(model="stt", file=("a.mp3", AUDIO)).text == TEXT


def test_images(client: openai.OpenAI, media: MediaServer) -> None:
    answer = client.images.generate(model="image", prompt="a cat", n=2, size="1024x1024", response_format="b64_json")
    assert [row.b64_json for row in answer.data or ()] == [PICTURE] * 2
    assert media.sent[-1].fields["response_format"] == "b64_json"
    streamed = list(client.images.generate(model="image", prompt="a cat", stream=True, partial_images=1))
    assert [event.type for event in streamed] == ["image_generation.partial_image", "image_generation.completed"]


def test_edited_images(client: openai.OpenAI, media: MediaServer) -> None:
    pictures: Any = [("a.png", b"one"), ("b.png", b"two")]
    answer = client.images.edit(model="image", image=pictures, prompt="a hat", n=1)
    assert base64.b64decode((answer.data or [])[0].b64_json or "").startswith(b"\x89PNG")
    assert media.sent[-1].files == {"image[]": [b"one", b"two"]}
    streamed = list(client.images.edit(model="image", image=pictures[0], prompt="a hat", stream=True))
    assert streamed[-1].type == "image_edit.completed"


def test_moderation_and_a_default_model(client: openai.OpenAI) -> None:
    assert client.moderations.create(model="moderation", input=["a", "b"]).results[1].flagged is False
    assert client.moderations.create(input="a").results[0].categories.hate is False


def test_reranking(client: openai.OpenAI) -> None:
    answer: Any = client.post(
        "/rerank", body={"model": "rerank", "query": "a", "documents": ["b", "c"]}, cast_to=object
    )
    assert [row["index"] for row in answer["results"]] == [0, 1]


async def test_the_asynchronous_sdk(daemon: Any, url: str) -> None:
    import modelmesh

    over_http = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=WAIT)
    over_socket = modelmesh.async_openai_client(socket=str(daemon.socket), max_retries=0, timeout=WAIT)
    for client in (over_http, over_socket):
        async with client:
            async with client.audio.speech.with_streaming_response.create(model="tts", voice="a", input="b") as answer:
                assert b"".join([piece async for piece in answer.iter_bytes()]) == SOUND
            assert (await client.audio.transcriptions.create(model="stt", file=("a.mp3", AUDIO))).text == TEXT
            stream = await client.audio.transcriptions.create(model="stt", file=("a.mp3", AUDIO), stream=True)
            assert [event.type async for event in stream][-1] == "transcript.text.done"
