"""Small real recordings of a tone, made by FFmpeg and libsndfile, and what an app could forge in them."""

from __future__ import annotations

import struct
from pathlib import Path

_PLACE = Path(__file__).parent / "data" / "recordings"

LENGTHS = {
    "tone.mp3": 0.9, "tone.opus": 0.9, "tone.ogg": 0.9, "tone.flac": 0.3, "tone.m4a": 0.9, "tone-fragments.m4a": 0.9,
    "tone.webm": 0.9, "tone-vorbis.webm": 0.9, "tone-live.webm": 0.9,
}  # fmt: skip
"""Seconds of sound in each."""


def recording(name: str) -> bytes:
    return (_PLACE / name).read_bytes()


def short_xing(mp3: bytes) -> bytes:
    """With a first frame that says that there is one more. It is MPEG 2, in mono."""
    head = mp3[:13] + b"Xing" + struct.pack(">II", 1, 1)
    return head + mp3[len(head) :]


def short_pages(ogg: bytes) -> bytes:
    """With positions that say that there is one sample. Nothing else begins with OggS in these files."""
    first, *pages = ogg.split(b"OggS")
    return b"OggS".join([first, *(page[:2] + struct.pack("<q", 1) + page[10:] for page in pages)])


def short_streaminfo(flac: bytes) -> bytes:
    """With a total of one sample."""
    return flac[:21] + bytes([flac[21] & 0xF0]) + struct.pack(">I", 1) + flac[26:]


def short_boxes(m4a: bytes) -> bytes:
    """With durations of 1 in the boxes that say one, for the film, the track and the medium."""
    changed = bytearray(m4a)
    for name, place in ((b"mvhd", 20), (b"tkhd", 24), (b"mdhd", 20)):
        at = m4a.index(name)
        changed[at + place : at + place + 4] = struct.pack(">I", 1)
    return bytes(changed)


def short_times(webm: bytes) -> bytes:
    """With a duration of 0 and clusters that all begin at 0, where it says these, and another application's name."""
    changed = bytearray(webm.replace(b"Lavf", b"lavf"))
    for name, size in ((b"\x44\x89\x88", 8), (b"\xe7\x82", 2)):
        if name in webm:
            at = webm.index(name) + len(name)
            changed[at : at + size] = bytes(size)
    return bytes(changed)


FORGED = {
    "tone.mp3": short_xing,
    "tone.opus": short_pages,
    "tone.ogg": short_pages,
    "tone.flac": short_streaminfo,
    "tone.m4a": short_boxes,
    "tone-fragments.m4a": short_boxes,
    "tone.webm": short_times,
    "tone-vorbis.webm": short_times,
    "tone-live.webm": short_times,
}
