"""Rules are pure: time, randomness and I/O come in as arguments, so that every test of them needs none."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import meshd.routing

MODULES = sorted(Path(next(iter(meshd.routing.__path__))).rglob("*.py"))
EFFECTS = {"time", "random", "asyncio", "threading", "socket", "os", "logging", "httpx", "zmq", "pykka"}


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_rule_imports_nothing_that_has_effects(module: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported.add(node.module.partition(".")[0])
    assert not imported & EFFECTS


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_rule_never_asks_what_day_it_is(module: Path) -> None:
    calls = [node.func for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Call)]
    assert not {call.attr for call in calls if isinstance(call, ast.Attribute)} & {"now", "utcnow", "today"}
