"""A log file that somebody renamed, removed or truncated: the next lines are where its name says."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshd.connectors.observability.file import FileSink
from meshd.sdk.observability import Entry


@pytest.mark.parametrize("happens", ["renamed", "removed", "truncated", "with its directory"])
def test_the_file_is_opened_again(tmp_path: Path, happens: str) -> None:
    path = tmp_path / "logs" / "mesh.log"
    sink = FileSink({"path": str(path)})

    def write(text: str) -> None:
        sink.write(Entry("log", 0, "info", text, {}))
        sink.flush()

    write("before")
    if happens == "renamed":
        path.rename(path.with_suffix(".1"))
    elif happens == "truncated":
        path.write_bytes(b"")
    else:
        path.unlink()
        if happens != "removed":
            path.parent.rmdir()
    write("after")
    write("and after")
    sink.close()
    lines = path.read_text().splitlines()
    assert [text in line for text, line in zip(("after", "and after"), lines, strict=True)] == [True, True]
    if happens == "renamed":
        assert "before" in path.with_suffix(".1").read_text()
