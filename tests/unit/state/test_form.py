"""The number of a state directory's form."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshd.state import form


@pytest.mark.parametrize("text", [None, "", "a", "\0" * 100, "1\n", "0"])
def test_what_is_no_newer_number_is_read_and_gets_ours(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "format").write_text(text)
    form.check(tmp_path)
    form.mark(tmp_path)
    assert (tmp_path / "format").read_text() == f"{form.FORM}\n"


def test_a_newer_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "format").write_text(f"{form.FORM + 1}\n")
    with pytest.raises(form.StateOfLater, match="newer version of meshd"):
        form.check(tmp_path)
