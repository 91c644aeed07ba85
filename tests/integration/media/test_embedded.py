"""A mesh inside a program; a provider of another format; a budget in seconds of audio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from meshd import MeshConfig, ModelMesh
from meshd.connectors.providers.openai import OpenAIProvider
from meshd.routing.table.specs import ModelSpec, PoolSpec, ProviderSpec
from modelmesh import BudgetExceededError
from tests.integration.media.conftest import config
from tests.support.gateway.builder import SCRIPTED, Gateway
from tests.support.providers.media_server import PICTURE, SOUND, WORDS, MediaServer
from tests.support.recordings import FORGED, recording


def test_the_facade_knows_each_by_its_capability(media: MediaServer, tmp_path: Path) -> None:
    mesh = ModelMesh(state_dir=str(tmp_path))
    mesh.initialize(MeshConfig.from_dict(config(media.url)))
    try:
        speech: Any = mesh.get_router().complete("text-to-speech", {"input": "Hello", "voice": "alloy"})
        assert speech.read() == SOUND
        assert mesh.get_router().complete("speech-to-text", {"file": b"ID3"}).text == "".join(WORDS)
        assert mesh.get_router().complete("image-generation", {"prompt": "a cat"}).data[0].b64_json == PICTURE
        assert mesh.get_router().complete("content-moderation", {"input": "a"}).results[0].flagged is False
    finally:
        mesh.shutdown()


async def test_a_provider_of_another_format_is_left_out_and_says_why() -> None:
    gateway = Gateway(
        models=[
            ModelSpec("a.tts", "a", "tts", ("generation.audio-generation.text-to-speech",)),
            ModelSpec("b.tts", "b", "tts", ("generation.audio-generation.text-to-speech",)),
        ],
        pools=[PoolSpec("speech", "", ("a.tts", "b.tts"))],
        providers=[ProviderSpec("a", SCRIPTED, formats=("anthropic",)), ProviderSpec("b", SCRIPTED)],
        connect=OpenAIProvider,
    )
    found = await gateway.post("/mesh/v1/explain", model="speech", path="/v1/audio/speech", input="Hello", voice="a")
    assert found["chosen"] == "b.tts"
    (dropped,) = (row for stage in found["stages"] for row in stage["dropped"])
    assert dropped["reason"] == "its provider speaks anthropic, in which the mesh cannot ask for audio.speech"


def test_a_budget_is_reserved_in_seconds_of_audio(meshd: Any, media: MediaServer) -> None:
    """At 750 bytes a second and 6 USD a minute, 7500 bytes may cost 1 USD, and cost 0.30."""
    limited = config(media.url)
    limited["providers"]["up"]["budget"] = {"daily_limit": 1.1}
    with meshd(limited).client() as client:
        assert client.audio.transcriptions.create(model="stt", file=bytes(7500)).mesh.cost == pytest.approx(0.3)
        with pytest.raises(BudgetExceededError):
            client.audio.transcriptions.create(model="stt", file=bytes(7500))


def test_recordings_that_say_less_of_themselves_do_not_pass_a_budget(meshd: Any, media: MediaServer) -> None:
    """A second may cost 0.10 USD. The provider reports 3, of which no more is counted than the frames have."""
    limited = config(media.url)
    limited["providers"]["up"]["budget"] = {"daily_limit": 0.55}
    flac = recording("tone.flac")
    longer = {
        "tone.mp3": 7 * recording("tone.mp3"),
        "tone.opus": 7 * recording("tone.opus"),
        "tone.flac": flac + 20 * flac[flac.index(b"\xff\xf8") :],
    }
    with meshd(limited).client() as client:
        answer = client.audio.transcriptions.create(model="stt", file=("a.flac", flac))
        assert answer.mesh.cost == pytest.approx(0.1)  # by its bytes, it could not be asked for
        for name, long in longer.items():
            with pytest.raises(BudgetExceededError):
                client.audio.transcriptions.create(model="stt", file=(name, FORGED[name](long)))
