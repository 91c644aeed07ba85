"""Audio samples: reading them from WAV, resampling, cutting into pieces.

Must never: import the daemon. Samples are int16, mono.
"""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from meshd.connectors.providers.embedded.answering import Refused

Samples = NDArray[np.int16]

_RATES = range(1_000, 384_001)
_MOST_CHANNELS = 8
_BLOCK = 1 << 18  # samples at a time, to bound the memory
_HALF = 32  # samples of the low-pass filter on each side
_PAUSE = 0.1  # s over which the loudness is measured


def read_wav(content: bytes, most_seconds: float) -> tuple[Samples, int]:
    """The samples and their rate. Raises Refused."""
    try:
        with wave.open(io.BytesIO(content)) as file:
            rate, channels, width = file.getframerate(), file.getnchannels(), file.getsampwidth()
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError, OverflowError) as error:
        raise Refused(f"the file is not a WAV file with PCM samples: {error}", param="file") from None
    if rate not in _RATES or channels > _MOST_CHANNELS or width > 4:
        message = f"WAV with {rate} Hz, {channels} channels and {8 * width} bits is not supported"
        raise Refused(message, param="file")
    frames = len(data) // (channels * width)
    if frames > rate * most_seconds:
        message = f"the recording is {frames / rate:.0f} s long; at most {most_seconds:g} s are allowed"
        raise Refused(message, param="file")
    return _one_channel(data[: frames * channels * width], channels, width), rate


def write_wav(samples: Samples, rate: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as made:
        made.setnchannels(1)
        made.setsampwidth(2)
        made.setframerate(rate)
        made.writeframes(samples.astype("<i2").tobytes())
    return file.getvalue()


def resampled(samples: Samples, rate: int, wanted: int) -> Samples:
    """By linear interpolation, after filtering out the frequencies that the lower rate cannot represent."""
    if rate == wanted:
        return samples
    count = len(samples) * wanted // rate
    made = np.empty(count, np.int16)
    low_pass = _low_pass(wanted / rate) if wanted < rate else None
    for at in range(0, count, _BLOCK):
        places = np.arange(at, min(at + _BLOCK, count)) * (rate / wanted)
        first = max(int(places[0]) - _HALF, 0)
        piece = samples[first : int(places[-1]) + 2 + _HALF].astype(np.float64)
        if low_pass is not None and len(piece) >= len(low_pass):
            piece = np.convolve(piece, low_pass, "same")
        between = np.interp(places - first, np.arange(len(piece)), piece)
        made[at : at + len(places)] = between.clip(-32768, 32767)
    return made


def pieces(samples: Samples, rate: int, longest: float, shortest: float) -> Iterator[tuple[int, Samples]]:
    """(where it begins, the piece). Each ends where it is quietest between `shortest` and `longest` seconds."""
    step, at = int(_PAUSE * rate), 0
    while len(samples) - at > longest * rate:
        start = at + int(shortest * rate)
        window = np.abs(samples[start : at + int(longest * rate)].astype(np.int32))
        loud = window[: len(window) // step * step].reshape(-1, step).sum(axis=1)
        end = start + int(loud.argmin()) * step + step // 2
        yield at, samples[at:end]
        at = end
    if at < len(samples):
        yield at, samples[at:]


def _one_channel(data: bytes, channels: int, width: int) -> Samples:
    every: NDArray[np.int16]
    if width == 1:  # the only unsigned width
        every = (np.frombuffer(data, np.uint8).astype(np.int16) - 128) << 8
    else:  # the two highest bytes of each
        every = np.frombuffer(data, np.uint8).reshape(-1, width)[:, -2:].copy().view(np.dtype("<i2"))[:, 0]
    return every if channels == 1 else every.reshape(-1, channels).mean(axis=1).astype(np.int16)


def _low_pass(share: float) -> NDArray[np.float64]:
    """share: of the frequencies that remain."""
    kernel = np.sinc(np.arange(-_HALF, _HALF + 1) * share * 0.9) * np.hamming(2 * _HALF + 1)
    made: NDArray[np.float64] = kernel / kernel.sum()
    return made
