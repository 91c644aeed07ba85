"""The modules that are compiled on demand: their sources have nothing that mypyc refuses or spoils. Their wheel is only
for what can load them."""

from __future__ import annotations

import ast
import importlib.util
import platform
import sys
from pathlib import Path

import pytest
from packaging.tags import cpython_tags, parse_tag, platform_tags, sys_tags

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
        "class Broken(ValueError):\n    status: int = 500",
        "async def events():\n    yield 1",
        "class Reader(Base):\n    def __init__(self, **told):\n        super().__init__(**told)",
        "mine = frozenset(names) - apps.keys()",
        "def first(rows):\n    for each in rows: ...\n    return [each for row in rows if (each := row.text)]",
        "def read():\n    try: ...\n    except KeyError as error: ...\n    except OSError as error: raise",
        "class Timer:\n    def end(self):\n        del self.task",
    ],
)
def test_what_cannot_is_found(source: str) -> None:
    assert len(list(hatch_build.not_compilable(source))) == 1


def test_what_extends_a_compiled_class_is_compiled_too() -> None:
    """Or the class allows it: Python refuses to make an object of another one, and compiled code takes an exception of
    another one for an error of types."""
    listed = {file.removesuffix(".py").replace("/", "."): file for file in hatch_build.listed()}
    closed = {(module, each.name) for module, file in listed.items() for each in _classes(file) if not _is_open(each)}
    problems = []
    for path in PROJECT.glob("meshd/**/*.py"):
        file = path.relative_to(PROJECT).as_posix()
        if file in listed.values():
            continue
        origins = {
            each.asname or each.name: (node.module, each.name)
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom)
            for each in node.names
        }
        for made in _classes(file):
            problems += [(file, made.name) for base in made.bases if origins.get(ast.unparse(base)) in closed]
    assert problems == []


def _classes(file: str) -> list[ast.ClassDef]:
    return [each for each in ast.parse((PROJECT / file).read_text()).body if isinstance(each, ast.ClassDef)]


def _is_open(made: ast.ClassDef) -> bool:
    """Whether an interpreted class may extend it. Protocols, enumerations and tuples stay what they are."""
    bases = [ast.unparse(each) for each in made.bases]
    stays = any(base in ("Protocol", "NamedTuple") or base.endswith("Enum") for base in bases)
    return stays or any("allow_interpreted_subclasses" in ast.unparse(each) for each in made.decorator_list)


def test_the_wheel_is_for_this_python_and_its_c_library() -> None:
    tag = parse_tag(hatch_build.wheel_tag())
    minor, machine = sys.version_info.minor, platform.machine()
    assert tag <= set(sys_tags())
    for version, platforms in (
        ((3, minor + 1), list(platform_tags())),
        ((3, minor), [f"linux_{machine}", f"manylinux_2_17_{machine}"]),
        ((3, minor), [f"linux_{machine}", f"{'many' if _is_musl() else 'musl'}linux_1_2_{machine}"]),
    ):
        assert tag.isdisjoint(cpython_tags(version, platforms=platforms))


def _is_musl() -> bool:
    return platform.libc_ver()[0] != "glibc"


@pytest.mark.parametrize("compiler", ["/no/such/cc", "/no/such/cc -pthread"])
def test_what_compiling_lacks_is_said_before_it_begins(
    compiler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", compiler)
    with pytest.raises(SystemExit, match=r"needs a C compiler \(/no/such/cc\).*apt-get install gcc"):
        hatch_build.compile_copy(tmp_path / "tree")
    assert not (tmp_path / "tree").exists()
