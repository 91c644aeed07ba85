"""Forms (`multipart/form-data`) for services that take nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from meshd.services.seam import File


def form(fields: Mapping[str, str], *files: File) -> tuple[str, bytes]:
    """The content type and the body. Deterministic: the boundary is made of the content."""
    parts = [(f'form-data; name="{name}"', "", value.encode()) for name, value in fields.items()]
    for file in files:
        kind = file.content_type if _is_header(file.content_type) else "application/octet-stream"
        name = _filename(file.filename)
        parts.append((f'form-data; name="{file.field}"; filename="{name}"', kind, bytes(file.content)))
    digest = hashlib.sha256()
    for _, _, content in parts:
        digest.update(content)
    boundary = f"meshd-{digest.hexdigest()[:40]}"
    pieces: list[bytes] = []
    for disposition, kind, content in parts:
        head = f"--{boundary}\r\nContent-Disposition: {disposition}\r\n" + (f"Content-Type: {kind}\r\n" if kind else "")
        pieces += (head.encode(), b"\r\n", content, b"\r\n")
    pieces.append(f"--{boundary}--\r\n".encode())
    return f"multipart/form-data; boundary={boundary}", b"".join(pieces)


def _is_header(value: str) -> bool:
    return bool(value) and value.isascii() and value.isprintable()


def _filename(name: str) -> str:
    """Services tell the kind of a file by how its name ends."""
    kept = "".join(sign for sign in name[-120:] if sign.isascii() and sign.isprintable() and sign not in '"\\')
    return kept or "file"
