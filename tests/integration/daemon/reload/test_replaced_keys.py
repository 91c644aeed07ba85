"""A key that is replaced where it comes from, while 64 requests are in flight: none of them fails.

The provider takes the old key until some moment and from then on only the new one, which was made before.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemons.pool_rule_cases import events, provider
from tests.support.daemons.stress.key_load import Load, under_load
from tests.support.providers.credentials.keyed_provider import KeyedProvider

QUIET = {"health": {"enabled": False}, "sync": {"enabled": False}, "local": {"enabled": False}}
OLD, NEW = "sk-the-old-key-000000", "sk-the-new-key-111111"


@pytest.fixture
def keyed() -> Iterator[KeyedProvider]:
    upstream = KeyedProvider(OLD)
    yield upstream
    upstream.close()


def config(keyed: KeyedProvider, secrets: Any, *, watch: bool = False, **settings: Any) -> dict[str, Any]:
    """watch: whether the daemon is told of changed files, else it hears of them from the provider alone."""
    settings = settings or {"api_key": "${secrets:K}"}
    return {
        "secrets": secrets,
        "providers": {"p": keyed.provider(**settings)},
        "models": {"p.m": {"provider": "p", "model": "m", "capabilities": ["chat-completion"]}},
        "discovery": QUIET,
        "daemon": {"watch": watch},
    }


def write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)


pause = time.sleep  # what a slow writer takes


def renamed(path: Path, switch: Callable[[], None]) -> None:
    partial = path.with_suffix(".swp")
    write(partial, f"K={NEW}\n")
    os.replace(partial, path)
    switch()


def in_place(path: Path, switch: Callable[[], None]) -> None:
    path.write_text(f"K={NEW}\n")
    switch()


def emptied_for_a_moment(path: Path, switch: Callable[[], None]) -> None:
    path.write_text("")
    switch()
    pause(0.4)
    path.write_text(f"K={NEW}\n")


def gone_for_a_moment(path: Path, switch: Callable[[], None]) -> None:
    path.unlink()
    switch()
    pause(0.4)
    write(path, f"K={NEW}\n")


def unreadable_for_a_moment(path: Path, switch: Callable[[], None]) -> None:
    path.chmod(0o644)
    path.write_text(f"K={NEW}\n")
    switch()
    pause(0.3)
    path.chmod(0o600)


def in_pieces(path: Path, switch: Callable[[], None]) -> None:
    with open(path, "w") as file:
        for piece in ("# keys\nOTHER=1\nK=", NEW[:9], NEW[9:], "\nLAST=x\n"):
            file.write(piece)
            file.flush()
            switch()
            pause(0.25)


def swapped(path: Path, switch: Callable[[], None]) -> None:
    """As Kubernetes does: the file is a link into `..data`, which is a link to a directory of the moment."""
    folder = path.parent
    (folder / "..2").mkdir()
    write(folder / "..2" / path.name, f"K={NEW}\n")
    (folder / "..tmp").symlink_to("..2")
    os.replace(folder / "..tmp", folder / "..data")
    switch()
    for old in (folder / "..1").iterdir():
        old.unlink()
    (folder / "..1").rmdir()


WAYS = [renamed, in_place, emptied_for_a_moment, gone_for_a_moment, unreadable_for_a_moment, in_pieces, swapped]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("watch", [False, True], ids=["unwatched", "watched"])
@pytest.mark.parametrize("way", WAYS)
def test_no_request_fails(meshd: Any, short: Path, keyed: KeyedProvider, way: Any, watch: bool) -> None:
    folder = short / "secrets"
    folder.mkdir()
    path = folder / "keys.env"
    if way is swapped:
        (folder / "..1").mkdir()
        write(folder / "..1" / path.name, f"K={OLD}\n")
        (folder / "..data").symlink_to("..1")
        path.symlink_to(Path("..data") / path.name)
    else:
        write(path, f"K={OLD}\n")
    keyed.accepted = {OLD, NEW}  # a key that can be written down is good: who is told of it may use it at once
    daemon = meshd(config(keyed, {"store": "modelmesh.dotenv.v1", "path": str(path)}, watch=watch))

    def switch() -> None:
        keyed.accepted = {NEW}

    async def run() -> Load:
        async with Load(daemon) as load:
            await asyncio.to_thread(way, path, switch)
            await load.more(200)
        return load

    load = asyncio.run(run())
    assert load.failed == []
    assert keyed.asked[NEW] >= 130
    assert not set(keyed.asked) - {OLD, NEW}, "half a key was used"
    row = provider(daemon, "p")
    assert row["available"]
    assert not events(daemon, "provider_deactivated")
    assert len(events(daemon, "secret_rotated", secret="K")) == 1
    assert NEW not in daemon.log()


SOURCES: dict[str, tuple[Any, dict[str, str]]] = {
    "a directory": ({"store": "modelmesh.directory.v1", "path": "{folder}"}, {}),
    "a file that the environment names": ("modelmesh.env.v1", {"K_FILE": "{folder}/K"}),
    "systemd's credentials": ("systemd.credentials.v1", {"CREDENTIALS_DIRECTORY": "{folder}"}),
}


@pytest.mark.parametrize(("store", "environment"), SOURCES.values(), ids=SOURCES)
def test_wherever_it_comes_from(
    meshd: Any, short: Path, keyed: KeyedProvider, store: Any, environment: dict[str, str]
) -> None:
    folder = short / "secrets"
    folder.mkdir()
    write(folder / "K", f"{OLD}\n")
    secrets = store if isinstance(store, dict) else {"store": store}
    secrets = {key: value.format(folder=folder) for key, value in secrets.items()}
    env = {name: value.format(folder=folder) for name, value in environment.items()}
    daemon = meshd(config(keyed, secrets), env=env)

    def change() -> None:
        write(folder / "K", f"{NEW}\n")
        keyed.accepted = {NEW}

    assert under_load(daemon, change).failed == []
    assert not events(daemon, "provider_deactivated")


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("where", ["api_key", "headers", "api_keys"])
def test_wherever_it_is_put(meshd: Any, short: Path, keyed: KeyedProvider, where: str, status: int) -> None:
    path = short / "keys.env"
    other = "sk-the-other-key-22222"
    write(path, f"K={OLD}\nL={other}\n")
    keyed.accepted, keyed.status = {OLD, other}, status
    settings: dict[str, Any] = {
        "api_key": {"api_key": "${secrets:K}"},
        "headers": {"headers": {"Authorization": "Bearer ${secrets:K}"}, "auth": {"method": "none"}},
        "api_keys": {"api_keys": ["${secrets:K}", "${secrets:L}"]},
    }[where]
    daemon = meshd(config(keyed, {"store": "modelmesh.dotenv.v1", "path": str(path)}, **settings))

    def change() -> None:
        write(path, f"K={NEW}\nL={other}\n")
        keyed.accepted = {NEW, other}

    assert under_load(daemon, change).failed == []
    row = provider(daemon, "p")
    assert row["available"]
    assert not row.get("resting_keys")
    assert keyed.asked[NEW]


def test_the_file_is_read_once_for_all_that_were_refused(meshd: Any, short: Path, keyed: KeyedProvider) -> None:
    path = short / "keys.env"
    write(path, f"K={OLD}\n")
    keyed.delay = 0.2
    daemon = meshd(config(keyed, {"store": "modelmesh.dotenv.v1", "path": str(path)}))

    def change() -> None:
        write(path, f"K={NEW}\n")
        keyed.accepted = {NEW}

    assert under_load(daemon, change, more=64).failed == []
    assert keyed.refused <= 64, "each of those in flight once at the most"
    assert daemon.status()["config"]["generation"] == 2


def test_a_key_that_is_as_it_was_is_refused_as_ever(meshd: Any, short: Path, keyed: KeyedProvider) -> None:
    path = short / "keys.env"
    write(path, f"K={OLD}\n")
    daemon = meshd(config(keyed, {"store": "modelmesh.dotenv.v1", "path": str(path)}, watch=True))
    keyed.accepted = set()
    started = time.monotonic()
    with pytest.raises(Exception, match="Incorrect API key"):
        daemon.say(model="p.m")
    assert time.monotonic() - started < 5
    assert keyed.asked == {OLD: 1}
    [event] = events(daemon, "provider_deactivated")
    assert "Incorrect API key" in event["reason"]


def test_a_new_key_is_in_use_before_the_old_one_is_refused(
    meshd: Any, short: Path, keyed: KeyedProvider, eventually: Any
) -> None:
    path = short / "keys.env"
    write(path, f"K={OLD}\n")
    keyed.accepted = {OLD, NEW}
    daemon = meshd(config(keyed, {"store": "modelmesh.dotenv.v1", "path": str(path)}, watch=True))
    daemon.say(model="p.m")
    renamed(path, lambda: None)
    eventually(lambda: events(daemon, "secret_rotated", secret="K"))
    keyed.accepted = {NEW}
    daemon.say(model="p.m")
    assert keyed.refused == 0


def test_a_key_that_was_missing_is_taken_up_when_it_comes(
    meshd: Any, short: Path, keyed: KeyedProvider, eventually: Any
) -> None:
    path = short / "later" / "keys.env"
    daemon = meshd(config(keyed, {"store": "modelmesh.dotenv.v1", "path": str(path)}, watch=True))
    assert "K" in str(provider(daemon, "p"))
    path.parent.mkdir()
    write(path, f"K={OLD}\n")
    eventually(lambda: not provider(daemon, "p").get("disabled"))
    assert eventually(lambda: _says(daemon))


def _says(daemon: Any) -> bool:
    try:
        return bool(daemon.say(model="p.m").choices[0].message.content == "hi")
    except Exception:
        return False


@pytest.mark.parametrize("reload", [True, False], ids=["reload", "no reload"])
@pytest.mark.parametrize("content", ["", "\n", "# nothing\n", None, b"\xff\xfe\xff", "K", "K=\x00\x01"])
def test_a_source_without_a_key_never_empties_what_runs(
    meshd: Any, short: Path, keyed: KeyedProvider, content: Any, reload: bool, eventually: Any
) -> None:
    path = short / "keys.env"
    write(path, f"K={OLD}\n")
    daemon = meshd(
        config(keyed, {"store": "modelmesh.dotenv.v1", "path": str(path), "cache_ttl": "10ms"}, watch=not reload)
    )
    if content is None:
        path.unlink()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content)
    if reload:
        assert daemon.ask("POST", "/mesh/v1/reload")["ok"] or content in ("# nothing\n", "K")
    else:
        eventually(lambda: "its known value stays in use" in daemon.log())
    if not (reload and content in ("# nothing\n", "K")):  # who writes that, and reloads, means it
        assert daemon.say(model="p.m").choices[0].message.content == "hi"
        assert daemon.log().count("its known value stays in use") == 1


def test_a_probe_asks_with_the_new_key_too(meshd: Any, short: Path, keyed: KeyedProvider) -> None:
    path = short / "keys.env"
    write(path, f"K={OLD}\n")
    raw = config(keyed, {"store": "modelmesh.dotenv.v1", "path": str(path)})
    raw["discovery"] = {**QUIET, "health": {"method": "completion", "interval": "1h"}}
    daemon = meshd(raw)
    daemon.say(model="p.m")
    write(path, f"K={NEW}\n")
    keyed.accepted = {NEW}
    daemon.ask("POST", "/mesh/v1/probe", {"provider": "p"})
    assert keyed.asked[NEW] == 1
    assert provider(daemon, "p")["available"]
    assert not events(daemon, "provider_deactivated")
