"""A form (`multipart/form-data`) that an app sent: its parts, and the same form with other values.

Owns: the parts' bytes, which are passed on unchanged. Must never: read a body
(`meshd/formats/multipart/forms.py` does).
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class NotAForm(ValueError):
    """A value that a form cannot contain."""


class Part(msgspec.Struct, frozen=True):
    """field: its name, without the "[]" that some clients add for lists. head, content: its bytes."""

    field: str
    head: memoryview
    content: memoryview


class Form(msgspec.Struct, frozen=True, eq=False):
    """fields: each as JSON: a text, a number, a flag, a map that describes a file, or a list of these."""

    boundary: bytes
    parts: tuple[Part, ...]
    fields: Mapping[str, bytes]

    @property
    def content_type(self) -> str:
        return f'multipart/form-data; boundary="{self.boundary.decode("ascii")}"'

    def body(self) -> bytes:
        """The fields as one JSON document."""
        return msgspec.json.encode({name: msgspec.Raw(value) for name, value in self.fields.items()})

    def written(self, fields: Mapping[str, msgspec.Raw]) -> bytes:
        """The form with these fields: parts of an unchanged field are passed on unchanged, a new value replaces the
        field's first part. Raises NotAForm."""
        pieces: list[bytes | memoryview] = []
        begin = b"--%b\r\n" % self.boundary
        written: set[str] = set()
        for part in self.parts:
            name, raw = part.field, fields.get(part.field)
            if raw is None or (name in written and bytes(raw) != self.fields[name]):
                continue
            if bytes(raw) == self.fields[name]:
                pieces += (begin, part.head, b"\r\n\r\n", part.content, b"\r\n")
            else:
                pieces += self._new(name, raw)
            written.add(name)
        for name, raw in fields.items():
            if name not in written:
                pieces += self._new(name, raw)
        pieces.append(b"--%b--\r\n" % self.boundary)
        return b"".join(pieces)

    def _new(self, name: str, raw: msgspec.Raw) -> list[bytes | memoryview]:
        value = msgspec.json.decode(raw)
        values = value if isinstance(value, list) else [value]
        suffix = "[]" if isinstance(value, list) else ""
        pieces: list[bytes | memoryview] = []
        for each in values:
            text = each.encode() if isinstance(each, str) else msgspec.json.encode(each)
            head = f'content-disposition: form-data; name="{name}{suffix}"'.encode()
            if self.boundary in text or b'"' in name.encode() or b"\r" in head or b"\n" in head:
                raise NotAForm(f"a form cannot contain this value of {name!r}")
            pieces += (b"--%b\r\n" % self.boundary, head, b"\r\n\r\n", text, b"\r\n")
        return pieces
