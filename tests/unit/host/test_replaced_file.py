"""Files that are written as a whole, and what must not be replaced."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from meshd.host.replaced_file import replace_file, write_output


def test_a_file_and_what_a_link_points_to_are_replaced(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    link.symlink_to(file)
    for write in (replace_file, write_output):
        write(link, write.__name__.encode())
        assert file.read_text() == write.__name__
        assert link.is_symlink()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(os.listdir(tmp_path)) == ["file", "link"]


@pytest.mark.parametrize("link", [False, True])
def test_a_pipe_is_not_replaced(tmp_path: Path, link: bool) -> None:
    pipe = path = tmp_path / "pipe"
    os.mkfifo(pipe)
    if link:
        path = tmp_path / "link"
        path.symlink_to(pipe)
    with pytest.raises(OSError, match="not a regular file"):
        replace_file(path, b"x")
    assert pipe.is_fifo()
    data, read = os.urandom(300_000), list[bytes]()  # more than a pipe holds
    thread = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    thread.start()
    write_output(path, data)
    thread.join(20)
    assert read == [data]
    assert pipe.is_fifo()


def test_a_device_gets_the_data() -> None:
    write_output(Path("/dev/null"), b"x")
    assert Path("/dev/null").is_char_device()
    with pytest.raises(OSError, match="No space left"):
        write_output(Path("/dev/full"), b"x")
    assert Path("/dev/full").is_char_device()


def test_paths_that_lead_nowhere_are_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    for name in ("loop", "loop/file", "file/below", "a\0", "\ud800", "a" * 300):
        for write in (replace_file, write_output):
            with pytest.raises(OSError) as error:
                write(tmp_path / name, b"x")
            assert error.value.strerror
    assert sorted(os.listdir(tmp_path)) == ["file", "loop"]


def test_a_link_to_a_file_that_is_not_there_yet(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    replace_file(tmp_path / "link", b"x")
    assert (tmp_path / "file").read_bytes() == b"x"
    assert (tmp_path / "link").is_symlink()


def test_a_directory_is_refused(tmp_path: Path) -> None:
    for write in (replace_file, write_output):
        for path in (tmp_path, Path("/")):
            with pytest.raises(IsADirectoryError):
                write(path, b"x")
    assert list(tmp_path.parent.glob(f".{tmp_path.name}.*")) == []
