"""Reads files with secrets, in a few seconds at most, whatever the path is.

Owns: what may be read (a file, or a pipe once), how much of it, and how it is decoded.
Must never: put part of a file into an error, or wait for a pipe indefinitely.
"""

from __future__ import annotations

import json
import os
import select
import stat
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from meshd.sdk.secrets import SecretStoreError, SecretUnavailable

MOST_BYTES = 1024 * 1024
PIPE_PATIENCE = 5.0  # s for a pipe's writer to open and close it
_OTHERS = stat.S_IRWXO | stat.S_IWGRP | stat.S_IRGRP

_pipes: dict[tuple[int, int], bytes] = {}  # device and inode → content, which comes only once


def beside(settings: Mapping[str, Any], path: str) -> Path:
    """Where a path of a store's settings is: relative to `folder`, the configuration's, which the resolver adds. `~` of
    a user that does not exist stays as it is."""
    with suppress(ValueError):  # no user's name has a zero byte
        path = os.path.expanduser(path)
    return Path(settings.get("folder") or ".", path)


def json_object(text: str | bytes) -> dict[str, Any] | None:
    """None if it is not one."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def read_text(path: Path, private: bool = False, pipes: bool = True) -> str:
    """The whole text, without its byte order mark. private: refuse a file that others may read. pipes: read a pipe too,
    and wait for its writer.

    Raises SecretUnavailable or SecretStoreError, in words that name the path.
    """
    return text_of(_content(path, private, pipes), path)


def text_of(content: bytes, source: Path | str) -> str:
    """The same of a file's whole content."""
    content = _bounded(content, source)
    try:
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        raise SecretStoreError(f"{source} is not UTF-8 text") from None
    if "\0" in text:
        raise SecretStoreError(f"{source} is not a text file")
    return text


def read_bytes(path: Path, private: bool = False, pipes: bool = True) -> bytes:
    """The content, which is not empty. Raises as `read_text`."""
    return _bounded(_content(path, private, pipes), path)


def read_value(path: Path, private: bool = False) -> str:
    """The value in a file that holds one secret."""
    return value_of(_content(path, private), path)


def value_of(content: bytes, source: Path | str) -> str:
    """The same of the file's content."""
    return text_of(content, source).rstrip("\r\n")


def _content(path: Path, private: bool = False, pipes: bool = True) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise SecretUnavailable(f"there is no file {path}") from None
    except (OSError, ValueError) as error:
        raise SecretStoreError(f"{path} cannot be read: {why(error)}") from None
    try:
        return _read(fd, path, private, pipes)
    except OSError as error:
        raise SecretStoreError(f"{path} cannot be read: {why(error)}") from None
    finally:
        os.close(fd)


def _bounded(content: bytes, source: Path | str) -> bytes:
    if len(content) > MOST_BYTES:
        raise SecretStoreError(f"{source} is larger than 1 MiB: it cannot be a file with secrets")
    if not content.strip():
        raise SecretUnavailable(f"{source} is empty")
    return content


def _read(fd: int, path: Path, private: bool, pipes: bool) -> bytes:
    found = os.fstat(fd)
    if stat.S_ISREG(found.st_mode):
        if private and found.st_mode & _OTHERS:
            raise SecretStoreError(f"{path} can be read by others: run `chmod 600 {path}`")
        return _all(fd)
    if stat.S_ISDIR(found.st_mode):
        raise SecretStoreError(f"{path} is a directory, not a file")
    if not pipes or not stat.S_ISFIFO(found.st_mode):
        raise SecretStoreError(f"{path} is neither a file nor a pipe" if pipes else f"{path} is not a file")
    known = (found.st_dev, found.st_ino)
    if known not in _pipes:
        _pipes[known] = _drain(fd, path)
    return _pipes[known]


def _all(fd: int) -> bytes:
    content = bytearray()
    while len(content) <= MOST_BYTES and (piece := os.read(fd, 65536)):
        content += piece
    return bytes(content)


def _drain(fd: int, path: Path) -> bytes:
    """A pipe's content until its writer closes it."""
    deadline, content = time.monotonic() + PIPE_PATIENCE, bytearray()
    waiting = select.poll()
    waiting.register(fd, select.POLLIN)
    while len(content) <= MOST_BYTES:
        left = deadline - time.monotonic()
        if left <= 0 or not waiting.poll(left * 1000):
            raise SecretStoreError(f"{path} is a pipe, which its writer did not close within 5 s")
        piece = os.read(fd, 65536)
        if not piece:
            break
        content += piece
    return bytes(content)


def why(error: Exception) -> str:
    """Why a file cannot be used, without its path."""
    if isinstance(error, ValueError) and not isinstance(error, OSError):  # a zero byte, or half of a surrogate pair
        return "no file can have this name"
    return getattr(error, "strerror", None) or str(error)
