"""The providers' own SDKs, against the same local servers: these behave as the providers do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.services.media.conftest import recording
from tests.support.providers.services.media import TEXT, WORDS, sound
from tests.support.providers.services.server import KEY, ServicesServer


def test_elevenlabs(services: ServicesServer) -> None:
    from elevenlabs.client import ElevenLabs
    from elevenlabs.core import ApiError

    client = ElevenLabs(api_key=KEY, base_url=services.url("elevenlabs"))
    wanted = sound("Land ho", "v-1", "eleven_v3", "mp3_44100_128")
    asked = {"voice_id": "v-1", "model_id": "eleven_v3", "output_format": "mp3_44100_128"}
    assert b"".join(client.text_to_speech.convert(text="Land ho", **asked)) == wanted
    assert b"".join(client.text_to_speech.stream(text="Land ho", **asked)) == wanted
    heard = client.speech_to_text.convert(model_id="scribe_v2", file=recording(), diarize=True)
    assert heard.text == TEXT
    assert [word.text for word in heard.words if word.type == "word"] == list(WORDS)
    assert client.voices.ivc.create(name="Ann", files=[recording()]).voice_id == "v-Ann"
    with pytest.raises(ApiError) as refused:
        list(client.text_to_speech.convert(text="elevenlabs:429", **asked))
    assert refused.value.status_code == 429


def test_assemblyai(services: ServicesServer, tmp_path: Path) -> None:
    import assemblyai

    file = tmp_path / "a.wav"
    file.write_bytes(recording())
    settings = assemblyai.Settings(api_key=KEY, base_url=services.url("assemblyai"), polling_interval=0.1)
    client = assemblyai.Client(settings=settings)
    config = assemblyai.TranscriptionConfig(speech_models=["universal-3-pro"], speaker_labels=True)
    told = assemblyai.Transcriber(client=client).transcribe(str(file), config)
    assert told.text == TEXT
    assert [word.speaker for word in told.words or ()] == ["A", "A", "A", "B", "B", "B"]
