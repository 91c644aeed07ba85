"""Forms with files (`multipart/form-data`), as the OpenAI SDK writes them.

Must never: send, or keep a file open.
"""

from __future__ import annotations

import mimetypes
import os
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from modelmesh._openai_sdk.arguments import given

_QUOTED = str.maketrans({"\r": "%0D", "\n": "%0A", '"': "%22", "\\": "%5C"})


def encode_form(params: Mapping[str, Any], files: Mapping[str, Any]) -> tuple[str, bytes]:
    """(content type, body). files: each a file object, bytes, a path, or a tuple of a name, one of these and perhaps a
    content type; or a list of such. Raises TypeError for anything else."""
    boundary = secrets.token_hex(16)
    pieces: list[bytes] = []
    for name, value in _texts(params):
        pieces += [f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode(), value, b"\r\n"]
    for field, each in files.items():
        if not given(each) or each is None:
            continue
        listed = isinstance(each, list)
        for file in each if listed else [each]:
            filename, content, kind = _file(file)
            name = f"{field}[]" if listed else field
            head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'
            pieces += [f"{head}Content-Type: {kind}\r\n\r\n".encode(), content, b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode())
    return f"multipart/form-data; boundary={boundary}", b"".join(pieces)


def _texts(params: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    for name, value in params.items():
        if not given(value) or value is None:
            continue
        if isinstance(value, Mapping):
            yield from _texts({f"{name}[{key}]": each for key, each in value.items()})
        elif isinstance(value, list | tuple):
            for each in value:
                yield f"{name}[]", _text(each)
        else:
            yield name, _text(value)


def _text(value: Any) -> bytes:
    if isinstance(value, bool):
        return b"true" if value else b"false"
    return str(value).encode()


def _file(file: Any) -> tuple[str, bytes, str]:
    """(filename, content, content type)"""
    name, kind = "", ""
    if isinstance(file, tuple):
        name, kind = str(file[0] or ""), str(file[2] or "") if len(file) > 2 else ""
        file = file[1]
    if isinstance(file, str | os.PathLike):
        name = name or os.path.basename(os.fspath(file))
        with open(file, "rb") as opened:
            content = opened.read()
    elif isinstance(file, bytes | bytearray | memoryview):
        content = bytes(file)
    elif callable(read := getattr(file, "read", None)):
        of_file = getattr(file, "name", "")
        name = name or (os.path.basename(of_file) if isinstance(of_file, str) else "")
        content = read()
    else:
        raise TypeError(f"a file must be an open file, bytes, a path or a tuple, not {type(file).__name__}")
    if not isinstance(content, bytes):
        raise TypeError("open the file in binary mode")
    kind = kind or mimetypes.guess_type(name)[0] or "application/octet-stream"
    if "\r" in kind or "\n" in kind:
        raise ValueError("a content type must not contain line breaks")
    return (name or "upload").translate(_QUOTED), content, kind
