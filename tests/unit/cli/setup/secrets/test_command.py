"""`meshctl secrets`: which store a command is for, what is refused before anything is written, and what is said."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelmesh import DaemonUnavailableError, MeshError

DOTENV, JSON = "modelmesh.dotenv.v1", "modelmesh.json-secrets.v1"
KEY, OTHER = "sk-the-first-key-0000", "sk-the-other-key-1111"
Run = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path, fake: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    fake.answers |= {"GET status": DaemonUnavailableError("no daemon"), "POST secrets/refresh": {"changed": []}}
    monkeypatch.delenv("K", raising=False)
    configure(tmp_path, store=[JSON, DOTENV], file_path="keys.json", path="keys.env")
    return tmp_path


def configure(folder: Path, **secrets: Any) -> None:
    (folder / "mesh.json").write_text(json.dumps({"secrets": secrets}, indent=1))


@pytest.fixture
def run(meshctl: Any, folder: Path) -> Run:
    def run(command: str, *words: str, input: str = "") -> Any:
        return meshctl("secrets", command, "--config", str(folder / "mesh.json"), *words, input=input)

    return run


def write(path: Path, content: str | bytes) -> None:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(0o600)


# -- an earlier store that cannot be asked ----------------------------------------------------------------


@pytest.mark.parametrize("command", ["get", "delete", "rotate"])
def test_a_later_store_is_not_used_if_an_earlier_one_cannot_be_asked(run: Run, folder: Path, command: str) -> None:
    write(folder / "keys.json", "{broken")
    write(folder / "keys.env", f"K={KEY}\n")
    refused = run(command, "K", input=OTHER)
    assert refused.exit_code == 1
    assert f"{JSON} cannot be asked: " in refused.stderr
    assert "--store chooses another store" in " ".join(refused.stderr.split())
    assert (folder / "keys.env").read_text() == f"K={KEY}\n"
    assert run(command, "K", "--store", DOTENV, input=OTHER).exit_code == 0


def test_the_first_store_that_has_it_is_used_whatever_the_later_ones_are(run: Run, folder: Path) -> None:
    write(folder / "keys.json", json.dumps({"K": KEY}))
    write(folder / "keys.env", b"\xff")
    assert run("get", "K").stdout == f"{KEY}\n"
    (folder / "keys.json").unlink()
    assert run("get", "K").exit_code == 1


@pytest.mark.parametrize("words", [("get", "K"), ("set", "K"), ("delete", "K"), ("rotate", "K"), ("import", "-")])
def test_a_store_that_cannot_be_made_is_named_with_its_line(run: Run, folder: Path, words: tuple[str, ...]) -> None:
    configure(folder, store=[{"connector": JSON, "file_path": 7}, DOTENV], path="keys.env")
    write(folder / "keys.env", f"K={KEY}\n")
    refused = run(*words, input=f'{{"K": "{OTHER}"}}')
    assert refused.exit_code == 1
    assert "mesh.json:6: secrets.store[0].file_path: expected text, got 7" in " ".join(refused.stderr.split())
    assert (folder / "keys.env").read_text() == f"K={KEY}\n"
    assert "expected text, got 7" in run("list").stderr


def test_a_written_value_that_is_not_used_is_pointed_out(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "keys.json", "{broken")
    said = run("set", "K", "--store", DOTENV, input=KEY)
    assert said.exit_code == 0
    assert f"if {JSON} has K too, its value is used" in " ".join(said.stderr.split())
    write(folder / "keys.json", json.dumps({"K": KEY}))
    assert f"{JSON} has K too" in run("set", "K", "--store", DOTENV, input=OTHER).stderr
    (folder / "keys.json").unlink()
    monkeypatch.setenv("K", KEY)
    assert "the environment has K too" in run("set", "K", "--store", DOTENV, input=OTHER).stderr


# -- names and values -------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["get", "set", "delete", "rotate"])
@pytest.mark.parametrize("name", ["", " ", "A\nB", "A\x1b[31m", "\udcff"])
def test_names_that_nobody_can_read_are_refused(run: Run, folder: Path, command: str, name: str) -> None:
    refused = run(command, "--", name, input=KEY)
    assert refused.exit_code == 2
    assert "name" in refused.stderr
    assert os.listdir(folder) == ["mesh.json"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", "is empty"),
        ("\0", "is not a text file"),
        ("a\nb", "a line break"),
        ("“sk”", "not allowed in an HTTP header"),
        ("x" * 1024 * 1024 + "y", "larger than 1 MiB"),
    ],
)
def test_a_value_is_refused_rather_than_cut(run: Run, folder: Path, value: str, said: str) -> None:
    for command in ("set", "rotate"):
        write(folder / "keys.json", json.dumps({"K": KEY}))
        refused = run(command, "K", input=value)
        assert refused.exit_code == 2
        assert said in " ".join(refused.stderr.split())
        assert json.loads((folder / "keys.json").read_text()) == {"K": KEY}


# -- import -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("some prose\nwithout a secret\n", "has no secrets; give a .env file"),
        ("[1, 2]", "has no secrets"),
        ("{}", "has no secrets"),
        ('{"A": 7, "B": null, "C": " "}', "has no secrets"),
        ('{"A": "x",\n\n]', ":3 is not a JSON object: "),
        ('{"A": ' * 100_000, "is not a JSON object"),
        ('{"A": "a\\nb"}', "A has a line break"),
        ('{"A": "\\ud800"}', "A has characters"),
        ('{"\\ud800": "x"}', "cannot be the name of a secret"),
        ('{" ": "x"}', "not blank"),
        ("A='a\nb'\n", "A has a line break"),
        (b"\xff\xfe\xfa", "is not UTF-8 text"),
        (b"\0" * 9, "is not a text file"),
        ("A=1\n" * 300_000, "larger than 1 MiB"),
    ],
)
def test_what_is_not_a_list_of_secrets_is_refused(run: Run, folder: Path, content: str | bytes, said: str) -> None:
    write(folder / "given", content)
    refused = run("import", str(folder / "given"))
    assert refused.exit_code == 2
    assert said in " ".join(refused.stderr.split())
    assert sorted(os.listdir(folder)) == ["given", "mesh.json"]


def test_a_file_that_cannot_be_read_is_refused(run: Run, folder: Path) -> None:
    (folder / "loop").symlink_to("loop")
    for name in ("none", ".", "loop", "a" * 300):
        refused = run("import", str(folder / name))
        assert refused.exit_code == 1
        assert "cannot be read" in refused.stderr


def test_what_is_left_out_and_what_was_written_is_said(run: Run, folder: Path) -> None:
    done = run("import", "-", input=json.dumps({"A": KEY, "B": None, "C": 7}))
    assert done.exit_code == 0
    assert "left out, since they have no text as their value: B, C" in done.stderr
    assert f"wrote 1 of 1 secrets to {JSON}" in done.stdout
    refused = run("import", "-", "--store", DOTENV, input=json.dumps({"A": KEY, "not a variable": OTHER}))
    assert refused.exit_code == 1
    assert "until then, it has written A" in " ".join(refused.stderr.split())


# -- list -------------------------------------------------------------------------------------------------


def test_a_store_that_cannot_be_listed_is_reported(run: Run, folder: Path) -> None:
    configure(folder, store="modelmesh.directory.v1", path="none")
    listed = run("list")
    assert "there is no directory" in listed.stderr
    assert "no secrets" not in listed.stdout


# -- the daemon -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", ["mesh.json", "./in/../mesh.json", "link.json"])
def test_the_daemon_is_told_however_the_file_is_named(
    meshctl: Any, fake: Any, folder: Path, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "in").mkdir()
    (folder / "link.json").symlink_to("mesh.json")
    monkeypatch.chdir(folder)
    fake.answers["GET status"] = {"config": {"source": str(folder / "mesh.json")}}
    done = meshctl("secrets", "set", "K", "--config", named, input=KEY)
    assert "the daemon has read it" in done.stdout
    monkeypatch.setenv("MESHD_CONFIG", named)
    assert "the daemon has read it" in meshctl("secrets", "set", "K", input=OTHER).stdout
    (folder / "other.json").write_text((folder / "mesh.json").read_text())
    assert "so it was not notified" in meshctl("secrets", "set", "K", "--config", "other.json", input=KEY).stderr


def test_only_providers_are_asked_about_a_new_value(run: Run, fake: Any, folder: Path) -> None:
    secret = "${secrets:K}"
    config = {
        "secrets": {"store": JSON, "file_path": "keys.json"},
        "providers": {name: {"connector": "modelmesh.scripted.v1", "api_key": secret} for name in ("p", "q")},
        "daemon": {"curve": {"secret_key": secret}},
    }
    (folder / "mesh.json").write_text(json.dumps(config))
    write(folder / "keys.json", json.dumps({"K": KEY}))

    def probed(body: Any) -> Any:
        if body["provider"] == "q":  # the file is newer than what the daemon runs
            raise MeshError("there is no provider q")
        return {"data": [{"provider": body["provider"], "kind": "", "error": ""}]}

    fake.answers |= {"GET status": {"config": {"source": str(folder / "mesh.json")}}, "POST probe": probed}
    done = run("rotate", "K", input=OTHER)
    assert done.exit_code == 0, done.stderr
    assert "q could not be asked about the new value: there is no provider q" in " ".join(done.stderr.split())
    assert [body["provider"] for what, body in fake.asked if what.endswith("probe")] == ["p", "q"]
    assert json.loads((folder / "keys.json").read_text()) == {"K": OTHER}
