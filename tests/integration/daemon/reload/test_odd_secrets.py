"""A file of secrets that is odd, or lies in an odd place: the daemon runs, or says in one line what it lacks.

Whatever it is, the daemon starts, and a provider that needs no key answers.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemons.pool_rule_cases import provider
from tests.support.providers.credentials.keyed_provider import KeyedProvider

KEY = "sk-the-key-of-the-test"
QUIET = {"health": {"enabled": False}, "sync": {"enabled": False}, "local": {"enabled": False}}


@pytest.fixture
def keyed() -> Iterator[KeyedProvider]:
    upstream = KeyedProvider(KEY)
    yield upstream
    upstream.close()


@pytest.fixture
def start(meshd: Any, keyed: KeyedProvider) -> Callable[..., Any]:
    """`start(path)`: a daemon whose key is in that file."""

    def make(path: Any, store: Any = None, env: Any = None) -> Any:
        raw = {
            "secrets": store or {"store": "modelmesh.dotenv.v1", "path": str(path)},
            "providers": {
                "p": keyed.provider(api_key="${secrets:K}"),
                "free": {"connector": "modelmesh.scripted.v1", "script": [{"reply": "free"}]},
            },
            "models": {
                "p.m": {"provider": "p", "model": "m", "capabilities": ["chat-completion"]},
                "free.m": {"provider": "free", "model": "m", "capabilities": ["chat-completion"]},
            },
            "discovery": QUIET,
        }
        return meshd(raw, env=env or {})

    return make


def file(content: bytes | str, mode: int = 0o600) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(mode)

    return make


def farm(path: Path) -> None:
    """As Kubernetes mounts a secret: nothing but links where one looks."""
    place = path.parent / "..2026_11_27"
    place.mkdir()
    file(f"K={KEY}\n")(place / path.name)
    (path.parent / "..data").symlink_to(place.name)
    path.symlink_to(f"..data/{path.name}")


def read_only(path: Path) -> None:
    file(f"K={KEY}\n", 0o400)(path)
    path.parent.chmod(0o500)


GOOD: dict[str, Callable[[Path], None]] = {
    "a farm of links": farm,
    "a read-only directory": read_only,
    "no line break at the end": file(f"K={KEY}"),
    "line breaks of Windows": file(f"A=1\r\nK={KEY}\r\n"),
    "line breaks of old Macs": file(f"A=1\rK={KEY}\r"),
    "a byte order mark": file(b"\xef\xbb\xbf" + f"K={KEY}\n".encode()),
    "as PowerShell writes it": file(f"K={KEY}\r\n".encode("utf-16")),
    "blanks around it": file(f"  K =  {KEY}   \n"),
    "with export and quotes": file(f'export K="{KEY}"\n'),
    "twice": file(f"K=other\nK={KEY}\n"),
    "with a comment behind it": file(f"K={KEY} # mine\n"),
    "lines that make no sense": file(f"<<<<<<< HEAD\n=\n==\nK={KEY}\n>>>>>>> x\n"),
}


@pytest.mark.parametrize("make", GOOD.values(), ids=GOOD)
def test_it_runs(short: Path, start: Any, make: Callable[[Path], None]) -> None:
    folder = short / "s"
    folder.mkdir()
    make(folder / "keys.env")
    try:
        assert start(folder / "keys.env").say(model="p.m").choices[0].message.content == "hi"
    finally:
        folder.chmod(0o700)


def a_directory(path: Path) -> None:
    path.mkdir()


def a_dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


def a_ring_of_links(path: Path) -> None:
    path.symlink_to(path.name)


def a_fifo(path: Path) -> None:
    os.mkfifo(path)


def nothing(path: Path) -> None:
    pass


BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "not there": (nothing, "there is no file"),
    "a directory": (a_directory, "is a directory"),
    "a link to nowhere": (a_dangling_link, "there is no file"),
    "a ring of links": (a_ring_of_links, "cannot be read: Too many levels of symbolic links"),
    "a pipe without a writer": (a_fifo, "is a pipe, which its writer did not close within 5 s"),
    "huge": (file("x" * 2_000_000), "is larger than 1 MiB"),
    "binary": (file(bytes(range(256))), "is not"),
    "zeros": (file(bytes(4096)), "is not a text file"),
    "empty": (file(""), "is empty"),
    "without the name": (file("OTHER=1\n"), "has no K"),
    "an empty value": (file("K=\n"), "K is empty"),
    "read by everybody": (file(f"K={KEY}\n", 0o644), "can be read by others: run `chmod 600"),
}


@pytest.mark.parametrize(("make", "words"), BAD.values(), ids=BAD)
def test_it_says_what_it_lacks(short: Path, start: Any, make: Callable[[Path], None], words: str) -> None:
    folder = short / "s"
    folder.mkdir()
    make(folder / "keys.env")
    daemon = start(folder / "keys.env")
    assert daemon.say(model="free.m").choices[0].message.content == "free"
    why = json.dumps(provider(daemon, "p"), ensure_ascii=False)
    assert words in why
    assert "secret K is missing" in why
    assert KEY not in daemon.log()
    assert "Traceback" not in daemon.log()


@pytest.mark.skipif(os.getuid() == 0, reason="root reads everything")
def test_a_file_of_another_user(short: Path, start: Any) -> None:
    path = short / "keys.env"
    file(f"K={KEY}\n", 0o000)(path)
    assert "cannot be read: Permission denied" in json.dumps(provider(start(path), "p"))


SHELLS = {
    "standard input": ("/dev/stdin", "printf 'K={KEY}\\n' | exec $M"),
    "a file descriptor": ("/dev/fd/9", "exec $M 9< <(printf 'K={KEY}\\n')"),
    "a file at standard input": ("/dev/stdin", "umask 077; printf 'K={KEY}\\n' > f; exec $M < f"),
    "a fifo": ("f", "mkfifo f; printf 'K={KEY}\\n' > f & exec $M"),
    "a fifo whose writer comes late": ("f", "mkfifo f; (sleep 1; printf 'K={KEY}\\n' > f) & exec $M"),
    "a terminal or nothing": ("/dev/null", "exec $M"),
}


@pytest.mark.parametrize(("path", "shell"), SHELLS.values(), ids=SHELLS)
def test_what_can_be_read_once(
    short: Path, meshd: Any, keyed: KeyedProvider, eventually: Any, path: str, shell: str
) -> None:
    """And a reload, which reads it again, keeps what came."""
    raw = {
        "secrets": {"store": "modelmesh.dotenv.v1", "path": path},
        "providers": {"p": keyed.provider(api_key="${secrets:K}")},
        "models": {"p.m": {"provider": "p", "model": "m", "capabilities": ["chat-completion"]}},
        "discovery": QUIET,
    }
    daemon = meshd(raw, start=False)
    command = f"{sys.executable} -m meshd --config {daemon.config} --socket {daemon.socket}"
    env = {**os.environ, "STATE_DIRECTORY": str(daemon.state), "M": command, "XDG_DATA_HOME": str(short)}
    with open(daemon.log_path, "ab") as log:
        daemon.process = subprocess.Popen(
            ["bash", "-c", shell.replace("{KEY}", KEY)],
            stdout=log, stderr=log, env=env, cwd=daemon.directory, start_new_session=True,
        )  # fmt: skip
    try:
        eventually(lambda: daemon.process.poll() is not None or daemon.answers(), what="a start")
        if path == "/dev/null":
            assert "/dev/null is neither a file nor a pipe" in json.dumps(provider(daemon, "p"))
            return
        assert daemon.say(model="p.m").choices[0].message.content == "hi", daemon.log()
        daemon.ask("POST", "/mesh/v1/reload")
        assert daemon.say(model="p.m").choices[0].message.content == "hi", daemon.log()
    finally:
        os.killpg(daemon.process.pid, signal.SIGTERM)  # the shell may wait for the daemon


# -- a directory with a file for each -----------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o400, 0o444])
def test_a_mounted_directory(short: Path, start: Any, mode: int) -> None:
    folder = short / "s"
    folder.mkdir()
    file(f"{KEY}\n", mode)(folder / "K")
    daemon = start(None, {"store": "modelmesh.directory.v1", "path": str(folder)})
    assert daemon.say(model="p.m").choices[0].message.content == "hi"
    assert daemon.log().count("can be read by every user") == (1 if mode == 0o444 else 0)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (nothing, "there is no directory"),
        (file("x"), "is not a directory"),
        (a_directory, "there is no file"),
    ],
)
def test_an_invalid_directory(short: Path, start: Any, make: Callable[[Path], None], words: str) -> None:
    make(short / "s")
    daemon = start(None, {"store": "modelmesh.directory.v1", "path": str(short / "s")})
    assert words in json.dumps(provider(daemon, "p"))


@pytest.mark.parametrize("name", ["../outside", "..", "sub/K"])
def test_a_name_never_leaves_its_directory(tmp_path: Path, name: str) -> None:
    from meshd.connectors.secrets.directory import DirectoryStore
    from meshd.sdk.secrets import SecretMissing

    (tmp_path / "outside").write_text("x")
    (tmp_path / "s" / "sub").mkdir(parents=True)
    (tmp_path / "s" / "sub" / "K").write_text("x")
    with pytest.raises(SecretMissing, match="cannot be the name of a file"):
        DirectoryStore({"path": str(tmp_path / "s")}).get(name)


# -- the file that the environment names --------------------------------------------------------------


def test_a_variable_wins_over_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from meshd.connectors.secrets.env import EnvStore

    (tmp_path / "k").write_text("of the file\n")
    monkeypatch.setenv("THE_KEY_FILE", str(tmp_path / "k"))
    assert EnvStore({}).get("THE_KEY") == "of the file"
    monkeypatch.setenv("THE_KEY", "of the variable")
    assert EnvStore({}).get("THE_KEY") == "of the variable"


def test_a_key_in_a_file_is_found_without_a_configuration(tmp_path: Path) -> None:
    from meshd.config.zero_config import zero_config

    assert "openai" in zero_config({"OPENAI_API_KEY_FILE": str(tmp_path / "k")}).providers
