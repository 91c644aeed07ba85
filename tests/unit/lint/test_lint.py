"""What `make lint` finds in texts and tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lint import mirror, privates, references, wording

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


REPLACING = """
monkeypatch.setattr(acceptor, "user_of", None)
monkeypatch.setattr(room, "_FEWEST", 1)
monkeypatch.setattr("meshd.core._money.UNIT", 1)
monkeypatch.setattr(f"{module}._load", 1)
monkeypatch.setattr(cls, "__init__", never)
mock.patch.object(room, "_MESSAGES", 1)
setattr(room, name, 1)
monkeypatch.setattr(target=room, name="_PACE", value="_no")
"""


def test_private_names_that_tests_replace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "test_room.py").write_text(REPLACING)
    assert privates.main([str(tmp_path)]) == 1
    found = [line.split(": ")[1] for line in capsys.readouterr().out.splitlines()]
    names = ("_FEWEST", "meshd.core._money.UNIT", "x._load", "_MESSAGES", "_PACE")
    assert found == [f"replaces the private {name}" for name in names]
    (tmp_path / "test_room.py").write_text('monkeypatch.setattr(acceptor, "user_of", None)')
    assert privates.main([str(tmp_path)]) == 0


def test_tests_that_are_elsewhere_than_their_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in (
        "meshd/a/b/one.py", "meshd/a/two.py", "client/modelmesh/_connection/three.py",
        "client/modelmesh/_async/resources/four.py", "docs/page.md", "tests/lint/texts.py",
        "tests/unit/test_whole.py", "tests/unit/a/b/test_one.py", "tests/unit/a/test_two.py",
        "tests/unit/a/test_of_several.py", "tests/unit/client/connection/test_three.py",
        "tests/unit/client/resources/test_four.py", "tests/unit/docs/test_page.py", "tests/unit/lint/test_lint.py",
    ):  # fmt: skip
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    monkeypatch.chdir(tmp_path)
    assert mirror.main() == 0
    for file in ("tests/unit/a/test_one.py", "tests/unit/c/test_two.py", "tests/unit/client/a/test_three.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    assert mirror.main() == 1
    found = [line.split(": ") for line in capsys.readouterr().out.splitlines()]
    assert found == [
        ["tests/unit/a/test_one.py", "its module is in meshd/a/b"],
        ["tests/unit/c/test_two.py", "no folder has this name in meshd or client/modelmesh"],
        ["tests/unit/client/a/test_three.py", "no folder has this name in meshd or client/modelmesh"],
    ]
