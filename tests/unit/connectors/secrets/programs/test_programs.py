"""Stores that are programs: `pass` with a real GnuPG, commands, and 1Password's `op` as it is documented.

https://developer.1password.com/docs/cli/reference/commands/read, …/management-commands/item (2026-11-28)
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from meshd.connectors.secrets.stores import make_store
from meshd.sdk.secrets import SecretMissing, SecretStore, SecretStoreError, SecretStoreUnreachable
from tests.support.secret_stores.password_store import PasswordStore

PYTHON = sys.executable


def command(*words: str, **more: Any) -> SecretStore:
    return make_store("command", {"command": words, **more})


def test_what_a_command_prints_is_the_secret(tmp_path: Path) -> None:
    (tmp_path / "A_KEY").write_text("a-1\n")
    assert command("cat", f"{tmp_path}/{{name}}").get("A_KEY") == "a-1"
    assert command("echo", "key-of").get("A_KEY") == "key-of A_KEY"
    assert command("sh", "-c", 'echo "$SECRET_NAME"').get("A_KEY") == "A_KEY"


def test_a_command_can_write_list_and_delete(tmp_path: Path) -> None:
    kept = command(
        "cat",
        f"{tmp_path}/{{name}}",
        set_command=["tee", f"{tmp_path}/{{name}}"],
        delete_command=["rm", f"{tmp_path}/{{name}}"],
        list_command=["ls", str(tmp_path)],
    )
    assert kept.writable
    kept.set("A_KEY", "a-1")
    kept.set("B_KEY", "b-1")
    assert (kept.get("A_KEY"), kept.list()) == ("a-1", ["A_KEY", "B_KEY"])
    kept.delete("A_KEY")
    assert kept.list() == ["B_KEY"]
    plain = command("cat")
    assert not plain.writable
    with pytest.raises(SecretStoreError, match="no `set_command`"):
        plain.set("A", "a")


def test_a_command_gets_none_of_the_daemons_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-daemon")
    monkeypatch.setenv("BROKER_TOKEN", "for-the-command")
    printed = command("env", "-u", "X", "sh", "-c", "env", pass_env=["BROKER_TOKEN"]).get("A_KEY")
    assert "sk-of-the-daemon" not in printed
    assert "BROKER_TOKEN=for-the-command" in printed
    assert f"HOME={os.environ['HOME']}" in printed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("/nonexistent/program",), "cannot be run: No such file"),
        (("sh", "-c", "echo s3cret; echo not signed in >&2; exit 3"), "ended with status 3: not signed in$"),
        (("sh", "-c", "head -c 2000000 /dev/zero"), "more than 1 MiB"),
        (("sh", "-c", r"printf '\377\376'"), "not UTF-8"),
    ],
)
def test_a_command_that_fails(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(SecretStoreError, match=said) as error:
        command(*words).get("A_KEY")
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize(
    "script",
    [
        "cat >&2; exit 3",
        'read -r key; echo "\033[31mrefused: $key" >&2; exit 3',
        "read -r key; echo $key; set -x; true $key; exit 3",
        "echo sk-proj-AAAAAAAAAAAAAAAAAAAA >&2; exit 3",
        "head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 3",
    ],
)
def test_what_a_failed_command_says_shows_no_secret(script: str) -> None:
    kept = command("sh", "-c", script, set_command=["sh", "-c", script])
    with pytest.raises(SecretStoreError, match="ended with status 3: ") as error:
        kept.set("A_KEY", "the-secret-value")
    assert "the-secret-value" not in str(error.value)
    assert "sk-proj" not in str(error.value)
    assert "\033" not in str(error.value)
    assert len(str(error.value)) < 250


def test_a_value_that_is_not_text_is_not_given_to_a_command() -> None:
    with pytest.raises(SecretStoreError, match="not UTF-8 text"):
        command("cat", set_command=["cat"]).set("A_KEY", "\ud800")


def test_a_command_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(SecretStoreUnreachable, match=r"did not end within 0\.2 s"):
        command("sh", "-c", f"sleep 100 & echo $! >{tmp_path}/child; wait", timeout=0.2).get("A_KEY")
    assert time.monotonic() - started < 10
    child = int((tmp_path / "child").read_text())
    until = time.monotonic() + 10
    while Path(f"/proc/{child}/cmdline").exists() and Path(f"/proc/{child}/cmdline").read_bytes():
        assert time.monotonic() < until


@pytest.mark.parametrize("name", ["--help", "-x", "", "a\0b"])
def test_names_that_a_program_could_misread_are_refused(name: str) -> None:
    with pytest.raises(SecretStoreError, match="cannot be an argument"):
        command("echo").get(name)


def test_a_command_without_a_program() -> None:
    with pytest.raises(ValueError, match="`command` names no program"):
        make_store("command", {"command": []})


# -- pass -------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not (shutil.which("pass") and shutil.which("gpg")), reason="pass or gpg is not installed")
def test_pass(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = PasswordStore(short)
    try:
        for name, value in made.environment().items():
            monkeypatch.setenv(name, value)
        kept = make_store("pass", {"prefix": "mesh/"})
        with pytest.raises(SecretMissing, match="has no mesh/A_KEY"):
            kept.get("A_KEY")
        kept.set("A_KEY", "a-1")
        made.insert("mesh/B_KEY", "b-1\nuser: ops")
        made.insert("other", "x")
        assert (kept.get("A_KEY"), kept.get("B_KEY"), kept.list()) == ("a-1", "b-1", ["A_KEY", "B_KEY"])
        kept.set("A_KEY", "a-2")
        assert kept.get("A_KEY") == "a-2"
        with pytest.raises(SecretStoreError, match="first line"):
            kept.set("A_KEY", "a-3\nb")
        kept.delete("A_KEY")
        assert kept.list() == ["B_KEY"]
        (made.folder / "mesh" / "B_KEY.gpg").write_bytes(b"not encrypted")
        with pytest.raises(SecretStoreError, match="pass ended with status"):
            kept.get("B_KEY")
    finally:
        made.close()


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "-c", "a/../../b"])
def test_names_outside_the_password_store_are_refused(tmp_path: Path, name: str) -> None:
    kept = make_store("pass", {"directory": str(tmp_path)})
    for action in (lambda: kept.get(name), lambda: kept.set(name, "x"), lambda: kept.delete(name)):
        with pytest.raises(SecretMissing, match="cannot be the name of an entry"):
            action()
    missing = make_store("pass", {"directory": str(tmp_path / "none")})
    for action in (lambda: missing.get("A"), missing.list):
        with pytest.raises(SecretStoreError, match="there is no password store"):
            action()


# -- op ---------------------------------------------------------------------------------------------------

OP = """#!/bin/sh
[ "$OP_SERVICE_ACCOUNT_TOKEN" = ops_1 ] || { echo "[ERROR] 2026/11/28 08:00:00 not signed in" >&2; exit 1; }
case "$*" in
"read --no-newline op://Mesh/A_KEY/credential") printf a-1 ;;
"read --no-newline op://Mesh/A_KEY/old") printf a-0 ;;
"read --no-newline op://Other/X/password --account me") printf x-1 ;;
"item list --vault Mesh --format json") echo '[{"id": "1", "title": "B_KEY"}, {"id": "2", "title": "A_KEY"}]' ;;
*) echo "[ERROR] 2026/11/28 08:00:00 could not read secret '$3': \\"N\\" isn't an item in the \\"Mesh\\" vault" >&2
   exit 1 ;;
esac
"""


def test_op(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "op").write_text(OP)
    (tmp_path / "op").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("OP_SERVICE_ACCOUNT_TOKEN", "ops_1")
    kept = make_store("op", {"vault": "Mesh"})
    assert (kept.get("A_KEY"), kept.get("A_KEY#old"), kept.list()) == ("a-1", "a-0", ["A_KEY", "B_KEY"])
    assert make_store("op", {"vault": "Mesh", "account": "me"}).get("op://Other/X/password") == "x-1"
    with pytest.raises(SecretMissing, match="1Password has no N"):
        kept.get("N")
    assert not kept.writable
    monkeypatch.setenv("OP_SERVICE_ACCOUNT_TOKEN", "")
    with pytest.raises(SecretStoreError, match="not signed in"):
        kept.get("A_KEY")
