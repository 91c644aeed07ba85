"""A daemon whose configuration is in several files: all of them are followed and checked."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.support.daemons.pool_rule_cases import meshctl

MAIN = {
    "include": "parts/*.yaml",
    "providers": {"one": {"connector": "modelmesh.scripted.v1", "script": [{"reply": "main"}]}},
    "models": {"one.chat": {"provider": "one", "capabilities": ["chat-completion"]}},
    "daemon": {"watch_debounce": "20ms"},
    "profiles": {"work": {"aliases": {"for-work": "one.chat"}}, "idle": {"aliases": {"idle": "one.chat"}}},
}


@pytest.fixture
def daemon(module_daemon):
    yield module_daemon
    for folder in ("parts", "conf.d"):
        for file in (module_daemon.directory / folder).glob("*"):
            file.unlink()
    module_daemon.write(MAIN)
    module_daemon.ask("POST", "/mesh/v1/reload")


@pytest.fixture(scope="module")
def module_daemon(module_meshd):
    return module_meshd(MAIN, env={"MESHD_PROFILE": "work"})


def write(daemon, name, content):
    path = daemon.directory / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def says(daemon, model="one.chat"):
    return daemon.say(model=model).choices[0].message.content


def reply(text):
    return {"providers": {"one": {"script": [{"reply": text}]}}}


def test_a_folder_of_pieces_that_comes_changes_and_goes_is_followed(daemon, eventually):
    assert says(daemon) == "main"
    piece = write(daemon, "conf.d/10-a.json", reply("first"))
    eventually(lambda: says(daemon) == "first")
    write(daemon, "conf.d/20-b.json", reply("second"))
    eventually(lambda: says(daemon) == "second")
    write(daemon, "conf.d/20-b.json", reply("changed"))
    eventually(lambda: says(daemon) == "changed")
    (daemon.directory / "conf.d" / "20-b.json").unlink()
    eventually(lambda: says(daemon) == "first")
    piece.unlink()
    eventually(lambda: says(daemon) == "main")


def test_a_mistake_in_an_included_file_is_told_and_its_repair_is_noticed(daemon, eventually):
    part = write(daemon, "parts/a.yaml", "daemon:\n  wach: true\n")
    daemon.ask("POST", "/mesh/v1/reload")
    report = daemon.status()["last_reload"]
    assert not report["ok"]
    (problem,) = report["problems"]
    assert (problem["file"], problem["line"]) == (str(part), 2)
    part.write_text("aliases:\n  other: one.chat\n")
    eventually(lambda: daemon.status()["last_reload"]["ok"])
    assert says(daemon, "other") == "main"


def test_files_that_have_not_changed_are_not_read_again(daemon):
    write(daemon, "conf.d/a.json", reply("first"))
    daemon.ask("POST", "/mesh/v1/reload")
    before = daemon.status()["config"]["generation"]
    write(daemon, "conf.d/a.json", reply("first"))
    os.utime(daemon.config)
    daemon.ask("POST", "/mesh/v1/reload")
    assert daemon.status()["config"]["generation"] == before + 1


def test_meshctl_tells_which_file_each_value_is_from(daemon):
    piece = write(daemon, "conf.d/a.yaml", "\naliases: {extra: one.chat}\n")
    daemon.ask("POST", "/mesh/v1/reload")
    told = meshctl(daemon, "config", "files")
    assert told == {"files": [str(daemon.config), str(piece)], "profiles": ["work"]}
    shown = meshctl(daemon, "config", "show")
    assert shown["config"]["aliases"] == {"for-work": "one.chat", "extra": "one.chat"}
    assert {"path": "aliases.extra", "file": str(piece), "line": 2} in shown["origins"]
    lines = subprocess.run(
        [sys.executable, "-m", "meshd.cli", "config", "show", "--origins"],
        env={**os.environ, "MESH_SOCKET": str(daemon.socket)}, capture_output=True, text=True, timeout=30, check=True,
    ).stdout  # fmt: skip
    assert f"{piece}:2  aliases.extra\n" in lines


def test_a_file_that_others_can_change_is_refused(daemon):
    piece = write(daemon, "conf.d/a.json", reply("theirs"))
    piece.chmod(0o666)
    report = daemon.ask("POST", "/mesh/v1/reload")
    assert not report["ok"]
    assert f"chmod go-w {piece}" in json.dumps(report["problems"]) or f"chmod o-w {piece}" in json.dumps(report)
    assert says(daemon) == "main"
