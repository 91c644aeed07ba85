"""A daemon in places that lack something: it runs, or says in one line what it lacks. Never a traceback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelmesh import MeshError
from tests.support.apps.line import answers

PYTHON = [sys.executable, "-m", "meshd"]


class Odd:
    """`meshd` by way of a shell, in whose words the place is made odd. `$M` is its command line."""

    def __init__(self, directory: Path, config: Any, **env: str | None) -> None:
        self.directory = directory
        self.socket = directory / "run" / "m.sock"
        self.log_path = directory / "log"
        (directory / "mesh.yaml").write_text(json.dumps(config))
        (directory / "state").mkdir()
        base = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
        odd = {"STATE_DIRECTORY": str(directory / "state"), "XDG_DATA_HOME": str(directory), "D": str(directory), **env}
        self.env = {name: value for name, value in (base | odd).items() if value is not None}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, shell: str) -> subprocess.Popen[bytes]:
        command = f"{sys.executable} -m meshd --socket {self.socket}"
        self.env |= {"M": f"{command} --config {self.directory}/mesh.yaml", "P": command}
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                ["bash", "-c", shell],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.env,
                cwd=self.directory,
                start_new_session=True,
            )
        return self.process

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def say(self) -> str:
        from modelmesh import OpenAIClient

        with OpenAIClient(self.socket, timeout=20, max_retries=0) as client:
            messages = [{"role": "user", "content": "hello"}]
            answer = client.chat.completions.create(model="chat-completion", messages=messages)
            return str(answer.choices[0].message.content)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(20)


@pytest.fixture
def odd(short: Path, one: Any, eventually: Any) -> Any:
    """`odd(shell, **env)`: a daemon that has begun to listen, or has ended."""
    made: list[Odd] = []

    def make(shell: str, **env: str | None) -> Odd:
        place = Odd(short, one(reply="here"), **env)
        made.append(place)
        process = place.start(shell)
        eventually(
            lambda: process.poll() is not None or (place.socket.exists() and answers(place.socket)), what="a start"
        )
        return place

    yield make
    for place in made:
        place.close()
        assert "Traceback" not in place.log(), place.log()


LONG = "x" * 150
PLACES = {
    "few descriptors": "ulimit -n 64; exec $M",
    "closed streams": "exec $M 0<&- 1>&- 2>&-",
    "only standard error closed": "exec $M 2>&-",
    "a user without a name": "chown -R 54321:54321 $D; exec setpriv --reuid 54321 --regid 54321 --clear-groups $M",
    "no path": "export PATH=; exec $M",
    "the plainest locale": "export LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0; unset TERM; exec $M",
    "a directory that is gone": "mkdir $D/gone; cd $D/gone; rmdir $D/gone; exec $M",
    "no temporary directory": "export TMPDIR=/nonexistent; exec $M",
    "a long temporary directory": f"mkdir $D/{LONG}; export TMPDIR=$D/{LONG}; exec $M",
    "no journal": "export JOURNAL_STREAM=8:1 NOTIFY_SOCKET=$D/dead INVOCATION_ID=1; exec $M",
    "no home": "unset HOME; exec $M",
    "no time zones of the system's": "export PYTHONTZPATH= TZ=Nowhere/Else; exec $M",
    "no /dev/shm": "exec unshare -Urm sh -c 'mount -t tmpfs -o size=4k,ro none /dev/shm && exec $0 $@' $M",
    **{f"{which} closed": f"exec $M {which}" for which in ("0<&-", "1>&-", "0<&- 1>&-", "0<&- 2>&-", "1>&- 2>&-")},
}


@pytest.mark.parametrize("shell", PLACES.values(), ids=PLACES)
def test_it_runs(odd: Callable[..., Odd], shell: str) -> None:
    if "setpriv" in shell and os.getuid() != 0:
        pytest.skip("needs root")
    if "unshare" in shell and subprocess.run(["unshare", "-Urm", "true"]).returncode:
        pytest.skip("user namespaces are not to be had")
    place = odd(shell)
    if "setpriv" in shell and "Permission denied" in place.log():
        pytest.skip("another user cannot run this Python")
    assert place.say() == "here", place.log()


def test_inotify_used_up(odd: Callable[..., Odd], one: Any, eventually: Any) -> None:
    if subprocess.run(["unshare", "-Ur", "sh", "-c", "echo 0 > /proc/sys/user/max_inotify_instances"]).returncode:
        pytest.skip("user namespaces are not to be had")
    place = odd("exec unshare -Ur sh -c 'echo 0 > /proc/sys/user/max_inotify_instances; exec $0 $@' $M")
    assert place.say() == "here"
    (place.directory / "mesh.yaml").write_text(json.dumps(one(reply="there")))
    eventually(lambda: place.say() == "there", what="the change is found by looking")
    assert place.log().count("is checked every") == 1


def test_a_first_configuration_is_noticed(odd: Callable[..., Odd], one: Any, eventually: Any) -> None:
    place = odd("exec $P", XDG_CONFIG_HOME="config", MESHD_CONFIG=None)
    file = place.directory / "config" / "meshd" / "mesh.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(one(reply="first")))
    eventually(lambda: f"{file} changed" in place.log(), what="the file is noticed")
    assert place.say() == "first"
    file.write_text(json.dumps(one(reply="second")))
    eventually(lambda: place.say() == "second", what="a change of it is noticed")


ONCE = {
    "standard input": "cat $D/mesh.yaml | $P --config /dev/stdin",
    "a dash": "$P --config - < $D/mesh.yaml",
    "process substitution": "exec $P --config <(cat $D/mesh.yaml)",
    "a fifo": "mkfifo $D/f; cat $D/mesh.yaml > $D/f & exec $P --config $D/f",
}


@pytest.mark.parametrize("shell", ONCE.values(), ids=ONCE)
def test_a_configuration_that_can_be_read_once(odd: Callable[..., Odd], shell: str) -> None:
    from modelmesh import OpenAIClient

    place = odd(shell)
    assert place.say() == "here", place.log()
    with OpenAIClient(place.socket, timeout=20, max_retries=0) as client:
        try:
            report: Any = client.mesh.request("POST", "/mesh/v1/reload").to_dict()
        except MeshError as error:
            report = str(error)
    assert "cannot be read again" in json.dumps(report) + str(report)
    assert place.say() == "here"


LACKS = {
    "hardly any descriptors": ("ulimit -n 24; exec $M", "files may be open at once: raise `ulimit -n`"),
    "a long runtime directory": (
        f"mkdir $D/{LONG}; export XDG_RUNTIME_DIR=$D/{LONG}; exec {sys.executable} -m meshd --config $D/mesh.yaml",
        "longer than 107 bytes",
    ),
    "a socket where nothing can be made": ("exec $M --socket /proc/mesh.sock", "cannot"),
}


@pytest.mark.parametrize(("shell", "words"), LACKS.values(), ids=LACKS)
def test_it_says_in_one_line_what_it_lacks(odd: Callable[..., Odd], shell: str, words: str) -> None:
    place = odd(shell)
    assert place.process is not None
    assert place.process.wait(20) in (69, 71)
    (line,) = place.log().splitlines()
    assert line.startswith("meshd: ")
    assert words in line


STREAMS = {"a full disk": "> /dev/full 2>&1", "no reader": "> >(exec true) 2>&1"}


@pytest.mark.parametrize("streams", STREAMS.values(), ids=STREAMS)
def test_streams_that_take_nothing_do_not_change_the_exit_status(odd: Callable[..., Odd], streams: str) -> None:
    place = odd(f"exec $M {streams}")
    assert place.process is not None
    assert place.say() == "here"
    place.process.terminate()
    assert place.process.wait(20) == 0
    (place.directory / "mesh.yaml").write_text("nonsense: 1")
    assert place.start(f"exec $M {streams}").wait(20) == 78


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_meshctl_without_standard_streams(short: Path, closed: str) -> None:
    command = f"exec {sys.executable} -m meshd.cli --socket {short}/no.sock status {closed}"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=50)
    assert ended.returncode == 69
    assert "Traceback" not in ended.stderr


# -- the configuration of a running mesh --------------------------------------------------------------


@pytest.mark.parametrize("content", ["", "\n", "# all of it\n", "---\n", "{}\n", "\ufeff", "providers:\n"])
def test_an_emptied_file_never_empties_a_running_mesh(meshd: Any, one: Any, content: str) -> None:
    daemon = meshd(one(reply="a"))
    daemon.write(content)
    report = daemon.ask("POST", "/mesh/v1/reload")
    assert not report["ok"]
    assert "is empty" in json.dumps(report)
    assert daemon.say().choices[0].message.content == "a"


def test_a_slow_writer_is_waited_for(meshd: Any, eventually: Any) -> None:
    """Each piece is valid YAML that means less."""

    def provider(name: str) -> str:
        return f"  {name}: {{connector: modelmesh.scripted.v1, script: [{{reply: {name}}}]}}\n"

    whole = "providers:\n" + provider("a") + provider("b")
    daemon = meshd(whole)
    names = lambda: [each["name"] for each in daemon.status()["providers"]]  # noqa: E731
    assert names() == ["a", "b"]
    with open(daemon.config, "w") as file:
        for piece in ("providers:\n" + provider("a"), "  # and then\n", provider("b") + provider("c")):
            file.write(piece)
            file.flush()
            with pytest.raises(subprocess.TimeoutExpired):  # longer than the debounce
                daemon.process.wait(0.7)
            assert names() == ["a", "b"]
    eventually(lambda: names() == ["a", "b", "c"], what="the whole file runs")
