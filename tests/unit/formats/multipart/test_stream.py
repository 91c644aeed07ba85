"""A form that comes in pieces is read as if it had come at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshd.formats.multipart.stream import FormStream
from modelmesh.errors import InvalidRequestError

TYPE = "multipart/form-data; boundary=xyz"


def part(name: str, value: bytes, more: str = "") -> bytes:
    return f'--xyz\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + value + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--xyz--\r\n"


@given(st.binary(max_size=300).filter(lambda data: b"xyz" not in data), st.integers(1, 80))
def test_in_pieces_of_any_size(content: bytes, size: int) -> None:
    body = form(part("purpose", b"batch"), part("file", content, '; filename="a.jsonl"'), part("after", b"1"))
    stream = FormStream(TYPE)
    read = b"".join(stream.feed(body[at : at + size]) for at in range(0, len(body), size))
    stream.end()
    assert (read, stream.filename, stream.fields) == (content, "a.jsonl", {"purpose": "batch", "after": "1"})


@pytest.mark.parametrize(
    "body",
    [
        form(part("purpose", b"batch")),
        form(part("file", b"", '; filename="a"'), part("file", b"", '; filename="b"')),
        form(part("other", b"", '; filename="a"')),
        form(part("purpose", b"a"), part("purpose", b"b"), part("file", b"", '; filename="a"')),
        form(part("purpose", b"x" * 5000), part("file", b"", '; filename="a"')),
        form(*(part(f"n{number}", b"") for number in range(20))),
        part("file", b"cut", '; filename="a"')[:-2],
        b"no form at all",
        form(
            b'--xyz\r\nContent-Disposition: form-data; name="a"\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
        ),
    ],
)
def test_what_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        read(body)


def read(body: bytes) -> None:
    stream = FormStream(TYPE)
    stream.feed(body)
    stream.end()
