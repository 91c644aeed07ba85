"""A link that is replaced again and again by a file, while its path is looked up."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from meshd.host.real_path import real_path


def test_a_link_that_becomes_a_file_does_not_raise(tmp_path: Path) -> None:
    target, place = tmp_path / "target", tmp_path / "place"
    target.write_text("x")
    over = threading.Event()

    def replace() -> None:
        while not over.is_set():
            for make in (lambda path: os.symlink(target, path), lambda path: path.write_text("y")):
                make(tmp_path / "next")
                os.replace(tmp_path / "next", place)

    place.write_text("y")
    worker = threading.Thread(target=replace)
    worker.start()
    try:
        assert {real_path(place) for _ in range(3000)} <= {str(target), str(place)}
    finally:
        over.set()
        worker.join()
