"""Every command against a real daemon: exit codes, JSON that is JSON, and text that says what happened."""

from __future__ import annotations

import json
from typing import Any

import pytest

LOOKING = [
    ("status",),
    ("pools",),
    ("pools", "talk"),
    ("models",),
    ("models", "first.chat"),
    ("providers",),
    ("providers", "first"),
    ("explain", "talk", "--stream"),
    ("apps",),
    ("apps", "default"),
    ("clients",),
    ("budget",),
    ("stats",),
    ("stats", "--by", "pool", "--since", "1h"),
    ("events",),
    ("config", "show"),
    ("config", "show", "--resolved"),
    ("config", "schema"),
    ("connectors",),
    ("reload", "--dry-run"),
    ("discover",),
]


@pytest.mark.timeout(180)  # some forty processes
def test_looking_around(meshctl: Any) -> None:
    for words in LOOKING:
        for options in ((), ("--json",)):
            done = meshctl(*words, *options)
            assert done.returncode == 0, (words, done.stderr)
            assert done.stderr == "", words
            if options:
                assert isinstance(json.loads(done.stdout), dict), words
            elif words[0] != "config":
                assert not set(done.stdout) & set("─│┌┐└┘├┤█░"), words
            assert "\x1b" not in done.stdout


def test_status_describes_this_daemon(mesh: Any, meshctl: Any) -> None:
    found = json.loads(meshctl("status", "--json").stdout)
    assert found["pid"] == mesh.process.pid
    assert {pool["name"] for pool in found["pools"]} >= {"talk", "slow", "broken"}
    assert all(actor["alive"] for actor in found["actors"])
    assert mesh.config_path in meshctl("status", COLUMNS="300").stdout


def test_chat(meshctl: Any) -> None:
    done = meshctl("chat", "talk", "Say hello")
    assert (done.returncode, done.stdout) == (0, "Hello from the first\n")
    assert "first" in done.stderr
    assert "4 tokens · first token" in done.stderr
    assert "1 attempt" in done.stderr
    whole = json.loads(meshctl("chat", "talk", "Say hello", "--json").stdout)
    assert whole["choices"][0]["message"]["content"] == "Hello from the first"
    assert whole["mesh"]["provider"] == "first"
    assert meshctl("chat", "talk", input="from a pipe").stdout == "Hello from the first\n"
    assert meshctl("chat", "chat-completion", "Say hello", "--no-stream").stdout.startswith("Hello from")
    assert meshctl("chat", "Hello").returncode == 0


def test_chat_without_an_answer(meshctl: Any) -> None:
    empty = meshctl("chat", "empty", "Say hello")
    assert (empty.returncode, empty.stdout) == (1, "")
    broken = meshctl("chat", "broken", "Say hello")
    assert (broken.returncode, broken.stdout) == (1, "")
    assert broken.stderr.startswith("meshctl: ")
    assert "broken.chat" in broken.stderr
    unknown = meshctl("chat", "talkk", "Say hello")
    assert (unknown.returncode, "talk" in unknown.stderr) == (1, True)


def test_embed(meshctl: Any) -> None:
    vector = json.loads(meshctl("embed", "the cat", "--json").stdout)["data"][0]["embedding"]
    done = meshctl("embed", "the cat")
    assert (done.returncode, done.stdout.startswith(f"{len(vector)} dimensions: [")) == (0, True)


def test_steering(meshctl: Any) -> None:
    moved = json.loads(meshctl("rotate", "talk", "--json").stdout)
    assert (moved["from"], moved["to"]) == ("first.chat", "second.chat")
    assert meshctl("chat", "talk", "Say hello").stdout == "Hello from the second\n"
    out_of_service = meshctl("model", "deactivate", "second.chat", "--reason", "a test")
    assert (out_of_service.returncode, "standby (" in out_of_service.stdout) == (0, True)
    assert "a test" in meshctl("pools", "talk").stdout
    assert meshctl("chat", "talk", "Say hello").stdout == "Hello from the first\n"
    assert meshctl("model", "activate", "second.chat").returncode == 0
    events = json.loads(meshctl("events", "--json").stdout)["data"]
    assert {"model_rotated", "model_deactivated", "model_activated"} <= {event["type"] for event in events}
    unknown = meshctl("rotate", "tolk")
    assert (unknown.returncode, "talk" in unknown.stderr) == (1, True)


def test_probe(meshctl: Any) -> None:
    assert meshctl("probe", "first").returncode == 0
    assert json.loads(meshctl("probe", "first", "--json").stdout)["data"][0]["provider"] == "first"
    assert meshctl("probe", "nobody").returncode == 1


def test_reload(mesh: Any, meshctl: Any) -> None:
    with open(mesh.config_path, encoding="utf-8") as file:
        config = json.load(file)
    config["pools"]["talk"]["strategi"] = "round-robin"
    mesh.write_config(config)
    refused = meshctl("reload")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "pools.talk.strategi" in refused.stderr
    assert 'did you mean "strategy"?' in refused.stderr
    again = meshctl("reload", "--json")
    assert (again.returncode, json.loads(again.stdout)["ok"]) == (1, False)
    assert "strategi" in meshctl("status").stdout
    del config["pools"]["talk"]["strategi"]
    config["pools"]["more"] = {"capability": "chat-completion"}
    mesh.write_config(config)
    # The watcher may have taken it up first; either way it is in force now.
    assert meshctl("reload").returncode == 0
    assert meshctl("pools", "more").returncode == 0


def test_doctor(meshctl: Any) -> None:
    found = json.loads(meshctl("doctor", "--json").stdout)
    subjects = {check["subject"]: check["level"] for check in found["checks"]}
    assert subjects["socket"] == "ok"
    assert subjects["daemon"] == "ok"
    assert subjects["pool talk"] == "ok"


def test_drain(meshctl: Any) -> None:
    done = meshctl("drain", "--timeout", "5", "--json")
    assert (done.returncode, json.loads(done.stdout)["drained"]) == (0, True)
    # It still answers those who look. (A client that asks a model waits for the next daemon to start.)
    assert json.loads(meshctl("status", "--json").stdout)["draining"] is True


def test_a_killed_daemon_is_not_a_daemon(mesh: Any, meshctl: Any) -> None:
    mesh.process.kill()
    mesh.process.wait(10)
    done = meshctl("status")
    assert (done.returncode, done.stdout) == (69, "")
    assert mesh.socket in done.stderr
    assert "start one" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(meshctl: Any, shell: str) -> None:
    words = {"COMP_WORDS": "meshctl pools ta", "COMP_CWORD": "2"}
    if shell != "bash":
        words = {"_TYPER_COMPLETE_ARGS": "meshctl pools ta", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    done = meshctl(_MESHCTL_COMPLETE=f"complete_{shell}", **words)
    assert "talk" in done.stdout
