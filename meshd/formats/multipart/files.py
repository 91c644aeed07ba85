"""A form's fields with its files in them, for APIs that take files inside JSON."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import msgspec

from meshd.sdk.calls.form import Form


def with_files(form: Form, fields: Mapping[str, msgspec.Raw]) -> Mapping[str, msgspec.Raw]:
    """The fields; the map that describes a file has its bytes as `data` (base64) too."""
    made = dict(fields)
    for name in dict.fromkeys(part.field for part in form.parts):
        if name not in fields or bytes(fields[name]) != form.fields.get(name):
            continue  # it has been replaced
        value = msgspec.json.decode(fields[name])
        files = value if isinstance(value, list) else [value]
        contents = [part.content for part in form.parts if part.field == name]
        if len(files) != len(contents) or not all(isinstance(each, dict) for each in files):
            continue
        read = [_with_data(each, content) for each, content in zip(files, contents, strict=True)]
        made[name] = msgspec.Raw(msgspec.json.encode(read if isinstance(value, list) else read[0]))
    return made


def _with_data(described: dict[str, Any], content: memoryview) -> dict[str, Any]:
    return {**described, "data": base64.b64encode(content).decode()}
