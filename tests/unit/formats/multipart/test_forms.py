"""Forms are read strictly, and only what changes is written again."""

from __future__ import annotations

import io
import struct
import wave
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from meshd.formats.multipart.forms import MOST_PARTS, read_form
from modelmesh.errors import InvalidRequestError

TYPE = "multipart/form-data; boundary=x"
GOOD = (
    b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nstt\r\n'
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n\r\n\x00\xff\r\n--y\r\n'
    b"--x--\r\n"
)


def part(head: bytes, content: bytes = b"stt") -> bytes:
    return b"--x\r\n" + head + b"\r\n\r\n" + content + b"\r\n--x--\r\n"


def test_a_form_is_its_fields_as_json() -> None:
    form = read_form(GOOD, TYPE)
    file = {"filename": "a.mp3", "content_type": "", "bytes": 7}
    assert msgspec.json.decode(form.body()) == {"model": "stt", "file": file}


@given(some.integers(0, len(GOOD) - 5))
def test_half_a_form_is_none(length: int) -> None:
    with pytest.raises(InvalidRequestError):
        read_form(GOOD[:length], TYPE)


@given(some.binary(max_size=300), some.integers(0, len(GOOD)))
def test_any_bytes_are_read_or_refused(noise: bytes, at: int) -> None:
    for body in (noise, GOOD[:at] + noise + GOOD[at:]):
        try:
            read_form(body, TYPE)
        except InvalidRequestError:
            continue


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"Content-Type: text/plain",
        b"Content-Disposition: form-data",
        b'Content-Disposition: form-data; name=""',
        b'Content-Disposition: form-data; name="a"; name="model"',
        b'Content-Disposition: attachment; name="model"',
        b'Content-Disposition: form-data; name="a"\r\nContent-Disposition: form-data; name="model"',
        b'Content-Disposition: form-data; name="mo\ndel"',
        b'Content-Disposition: form-data; name="model"\r\nContent-Transfer-Encoding: base64',
        b'Content-Disposition: form-data; name="%s"' % (b"a" * 5000),
        b'Content-Disposition: form-data; name="a"' + b"".join(b"\r\nX-%d: a" % n for n in range(9)),
    ],
)
def test_a_part_that_could_be_read_in_two_ways_is_refused(head: bytes) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_form(part(head), TYPE)
    assert caught.value.status_code == 400


@pytest.mark.parametrize(
    "content_type",
    ["multipart/form-data", "multipart/form-data; boundary=", f"multipart/form-data; boundary={'x' * 71}",
     "multipart/form-data; boundary=a; boundary=x", 'multipart/form-data; boundary="a\\"b"'],
)  # fmt: skip
def test_a_boundary_that_is_none(content_type: str) -> None:
    with pytest.raises(InvalidRequestError, match="boundary"):
        read_form(GOOD, content_type)


def test_very_many_parts_are_refused() -> None:
    one = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    with pytest.raises(InvalidRequestError, match="parts"):
        read_form(one * (MOST_PARTS + 1) + b"--x--\r\n", TYPE)


def test_two_models_are_none() -> None:
    body = GOOD.replace(b"--x--\r\n", b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nother\r\n--x--\r\n')
    assert read_form(body, TYPE).fields["model"] == b'["stt","other"]'


def test_how_long_a_plain_recording_is() -> None:
    made = io.BytesIO()
    with wave.open(made, "wb") as recording:
        recording.setparams((1, 2, 8000, 0, "NONE", ""))
        recording.writeframes(bytes(2 * 8000 * 5))
    told: Any = _told(made.getvalue())
    assert told["seconds"] == 6  # its header counts as well
    for other in (b"ID3", b"RIFF" + struct.pack("<I", 4) + b"WAVE", b"RIFF\0\0\0\0WAVEfmt " + bytes(40)):
        assert "seconds" not in _told(other)


def _told(content: bytes) -> Any:
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    return msgspec.json.decode(read_form(head + content + b"\r\n--x--\r\n", TYPE).fields["file"])
