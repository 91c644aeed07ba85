"""`modelmesh.encrypted-file.v1`: a file encrypted with AES-256-GCM, with a passphrase or a key.

Owns: the file's format, and deriving keys from passphrases. Must never: decrypt what others have changed, or spend more
time or memory on a file than the limits here.

The file is a JSON object. `data` is the ciphertext of a JSON object of names and values; all other fields are
authenticated with it.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from meshd.connectors.secrets.files import beside, json_object, read_bytes, read_value
from meshd.connectors.secrets.local.file_store import FileStore
from meshd.core.text.key_text import decoded_key
from meshd.sdk.secrets import SecretStoreError

_FORMAT: Final = "meshd-secrets-1"
_KEY, _NONCE, _SALT = 32, 12, 16  # bytes
_SCRYPT: Final = {"kdf": "scrypt", "n": 2**15, "r": 8, "p": 3}
_PBKDF2: Final = {"kdf": "pbkdf2-sha256", "iterations": 600_000}
_RAW: Final = {"kdf": "none"}
_LARGEST_N, _MOST_WORK = 2**20, 2**24  # of scrypt; n · r · p
_ITERATIONS = range(100_000, 10_000_001)


class EncryptedFileStore(FileStore):
    """Settings: `path`; one of `passphrase`, `passphrase_file` and `key_file` (32 bytes, as they are, in hexadecimal or
    base64); `kdf`: what derives a new file's key."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings, settings["path"])
        given = [name for name in ("passphrase", "passphrase_file", "key_file") if settings.get(name)]
        if len(given) != 1:
            raise ValueError("give one of `passphrase`, `passphrase_file` and `key_file`")
        self._made: dict[tuple[bytes, str], bytes] = {}  # passphrase and parameters → key

    def _parsed(self, text: str) -> dict[str, str]:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        head, nonce, data = self._opened(text)
        try:
            plain = AESGCM(self._key(head)).decrypt(nonce, data, _authenticated(head))
        except InvalidTag:
            raise SecretStoreError(
                f"{self.path} cannot be decrypted: the passphrase or key is wrong, or the file was changed"
            ) from None
        found = json_object(plain)
        if found is None or not all(isinstance(value, str) for value in found.values()):
            raise SecretStoreError(f"{self.path} holds something else than names and values")
        return found

    def _changed(self, text: str | None, name: str, value: str | None) -> str:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        values = {} if text is None else self._parsed(text)
        head = self._new_head() if text is None else self._opened(text)[0]
        if value is None:
            values.pop(name, None)
        else:
            values[name] = value
        nonce = os.urandom(_NONCE)  # for each change: a nonce must not be used twice with a key
        data = AESGCM(self._key(head)).encrypt(nonce, json.dumps(values).encode(), _authenticated(head))
        return json.dumps({**head, "nonce": _in_base64(nonce), "data": _in_base64(data)}, indent=2) + "\n"

    def _new_head(self) -> dict[str, Any]:
        if self._settings.get("key_file"):
            kdf: Mapping[str, Any] = _RAW
        else:
            kdf = _PBKDF2 if self._settings.get("kdf") == "pbkdf2" else _SCRYPT
        salt = {} if kdf is _RAW else {"salt": _in_base64(os.urandom(_SALT))}
        return {"format": _FORMAT, **kdf, **salt}

    def _opened(self, text: str) -> tuple[dict[str, Any], bytes, bytes]:
        """(all but the ciphertext, nonce, ciphertext). Raises SecretStoreError."""
        head = json_object(text) or {}
        try:
            nonce, data = (base64.b64decode(head.pop(name), validate=True) for name in ("nonce", "data"))
        except (ValueError, KeyError, TypeError):
            nonce = data = b""
        plain = all(type(value) in (str, int) for value in head.values())
        if head.get("format") != _FORMAT or len(nonce) != _NONCE or not plain:
            raise SecretStoreError(f"{self.path} was not encrypted by `meshctl secrets`, or was changed")
        return head, nonce, data

    def _key(self, head: Mapping[str, Any]) -> bytes:
        """Raises SecretStoreError."""
        if (head.get("kdf") == "none") != bool(self._settings.get("key_file")):
            wanted = "a key file" if head.get("kdf") == "none" else "a passphrase"
            raise SecretStoreError(f"{self.path} is encrypted with {wanted}, and `secrets` gives none")
        if path := self._settings.get("key_file"):
            return _raw_key(beside(self._settings, path))
        passphrase = self._passphrase()
        known = (passphrase, json.dumps(dict(head), sort_keys=True))
        if known not in self._made:
            self._made = {known: self._derived(passphrase, head)}
        return self._made[known]

    def _passphrase(self) -> bytes:
        if path := self._settings.get("passphrase_file"):
            return read_value(beside(self._settings, path), private=True).encode()
        try:
            return str(self._settings["passphrase"]).encode()
        except UnicodeEncodeError:
            raise SecretStoreError(f"the passphrase of {self.path} is not UTF-8 text") from None

    def _derived(self, passphrase: bytes, head: Mapping[str, Any]) -> bytes:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
        from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

        try:
            salt = base64.b64decode(head["salt"], validate=True)
            if len(salt) < _SALT:
                raise ValueError
            if head["kdf"] == _PBKDF2["kdf"] and head["iterations"] in _ITERATIONS:
                return PBKDF2HMAC(hashes.SHA256(), _KEY, salt, head["iterations"]).derive(passphrase)
            n, r, p = (head[name] for name in ("n", "r", "p"))
            if head["kdf"] == _SCRYPT["kdf"] and n <= _LARGEST_N and min(n, r, p) > 0 and n * r * p <= _MOST_WORK:
                return Scrypt(salt, _KEY, n, r, p).derive(passphrase)
        except (KeyError, TypeError, ValueError, MemoryError, UnsupportedAlgorithm):
            pass
        raise SecretStoreError(f"{self.path} has key derivation parameters that are not accepted")


def _authenticated(head: Mapping[str, Any]) -> bytes:
    return json.dumps(dict(head), sort_keys=True).encode()


def _in_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _raw_key(path: Path) -> bytes:
    """Raises SecretStoreError."""
    content = read_bytes(path, private=True)
    if len(content) == _KEY:
        return content
    key = decoded_key(content.decode("ascii", "replace"), _KEY)
    if key is None:
        raise SecretStoreError(f"{path} is not a key: 32 bytes, as they are, in hexadecimal or base64")
    return key
