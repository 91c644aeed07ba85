"""Another configuration under a running daemon: by the file, by command, by signal; all of it or nothing."""

from __future__ import annotations

import json
import os
import signal
import threading

import pytest

from modelmesh import protocol as wire


@pytest.fixture
def daemon(meshd, one):
    return meshd(one(reply="before", daemon={"watch_debounce": "20ms"}))


@pytest.fixture
def after(one):
    return one(reply="after", daemon={"watch_debounce": "20ms"})


def says(daemon):
    return daemon.say(model="one.chat").choices[0].message.content


def generation(daemon):
    return daemon.status()["config"]["generation"]


@pytest.mark.parametrize("how", ["in place", "replaced"])
def test_the_file_is_followed(daemon, after, eventually, how):
    assert says(daemon) == "before"
    daemon.write(after, how)
    eventually(lambda: says(daemon) == "after")
    reload = daemon.status()["last_reload"]
    assert reload["ok"]
    assert any("providers.one" in change for change in reload["changes"]), reload["changes"]


def test_the_file_is_followed_again_and_again(daemon, one, eventually):
    for number in range(5):
        daemon.write(one(reply=f"{number}", daemon={"watch_debounce": "20ms"}), ("in place", "replaced")[number % 2])
        eventually(lambda number=number: says(daemon) == f"{number}")


def test_a_file_that_goes_and_comes_back_is_followed(daemon, after, eventually):
    daemon.config.unlink()
    daemon.write(after)
    eventually(lambda: says(daemon) == "after")


def test_a_file_written_in_pieces_ends_as_the_whole(daemon, after, eventually):
    text = json.dumps(after)
    with open(daemon.config, "w") as file:
        for piece in (text[:20], text[20:90], text[90:]):
            file.write(piece)
            file.flush()
    eventually(lambda: says(daemon) == "after")


def test_kubernetes_swap_of_a_symlink_is_followed(meshd, one, eventually):
    """`mesh.yaml` → `..data/mesh.yaml`, and `..data` is renamed over to another directory."""
    daemon = meshd("", start=False)
    root = daemon.directory / "config"
    for version, reply in (("1", "before"), ("2", "after"), ("3", "last")):
        (root / f"..{version}").mkdir(parents=True)
        config = one(reply=reply, daemon={"watch_debounce": "20ms"})
        (root / f"..{version}" / "mesh.yaml").write_text(json.dumps(config))
    (root / "..data").symlink_to("..1")
    (root / "mesh.yaml").symlink_to("..data/mesh.yaml")
    daemon.config.unlink()
    daemon.config = root / "mesh.yaml"
    daemon.start()
    assert says(daemon) == "before"
    for version, reply in (("2", "after"), ("3", "last")):
        (root / "..data_tmp").symlink_to(f"..{version}")
        os.replace(root / "..data_tmp", root / "..data")
        eventually(lambda reply=reply: says(daemon) == reply)


def test_an_editor_that_writes_through_a_symlink_is_followed(meshd, one, eventually):
    daemon = meshd("", start=False)
    target = daemon.directory / "elsewhere" / "real.json"
    target.parent.mkdir()
    target.write_text(json.dumps(one(reply="before", daemon={"watch_debounce": "20ms"})))
    daemon.config.unlink()
    daemon.config.symlink_to(target)
    daemon.start()
    assert says(daemon) == "before"
    target.write_text(json.dumps(one(reply="after", daemon={"watch_debounce": "20ms"})))
    eventually(lambda: says(daemon) == "after")


def test_what_is_only_touched_is_not_a_reload(daemon, eventually):
    before = generation(daemon)
    daemon.write(daemon.config.read_text())
    os.utime(daemon.config)
    daemon.ask("POST", "/mesh/v1/reload")  # something that takes its time after it
    assert generation(daemon) == before + 1


def test_the_command_reloads_and_a_dry_run_only_says(meshd, one):
    daemon = meshd(one(reply="before", daemon={"watch": False}))
    daemon.write(one(reply="after", daemon={"watch": False}))
    report = daemon.ask("POST", "/mesh/v1/reload", {"dry_run": True})
    assert report["ok"]
    assert report["dry_run"]
    assert any("providers.one" in change for change in report["changes"])
    assert says(daemon) == "before"
    report = daemon.ask("POST", "/mesh/v1/reload")
    assert (report["ok"], report["dry_run"], report["generation"]) == (True, False, 2)
    assert says(daemon) == "after"


def test_sighup_reloads(meshd, one, eventually):
    daemon = meshd(one(reply="before", daemon={"watch": False}))
    daemon.write(one(reply="after", daemon={"watch": False}))
    assert says(daemon) == "before"
    daemon.signal(signal.SIGHUP)
    eventually(lambda: says(daemon) == "after")


def test_watching_can_be_switched_on_by_a_reload(meshd, one, eventually):
    daemon = meshd(one(reply="before", daemon={"watch": False}))
    daemon.write(one(reply="between", daemon={"watch": True, "watch_debounce": "20ms"}))
    daemon.ask("POST", "/mesh/v1/reload")
    assert says(daemon) == "between"
    daemon.write(one(reply="after", daemon={"watch": False}))
    eventually(lambda: says(daemon) == "after")


# -- refused ----------------------------------------------------------------------------------------------

INVALID = """\
providers:
  one: {connector: modelmesh.scripted.v1, script: [{reply: never}]}
models:
  one.chat: {provider: nobody, capabilities: [chat-completion]}
daemon:
  wach: true
"""


def test_an_invalid_file_leaves_the_running_configuration(daemon, after, eventually):
    daemon.write(INVALID)
    report = eventually(lambda: (last := daemon.status()["last_reload"]) and not last["ok"] and last)
    assert {(problem["path"], problem["line"]) for problem in report["problems"]} >= {
        ("models.one.chat.provider", 4),
        ("daemon.wach", 6),
    }
    assert says(daemon) == "before"
    eventually(lambda: f"{daemon.config}:4: models.one.chat.provider" in daemon.log())
    assert 'did you mean "watch"' in daemon.log()
    assert "Traceback" not in daemon.log()
    daemon.write(after)
    eventually(lambda: says(daemon) == "after")
    assert daemon.status()["last_reload"]["ok"]


@pytest.mark.parametrize("content", ["providers: [", "", "- 1\n", "\x00"])
def test_a_file_that_cannot_be_read_leaves_the_running_configuration(meshd, one, content):
    daemon = meshd(one(reply="before", daemon={"watch": False}))
    daemon.write(content)
    report = daemon.ask("POST", "/mesh/v1/reload")
    assert not report["ok"]
    assert report["problems"]
    assert says(daemon) == "before"


def test_a_refusal_of_an_actor_leaves_the_running_configuration(meshd, one):
    """What is valid, and cannot be changed while running."""
    daemon = meshd(one(reply="before", daemon={"watch": False}), env={"STATE_DIRECTORY": ""})
    daemon.write(one(reply="after", daemon={"watch": False, "state_dir": str(daemon.directory / "other")}))
    report = daemon.ask("POST", "/mesh/v1/reload")
    assert not report["ok"]
    assert "daemon.state_dir" in json.dumps(report["problems"])
    assert says(daemon) == "before"


def test_the_missing_file_is_said_and_changes_nothing(meshd, one):
    daemon = meshd(one(reply="before", daemon={"watch": False}))
    daemon.config.unlink()
    report = daemon.ask("POST", "/mesh/v1/reload")
    assert not report["ok"]
    assert str(daemon.config) in json.dumps(report["problems"])
    assert says(daemon) == "before"


# -- while requests run -----------------------------------------------------------------------------------


def test_requests_in_flight_end_under_the_configuration_they_began_with(meshd, one, dial):
    daemon = meshd(one(tokens=["be", "fore"], chunk_delay="200ms", daemon={"watch": False}))
    line = dial(daemon.socket)
    stream = line.chat(model="one.chat", stream=True)
    line.receive(wire.CHUNK)
    changed = one(reply="after", daemon={"watch": False})
    changed["models"] = {"two.chat": {"provider": "one", "capabilities": ["chat-completion"]}}
    daemon.write(changed)
    assert daemon.ask("POST", "/mesh/v1/reload")["ok"]
    new = line.chat(model="two.chat")
    answers = {}
    while stream not in answers or answers[stream].kind == wire.CHUNK or new not in answers:
        message = line.receive()
        answers[message.request_id] = message
    assert answers[stream].kind == wire.END
    assert answers[stream].head.mesh["model"] == "one.chat"
    assert answers[new].kind == wire.RESPONSE
    assert b"after" in answers[new].body
    gone = line.chat(model="one.chat")
    assert line.receive(wire.ERROR).request_id == gone


def test_a_removed_providers_request_in_flight_ends_too(meshd, upstream, dial):
    server = upstream([{"tokens": ["be", "fore"], "chunk_delay": "200ms"}])
    up = {
        "providers": {"up": server.provider()},
        "models": {"up.chat": {"provider": "up", "capabilities": ["chat-completion"]}},
        "daemon": {"watch": False},
    }
    daemon = meshd(up)
    line = dial(daemon.socket)
    stream = line.chat(stream=True)
    line.receive(wire.CHUNK)
    daemon.write({"providers": {"other": {"connector": "modelmesh.scripted.v1"}}, "daemon": {"watch": False}})
    assert daemon.ask("POST", "/mesh/v1/reload")["ok"]
    while (message := line.receive()).kind == wire.CHUNK:
        assert message.request_id == stream
    assert message.kind == wire.END
    assert server.served["cancelled"] == 0


def test_twenty_edits_under_load_fail_no_request(meshd, upstream, one, eventually):
    server = upstream([{"reply": "fine"}])

    def config(number):
        return {
            "providers": {"up": server.provider(headers={"x-edit": str(number)})},
            "models": {"up.chat": {"provider": "up", "capabilities": ["chat-completion"]}},
            "pools": {"chat": {"capability": "chat-completion"}, f"edit-{number}": {"models": ["up.chat"]}},
            "daemon": {"watch_debounce": "10ms"},
        }

    daemon = meshd(config(0))
    client = daemon.client()
    done = threading.Event()
    outcomes: list[object] = []

    def app():
        while not done.is_set():
            try:
                answer = client.chat.completions.create(model="chat", messages=[{"role": "user", "content": "hi"}])
                outcomes.append(answer.choices[0].message.content)
            except Exception as error:
                outcomes.append(error)

    threads = [threading.Thread(target=app) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        for number in range(1, 21):
            daemon.write(config(number), ("in place", "replaced")[number % 2])
            eventually(lambda number=number: f"edit-{number}" in daemon.ask("GET", "/mesh/v1/describe")["pools"])
    finally:
        done.set()
        for thread in threads:
            thread.join(20)
    assert [outcome for outcome in outcomes if outcome != "fine"] == []
    assert len(outcomes) > 50
    assert server.served["served"] == len(outcomes)


def test_a_file_that_was_emptied_is_waited_for(daemon, after, eventually):
    """A disk was full, or somebody writes in place and is slow."""
    daemon.config.write_text("")
    eventually(lambda: _looked_again(daemon))
    assert says(daemon) == "before"
    daemon.write(after)
    eventually(lambda: says(daemon) == "after")


def _looked_again(daemon):
    """The watch looks within a fifth of a second; this takes longer."""
    import time

    time.sleep(0.8)
    return generation(daemon) == 1


def test_a_file_saved_where_it_is_looked_for_is_taken_by_the_next_reload(tmp_path, monkeypatch):
    from meshd.config.source import BUILT_IN, ConfigSource

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("MESHD_CONFIG", raising=False)
    source = ConfigSource.built_in()
    assert source.read()[1] == BUILT_IN
    file = tmp_path / "meshd" / "mesh.yaml"
    file.parent.mkdir()
    file.write_text("daemon: {log_level: debug}")
    config, where = source.read()
    assert (config.daemon.log_level, where, source.files.main) == ("debug", str(file), file)
