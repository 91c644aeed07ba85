"""The process that reads texts aloud: eSpeak NG behind `/v1/speak` on a UNIX socket.

Owns: this one endpoint and its checks.
Must never: open a TCP port, or read two texts at once: the library has global state.
"""

from __future__ import annotations

import ctypes
import re
import sys
import threading
from typing import Any

import numpy as np

from meshd.connectors.providers.embedded import child
from meshd.connectors.providers.embedded.answering import Answer, Gone, Refused, read_json, serve
from meshd.connectors.providers.embedded.audio.sound import Samples, resampled, write_wav

RATE = 24_000
"""Samples a second, as in OpenAI's `pcm`."""
MAX_CHARACTERS = 4096
MAX_SECONDS = 900
WORDS_A_MINUTE = 160  # at speed 1; the library supports 80 to 450
_VOICE = re.compile(r"[A-Za-z0-9+_-]{1,40}")  # no paths: the library would open a file of any name

_SYNCHRONOUS, _DO_NOT_EXIT, _UTF8, _SPEED = 2, 0x8000, 1, 1
_Heard = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


class Speaker:
    """The library, one text at a time."""

    def __init__(self) -> None:
        import espeakng_loader

        self._library: Any = ctypes.CDLL(espeakng_loader.get_library_path())
        data = str(espeakng_loader.get_data_path()).encode()
        self._rate = int(self._library.espeak_Initialize(_SYNCHRONOUS, 0, data, _DO_NOT_EXIT))
        if self._rate <= 0:
            raise RuntimeError("eSpeak NG found no voices")
        self._parts: list[bytes] = []
        self._left = 0
        self._gone: Gone = lambda: False
        self._heard = _Heard(self._hear)  # kept alive, since the library calls it
        self._library.espeak_SetSynthCallback(self._heard)
        self._lock = threading.Lock()

    def answer(self, body: bytes, gone: Gone) -> Answer:
        asked = read_json(body)
        text, voice, speed, form = (asked.get(name) for name in ("text", "voice", "speed", "format"))
        if not isinstance(text, str) or len(text) > MAX_CHARACTERS or "\0" in text:
            message = f"`input` must be a text of at most {MAX_CHARACTERS} characters, without NUL"
            raise Refused(message, param="input")
        if not isinstance(voice, str) or not _VOICE.fullmatch(voice):
            raise Refused("`voice` is not the name of a voice", param="voice")
        with self._lock:
            samples = self._say(text, voice, int(WORDS_A_MINUTE * float(speed or 1)), gone)
        samples = resampled(samples, self._rate, RATE)
        if form == "wav":
            return Answer(write_wav(samples, RATE), "audio/wav")
        return Answer(samples.astype("<i2").tobytes(), "audio/pcm")

    def _say(self, text: str, voice: str, words_a_minute: int, gone: Gone) -> Samples:
        library = self._library
        if library.espeak_SetVoiceByName(voice.encode()):
            raise Refused(f"there is no voice {voice}", param="voice")
        library.espeak_SetParameter(_SPEED, words_a_minute, 0)
        self._parts, self._left, self._gone = [], MAX_SECONDS * self._rate, gone
        said = ctypes.create_string_buffer(text.encode(errors="replace"))
        failed = library.espeak_Synth(said, ctypes.c_size_t(len(said)), 0, 0, 0, _UTF8, None, None)
        parts, self._parts = self._parts, []
        if self._left < 0:
            raise Refused(f"`input` takes longer to read than {MAX_SECONDS} s", param="input")
        if failed:
            raise RuntimeError(f"eSpeak NG failed with {failed}")
        return np.frombuffer(b"".join(parts), np.int16)

    def _hear(self, samples: int | None, count: int, events: int | None) -> int:
        """Called by the library with samples. Returning 1 stops it."""
        if samples and count > 0:
            self._left -= count
            self._parts.append(ctypes.string_at(samples, count * 2))
        return int(self._left < 0 or self._gone())


def main(arguments: list[str] | None = None) -> int:
    given = child.parser("serve eSpeak NG on a UNIX socket").parse_args(arguments)
    confined = child.settle(given.socket)
    serve(given.socket, {"/v1/speak": Speaker().answer}, confined)
    return 0


if __name__ == "__main__":
    sys.exit(main())
