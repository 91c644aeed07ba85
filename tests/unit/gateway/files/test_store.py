"""Files that are kept: whose they are, how much they take, and until when."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from meshd.config.schema.connectors.stores import KeptFilesConfig
from meshd.gateway.access.owner import Owner
from meshd.gateway.actors import Actors
from meshd.gateway.files.store import FileStore, KeptFile
from modelmesh.errors import InvalidRequestError, NotFoundError

ONE, OTHER = Owner("uid 1", "editor"), Owner("uid 2", "editor")


class World:
    def __init__(self, path: Path) -> None:
        self.now, self.told = 1000.0, list[Any]()
        self.worker = ThreadPoolExecutor(1)
        actors: Any = Actors(lambda name, message: self.told.append(message), None, None)  # type: ignore[arg-type]
        self.store = FileStore(actors, self.worker, lambda: self.now)
        self.store.restore({}, str(path))
        self.store.configure(KeptFilesConfig(max_user_size=100, max_total_size=150, max_user_count=2, ttl=60))

    def adopt(self, id: str, size: int, owner: Owner = ONE, lives: float | None = None) -> KeptFile:
        kept = self.store.record(owner, id, "name", "batch_output", size, lives)
        self.store.space.grow(owner.user, size)
        self.store.adopt(kept)
        return kept


@pytest.fixture
def world(tmp_path: Path) -> Any:
    made = World(tmp_path)
    yield made
    made.worker.shutdown()


def test_what_a_file_takes_is_given_back(world: World) -> None:
    space = world.store.space
    world.adopt("file-1", 60)
    assert (space.bytes["uid 1"], space.count["uid 1"]) == (60, 1)
    with pytest.raises(InvalidRequestError):
        space.take("uid 1", 41)
    space.take("uid 2", 40)
    world.adopt("file-1", 60)  # once more, after a crash
    assert (space.bytes["uid 1"], space.count["uid 1"]) == (60, 1)
    world.store.delete(ONE, "file-1")
    assert (space.bytes["uid 1"], space.count["uid 1"]) == (0, 0)
    assert world.told[-1].value is None


def test_all_users_together_have_a_limit(world: World) -> None:
    world.store.space.take("uid 1", 90)
    with pytest.raises(InvalidRequestError) as full:
        world.store.space.take("uid 2", 61)
    assert "max_total_size" in full.value.message


def test_a_file_is_anothers_secret_and_expires(world: World) -> None:
    kept = world.adopt("file-1", 10, lives=30)
    assert world.store.find(ONE, kept.id) == kept
    for owner in (OTHER, Owner("uid 1", "other"), None):
        with pytest.raises(NotFoundError):
            world.store.find(owner, kept.id)
    world.now += 31
    with pytest.raises(NotFoundError):
        world.store.find(ONE, kept.id)
    world.store.sweep()
    assert not world.store.of(ONE)


def test_what_a_batch_needs_stays(world: World) -> None:
    world.adopt("file-1", 10)
    world.store.used = lambda id: id == "file-1"
    world.now += 61
    world.store.sweep()
    with pytest.raises(InvalidRequestError) as needed:
        world.store.delete(ONE, "file-1")
    assert needed.value.status_code == 409


def test_a_later_life_continues(world: World, tmp_path: Path) -> None:
    world.adopt("file-1", 10)
    rows = {message.key: message.value for message in world.told}
    later = World(tmp_path)
    later.store.restore({**rows, "broken": {}}, str(tmp_path))
    assert [kept.id for kept in later.store.of(ONE)] == ["file-1"]
    assert later.store.space.bytes["uid 1"] == 10
    later.worker.shutdown()


def test_only_what_is_old_and_its_own_is_removed(world: World, tmp_path: Path) -> None:
    world.now = time.time()
    folder = tmp_path / "files"
    folder.mkdir(exist_ok=True)
    known = world.adopt("file-" + "0" * 24, 5)
    names = [known.id, *(f"file-{digit * 24}" for digit in "123"), "table%2Fmodel%2Fm.value", "file-1.part"]
    names.append("file-" + "4" * 24 + ".part")
    for name in names:
        (folder / name).write_text("x")
    os.utime(folder / names[1], (0, 0))
    os.utime(folder / known.id, (0, 0))
    os.utime(folder / "table%2Fmodel%2Fm.value", (0, 0))
    world.store.remove_unknown({names[2]})
    world.worker.shutdown(wait=True)
    assert set(names) - set(os.listdir(folder)) == {names[1], names[-1]}
