"""The process that transcribes recordings: PocketSphinx behind `/v1/transcribe` on a UNIX socket.

Owns: this one endpoint and its checks.
Must never: open a TCP port, or decode two pieces at once: they would share one decoder.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

from meshd.connectors.providers.embedded import child
from meshd.connectors.providers.embedded.answering import Answer, Gone, as_json, serve
from meshd.connectors.providers.embedded.audio.sound import Samples, pieces, read_wav, resampled

RATE = 16_000
"""Samples a second, as its model needs them."""
MAX_SECONDS = 600
LONGEST, SHORTEST = 15.0, 8.0  # s of a piece, after which another app's recording gets its turn
_FRAMES = 100  # a second


class Transcriber:
    """The decoder, one piece of a recording at a time."""

    def __init__(self) -> None:
        from pocketsphinx import Decoder

        self._decoder: Any = Decoder(samprate=RATE, loglevel="FATAL")
        self._lock = threading.Lock()

    def answer(self, body: bytes, gone: Gone) -> Answer:
        samples, rate = read_wav(body, MAX_SECONDS)
        samples = resampled(samples, rate, RATE)
        words: list[dict[str, Any]] = []
        for at, piece in pieces(samples, RATE, LONGEST, SHORTEST):
            if gone():
                break
            with self._lock:
                words += self._words(piece, at / RATE)
        text = " ".join(word["word"] for word in words)
        return Answer(as_json({"text": text, "words": words, "duration": len(samples) / RATE}))

    def _words(self, piece: Samples, start: float) -> list[dict[str, Any]]:
        decoder = self._decoder
        decoder.start_utt()
        try:
            decoder.process_raw(piece.astype("<i2").tobytes(), full_utt=True)
        finally:
            decoder.end_utt()
        found = [(each.word.partition("(")[0], each.start_frame, each.end_frame) for each in decoder.seg() or ()]
        return [
            {"word": word, "start": start + first / _FRAMES, "end": start + (last + 1) / _FRAMES}
            for word, first, last in found
            if word and word[0] not in "<[+"  # silence and noises
        ]


def main(arguments: list[str] | None = None) -> int:
    given = child.parser("serve PocketSphinx on a UNIX socket").parse_args(arguments)
    confined = child.settle(given.socket)
    serve(given.socket, {"/v1/transcribe": Transcriber().answer}, confined)
    return 0


if __name__ == "__main__":
    sys.exit(main())
