"""How values are stored: as JSON or MessagePack, compressed, encrypted.

Owns: the form of a value, and `EncodedStorage`, a storage whose values have it. Must never: fail on a value that was
stored with other settings, unless its key is missing. Such a value gets the new form when it changes.

An encoded value begins with `MARK` and a byte of flags; plain ones are JSON, which never begins like that. What follows
is, from the inside out: MessagePack instead of JSON, zstd, a nonce and AES-256-GCM. The flags and the value's key are
authenticated, so that one value cannot be passed off as another.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import msgspec

from meshd.connectors.secrets.files import read_bytes
from meshd.core.text.key_text import decoded_key
from meshd.host.installing import how_to_install
from meshd.net.encodings import zstd_module
from meshd.sdk.secrets import SecretMissing, SecretStoreError
from meshd.sdk.storage import Claim, Grant, Storage, StorageError, StoredStat

logger = logging.getLogger("meshd.storage")

MARK: Final = b"\xa5M"
_MSGPACK, _ZSTD, _AES = 1, 2, 4
_KEY, _NONCE = 32, 12  # bytes
_MOST_BYTES = 256 * 1024**2  # of a value that is decompressed


class Form(msgspec.Struct, frozen=True):
    """msgpack, zstd: whether values are written that way. key: 32 bytes for AES-256-GCM, b"" for none."""

    msgpack: bool = False
    zstd: bool = False
    key: bytes = b""

    @classmethod
    def of(cls, format: str, compression: str, key: str | None, key_file: str | None) -> Form:
        """From the configuration. Raises ValueError, whose text shows no key."""
        if (key or key_file) and find_spec("cryptography") is None:
            raise ValueError(f"it needs cryptography: {how_to_install('secrets')}")
        return cls(format == "msgpack", compression == "zstd", _read_key(key, key_file))

    def packed(self, key: str, value: bytes) -> bytes:
        flags = 0
        if self.msgpack and (packed := _as_msgpack(value)) is not None:
            value, flags = packed, _MSGPACK
        if self.zstd and len(smaller := zstd_module().compress(value)) < len(value):
            value, flags = smaller, flags | _ZSTD
        if self.key:
            nonce = os.urandom(_NONCE)  # for each value: a nonce must not be used twice with a key
            flags |= _AES
            value = nonce + self._cipher().encrypt(nonce, value, _about(flags, key))
        return MARK + bytes([flags]) + value if flags or value.startswith(MARK) else value

    def unpacked(self, key: str, stored: bytes) -> bytes:
        """Raises StorageError."""
        if not stored.startswith(MARK):
            return stored
        flags, value = stored[len(MARK)] if len(stored) > len(MARK) else 0, stored[len(MARK) + 1 :]
        try:
            if flags & _AES:
                value = self._decrypted(key, flags, value)
            if flags & _ZSTD:
                value = _decompressed(value)
            if flags & _MSGPACK:
                value = msgspec.json.encode(msgspec.msgpack.decode(value))
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise StorageError(f"the value of {key!r} is damaged: {error}") from None
        return value

    def _decrypted(self, key: str, flags: int, value: bytes) -> bytes:
        from cryptography.exceptions import InvalidTag

        if not self.key:
            raise StorageError(f"the value of {key!r} is encrypted, and storage.encryption gives no key")
        try:
            return bytes(self._cipher().decrypt(value[:_NONCE], value[_NONCE:], _about(flags, key)))
        except (InvalidTag, ValueError):
            raise StorageError(
                f"the value of {key!r} cannot be decrypted: storage.encryption has another key, or the value is damaged"
            ) from None

    def _cipher(self) -> Any:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(self.key)


class EncodedStorage(Storage):
    """inner: where the values are. form: how they are written; every form is read."""

    def __init__(self, inner: Storage, form: Form) -> None:
        self.inner = inner
        self._form = form
        for name in ("atomic", "remote", "leases", "shares"):
            setattr(self, name, getattr(inner, name))

    @property
    def readonly(self) -> bool:  # type: ignore[override]
        return self.inner.readonly

    def load(self, key: str) -> bytes | None:
        stored = self.inner.load(key)
        return None if stored is None else self._form.unpacked(key, stored)

    def save(self, key: str, value: bytes) -> None:
        self.inner.save(key, self._form.packed(key, value))

    def delete(self, key: str) -> bool:
        return self.inner.delete(key)

    def list(self, prefix: str = "") -> list[str]:
        return self.inner.list(prefix)

    def stat(self, key: str) -> StoredStat | None:
        """size: as it is stored."""
        return self.inner.stat(key)

    def items(self, prefix: str = "") -> Iterator[tuple[str, bytes]]:
        for key, stored in self.inner.items(prefix):
            yield key, self._form.unpacked(key, stored)

    def readable(
        self, prefix: str = "", wanted: Callable[[str], bool] = lambda key: True
    ) -> Iterator[tuple[str, bytes]]:
        """Like `items`, without values that are damaged or encrypted with another key. They are named in the log."""
        for key, stored in self.inner.items(prefix):
            if wanted(key):
                try:
                    yield key, self._form.unpacked(key, stored)
                except StorageError as error:
                    logger.warning("%s; it is ignored", error)

    def save_many(self, changes: Mapping[str, bytes | None]) -> None:
        form = self._form
        self.inner.save_many({key: value and form.packed(key, value) for key, value in changes.items()})

    def acquire(self, name: str, holder: str, seconds: float) -> bool:
        return self.inner.acquire(name, holder, seconds)

    def release(self, name: str, holder: str) -> bool:
        return self.inner.release(name, holder)

    def is_locked(self, name: str) -> str:
        return self.inner.is_locked(name)

    def divide(self, member: str, claims: Sequence[Claim]) -> dict[str, Grant]:
        return self.inner.divide(member, claims)

    def flush(self) -> None:
        self.inner.flush()

    def lost(self) -> bool:
        return self.inner.lost()

    def close(self) -> None:
        self.inner.close()


def _read_key(key: str | None, key_file: str | None) -> bytes:
    if key == "" or key_file == "":
        raise ValueError("the key is empty, so that nothing would be encrypted")
    if not key and not key_file:
        return b""
    if key and key_file:
        raise ValueError("it has both `key` and `key_file`: give one of them")
    text = key or ""
    if key_file:
        try:
            content = read_bytes(Path(os.path.expanduser(key_file)), private=True, pipes=False)
        except (SecretMissing, SecretStoreError) as error:
            raise ValueError(f"key_file: {error}") from None
        if len(content) == _KEY:
            return content
        text = content.decode("ascii", "replace")
    found = decoded_key(text, _KEY)
    if found is None:
        raise ValueError("a key is 32 bytes, in hexadecimal or base64: run `openssl rand -base64 32`")
    return found


def _about(flags: int, key: str) -> bytes:
    return bytes([flags]) + key.encode()


def _as_msgpack(value: bytes) -> bytes | None:
    """None if it is not JSON, or has numbers that MessagePack cannot represent."""
    try:
        return msgspec.msgpack.encode(msgspec.json.decode(value))
    except (msgspec.MsgspecError, OverflowError, RecursionError):
        return None


def _decompressed(value: bytes) -> bytes:
    """Raises ValueError."""
    zstd = zstd_module()
    reader = zstd.ZstdDecompressor()
    try:
        found: bytes = reader.decompress(value, max_length=_MOST_BYTES)
    except zstd.ZstdError as error:
        raise ValueError(str(error)) from None
    if not reader.eof:
        raise ValueError("it is truncated, or larger than 256 MiB")
    return found
