"""Python that the daemon or `meshctl` starts imports nothing from the current directory, which others may write to."""

from __future__ import annotations

import ast
from pathlib import Path

import meshd
import modelmesh


def test_each_is_started_with_a_safe_path() -> None:
    commands = [
        [ast.unparse(word) for word in words]
        for package in (meshd, modelmesh)
        for path in Path(package.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if len(words := node.elts if isinstance(node, ast.List) else node.args if isinstance(node, ast.Call) else [])
        > 1
    ]
    python = [words for words in commands if words[0] == "sys.executable"]
    assert python
    assert [words for words in python if words[1] != "'-P'"] == []
