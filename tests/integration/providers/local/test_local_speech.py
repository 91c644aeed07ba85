"""Speech on this machine, with the real engines: a text read aloud, and the words of that recording."""

from __future__ import annotations

import io
import os
import signal
import wave
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import openai
import pytest

from tests.support.daemons.daemon import Daemon

MISSING = [name for name in ("espeakng_loader", "pocketsphinx", "numpy") if find_spec(name) is None]
pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"needs the extra `speech`: {', '.join(MISSING)}"),
    pytest.mark.timeout(180),
]
SPEECH, TRANSCRIPTION = "voice.espeak-ng", "ears.pocketsphinx-en-us"
SENTENCE = "One two three four five."
PATIENCE = 60.0  # s: the engines have a low priority on a machine that may be busy


@pytest.fixture(scope="module")
def daemon(module_meshd: Any) -> Daemon:
    made: Daemon = module_meshd(
        {
            "providers": {
                "voice": {"connector": "modelmesh.local-speech.v1"},
                "ears": {"connector": "modelmesh.local-transcription.v1", "idle_timeout": "1m"},
            },
            "proxy": {"enabled": True, "port": "auto"},
        }
    )
    return made


@pytest.fixture(scope="module")
def client(daemon: Daemon) -> Iterator[openai.OpenAI]:
    url = daemon.status()["http"]["addresses"][0]
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=PATIENCE) as made:
        yield made


@pytest.fixture(scope="module")
def spoken(client: openai.OpenAI) -> bytes:
    return speak(client)


def speak(client: openai.OpenAI, **asked: Any) -> bytes:
    given: Any = {"model": SPEECH, "voice": "alloy", "input": SENTENCE, "response_format": "wav"} | asked
    return client.audio.speech.create(**given).read()


def transcribe(client: openai.OpenAI, recording: bytes, **asked: Any) -> Any:
    given: Any = {"model": TRANSCRIPTION, "file": ("said.wav", recording)} | asked
    return client.audio.transcriptions.create(**given)


def wav(rate: int = 8000, *, seconds: float = 1.0, width: int = 2) -> bytes:
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(bytes(int(rate * seconds) * width))
    return made.getvalue()


def child(daemon: Daemon, provider: str) -> dict[str, Any]:
    (found,) = daemon.ask("GET", f"/mesh/v1/providers?name={provider}")["data"]
    (seen,) = found["details"]["children"].values()
    return dict(seen)


def test_what_is_read_aloud_is_understood(client: openai.OpenAI, spoken: bytes) -> None:
    with wave.open(io.BytesIO(spoken)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24000)
        seconds = file.getnframes() / file.getframerate()
    told = transcribe(client, spoken, response_format="verbose_json", timestamp_granularities=["word"])
    assert told.duration == pytest.approx(seconds, abs=0.01)
    assert told.language == "english"
    said = SENTENCE.lower().rstrip(".").split()
    assert len([word for word in said if word in told.text.split()]) >= 3, told.text
    assert [word.word for word in told.words] == told.text.split()
    times = [time for word in told.words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert times[-1] <= seconds + 0.1


def test_speech_is_streamed(client: openai.OpenAI, spoken: bytes) -> None:
    asked: Any = {"model": SPEECH, "voice": "alloy", "input": SENTENCE}
    with client.audio.speech.with_streaming_response.create(**asked, response_format="pcm") as answer:
        assert answer.headers["content-type"] == "audio/pcm"
        pcm = b"".join(answer.iter_bytes())
    assert len(pcm) == pytest.approx(len(spoken) - 44, rel=0.02)  # each time, it sounds a little different
    slow = speak(client, speed=0.5, response_format="pcm")
    assert 1.5 < len(slow) / len(pcm) < 2.5
    assert speak(client, voice="de", response_format="pcm")


def test_a_transcription_is_streamed(client: openai.OpenAI, spoken: bytes) -> None:
    events = list(transcribe(client, spoken, stream=True))
    assert events[-1].type == "transcript.text.done"
    assert len(events[-1].text.split()) >= 3


def test_an_empty_recording_has_no_words(client: openai.OpenAI) -> None:
    assert transcribe(client, wav(seconds=0)).text == ""


@pytest.mark.parametrize(
    ("asked", "param", "why"),
    [
        ({"response_format": "mp3"}, "response_format", "wav, pcm"),
        ({"input": "a" * 4097}, "input", "4096"),
        ({"input": "a\0b"}, "input", "NUL"),
        ({"voice": "../../etc/passwd"}, "voice", "name of a voice"),
        ({"voice": "nonesuch"}, "voice", "no voice nonesuch"),
        ({"speed": 4.0}, "speed", "0.5 to 2.8"),
        ({"instructions": "Whisper"}, "instructions", "cannot do"),
    ],
)
def test_speech_that_is_refused(client: openai.OpenAI, asked: dict[str, Any], param: str, why: str) -> None:
    with pytest.raises(openai.BadRequestError, match=why) as caught:
        speak(client, **asked)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("recording", "asked", "param", "why"),
    [
        (b"ID3\x04" + bytes(99), {}, "file", "WAV only"),
        (b"RIFF\0\0\0\0WAVEfmt ", {}, "file", "cannot|not a WAV"),
        (wav()[:20] + b"\x03" + wav()[21:], {}, "file", "unknown format"),
        (wav(1000, seconds=601, width=1), {}, "file", "at most 600 s"),
        (wav(500), {}, "file", "500 Hz"),
        (wav(), {"language": "de"}, "language", "English only"),
        (wav(), {"response_format": "diarized_json"}, "response_format", "speakers"),
    ],
)
def test_recordings_that_are_refused(
    client: openai.OpenAI, recording: bytes, asked: dict[str, Any], param: str, why: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=why) as caught:
        transcribe(client, recording, **asked)
    assert caught.value.param == param


@pytest.mark.parametrize("provider", ["voice", "ears"])
def test_a_killed_child_is_started_again(daemon: Daemon, client: openai.OpenAI, provider: str, eventually: Any) -> None:
    def ask() -> None:
        if provider == "voice":
            assert speak(client)
        else:
            assert transcribe(client, wav(seconds=0)).text == ""

    ask()
    before = child(daemon, provider)
    assert before["state"] == "running"
    assert set(before["confined"]) <= {"network", "files", "calls"}
    assert before["pid"] != daemon.status()["pid"]
    os.kill(before["pid"], signal.SIGKILL)
    eventually(lambda: child(daemon, provider)["state"] == "stopped")
    ask()
    after = child(daemon, provider)
    assert after["starts"] == before["starts"] + 1
    assert after["pid"] != before["pid"]
