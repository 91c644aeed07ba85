"""What a file store writes is read from it again, or is refused and the file stays as it is."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meshd.connectors.secrets.dotenv import parse_dotenv
from meshd.connectors.secrets.files import MOST_BYTES
from meshd.connectors.secrets.stores import make_store
from meshd.sdk.secrets import SecretMissing, SecretStore, SecretStoreError

KINDS: dict[str, dict[str, Any]] = {
    "modelmesh.dotenv.v1": {"path": "kept", "override": True},
    "modelmesh.json-secrets.v1": {"file_path": "kept", "json_path": "a.b"},
    "modelmesh.encrypted-file.v1": {"path": "kept", "key_file": "../key"},
    "modelmesh.directory.v1": {"path": "."},
}
ODD = st.sampled_from(["\0", "\n", "\r", "\r\n", "'", '"', "\\", "#", "=", " ", "\ufeff", "\ud800", "\x85", "\u2028"])
TEXTS = st.lists(st.text(max_size=8) | ODD, max_size=4).map("".join)
LINES = st.lists(st.sampled_from(["# keys", "A=1", "export B='2'", 'C="3', "D='4", '"#', "A=5 # again", "\ufeffE=6"]))


@contextmanager
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder, "key")
        key.write_bytes(os.urandom(32))
        key.chmod(0o600)
        made = Path(folder, "made")
        made.mkdir()
        yield made


def store(kind: str, folder: Path) -> SecretStore:
    return make_store(kind, {"folder": str(folder), **KINDS[kind]})


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith(".lock")}


def values(kept: SecretStore) -> dict[str, str]:
    try:
        return {name: kept.get(name) for name in kept.list()}
    except SecretMissing:  # there is no file, or it is empty
        return {}


def written_or_refused(kind: str, folder: Path, name: str, value: str) -> None:
    before, known = content(folder), values(store(kind, folder))
    refusal = refused(lambda: store(kind, folder).set(name, value))
    if refusal is None:
        assert values(store(kind, folder)) == {**known, name: value}
    else:
        assert content(folder) == before
        assert len(value) < 4 or value in name or value not in refusal


def refused(action: Callable[[], None]) -> str | None:
    """Why it is refused, None if it is done."""
    try:
        action()
    except (SecretMissing, SecretStoreError) as error:
        return str(error)
    return None


@pytest.mark.parametrize("kind", KINDS)
@given(secrets=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=3))
@example(secrets=[("A\0", "x"), (" ", "x"), ("A", "\0"), ("A", ""), ("A", " "), ("A", "\ufeffx"), ("A", "x\n")])
@example(secrets=[("A", "\ud800"), ("\ud800", "x"), ("A" * 300, "x"), (".", "x"), ("../A", "x")])
def test_any_secret(kind: str, secrets: list[tuple[str, str]]) -> None:
    with place() as folder:
        for name, value in secrets:
            written_or_refused(kind, folder, name, value)


@given(lines=LINES, name=st.sampled_from("ABCDEF"), value=TEXTS)
@example(lines=['A="open'], name="B", value=" #")
def test_any_secret_beside_others_in_a_dotenv_file(lines: list[str], name: str, value: str) -> None:
    with place() as folder:
        (folder / "kept").write_text("\n".join(lines))
        (folder / "kept").chmod(0o600)
        written_or_refused("modelmesh.dotenv.v1", folder, name, value)
        for known in parse_dotenv((folder / "kept").read_text()):
            before, kept = content(folder), values(store("modelmesh.dotenv.v1", folder))
            if refused(lambda known=known: store("modelmesh.dotenv.v1", folder).delete(known)) is None:
                left = {each: value for each, value in kept.items() if each != known}
                assert values(store("modelmesh.dotenv.v1", folder)) == left
            else:
                assert content(folder) == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_does_not_become_larger_than_what_is_read(kind: str) -> None:
    with place() as folder:
        for part in (0.3, 0.7, 0.8, 1.0):
            written_or_refused(kind, folder, "A", "x" * int(MOST_BYTES * part))
        with pytest.raises(SecretStoreError, match="cannot hold B: the file would be larger than 1 MiB"):
            store(kind, folder).set("B", "x" * MOST_BYTES + "y")


def test_an_open_quote_is_pointed_to() -> None:
    with place() as folder:
        (folder / "kept").write_text('A="open')
        (folder / "kept").chmod(0o600)
        with pytest.raises(SecretStoreError, match="Is a quote in it left open"):
            store("modelmesh.dotenv.v1", folder).set("B", "# ")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "said"), [("", "not blank"), (" ", "not blank"), ("A\x1b[31m", "cannot be shown")])
def test_names_that_nobody_can_read_are_refused(kind: str, name: str, said: str) -> None:
    with place() as folder, pytest.raises(SecretStoreError, match=said):
        store(kind, folder).set(name, "x")


@pytest.mark.parametrize("text", ['{"A": 1e400}', '{"A": NaN}'])
def test_a_json_file_that_json_cannot_write_again_stays(text: str) -> None:
    with place() as folder:
        (folder / "kept").write_text(text)
        (folder / "kept").chmod(0o600)
        with pytest.raises(SecretStoreError, match="a number that JSON cannot hold"):
            make_store("modelmesh.json-secrets.v1", {"folder": str(folder), "file_path": "kept"}).set("B", "x")
        assert (folder / "kept").read_text() == text
