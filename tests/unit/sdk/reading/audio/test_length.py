"""How long recordings are, whatever they say of themselves."""

from __future__ import annotations

import io
import math
import struct
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.sdk.reading.audio import flac, mp3, mp4, ogg, webm
from meshd.sdk.reading.audio.length import seconds_of
from tests.support.recordings import FORGED, LENGTHS, recording

FORMATS = {
    "tone.mp3": mp3, "tone.opus": ogg, "tone.ogg": ogg, "tone.flac": flac, "tone.m4a": mp4, "tone-fragments.m4a": mp4,
    "tone.webm": webm, "tone-vorbis.webm": webm, "tone-live.webm": webm,
}  # fmt: skip
OPUS = b"OggS\0\2" + bytes(20) + b"\1\x13OpusHead"
MAGIC = (b"", b"RIFF\0\0\0\0WAVEfmt ", b"OggS", OPUS, b"fLaC", b"ID3", b"\xff\xfb")


def exactly(name: str, data: bytes) -> float | None:
    found = FORMATS[name].length(memoryview(data))
    return None if found is None else float(found)


def most(name: str) -> float:
    return LENGTHS[name] * (1 if FORMATS[name] is not mp4 else 4) + (0.3 if FORMATS[name] is not webm else 0.7)


@pytest.mark.parametrize("name", FORMATS)
def test_a_recording_is_as_long_as_its_frames(name: str) -> None:
    """Encoders fill the last frame, and begin with one or two of silence. AAC has 4 times its lowest rate here, and
    WebM some bytes beside its blocks."""
    found = exactly(name, recording(name))
    assert found is not None
    assert LENGTHS[name] <= found <= most(name)
    assert seconds_of(memoryview(recording(name))) == math.ceil(found)


@pytest.mark.parametrize("name", FORMATS)
def test_what_it_says_of_its_length_changes_nothing(name: str) -> None:
    forged = FORGED[name](recording(name))
    assert forged != recording(name)
    assert exactly(name, forged) == exactly(name, recording(name))


@pytest.mark.parametrize("name", ["tone.mp3", "tone.opus", "tone.ogg"])
def test_one_after_another_is_as_long_as_both(name: str) -> None:
    one, two = exactly(name, recording(name)), exactly(name, 2 * recording(name))
    assert one is not None
    assert two is not None
    assert 2 * one - 0.1 <= two <= 2 * one + 0.3


def test_frames_of_flac_are_counted_wherever_they_stand() -> None:
    data = recording("tone.flac")
    frames = data[data.index(b"\xff\xf8") :]
    assert exactly("tone.flac", data + frames) == pytest.approx(0.6)


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_cut_off_is_unknown_or_no_longer(name: str) -> None:
    data = recording(name)
    for end in range(0, len(data), 7):
        found = seconds_of(memoryview(data[:end]))
        assert found is None or found <= math.ceil(most(name))


def test_tags_in_front_and_behind() -> None:
    data = recording("tone.mp3")
    picture = b"ID3\4\0\0" + bytes([0, 0, 0x4E, 0x10]) + bytes(0x4E << 7 | 0x10)
    one = exactly("tone.mp3", data)
    assert one is not None
    assert exactly("tone.mp3", picture + data) == one
    assert exactly("tone.mp3", data + b"TAG" + bytes(125)) == pytest.approx(one + 0.128)


def test_what_is_no_frame_has_the_lowest_rate() -> None:
    one = exactly("tone.mp3", recording("tone.mp3"))
    assert one is not None
    assert exactly("tone.mp3", recording("tone.mp3") + bytes(50_000)) == pytest.approx(one + 50)
    assert exactly("tone.opus", recording("tone.opus") + bytes(7500)) == pytest.approx(0.92 + 10)


def test_pages_of_ogg_count_behind_what_is_no_page() -> None:
    """FFmpeg looks for them, and a page of silence has few bytes."""
    data, silence = recording("tone.opus"), bytes([3 << 3])  # 60 ms
    (serial,) = struct.unpack_from("<I", data, 14)
    page = struct.pack("<4sBBqIIIB", b"OggS", 0, 0, 0, serial, 9, 0, 255) + bytes([1]) * 255 + 255 * silence
    found, one = exactly("tone.opus", data + b"x" + 10 * page), exactly("tone.opus", data)
    assert found is not None
    assert one is not None
    assert found - one == pytest.approx(10 * 255 * 0.06, abs=0.1)


@pytest.mark.parametrize("name", FORMATS)
def test_more_frames_than_are_counted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FORMATS[name], "MOST_FRAMES" if hasattr(FORMATS[name], "MOST_FRAMES") else "MOST_PACKETS", 2)
    assert seconds_of(memoryview(recording(name))) is None


def test_several_frames_in_one_entry_of_m4a_are_no_shorter() -> None:
    """Their bytes count, at half a bit a sample, of which the tone has 8,000 a second."""
    data = recording("tone.m4a")
    at = data.index(b"stsz") + 4
    changed = bytearray(data)
    changed[at + 4 : at + 12] = struct.pack(">II", 10_000, 1)
    assert exactly("tone.m4a", bytes(changed)) == 20
    changed[at + 4 : at + 12] = struct.pack(">II", 1, 1000)
    assert exactly("tone.m4a", bytes(changed)) == 128


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"mp4a", b"alac"), (b"stsz", b"stz2"), (b"esds", b"wave"), (b"stsd", b"free")],
)
def test_m4a_without_a_table_of_aac_is_unknown(old: bytes, new: bytes) -> None:
    assert seconds_of(memoryview(recording("tone.m4a").replace(old, new))) is None


@pytest.mark.parametrize("name", [b"moof", b"trak", b"stsz", b"traf", b"trun"])
@pytest.mark.parametrize("place", [b"udta", b"free"])
def test_a_table_in_another_place_of_m4a_makes_it_unknown(name: bytes, place: bytes) -> None:
    """FFmpeg reads them in any box that it goes through."""
    inner = struct.pack(">I4s", 16, name) + bytes(8)
    for recorded in ("tone.m4a", "tone-fragments.m4a"):
        data = recording(recorded)
        assert exactly(recorded, data + struct.pack(">I4s", 8 + len(inner), place) + inner) is None


def test_entries_of_a_fragment_count_with_their_bytes() -> None:
    """As those of the whole file's table do."""
    data = recording("tone-fragments.m4a")
    at = data.index(b"trun") + 4
    flags, size, more = struct.unpack_from(">I", data, at)[0], at + 12, bytearray(data)
    assert flags == 0x201, "an offset, and a size for each"
    one = exactly("tone-fragments.m4a", data)
    assert one is not None
    struct.pack_into(">I", more, size, struct.unpack_from(">I", data, size)[0] + 10_000)
    assert exactly("tone-fragments.m4a", bytes(more)) == one + 20
    struct.pack_into(">II", more, at, 1, 400_000)  # of the usual size
    found = exactly("tone-fragments.m4a", bytes(more))
    assert found is not None
    assert found >= 400_000 * 1024 / 8000
    struct.pack_into(">I", more, at, flags)
    assert seconds_of(memoryview(bytes(more))) is None, "it ends before them"


def test_other_formats_are_unknown() -> None:
    assert seconds_of(memoryview(recording("tone.opus").replace(b"OpusHead", b"Speex   "))) is None


@pytest.mark.parametrize("rate", [0, 2**31])
def test_a_rate_that_sound_does_not_have_is_not_believed(rate: int) -> None:
    made = io.BytesIO()
    with wave.open(made, "wb") as plain:
        plain.setparams((1, 2, 8000, 0, "NONE", ""))
        plain.writeframes(bytes(16000))
    data = made.getvalue()
    assert seconds_of(memoryview(data)) == 2
    assert seconds_of(memoryview(data[:24] + struct.pack("<I", rate) + data[28:])) is None


@given(st.sampled_from(MAGIC), st.binary(max_size=2000))
def test_any_bytes_have_a_length_or_none(magic: bytes, rest: bytes) -> None:
    plausible(magic + rest)


@given(
    st.sampled_from(sorted(FORMATS)),
    st.lists(st.tuples(st.integers(0, 4000), st.binary(min_size=1, max_size=8)), max_size=6),
)
def test_a_changed_recording_has_a_length_or_none(name: str, changes: list[tuple[int, bytes]]) -> None:
    data = bytearray(recording(name))
    for at, new in changes:
        data[at : at + len(new)] = new
    plausible(bytes(data))


def plausible(data: bytes) -> None:
    """No frame has more than 65,536 samples."""
    found = seconds_of(memoryview(data))
    assert found is None or 0 <= found <= 65_536 * max(len(data), 1)
