"""Mistakes at the command line, each told by what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from meshd.cli.daemon import _what_is_there


def test_a_path_that_is_no_socket_is_told_as_that(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert _what_is_there(str(tmp_path)) == _what_is_there(str(tmp_path / "file")) == "that is not a socket"
    assert _what_is_there(str(tmp_path / "none")) == "no such file"


@pytest.mark.parametrize("name", ["mesh.ini", "mesh", "mesh.txt"])
def test_a_file_is_converted_into_a_format_that_there_is(meshctl: Any, tmp_path: Path, name: str) -> None:
    (tmp_path / "mesh.yaml").write_text("daemon: {watch: true}\n")
    done = meshctl("config", "convert", str(tmp_path / "mesh.yaml"), str(tmp_path / name))
    assert done.exit_code == 2
    assert ".yaml, .toml or .json" in " ".join(done.stderr.replace("│", " ").split())
    assert not (tmp_path / name).exists()


def test_an_empty_word_is_no_model(fake: Any, meshctl: Any) -> None:
    done = meshctl("chat", "")
    assert done.exit_code == 2
    assert "there is no prompt" in done.stderr
