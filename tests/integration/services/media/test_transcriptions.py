"""Transcriptions by services with APIs of their own."""

from __future__ import annotations

import json
from typing import Any

import pytest

import modelmesh
from tests.integration.services.media.conftest import recording
from tests.support.providers.services.media import SECONDS, TEXT, WORDS
from tests.support.providers.services.server import ServicesServer
from tests.support.waiting import until

MODELS = ("elevenlabs.scribe_v2", "deepgram.nova-3", "assemblyai.universal-3-pro", "google-cloud.chirp_3")
WAV = ("a.wav", recording(), "audio/wav")
LENGTHS = {"elevenlabs.scribe_v2": 5.9, "deepgram.nova-3": SECONDS, "assemblyai.universal-3-pro": 7.0,
           "google-cloud.chirp_3": 7.0}  # fmt: skip


def ask(client: Any, model: str, **more: Any) -> Any:
    return client.audio.transcriptions.create(model=model, **{"file": WAV, **more})


@pytest.mark.parametrize("model", MODELS)
def test_each_gives_the_same_shapes(client: Any, model: str) -> None:
    assert ask(client, model).text == TEXT
    whole = ask(client, model, response_format="verbose_json", timestamp_granularities=["word"], temperature=0)
    assert [word.word for word in whole.words] == list(WORDS)
    assert [segment.text for segment in whole.segments] == ["The lamp turns.", "A ship answers."]
    assert (whole.segments[1].start, whole.duration) == (3.0, LENGTHS[model])
    assert whole.language.startswith("en")
    spoken = ask(client, model, response_format="diarized_json", language="en")
    assert len({segment.speaker for segment in spoken.segments}) == 2
    assert ask(client, model, response_format="text").strip() == TEXT
    captions = ask(client, model, response_format="srt")
    assert captions.startswith("1\n00:00:00,000 --> 00:00:02,900\nThe lamp turns.\n\n2\n")
    assert "00:00:03.000 --> 00:00:05.900\nA ship answers." in ask(client, model, response_format="vtt")


@pytest.mark.parametrize("model", MODELS)
def test_each_is_streamed(client: Any, model: str) -> None:
    events = list(ask(client, model, stream=True))
    assert [event.type for event in events] == ["transcript.text.delta", "transcript.text.done"]
    assert events[-1].text == TEXT


def test_what_it_cannot_do_is_named(client: Any) -> None:
    for more, param in (({"include": ["logprobs"]}, "include"), ({"response_format": "poem"}, "response_format")):
        with pytest.raises(modelmesh.InvalidRequestError) as refused:
            ask(client, "deepgram.nova-3", **more)
        assert str(refused.value.param).startswith(param)


def test_minutes_are_paid_for(client: Any) -> None:
    """0.0052 USD a minute at Deepgram, 0.0035 at AssemblyAI, 0.016 at Google: each second that has begun."""
    assert ask(client, "deepgram.nova-3").mesh.cost == pytest.approx(0.0052 * 7 / 60, rel=1e-5)
    assert ask(client, "assemblyai.universal-3-pro").mesh.cost == pytest.approx(0.0035 * 7 / 60, rel=1e-5)
    assert ask(client, "google-cloud.chirp_3").mesh.cost == pytest.approx(0.016 * 7 / 60, rel=1e-5)


def test_googles_older_models(client: Any, services: ServicesServer) -> None:
    """They have to be told the language; the words of all speakers are in the last result."""
    assert ask(client, "google-cloud.latest_long", language="en-US").text == TEXT
    spoken = ask(client, "google-cloud.latest_long", language="en-US", response_format="diarized_json")
    assert [(each.speaker, each.text) for each in spoken.segments] == [
        ("1", "The lamp turns."),
        ("2", "A ship answers."),
    ]
    assert spoken.text == TEXT
    config = json.loads(services.sent["google-cloud"][-1].body)["config"]
    assert (config["model"], config["languageCode"]) == ("latest_long", "en-US")
    for more, param in (({}, "language"), ({"language": "en-US", "file": ("a.mp3", b"ID3", "audio/mpeg")}, "file")):
        with pytest.raises(modelmesh.InvalidRequestError) as refused:
            ask(client, "google-cloud.latest_long", **more)
        assert refused.value.param == param


def test_what_is_too_long_for_google_is_asked_of_another(client: Any) -> None:
    long = ("a.wav", b"LONG", "audio/wav")
    assert ask(client, "minute").mesh.model == "google-cloud.chirp_3"
    assert ask(client, "minute", file=long).mesh.model == "deepgram.nova-3"


def test_a_recording_without_speech_is_told(client: Any) -> None:
    with pytest.raises(modelmesh.APIError, match="no spoken audio"):
        ask(client, "assemblyai.universal-3-pro", file=("a.wav", b"SILENCE", "audio/wav"))


def test_a_job_ends_with_its_call(client: Any, services: ServicesServer) -> None:
    with pytest.raises(modelmesh.APITimeoutError):
        ask(client, "assemblyai.universal-3-pro", file=("a.wav", b"SLOW", "audio/wav"), timeout=1.0)
    until(lambda: services.sent["assemblyai"][-1].method == "DELETE")


@pytest.mark.parametrize("wrong", ["429", "500", "402"])
def test_another_is_asked_if_one_fails(client: Any, wrong: str) -> None:
    """A recording that says so."""
    file = ("a.wav", f"deepgram:{wrong}".encode(), "audio/wav")
    assert ask(client, f"words-{wrong}", file=file).mesh.model == "assemblyai.universal-3-pro"
