"""The project's own client: the same operations, and files both ways."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

import modelmesh
from tests.support.providers.media_server import PICTURE, SOUND, WORDS, MediaServer

AUDIO = b"ID3" + bytes(range(256)) * 40
TEXT = "".join(WORDS)


@pytest.fixture
def client(daemon: Any) -> Any:
    with modelmesh.OpenAIClient(socket=str(daemon.socket), max_retries=0, timeout=20.0) as made:
        yield made


def test_speech(client: Any, tmp_path: Path) -> None:
    answer = client.audio.speech.create(model="tts", voice="alloy", input="Hello")
    assert (answer.read(), answer.content_type) == (SOUND, "audio/mpeg")
    answer.write_to_file(tmp_path / "one.mp3")
    with client.audio.speech.with_streaming_response.create(model="tts", voice="alloy", input="Hello") as streamed:
        streamed.stream_to_file(tmp_path / "two.mp3")
    assert (tmp_path / "one.mp3").read_bytes() == (tmp_path / "two.mp3").read_bytes() == SOUND
    events = list(client.audio.speech.create(model="tts", voice="alloy", input="Hello", stream_format="sse"))
    assert events[-1].type == "speech.audio.done"


def test_speech_that_is_cut_off(client: Any) -> None:
    with pytest.raises(modelmesh.StreamInterrupted):
        client.audio.speech.create(model="dying-then-tts", voice="alloy", input="Hello")


def test_an_endless_file_waits_for_its_reader(client: Any, media: MediaServer) -> None:
    """By credit: what is not read stays with the provider."""
    with client.audio.speech.with_streaming_response.create(model="endless-tts", voice="a", input="b") as streamed:
        pieces = streamed.iter_bytes(1000)
        assert next(pieces) == SOUND[:1000]
    assert media.written < 64 * 1024**2


@pytest.mark.parametrize("how", ["bytes", "path", "open", "named"])
def test_a_transcript_of_a_file_however_it_is_given(client: Any, media: MediaServer, tmp_path: Path, how: str) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(AUDIO)
    file: Any = {"bytes": AUDIO, "path": path, "open": io.BytesIO(AUDIO), "named": ("b.wav", AUDIO, "audio/wav")}[how]
    granularities = ["word", "segment"]
    answer = client.audio.transcriptions.create(
        model="stt", file=file, timestamp_granularities=granularities, chunking_strategy={"type": "server_vad"}
    )
    assert answer.text == TEXT
    assert answer.mesh.pool == "stt"
    assert media.sent[-1].files == {"file": [AUDIO]}


def test_texts_and_streams_of_transcripts(client: Any) -> None:
    assert client.audio.transcriptions.create(model="stt", file=AUDIO, response_format="text") == f"{TEXT}\n"
    events = list(client.audio.transcriptions.create(model="stt", file=AUDIO, stream=True))
    assert "".join(event.delta for event in events[:-1]) == events[-1].text == TEXT
    assert client.audio.translations.create(model="stt", file=AUDIO).text == TEXT


def test_images(client: Any, media: MediaServer) -> None:
    assert [row.b64_json for row in client.images.generate(model="image", prompt="a cat", n=2).data] == [PICTURE] * 2
    assert client.images.edit(model="image", image=[b"one", b"two"], prompt="a hat").data[0].b64_json == PICTURE
    assert media.sent[-1].files == {"image[]": [b"one", b"two"]}
    assert list(client.images.generate(model="image", prompt="a cat", stream=True))[-1].b64_json == PICTURE


def test_moderation_and_reranking(client: Any) -> None:
    assert client.moderations.create(input=["a", "b"]).results[1].flagged is False
    assert client.rerank.create(query="a", documents=["b", "c"]).results[0].relevance_score == 1.0


async def test_the_asynchronous_client(daemon: Any) -> None:
    async with modelmesh.AsyncOpenAIClient(socket=str(daemon.socket), max_retries=0, timeout=20.0) as client:
        assert (await client.audio.speech.create(model="tts", voice="a", input="b")).read() == SOUND
        async with client.audio.speech.with_streaming_response.create(model="tts", voice="a", input="b") as streamed:
            assert await streamed.read() == SOUND
        stream = await client.audio.transcriptions.create(model="stt", file=AUDIO, stream=True)
        assert [event.type async for event in stream][-1] == "transcript.text.done"
        assert (await client.images.generate(model="image", prompt="a cat")).data[0].b64_json == PICTURE


def test_what_was_used_is_counted_and_priced(client: Any, daemon: Any) -> None:
    spoken = client.audio.speech.with_streaming_response.create(model="tts", voice="a", input="x" * 1000)
    with spoken as streamed:
        streamed.read()
    assert client.audio.transcriptions.create(model="stt", file=AUDIO).mesh.cost == pytest.approx(6.0 * 3 / 60)
    answer = client.audio.transcriptions.create(model="stt", file=AUDIO, response_format="verbose_json")
    assert answer.mesh.cost == pytest.approx(6.0 * 3 / 60)
    assert client.images.generate(model="image", prompt="a cat", n=3).mesh.cost == pytest.approx(0.75)
    assert client.rerank.create(query="a", documents=["b"]).mesh.cost == pytest.approx(2.0)


def test_explain_knows_them(client: Any) -> None:
    file = {"filename": "a.mp3", "bytes": 75_000}
    found = client.mesh.explain(model="stt", path="/v1/audio/transcriptions", file=file)
    assert found.chosen == "up.stt"
    assert found.needs.to_dict() == {"operation": "audio.transcriptions", "units": {"seconds": 100}}
