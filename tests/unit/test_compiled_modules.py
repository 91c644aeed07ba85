"""The modules that are compiled on demand: their sources have nothing that mypyc refuses or spoils."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
_spec = importlib.util.spec_from_file_location("hatch_build", PROJECT / "hatch_build.py")
assert _spec is not None
assert _spec.loader is not None
hatch_build = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(hatch_build)


@pytest.mark.parametrize("file", hatch_build.listed())
def test_what_is_listed_can_be_compiled(file: str) -> None:
    assert list(hatch_build.not_compilable((PROJECT / file).read_text())) == []


@pytest.mark.parametrize(
    "source",
    [
        "class Record(Base, frozen=True): ...",
        "class Record(msgspec.Struct): ...",
        "class Broken(ValueError):\n    told = 'sent nothing'",
        "async def events():\n    yield 1",
        "class Reader(Base):\n    def __init__(self, **told):\n        super().__init__(**told)",
        "class Timer:\n    def end(self):\n        del self.task",
    ],
)
def test_what_cannot_is_found(source: str) -> None:
    assert len(list(hatch_build.not_compilable(source))) == 1
