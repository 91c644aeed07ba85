"""A file that is watched: whatever way it changes, that is told, and once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import watchfiles

from meshd.config.read import watching
from meshd.config.read.config_files import ConfigFiles
from meshd.config.read.watching import FileWatch
from meshd.connectors.secrets.watch import SecretWatch
from meshd.host import file_watching
from meshd.host.file_watching import DirectoryWatch

PATIENCE = 20.0


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """…/config/mesh.yaml → ..data/mesh.yaml, and `..data` → ..1, as Kubernetes has it."""
    place = tmp_path / "up" / "config"
    (place / "..1").mkdir(parents=True)
    (place / "..1" / "mesh.yaml").write_text("first")
    (place / "..data").symlink_to("..1")
    (place / "mesh.yaml").symlink_to("..data/mesh.yaml")
    return place


class Heard:
    """What a watch said."""

    def __init__(self) -> None:
        self._said = threading.Semaphore(0)

    def say(self, *_: object) -> None:
        self._said.release()

    def in_time(self, seconds: float = PATIENCE) -> bool:
        return self._said.acquire(timeout=seconds)


@pytest.fixture(params=["configuration", "secrets"])
def watch(request: pytest.FixtureRequest, place: Path) -> Iterator[tuple[DirectoryWatch, Heard]]:
    heard, path = Heard(), place / "mesh.yaml"
    made: DirectoryWatch
    if request.param == "configuration":
        made = FileWatch(ConfigFiles.of(path), 0.01, heard.say, ConfigFiles.of(path).digest())
    else:
        made = SecretWatch([path], heard.say)
    before = set(threading.enumerate())
    made.start()
    (thread,) = {thread for thread in threading.enumerate() if thread.name == "meshd-watch"} - before
    yield made, heard
    made.stop()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def _in_place(place: Path, text: str) -> None:
    (place / "mesh.yaml").write_text(text)


def _replaced(place: Path, text: str) -> None:
    (place / "new").write_text(text)
    os.replace(place / "new", place / "mesh.yaml")


def _removed_first(place: Path, text: str) -> None:
    (place / "mesh.yaml").unlink()
    (place / "mesh.yaml").write_text(text)


def _swapped(place: Path, text: str) -> None:
    where = place / f"..{text}"
    where.mkdir()
    (where / "mesh.yaml").write_text(text)
    (place / "tmp").symlink_to(where.name)
    os.replace(place / "tmp", place / "..data")
    (place / "mesh.yaml").unlink()
    (place / "mesh.yaml").symlink_to("..data/mesh.yaml")


def _another_folder(place: Path, text: str) -> None:
    other = place.parent / "other"
    other.mkdir()
    (other / "mesh.yaml").write_text(text)
    place.rename(place.parent / f"before {text}")
    other.rename(place)


def _left_open(place: Path, text: str) -> None:
    file = open(place / "mesh.yaml", "w")  # noqa: SIM115
    file.write(text)
    file.flush()
    _LEFT.append(file)


_LEFT: list[object] = []
WAYS: list[Callable[[Path, str], None]] = [
    _in_place, _replaced, _removed_first, _swapped, _another_folder, _left_open,
]  # fmt: skip


@pytest.mark.parametrize("then", WAYS)
@pytest.mark.parametrize("first", WAYS)
def test_every_change_is_reported(
    watch: tuple[DirectoryWatch, Heard],
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    first: Callable[[Path, str], None],
    then: Callable[[Path, str], None],
) -> None:
    monkeypatch.setattr(watching, "MOST_PATIENCE", 0.0)  # who has the file open has written it
    monkeypatch.setattr(watching, "CUT_PATIENCE", 0.0)
    _, heard = watch
    for number, way in enumerate((first, then)):
        if way is _another_folder and not place.exists():
            continue
        way(place, f"a quite different text {number}")
        assert heard.in_time(), way.__name__
    _LEFT.clear()


def test_what_happens_beside_it_is_not_told(watch: tuple[DirectoryWatch, Heard], place: Path) -> None:
    _, heard = watch
    for number in range(20):
        (place / f"beside {number}").write_text("x")
    assert not heard.in_time(0.3)
    _in_place(place, "another")
    assert heard.in_time()


def test_where_nothing_is_told_it_looks(
    place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(file_watching, "POLL", 0.01)
    monkeypatch.setattr(file_watching, "POLLS", 3)
    monkeypatch.setattr(watchfiles, "watch", refused)
    heard = Heard()
    files = ConfigFiles.of(place / "mesh.yaml")
    watch = FileWatch(files, 0.01, heard.say, files.digest())
    watch.start()
    try:
        for text in ("another", "one more"):
            _in_place(place, text)
            assert heard.in_time()
    finally:
        watch.stop()
    said = [record.getMessage() for record in caplog.records if "checked every" in record.getMessage()]
    assert len(said) == 1
    assert "Too many open files" in said[0]


def test_a_folder_that_comes_later_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_watching, "POLL", 0.02)
    heard = Heard()
    watch = FileWatch(ConfigFiles.of(tmp_path / "later" / "mesh.yaml"), 0.01, heard.say)
    watch.start()
    try:
        (tmp_path / "later").mkdir()
        (tmp_path / "later" / "mesh.yaml").write_text("here")
        assert heard.in_time()
    finally:
        watch.stop()


@pytest.mark.parametrize("error", [FileNotFoundError(), OSError(22, "Invalid argument")], ids=["gone", "a file now"])
def test_a_link_that_is_replaced_while_it_is_read_is_none(
    place: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    def replaced(link: Path) -> str:
        raise error

    monkeypatch.setattr(file_watching.os, "readlink", replaced)
    assert file_watching.watched_directories(place / "mesh.yaml") == [place]


def test_a_descriptor_that_is_closed_does_not_hide_who_writes(tmp_path: Path) -> None:
    """The list itself is read through one, which is gone when they are looked at."""
    other = os.open(tmp_path, os.O_RDONLY)
    with open(tmp_path / "written", "w"):
        os.close(other)
        assert file_watching.being_written(tmp_path / "written")
    assert not file_watching.being_written(tmp_path / "written")
