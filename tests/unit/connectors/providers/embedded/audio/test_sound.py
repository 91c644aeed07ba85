"""Samples of sound: WAV of every kind, other rates, pieces."""

from __future__ import annotations

import io
import wave

import pytest

np = pytest.importorskip("numpy", reason="needs the extra `speech`")

from meshd.connectors.providers.embedded.answering import Refused  # noqa: E402
from meshd.connectors.providers.embedded.audio.sound import (  # noqa: E402
    Samples,
    pieces,
    read_wav,
    resampled,
    write_wav,
)


def tone(hertz: float, rate: int, seconds: float = 0.5) -> Samples:
    made: Samples = (8000 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)).astype(np.int16)
    return made


def wav(data: bytes, rate: int = 8000, channels: int = 1, width: int = 2) -> bytes:
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(data)
    return made.getvalue()


@pytest.mark.parametrize(
    ("data", "channels", "width", "read"),
    [
        (bytes([0, 128, 255]), 1, 1, [-32768, 0, 32512]),
        (b"\x01\x00\xff\x7f\x00\x80", 1, 2, [1, 32767, -32768]),
        (b"\x99\x01\x00\x99\x00\x80", 1, 3, [1, -32768]),
        (b"\x99\x99\x01\x00\x99\x99\x00\x80", 1, 4, [1, -32768]),
        (b"\x0a\x00\x14\x00\x00\x80\x00\x80", 2, 2, [15, -32768]),
    ],
)
def test_every_width_and_channels(data: bytes, channels: int, width: int, read: list[int]) -> None:
    samples, rate = read_wav(wav(data, channels=channels, width=width), 1.0)
    assert (samples.tolist(), rate) == (read, 8000)


def test_what_is_written_is_read() -> None:
    samples, rate = read_wav(write_wav(tone(440, 24000), 24000), 1.0)
    assert rate == 24000
    assert samples.tolist() == tone(440, 24000).tolist()


@pytest.mark.parametrize(
    "content",
    [b"", b"RIFF", b"RIFF\0\0\0\0WAVE", wav(b"")[:30], wav(bytes(8001 * 2)), wav(b"", 9)],
)
def test_what_cannot_be_read_is_refused(content: bytes) -> None:
    with pytest.raises(Refused) as caught:
        read_wav(content, 1.0)
    assert caught.value.param == "file"


def test_a_length_that_is_not_known_yet() -> None:
    """A header written before the sound has the greatest length."""
    content = bytearray(write_wav(tone(440, 8000), 8000))
    content[4:8] = content[40:44] = b"\xff\xff\xff\xff"
    assert len(read_wav(bytes(content), 1.0)[0]) == 4000


@pytest.mark.parametrize(("rate", "wanted"), [(8000, 16000), (22050, 24000), (44100, 16000), (192000, 16000)])
def test_another_rate_has_the_same_tone(rate: int, wanted: int) -> None:
    made = resampled(tone(440, rate), rate, wanted)
    expected = tone(440, wanted)
    assert abs(len(made) - len(expected)) <= 1
    inside = slice(100, len(made) - 100)
    assert np.abs(made[inside].astype(int) - expected[: len(made)][inside]).max() < 300


def test_what_the_lower_rate_cannot_hold_is_filtered_out() -> None:
    assert np.abs(resampled(tone(12000, 48000), 48000, 16000)[100:-100].astype(int)).max() < 100


def test_a_long_sound_has_no_seams() -> None:
    rate, seconds = 22050, 15.0  # more than one block
    made = resampled(tone(100, rate, seconds), rate, 24000)
    assert np.abs(np.diff(made.astype(int))).max() < 250


def test_pieces_end_where_it_is_quiet() -> None:
    sound = tone(440, 1000, 30.0)
    sound[12_000:12_300] = 0
    found = list(pieces(sound, 1000, 15.0, 8.0))
    assert 12_000 <= found[1][0] <= 12_300
    assert np.concatenate([piece for _, piece in found]).tolist() == sound.tolist()
    assert all(len(piece) <= 15_000 for _, piece in found)
    assert list(pieces(sound[:0], 1000, 15.0, 8.0)) == []
