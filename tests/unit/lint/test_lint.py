"""What `make lint` finds in texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lint import references, wording

PYTHON = '''"""A whole day; whoever
asks."""
nobody = f"{nobody} says {1}"  # begun anew
'''


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/page.md").write_text("# A page: its *end*\n\nSee [above](#a-page-its-end), `docs/page.md`.\n")
    (tmp_path / "docs/wording.toml").write_text('[[wording]]\navoid = "whoever\\\\s+asks|anew"\nwrite = "again"\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path / "code.py"


def test_wordings_are_found_in_text_and_not_in_code(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(PYTHON)
    assert wording.main(["code.py", "docs/page.md"]) == 1
    lines = ['code.py:1: "whoever asks": write again', 'code.py:3: "anew": write again']
    assert capsys.readouterr().out.splitlines() == lines
    file.write_text('anew = "again"\n')
    assert wording.main(["code.py"]) == 0


def test_files_and_headings_that_do_not_exist(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert references.main(["docs"]) == 0
    file.write_text(
        '"""As `docs/page.md` and docs/other.md say, and `page.md`, `lost.py`; docs/, tests/lost/, docs/NAME.toml."""\n'
    )
    (file.parent / "docs/more.md").write_text(
        "[one](page.md#a-page) [two](gone.md) [three](https://example.org/x.md)\n"
    )
    assert references.main(["docs", "code.py"]) == 1
    missing = [line.partition(": no ")[2] for line in capsys.readouterr().out.splitlines()]
    assert missing == ["page.md#a-page", "gone.md", "docs/other.md", "lost.py", "tests/lost/"]
