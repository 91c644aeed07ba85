"""A daemon with the services of speech, transcriptions and images."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator
from typing import Any

import pytest

import modelmesh
from tests.support.providers.services.google_cloud import GOOGLE_CLOUD
from tests.support.providers.services.media import MEDIA
from tests.support.providers.services.server import KEY, ServicesServer

CONNECTORS = {
    "elevenlabs": "elevenlabs.tts.v1",
    "azure-speech": "azure.tts.v1",
    "deepgram": "deepgram.speech.v1",
    "google-cloud": "google.cloud-ai.v1",
    "assemblyai": "assemblyai.stt.v1",
    "stability": "stability.image-gen.v1",
    "fal": "fal.media-gen.v1",
    "replicate": "replicate.inference.v1",
}


def recording(seconds: int = 7) -> bytes:
    made = io.BytesIO()
    with wave.open(made, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(1)
        wav.setframerate(8000)
        wav.writeframes(bytes(8000 * seconds))
    return made.getvalue()


@pytest.fixture(scope="module")
def services() -> Iterator[ServicesServer]:
    server = ServicesServer(*MEDIA, GOOGLE_CLOUD)
    yield server
    server.close()


@pytest.fixture(scope="module")
def daemon(module_meshd: Any, services: ServicesServer) -> Any:
    """Google's version 2 is asked in a project that the environment names.

    Pools in which the first provider may fail have one of their own, which is set aside alone."""
    made = {name: {"connector": id, "base_url": services.url(name), "api_key": KEY} for name, id in CONNECTORS.items()}
    pools: dict[str, Any] = {}
    for first, model, second, name in (
        ("elevenlabs", "eleven_v3", "azure-speech.neural", "voices"),
        ("deepgram", "nova-3", "assemblyai.universal-3-pro", "words"),
        ("stability", "stable-image-core", "fal.fal-ai/flux/schnell", "pictures"),
    ):
        for wrong in ("429", "500", "402"):
            made[f"{name}-{wrong}"] = made[first]
            pools[f"{name}-{wrong}"] = {"models": [f"{name}-{wrong}.{model}", second], "strategy": "priority-selection"}
    pools["cloned"] = {"capability": "voice-cloning"}
    pools["minute"] = {"models": ["google-cloud.chirp_3", "deepgram.nova-3"], "strategy": "priority-selection"}
    made["versions"] = made["replicate"]
    own = {"provider": "versions", "model": "ours/sketch:v1", "capabilities": ["text-to-image"]}
    return module_meshd(
        {
            "providers": made,
            "models": {"own": own},
            "pools": pools,
            "discovery": {"health": {"enabled": False}},
        },
        env={"GOOGLE_CLOUD_PROJECT": "ours-1"},
    )


@pytest.fixture
def client(daemon: Any) -> Iterator[Any]:
    with modelmesh.OpenAIClient(socket=str(daemon.socket), max_retries=0, timeout=20.0) as made:
        yield made
