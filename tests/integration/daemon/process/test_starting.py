"""How the process starts, and why it refuses to."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import termios
import threading
from pathlib import Path

import pytest

from tests.support.waiting import until

ROOT = Path(__file__).parents[4]


def run(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "meshd", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=20,
        cwd=ROOT,
        check=False,
        **options,
    )


def test_an_interrupt_during_the_start_ends_it_without_a_word(short):
    command = [sys.executable, "-m", "meshd", "--config", "-", "--socket", str(short / "s")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
        process.stdin.write(b"providers: {}\n")
        process.stdin.flush()
        left = bytearray(4)
        until(lambda: fcntl.ioctl(process.stdin, termios.FIONREAD, left) == 0 and not any(left), what="it reads")
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == b""
        assert process.wait() == 130
    assert list(short.iterdir()) == []


# -- starting ---------------------------------------------------------------------------------------------

INVALID = """\
providers:
  one: {connector: modelmesh.scripted.v1, colour: blue}
models:
  one.chat: {provider: nobody, capabilities: [chat-completion]}
pools:
  chat:
    capability: chat-completion
    retry:
      backof: fixed
      max_attempts: many
"""


def test_an_invalid_configuration_at_start_is_78_with_every_problem_and_its_line(short):
    config = short / "mesh.yaml"
    config.write_text(INVALID)
    for extra in ((), ("--check",)):
        ended = run("--config", config, "--socket", short / "s", *extra)
        assert ended.returncode == 78
        assert f"{config}:2: providers.one.colour" in ended.stderr
        assert f"{config}:4: models.one.chat.provider" in ended.stderr
        assert f"{config}:9: pools.chat.retry.backof" in ended.stderr
        assert 'did you mean "backoff"' in ended.stderr
        assert f"{config}:10: pools.chat.retry.max_attempts" in ended.stderr
        assert "Traceback" not in ended.stderr
    assert list(short.iterdir()) == [config]


def test_check_says_valid(short):
    config = short / "mesh.yaml"
    config.write_text("providers: {one: {connector: modelmesh.scripted.v1}}\n")
    ended = run("--config", config, "--check")
    assert (ended.returncode, ended.stdout) == (0, f"{config}: valid\n")


@pytest.mark.parametrize("content", ["providers: [", "\x00\x01", "- a\n- b\n"])
def test_a_file_that_is_not_a_configuration_is_78(short, content):
    config = short / "mesh.yaml"
    config.write_text(content)
    ended = run("--config", config, "--socket", short / "s")
    assert ended.returncode == 78
    assert str(config) in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_missing_file_is_78(short):
    ended = run("--config", short / "none.yaml", "--socket", short / "s")
    assert ended.returncode == 78
    assert "none.yaml" in ended.stderr


def test_unknown_arguments_are_a_usage_error():
    assert run("--colour").returncode == 64
    assert run("--version").stdout.startswith("meshd ")


def test_a_missing_secret_at_start_is_78_and_leaves_nothing(short):
    config = short / "mesh.yaml"
    config.write_text(
        "providers:\n  openai:\n    connector: openai.llm.v1\n    api_key: ${secrets:NO_SUCH_KEY}\n"
        "secrets: {fail_on_missing: true}\n"
    )
    ended = run("--config", config, "--socket", short / "run" / "s", env={**os.environ, "STATE_DIRECTORY": str(short)})
    assert ended.returncode == 78
    assert "NO_SUCH_KEY" in ended.stderr
    assert ":4:" in ended.stderr
    assert list((short / "run").iterdir()) == []


# -- the socket -------------------------------------------------------------------------------------------


def test_a_second_daemon_on_the_socket_refuses_and_names_the_holder(meshd, one):
    daemon = meshd(one(reply="the first"))
    ended = run("--config", daemon.config, "--socket", daemon.socket)
    assert ended.returncode == 69
    assert f"process {daemon.process.pid}" in ended.stderr
    assert str(daemon.socket) in ended.stderr
    assert "Traceback" not in ended.stderr
    assert daemon.say().choices[0].message.content == "the first"


def test_a_stranger_on_the_socket_is_named_and_left_alone(meshd, one):
    daemon = meshd(one(), start=False)
    daemon.socket.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(str(daemon.socket))
        stranger.listen()
        daemon.spawn()
        assert daemon.wait() == 69
        assert f"process {os.getpid()} serves" in daemon.log()
        assert daemon.leftovers() == ["run/mesh.sock"]


def test_a_stale_socket_is_removed(meshd, one):
    daemon = meshd(one(reply="here"))
    daemon.kill()
    assert "run/mesh.sock" in daemon.leftovers()
    daemon.start()
    assert daemon.say().choices[0].message.content == "here"
    assert daemon.stop() == 0
    assert daemon.leftovers() == []


def test_a_file_that_is_not_a_socket_is_left_alone(meshd, one):
    daemon = meshd(one(), start=False)
    daemon.socket.parent.mkdir()
    daemon.socket.write_text("precious")
    daemon.spawn()
    assert daemon.wait() == 69
    assert daemon.socket.read_text() == "precious"


def test_a_path_too_long_for_a_socket_says_so(short, one):
    config = short / "mesh.json"
    config.write_text(json.dumps(one()))
    ended = run("--config", config, "--socket", short / ("x" * 120))
    assert ended.returncode == 69
    assert "107 bytes" in ended.stderr


def test_the_socket_has_the_configured_mode(meshd, one):
    assert stat.S_IMODE(meshd(one()).socket.stat().st_mode) == 0o660
    assert stat.S_IMODE(meshd(one(daemon={"socket_mode": "0600"})).socket.stat().st_mode) == 0o600


def test_a_directory_of_ones_own_that_others_may_read_will_do(short, one):
    """Also directly below /tmp, where a directory that others may write to would not."""
    config = short / "mesh.json"
    config.write_text(json.dumps(one()))
    short.chmod(0o777)
    ended = run("--config", config, "--socket", short / "s")
    assert ended.returncode == 69
    assert "is writable by others" in ended.stderr
    short.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-m", "meshd", "--config", config, "--socket", short / "s"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "STATE_DIRECTORY": str(short / "state")},
    )
    try:
        assert any("ready on" in line for line in process.stderr)
        process.terminate()
        process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0


def test_the_log_says_where_it_listens(meshd, one, eventually):
    daemon = meshd(one())
    eventually(lambda: f"ready on {daemon.socket}" in daemon.log())


def test_many_apps_at_once(meshd, one):
    daemon = meshd(one())
    client = daemon.client()
    answers: list[str] = []

    def app(number):
        for turn in range(20):
            text = f"{number}.{turn}"
            answer = client.chat.completions.create(model="one.chat", messages=[{"role": "user", "content": text}])
            answers.append(answer.choices[0].message.content)

    threads = [threading.Thread(target=app, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(answers) == sorted(f"[scripted] {number}.{turn}" for number in range(8) for turn in range(20))


# -- a state directory that cannot be written -------------------------------------------------------------


def test_an_unwritable_state_directory_is_served_on_and_said(meshd, one, eventually):
    daemon = meshd(one(reply="still here"), start=False)
    daemon.state.write_text("a file where the directory should be")
    daemon.start()
    assert daemon.say().choices[0].message.content == "still here"
    assert "still here" in "".join(chunk.choices[0].delta.content or "" for chunk in daemon.say(stream=True))
    state = eventually(lambda: (found := daemon.status()["state"])["error"] and found)
    assert not state["ok"]
    assert str(daemon.state) in state["error"] or "irectory" in state["error"]
    eventually(lambda: str(daemon.state) in daemon.log(), what="the log says so")
    assert "Traceback" not in daemon.log()
    assert daemon.stop() == 0
