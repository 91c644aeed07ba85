"""Speech by services with APIs of their own."""

from __future__ import annotations

import time
from typing import Any

import pytest

import modelmesh
from tests.integration.services.media.conftest import recording
from tests.support.providers.services.media import sound
from tests.support.providers.services.server import ServicesServer
from tests.support.waiting import until

EACH = {
    "elevenlabs.eleven_v3": sound("Land ho", "JBFqnCBsd6RMkjVDRZzb", "eleven_v3", "mp3_44100_128"),
    "azure-speech.neural": sound("Land ho", "en-US-AvaMultilingualNeural", "audio-24khz-96kbitrate-mono-mp3"),
    "azure-speech.neural-hd": sound("Land ho", "en-US-Ava:DragonHDLatestNeural", "audio-24khz-96kbitrate-mono-mp3"),
    "deepgram.aura-2-thalia-en": sound("Land ho", "aura-2-thalia-en", "mp3"),
    "google-cloud.chirp-3-hd": sound("Land ho", "en-US-Chirp3-HD-Kore", "MP3"),
}


@pytest.mark.parametrize("model", EACH)
@pytest.mark.parametrize("voice", ["alloy", "Nova"])
def test_each_reads_aloud(client: Any, model: str, voice: str) -> None:
    """OpenAI's voices are the service's usual one."""
    answer = client.audio.speech.create(model=model, voice=voice, input="Land ho")
    assert answer.read() == EACH[model]
    assert answer.content_type == "audio/mpeg"


@pytest.mark.parametrize("model", EACH)
def test_each_is_streamed(client: Any, model: str) -> None:
    with client.audio.speech.with_streaming_response.create(model=model, voice="echo", input="Land ho") as answer:
        assert b"".join(answer.iter_bytes()) == EACH[model]


@pytest.mark.parametrize(
    ("model", "asked", "told"),
    [
        ("elevenlabs.eleven_v3", {"voice": "v-1", "response_format": "wav"}, ("v-1", "eleven_v3", "wav_24000")),
        ("azure-speech.neural", {"voice": "de-DE-KatjaNeural", "response_format": "opus"},
         ("de-DE-KatjaNeural", "ogg-24khz-16bit-mono-opus")),
        ("azure-speech.neural", {"voice": 'a"><b>', "speed": 1.5, "language": "de-DE"},
         ('a"><b>', "audio-24khz-96kbitrate-mono-mp3")),
        ("google-cloud.chirp-3-hd", {"voice": "Puck", "language": "de-DE"}, ("de-DE-Chirp3-HD-Puck", "MP3")),
        ("deepgram.aura-2-thalia-en", {"voice": "aura-2-orion-en", "response_format": "flac"},
         ("aura-2-orion-en", "flac")),
    ],
)  # fmt: skip
def test_voices_and_formats(client: Any, model: str, asked: dict[str, Any], told: tuple[str, ...]) -> None:
    text = "5 < 6 & </voice>\x00"
    said = text.replace("\x00", " ") if model.startswith("azure") else text
    assert client.audio.speech.create(model=model, input=text, **asked).read() == sound(said, *told)


def test_a_voice_is_made_of_recordings(client: Any, services: ServicesServer) -> None:
    recordings = [(f"{n}.wav", recording(1), "audio/wav") for n in range(2)]
    voice = client.audio.voices.create(name="Ann", audio_sample=recordings, description="calm")
    assert (voice.id, voice.object, voice.name) == ("v-Ann", "audio.voice", "Ann")
    assert abs(voice.created_at - time.time()) < 60
    sent = services.sent["elevenlabs"][-1].body
    assert [sent.count(part) for part in (b'name="files"; filename=', b"calm", recordings[0][1])] == [2, 1, 2]
    said = client.audio.speech.create(model="elevenlabs.eleven_v3", voice=voice.id, input="Land ho")
    assert said.read() == sound("Land ho", "v-Ann", "eleven_v3", "mp3_44100_128")
    again = client.audio.voices.create(model="elevenlabs.instant-voice", name="Bo", audio_sample=recordings[0])
    assert again.id == "v-Bo"
    with pytest.raises(modelmesh.InvalidRequestError) as refused:
        client.audio.voices.create(name="Ann", audio_sample=recordings[0], extra_body={"type": "prompt"})
    assert refused.value.param == "type"


@pytest.mark.parametrize(
    ("model", "asked", "param"),
    [
        ("elevenlabs.eleven_v3", {"response_format": "aac"}, "response_format"),
        ("elevenlabs.eleven_v3", {"instructions": "Whisper"}, "instructions"),
        ("elevenlabs.eleven_v3", {"speed": 3.0}, "speed"),
        ("azure-speech.neural", {"speed": 9.0}, "speed"),
        ("azure-speech.neural", {"stream_format": "sse"}, "stream_format"),
        ("deepgram.aura-2-thalia-en", {"speed": 1.2}, "speed"),
        ("deepgram.aura-2-thalia-en", {"extra_body": {"pitch": 3}}, "pitch"),
    ],
)
def test_what_it_cannot_do_is_named(client: Any, model: str, asked: dict[str, Any], param: str) -> None:
    with pytest.raises(modelmesh.InvalidRequestError) as refused:
        client.audio.speech.create(model=model, voice="alloy", input="Land ho", **asked)
    assert refused.value.param == param


def test_characters_are_paid_for(client: Any) -> None:
    """0.08 USD for 1,000 at ElevenLabs, 0.015 at Azure."""

    def spent(model: str) -> float:
        rows = client.mesh.request("GET", "/mesh/v1/stats?by=model").data
        return sum(row.cost_total for row in rows if row.name == model)

    for model, cost in (("elevenlabs.eleven_v3", 0.08), ("azure-speech.neural", 0.015)):
        before = spent(model)
        client.audio.speech.create(model=model, voice="alloy", input="x" * 1000)
        until(lambda model=model, wanted=before + cost: spent(model) == pytest.approx(wanted))


@pytest.mark.parametrize("wrong", ["429", "500", "402"])
def test_another_is_asked_if_one_fails(client: Any, services: ServicesServer, wrong: str) -> None:
    text = f"elevenlabs:{wrong}"
    answer = client.audio.speech.create(model=f"voices-{wrong}", voice="alloy", input=text)
    assert answer.read() == sound(text, "en-US-AvaMultilingualNeural", "audio-24khz-96kbitrate-mono-mp3")
