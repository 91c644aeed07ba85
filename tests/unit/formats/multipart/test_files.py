"""A form's files inside of its fields."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec

from meshd.formats.multipart.files import with_files
from meshd.sdk.calls.form import Form, Part

ONE = {"filename": "a.png", "content_type": "image/png", "bytes": 1}


def read(parts: list[tuple[str, bytes]], values: dict[str, Any], **changed: Any) -> Any:
    made = tuple(Part(name, memoryview(b""), memoryview(content)) for name, content in parts)
    form = Form(b"b", made, {name: json.dumps(value).encode() for name, value in values.items()})
    fields = {name: msgspec.Raw(json.dumps(value).encode()) for name, value in {**values, **changed}.items()}
    return {name: json.loads(bytes(raw)) for name, raw in with_files(form, fields).items()}


def data(content: bytes) -> dict[str, str]:
    return {"data": base64.b64encode(content).decode()}


def test_files_have_their_data() -> None:
    values = {"prompt": "p", "mask": ONE, "image": [ONE, ONE]}
    got = read([("prompt", b"p"), ("image", b"1"), ("mask", b"m"), ("image", b"2")], values)
    assert got == {
        "prompt": "p",
        "mask": {**ONE, **data(b"m")},
        "image": [{**ONE, **data(b"1")}, {**ONE, **data(b"2")}],
    }


def test_what_was_replaced_stays_so() -> None:
    assert read([("image", b"1")], {"image": ONE}, image="none") == {"image": "none"}
    assert read([("image", b"1"), ("image", b"2")], {"image": ONE}) == {"image": ONE}
