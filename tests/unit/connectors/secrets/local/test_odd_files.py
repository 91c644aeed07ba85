"""Whatever a path leads to, and whatever a file contains, a local store raises only what its interface allows."""

from __future__ import annotations

import base64
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import example, given
from hypothesis import strategies as st

from meshd.connectors.secrets.stores import make_store
from meshd.sdk.secrets import SecretMissing, SecretStore, SecretStoreError

KEY = bytes(range(32))
KINDS: dict[str, dict[str, Any]] = {
    "modelmesh.dotenv.v1": {"path": "kept"},
    "modelmesh.json-secrets.v1": {"file_path": "kept", "json_path": "a"},
    "modelmesh.encrypted-file.v1": {"path": "kept", "key_file": "key"},
    "modelmesh.directory.v1": {"path": "kept"},
}
ENCRYPTED = "modelmesh.encrypted-file.v1"
NAMES = ["A", "", "..", "../A", "A\0", "\ud800", "A" * 300]

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)
HEADS = st.fixed_dictionaries(
    {},
    optional={
        "format": st.just("meshd-secrets-1") | VALUES,
        "kdf": st.sampled_from(["none", "scrypt", "pbkdf2-sha256"]) | VALUES,
        "n": st.sampled_from([2, 4, 10**400, float("inf"), float("nan"), True, "8", [8]]) | VALUES,
        "r": st.sampled_from([1, 8.0, -1]) | VALUES,
        "p": st.sampled_from([1, 2.5, 0]) | VALUES,
        "iterations": st.sampled_from([2e5, float("inf"), True, "200000", 10**400]) | VALUES,
        "salt": st.just("A" * 24) | VALUES,
        "nonce": st.just("A" * 16) | VALUES,
        "data": st.sampled_from(["AAAA", "A" * 44]) | VALUES,
    },
)


@contextmanager
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder, "key"), KEY)
        yield Path(folder)


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)


def made(kind: str, folder: Path, **more: Any) -> SecretStore:
    return make_store(kind, {"folder": str(folder), **KINDS[kind], **more})


def is_tried(kept: SecretStore, names: list[str]) -> None:
    """Raises what a store must not."""
    actions: list[Callable[[], Any]] = [kept.list]
    for name in names:
        actions += [
            lambda name=name: kept.files(name),
            lambda name=name: kept.get(name),
            lambda name=name: kept.set(name, "a-1"),
            lambda name=name: kept.delete(name),
        ]
    for action in actions:
        with suppress(SecretMissing, SecretStoreError):
            action()


@pytest.mark.parametrize("kind", KINDS)
@given(content=st.binary(max_size=64) | VALUES.map(lambda value: json.dumps({"a": value}).encode()))
@example(content=b'{"a": {"A": 1e400}}')
@example(content=b'{"a": ' + b"[" * 900 + b"]" * 900 + b"}")
@example(content=b'{"a": 1' + b"0" * 5000 + b"}")
@example(content=b'{"a": {"\\ud800": "\\ud800"}}')
@example(content=b"\xff\xfe\x00\xd8")
def test_any_content(kind: str, content: bytes) -> None:
    with place() as folder:
        if "directory" in kind:
            (folder / "kept").mkdir()
            write(folder / "kept" / "A", content)
        else:
            write(folder / "kept", content)
        is_tried(made(kind, folder), ["A"])


@given(head=HEADS, with_key=st.booleans())
@example(head={"format": "meshd-secrets-1", "kdf": "scrypt", "n": float("inf"), "r": 1, "p": 1}, with_key=False)
def test_any_head_of_an_encrypted_file(head: dict[str, Any], with_key: bool) -> None:
    with place() as folder:
        write(folder / "kept", json.dumps({"salt": "A" * 24, "nonce": "A" * 16, "data": "AAAA", **head}).encode())
        more = {} if with_key else {"key_file": None, "passphrase": "correct horse"}
        with pytest.raises(SecretStoreError):
            made(ENCRYPTED, folder, **more).get("A")


@given(plain=st.binary(max_size=32) | VALUES.map(lambda value: json.dumps(value).encode()))
@example(plain=b'{"A": "a-1", "B": 7}')
@example(plain=b"[" * 100_000)
def test_anything_that_is_encrypted(plain: bytes) -> None:
    head, nonce = {"format": "meshd-secrets-1", "kdf": "none"}, bytes(12)
    data = AESGCM(KEY).encrypt(nonce, plain, json.dumps(head, sort_keys=True).encode())
    sealed = {name: base64.b64encode(content).decode() for name, content in (("nonce", nonce), ("data", data))}
    with place() as folder:
        write(folder / "kept", json.dumps({**head, **sealed}).encode())
        kept = made(ENCRYPTED, folder)
        is_tried(kept, ["A"])
        if "A" in (names := listed(kept)):
            assert all(isinstance(kept.get(name), str) for name in names)


def listed(kept: SecretStore) -> list[str]:
    try:
        return kept.list()
    except (SecretMissing, SecretStoreError):
        return []


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def dangling(path: Path) -> None:
    path.symlink_to("nowhere/at/all")


def below_a_file(path: Path) -> None:
    path.symlink_to("key/kept")


def device(path: Path) -> None:
    path.symlink_to("/dev/null")


THERE: dict[str, Callable[[Path], object]] = {
    "nothing": lambda path: None,
    "a directory": lambda path: path.mkdir(),
    "a file": lambda path: path.write_text("x"),
    "a loop": loop,
    "a dangling link": dangling,
    "below a file": below_a_file,
    "a device": device,
}


@pytest.mark.parametrize("there", THERE.values(), ids=THERE)
@pytest.mark.parametrize("kind", KINDS)
def test_any_path(kind: str, there: Callable[[Path], object]) -> None:
    with place() as folder:
        there(folder / "kept")
        is_tried(made(kind, folder), NAMES)


@pytest.mark.parametrize("there", THERE.values(), ids=THERE)
def test_any_file_of_a_directory(there: Callable[[Path], object]) -> None:
    with place() as folder:
        (folder / "kept").mkdir()
        there(folder / "kept" / "A")
        is_tried(made("modelmesh.directory.v1", folder), NAMES)


@pytest.mark.parametrize("path", ["/", "", ".", "a\0", "\ud800", "~\0", "~no-user-of-this-name/x", "a" * 300])
@pytest.mark.parametrize("kind", KINDS)
def test_any_name_of_a_file(kind: str, path: str) -> None:
    with place() as folder:
        setting = "file_path" if "json" in kind else "path"
        kept = made(kind, folder / "in", **{setting: path})
        is_tried(kept, NAMES if path != "/" else [""])  # what a directory store would write there is refused


def test_a_pipe_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshd.connectors.secrets.files.PIPE_PATIENCE", 0.01)
    for kind in KINDS:
        with place() as folder:
            os.mkfifo(folder / "kept", 0o600)
            is_tried(made(kind, folder), ["A"])
            assert (folder / "kept").is_fifo()


def test_a_passphrase_that_is_not_text() -> None:
    with place() as folder, pytest.raises(SecretStoreError, match="not UTF-8 text"):
        made(ENCRYPTED, folder, key_file=None, passphrase="\ud800").set("A", "a-1")


def test_a_missing_directory_is_reported() -> None:
    with place() as folder, pytest.raises(SecretMissing, match="there is no directory"):
        made("modelmesh.directory.v1", folder).list()
