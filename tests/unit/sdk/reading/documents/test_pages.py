"""Pages are counted as a reader finds them, whatever the file says of itself."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as some

from meshd.sdk.reading.documents import pages
from meshd.sdk.reading.documents.pages import pages_of

HEAD = b"%PDF-1.7\n"
TREE = b"1 0 obj << /Type /Pages /Count 1 >> endobj\n"
PAGE = b"2 0 obj <</Type/Page /Parent 1 0 R>> endobj\n"


def compressed(objects: bytes) -> bytes:
    data = zlib.compress(objects)
    return b"3 0 obj << /Type /ObjStm /Length %d >>\nstream\r\n%b\nendstream endobj\n" % (len(data), data)


@pytest.mark.parametrize(
    ("document", "found"),
    [
        (HEAD + TREE + PAGE * 3, 3),
        (HEAD + TREE + compressed(b"<</Type /Page>>" * 7), 7),
        (HEAD + PAGE + compressed(b"<</Type/Page>>" * 2) + compressed(b"<</Type/Font>>"), 3),
        (HEAD + TREE, None),
        (HEAD + compressed(b"<</Type /Page>>" * 7)[:-40], None),
        (b"\x89PNG\r\n\x1a\n....", 1),
        (b"\xff\xd8\xff\xe0....", 1),
        (b"PK\x03\x04 a docx", None),
        (b"Plain words", None),
        (b"", None),
    ],
)
def test_pages_are_counted(document: bytes, found: int | None) -> None:
    assert pages_of(memoryview(document)) == found


def test_what_grows_too_large_is_not_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MOST_INFLATED", 1000)
    assert pages_of(memoryview(HEAD + compressed(b"<</Type /Page>>" * 1000))) is None


@given(some.binary(max_size=200))
def test_any_bytes_are_read_or_not(noise: bytes) -> None:
    for document in (noise, HEAD + noise, HEAD + compressed(noise) + noise):
        assert (pages_of(memoryview(document)) or 1) >= 1
