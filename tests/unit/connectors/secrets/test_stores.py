"""Secret stores: where values come from, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshd.connectors.secrets.dotenv import DotenvStore, parse_dotenv
from meshd.connectors.secrets.env import EnvStore
from meshd.connectors.secrets.memory import MemoryStore
from meshd.connectors.secrets.systemd import SystemdCredentialsStore
from meshd.sdk.secrets import SecretMissing, SecretStoreError


def test_env(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESH_KEY", "v")
    monkeypatch.setenv("MESH_EMPTY", "")
    store = EnvStore({"prefix": "MESH_"})
    assert store.get("KEY") == "v"
    with pytest.raises(SecretMissing, match="MESH_EMPTY"):
        store.get("EMPTY")
    assert "KEY" in store.list()


def test_memory_does_not_show_its_values() -> None:
    store = MemoryStore({"values": {"A": "hidden"}})
    assert store.get("A") == "hidden"
    assert "hidden" not in repr(store)
    with pytest.raises(SecretMissing):
        store.get("B")


def test_systemd_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SystemdCredentialsStore({})
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(SecretMissing, match="CREDENTIALS_DIRECTORY"):
        store.get("OPENAI_API_KEY")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "c"))
    (tmp_path / "c").mkdir()
    (tmp_path / "outside").write_text("x")
    (tmp_path / "c" / "OPENAI_API_KEY").write_text("value\n")
    assert store.get("OPENAI_API_KEY") == "value"
    for name in ("../outside", "absent", ""):
        with pytest.raises(SecretMissing):
            store.get(name)
    assert store.list() == ["OPENAI_API_KEY"]


# Expected values are what python-dotenv 1.1's dotenv_values(interpolate=False) gives for the same text.
SYNTAX = """\
# a comment
PLAIN=value
 SPACED = around the sign  # and a comment
export EXPORTED=yes
EMPTY=
HASH=a#b
SINGLE='single # quoted \\n \\' end'
DOUBLE="double # quoted\\nsecond \\"line\\"" # comment
MULTI="first
second"
NOVALUE
QUOTED_TAIL="x"
URL=https://user@host/?a=b&c=d
this line makes no sense = = "
UNICODE=grün
TWICE=1
TWICE=2
LAST=end"""


def test_dotenv_syntax() -> None:
    values = parse_dotenv(SYNTAX)
    assert values["PLAIN"] == "value"
    assert values["SPACED"] == "around the sign"
    assert values["EXPORTED"] == "yes"
    assert values["EMPTY"] == ""
    assert values["HASH"] == "a#b"
    assert values["SINGLE"] == "single # quoted \\n ' end"
    assert values["DOUBLE"] == 'double # quoted\nsecond "line"'
    assert values["MULTI"] == "first\nsecond"
    assert "NOVALUE" not in values
    assert values["URL"] == "https://user@host/?a=b&c=d"
    assert values["UNICODE"] == "grün"
    assert values["TWICE"] == "2"
    assert values["LAST"] == "end"
    assert parse_dotenv("A=1\r\nB='x\r\ny'\r\n") == {"A": "1", "B": "x\ny"}


def dotenv(tmp_path: Path, text: str, mode: int = 0o600, **settings: object) -> DotenvStore:
    path = tmp_path / ".env"
    path.write_text(text)
    path.chmod(mode)
    return DotenvStore({"path": ".env", "folder": str(tmp_path), **settings})


def test_dotenv_refuses_a_file_that_others_can_read(tmp_path: Path) -> None:
    store = dotenv(tmp_path, "A=1", 0o644)
    with pytest.raises(SecretStoreError, match="chmod 600"):
        store.get("A")
    (tmp_path / ".env").chmod(0o600)
    assert store.get("A") == "1"


def test_dotenv_override_says_who_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A", "environment")
    assert dotenv(tmp_path, "A=file").get("A") == "environment"
    assert dotenv(tmp_path, "A=file", override=True).get("A") == "file"


def test_dotenv_reads_a_changed_file_again(tmp_path: Path) -> None:
    store = dotenv(tmp_path, "A=1")
    assert store.get("A") == "1"
    dotenv(tmp_path, "A=changed")
    assert store.get("A") == "changed"
    (tmp_path / ".env").unlink()
    with pytest.raises(SecretMissing, match="no file"):
        store.get("A")
