"""Speech on this machine: what apps ask of the child process of `modelmesh.local-speech.v1`."""

from __future__ import annotations

from meshd.services.seam import Ask, Asked, Result, Service, Steps, cannot, wrong
from meshd.services.speech.query import CONTENT_TYPES, read

VOICE = "en-us+f2"
_FORMATS = ("wav", "pcm")
_SLOWEST, _FASTEST = 0.5, 2.8  # eSpeak NG's
_MOST = 4096  # characters
_MOST_ANSWER = 64 * 1024 * 1024


def speech(asked: Asked) -> Steps:
    wanted = read(asked, _FORMATS, "")
    if not 0 < len(wanted.input) <= _MOST:
        raise wrong("input", f"it has to have 1 to {_MOST} characters")
    if not _SLOWEST <= wanted.speed <= _FASTEST:
        raise cannot("speed", f"and it has {_SLOWEST} to {_FASTEST}")
    voice = wanted.voice or wanted.language or VOICE
    told = {"text": wanted.input, "voice": voice, "speed": wanted.speed, "format": wanted.response_format}
    yield Ask("POST", "speak", json=told, headers={"Accept": "*/*"}, piped=True, most=_MOST_ANSWER)
    return Result(content_type=CONTENT_TYPES[wanted.response_format])


LOCAL_SPEECH = Service({"audio.speech": speech})
