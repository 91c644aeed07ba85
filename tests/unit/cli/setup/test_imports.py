"""`meshctl import`: where the result is written, and how what could not be converted is told."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).parents[3] / "support" / "data" / "gateways" / "portkey.json"


def refusal(meshctl: Any, *words: str) -> str:
    result = meshctl("import", *words)
    assert result.exit_code == 1, result.output
    assert "bug" not in result.output
    return " ".join(result.stderr.split())


def test_a_new_file_is_only_for_its_owner(meshctl: Any, tmp_path: Path) -> None:
    made = tmp_path / "made.yaml"
    assert str(made) in "".join(meshctl("import", "portkey", str(EXAMPLE), "-o", str(made)).stdout.split())
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["made.yaml"]


@pytest.mark.parametrize(
    ("output", "options", "why"),
    [
        ("gone/made.yaml", (), "No such file or directory"),
        (".", (), "Is a directory"),
        (".", ("--force",), "Is a directory"),
        ("mine.yaml", (), "already exists; --force overwrites it"),
        ("mine.yaml/made.yaml", ("--force",), "Not a directory"),
        ("a" * 300, (), "File name too long"),
        ("/dev/full", (), "No space left on device"),
    ],
)
def test_what_cannot_be_written_is_refused_in_words(
    meshctl: Any, tmp_path: Path, output: str, options: tuple[str, ...], why: str
) -> None:
    (tmp_path / "mine.yaml").write_text("mine")
    assert why in refusal(meshctl, "portkey", str(EXAMPLE), "-o", str(tmp_path / output), *options)
    assert os.listdir(tmp_path) == ["mine.yaml"]
    assert (tmp_path / "mine.yaml").read_text() == "mine"


def test_a_place_that_is_not_writable_is_refused_in_words(
    meshctl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("meshd.cli.setup.imports.write_output", refuse)
    assert "cannot be written: Permission denied" in refusal(
        meshctl, "portkey", str(EXAMPLE), "-o", str(tmp_path / "made.yaml")
    )


def test_a_device_gets_the_result_and_a_dash_prints_it(meshctl: Any) -> None:
    assert meshctl("import", "portkey", str(EXAMPLE), "-o", "/dev/null").exit_code == 0
    assert meshctl("import", "portkey", str(EXAMPLE), "-o", "-").stdout.startswith("# From ")


def test_a_link_is_written_through(meshctl: Any, tmp_path: Path) -> None:
    (tmp_path / "link.yaml").symlink_to(tmp_path / "target.yaml")
    assert meshctl("import", "portkey", str(EXAMPLE), "-o", str(tmp_path / "link.yaml")).exit_code == 0
    assert (tmp_path / "link.yaml").is_symlink()
    assert "portkey" in (tmp_path / "target.yaml").read_text()


def test_one_message_about_many_keys_is_told_once(meshctl: Any, tmp_path: Path) -> None:
    deployments = [
        {"model_name": "a", "litellm_params": {"model": f"groq/{number}", "tags": ["a"]}} for number in range(9)
    ]
    given = tmp_path / "given.json"
    given.write_text(json.dumps({"model_list": deployments}, indent=1))
    (line,) = meshctl("import", "litellm", str(given)).stderr.splitlines()
    assert "model_list[0].litellm_params.tags: is not imported" in line
    assert "also model_list[1].litellm_params.tags on line " in line
    assert line.endswith("and 5 more)")
    told = json.loads(meshctl("import", "litellm", str(given), "--json").stdout)
    assert len(told["remarks"]) == 9


def test_what_is_in_the_file_cannot_steer_the_terminal(meshctl: Any, tmp_path: Path) -> None:
    odd = "a\x1b]0;title\x07\nmeshctl: forged"
    given = tmp_path / "given.json"
    params = {"model": "groq/a", odd: 1, "timeout": odd}
    given.write_text(json.dumps({"model_list": [{"model_name": odd, "litellm_params": params}], odd: odd}))
    result = meshctl("import", "litellm", str(given))
    assert "\x1b" not in result.output
    assert not [line for line in result.output.splitlines() if line.startswith("meshctl: forged")]


@pytest.mark.parametrize("file", ["gone.yaml", "."])
def test_a_file_that_cannot_be_read_is_refused_in_words(meshctl: Any, tmp_path: Path, file: str) -> None:
    assert "cannot be read" in refusal(meshctl, "litellm", str(tmp_path / file))
