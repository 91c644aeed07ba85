"""Stores that are files: what they read, how they are changed, and what is refused."""

from __future__ import annotations

import base64
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from meshd.connectors.secrets.local.file_store import locked
from meshd.connectors.secrets.stores import make_store
from meshd.sdk.secrets import SecretMissing, SecretStore, SecretStoreError

KINDS: dict[str, dict[str, Any]] = {
    "modelmesh.dotenv.v1": {"path": "kept", "override": True},
    "modelmesh.json-secrets.v1": {"file_path": "kept"},
    "modelmesh.encrypted-file.v1": {"path": "kept", "passphrase": "correct horse"},
}


def store(kind: str, folder: Path, **more: Any) -> SecretStore:
    return make_store(kind, {"folder": str(folder), **KINDS[kind], **more})


def with_key(folder: Path) -> dict[str, Any]:
    """Settings with a key: making one of a passphrase takes a while."""
    (folder / "key").write_bytes(os.urandom(32))
    (folder / "key").chmod(0o600)
    return {"passphrase": None, "key_file": "key"}


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_set_is_read_listed_and_deleted(kind: str, tmp_path: Path) -> None:
    kept = store(kind, tmp_path)
    values = {"A_KEY": "a-1", "B_KEY": 'with "quotes", \\ and # spaces', "C_KEY": "grün"}
    for name, value in values.items():
        kept.set(name, value)
    other = store(kind, tmp_path)
    assert {name: other.get(name) for name in values} == values
    assert other.list() == sorted(values)
    kept.set("A_KEY", "a-2")
    kept.delete("B_KEY")
    assert other.get("A_KEY") == "a-2"
    assert other.list() == ["A_KEY", "C_KEY"]
    with pytest.raises(SecretMissing):
        kept.delete("B_KEY")
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {"kept", ".kept.lock"}
    assert list(other.files("A_KEY")) == [tmp_path / "kept"]
    assert not kept.blocks


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_others_can_read_is_refused(kind: str, tmp_path: Path) -> None:
    kept = store(kind, tmp_path)
    kept.set("A_KEY", "a-1")
    (tmp_path / "kept").chmod(0o640)
    for action in (lambda: kept.set("A_KEY", "a-2"), lambda: store(kind, tmp_path).get("A_KEY")):
        with pytest.raises(SecretStoreError, match="chmod 600"):
            action()


@pytest.mark.parametrize("kind", KINDS)
def test_changes_at_the_same_time_are_all_kept(kind: str, tmp_path: Path) -> None:
    more = with_key(tmp_path) if "encrypted" in kind else {}
    names = [f"K{number}" for number in range(12)]
    writers = [threading.Thread(target=store(kind, tmp_path, **more).set, args=(name, name)) for name in names]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(20)
    assert store(kind, tmp_path, **more).list() == sorted(names)


def test_a_lock_that_is_never_released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshd.connectors.secrets.local.file_store.PATIENCE", 0.05)
    with locked(tmp_path / "kept"), pytest.raises(SecretStoreError, match="locked by another process"):
        store("modelmesh.json-secrets.v1", tmp_path).set("A", "a")


def test_an_odd_name_in_a_dotenv_file_is_refused(tmp_path: Path) -> None:
    for name in ("A=B", "A B", "'A'", "#"):
        with pytest.raises(SecretStoreError, match="cannot be the name of a variable"):
            store("modelmesh.dotenv.v1", tmp_path).set(name, "x")


def test_a_dotenv_file_keeps_everything_else(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    path.write_text("# keys\nA=1\nexport B='2'\n\nA=3 # the last counts\n# end")
    path.chmod(0o600)
    kept = store("modelmesh.dotenv.v1", tmp_path)
    kept.set("B", "new")
    kept.set("A", "new too")
    kept.set("C", "c")
    assert path.read_text() == '# keys\nexport B=new\n\nA="new too"\n# end\nC=c\n'
    kept.delete("B")
    kept.delete("C")
    assert path.read_text() == '# keys\n\nA="new too"\n# end\n'


def test_an_object_inside_a_json_file(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    path.write_text('{"other": [1], "keys": {"prod": {"A": "a-1", "N": 7, "B": true, "M": {}}}}')
    path.chmod(0o600)
    kept = store("modelmesh.json-secrets.v1", tmp_path, json_path="keys.prod")
    assert kept.list() == ["A", "N"]
    assert kept.get("N") == "7"
    kept.set("A", "a-2")
    assert json.loads(path.read_text())["other"] == [1]
    assert json.loads(path.read_text())["keys"]["prod"]["A"] == "a-2"
    with pytest.raises(SecretStoreError, match=r"no object at keys\.test"):
        store("modelmesh.json-secrets.v1", tmp_path, json_path="keys.test").get("A")
    for text in ("[1]", "s3cret", "{" * 100_000):
        path.write_text(text)
        with pytest.raises(SecretStoreError, match="is not a JSON object") as error:
            kept.get("A")
        assert "s3cret" not in str(error.value)


# -- the encrypted file ---------------------------------------------------------------------------------

ENCRYPTED = "modelmesh.encrypted-file.v1"


def test_an_encrypted_file_shows_neither_names_nor_values(tmp_path: Path) -> None:
    kept = store(ENCRYPTED, tmp_path)
    kept.set("A_KEY", "a-1")
    first = (tmp_path / "kept").read_text()
    kept.set("A_KEY", "a-1")
    second = (tmp_path / "kept").read_text()
    assert "A_KEY" not in first
    assert json.loads(first)["nonce"] != json.loads(second)["nonce"]
    assert json.loads(first)["salt"] == json.loads(second)["salt"]
    with pytest.raises(SecretStoreError, match="cannot be decrypted"):
        store(ENCRYPTED, tmp_path, passphrase="battery staple").get("A_KEY")


@pytest.mark.parametrize("field", ["data", "nonce", "salt", "p"])
def test_an_encrypted_file_that_was_changed_is_refused(tmp_path: Path, field: str) -> None:
    more = with_key(tmp_path) if field in ("data", "nonce") else {}
    kept = store(ENCRYPTED, tmp_path, **more)
    kept.set("A_KEY", "a-1")
    content = json.loads((tmp_path / "kept").read_text())
    if field == "p":
        content["p"] = 4
    else:
        raw = bytearray(base64.b64decode(content[field]))
        raw[0] ^= 1
        content[field] = base64.b64encode(raw).decode()
    (tmp_path / "kept").write_text(json.dumps(content))
    with pytest.raises(SecretStoreError, match="cannot be decrypted"):
        kept.get("A_KEY")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"n": 2**40}, "not accepted"),
        ({"n": 2**20, "r": 512}, "not accepted"),
        ({"n": 0}, "not accepted"),
        ({"n": "x"}, "not accepted"),
        ({"salt": ""}, "not accepted"),
        ({"kdf": "md5"}, "not accepted"),
        ({"kdf": "pbkdf2-sha256", "iterations": 10**12}, "not accepted"),
        ({"kdf": "none"}, "with a key file"),
        ({"format": "other"}, "was not encrypted by"),
        ({"nonce": "AAAA"}, "was not encrypted by"),
        ({"data": 7}, "was not encrypted by"),
    ],
)
def test_parameters_of_an_encrypted_file_have_limits(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    head = {"format": "meshd-secrets-1", "kdf": "scrypt", "n": 2**15, "r": 8, "p": 3}
    text = json.dumps({**head, "salt": "A" * 24, "nonce": "A" * 16, "data": "AAAA", **change})
    (tmp_path / "kept").write_text(text)
    (tmp_path / "kept").chmod(0o600)
    with pytest.raises(SecretStoreError, match=said):
        store(ENCRYPTED, tmp_path).get("A_KEY")


@pytest.mark.parametrize("form", [bytes, lambda key: key.hex().encode() + b"\n", base64.b64encode])
def test_a_key_file(tmp_path: Path, form: Any) -> None:
    key = bytes(range(9, 41))
    (tmp_path / "key").write_bytes(form(key))
    (tmp_path / "key").chmod(0o600)
    settings = {"folder": str(tmp_path), "path": "kept", "key_file": "key"}
    make_store(ENCRYPTED, settings).set("A", "a-1")
    assert make_store(ENCRYPTED, settings).get("A") == "a-1"
    with pytest.raises(SecretStoreError, match="with a key file"):
        store(ENCRYPTED, tmp_path).get("A")
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(SecretStoreError, match="is not a key"):
        make_store(ENCRYPTED, settings).get("A")
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(SecretStoreError, match="chmod 600"):
        make_store(ENCRYPTED, settings).get("A")


def test_a_passphrase_from_a_file_and_pbkdf2(tmp_path: Path) -> None:
    (tmp_path / "phrase").write_text("correct horse\n")
    (tmp_path / "phrase").chmod(0o600)
    settings = {"folder": str(tmp_path), "path": "kept", "passphrase_file": "phrase", "kdf": "pbkdf2"}
    make_store(ENCRYPTED, settings).set("A", "a-1")
    assert json.loads((tmp_path / "kept").read_text())["kdf"] == "pbkdf2-sha256"
    assert store(ENCRYPTED, tmp_path).get("A") == "a-1"


@pytest.mark.parametrize("given", [{}, {"passphrase": "x", "key_file": "y"}])
def test_one_way_to_the_key_has_to_be_given(tmp_path: Path, given: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="give one of"):
        make_store(ENCRYPTED, {"path": "x", **given})


# -- a directory ------------------------------------------------------------------------------------------


def test_a_directory_can_be_written(tmp_path: Path) -> None:
    kept = make_store("modelmesh.directory.v1", {"path": str(tmp_path)})
    kept.set("A", "a-1")
    assert kept.get("A") == "a-1"
    assert (tmp_path / "A").stat().st_mode & 0o777 == 0o600
    kept.delete("A")
    for action in (lambda: kept.delete("A"), lambda: kept.set("../A", "x"), lambda: kept.delete("..")):
        with pytest.raises(SecretMissing):
            action()
