"""Compiles the modules that a request passes through, with mypyc: hatch's build hook, and what `make compiled` runs.
The hook also puts the sdist's man pages into the wheel.

Owns: how they are compiled. Which they are: `tool.meshd.compiled` of pyproject.toml. A wheel has compiled modules if
MESHD_COMPILED=1 was set when it was built; `python hatch_build.py DIR` makes a copy of the project that has them.
"""

from __future__ import annotations

import ast
import contextlib
import os
import platform
import shlex
import shutil
import sys
import sysconfig
import tempfile
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import sys_tags

HERE = Path(__file__).parent
# A request that comes alone runs through more code than a processor's nearest cache holds, and what is mapped counts as
# the daemon's memory: no names but those that Python looks up, no tables to unwind, no unused code, no padding.
FOR_SIZE = [
    *("-fvisibility=hidden", "-fno-semantic-interposition", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables"),
    *("-ffunction-sections", "-fdata-sections", "-fno-tree-vectorize"),
    *("-falign-functions=1", "-falign-jumps=1", "-falign-loops=1", "-falign-labels=1"),
]
COLD_PATHS = """\
/* What only errors call: the compiler then moves the code that leads to it out of the way of the rest. */
#include <Python.h>
#define COLD __attribute__((cold))
COLD void CPy_TypeError(const char *, PyObject *);
COLD void CPy_AddTraceback(const char *, const char *, int, PyObject *);
COLD void CPy_TypeErrorTraceback(const char *, const char *, int, PyObject *, const char *, PyObject *);
COLD void CPy_AttributeError(const char *, const char *, const char *, const char *, int, PyObject *);
COLD void CPyError_OutOfMemory(void);
COLD void CPy_Raise(PyObject *);
COLD void CPy_Reraise(void);
COLD void PyErr_SetString(PyObject *, const char *);
COLD void PyErr_SetNone(PyObject *);
COLD PyObject *PyErr_Format(PyObject *, const char *, ...);
"""
LINK_FOR_SIZE = ["-Wl,--gc-sections", "-Wl,-O1", "-Wl,--strip-all", "-Wl,-z,noseparate-code"]
TINY = "-Wl,-z,norelro"  # what only finds a module in the library: one page less for each, of two that are written
PACKED = "-Wl,-z,pack-relative-relocs"  # addresses in a tenth of the space, which glibc reads since 2.36
# What other modules import may be missing here, such as the packages of an extra: `make lint` checks those modules.
ONLY_LISTED = ["--follow-imports=silent", "--ignore-missing-imports"]
BUILDS_WITH = ["mypy>=2.4,<3", "setuptools>=77", "types-PyYAML>=6.0"]


class CompiledBuildHook(BuildHookInterface[Any]):
    """Hatch's."""

    def dependencies(self) -> list[str]:
        """mypy reads the types of the libraries that are called."""
        core = self.metadata.core
        wanted = [*BUILDS_WITH, *core.dependencies, *core.optional_dependencies["daemon"]]
        return wanted if self._is_wanted("standard") else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        share = Path(self.root) / "systemd" / "share"  # of an sdist: man pages and completions
        if version == "standard" and share.is_dir():
            build_data["shared_data"][str(share)] = "share"
        if not self._is_wanted(version):
            return
        tree = self._tree = Path(tempfile.mkdtemp(prefix="meshd-compiled-"))
        try:
            built = compile_copy(tree)
        except BaseException:
            shutil.rmtree(tree)
            raise
        build_data.update(pure_python=False, tag=wheel_tag())
        # In the copy as in the wheel, but for the client, whose modules are not compiled.
        build_data["force_include"].update({str(path): str(path.relative_to(tree)) for path in built})

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if self._is_wanted(version):
            shutil.rmtree(self._tree)

    def _is_wanted(self, version: str) -> bool:
        return version == "standard" and os.environ.get("MESHD_COMPILED") == "1"


def wheel_tag() -> str:
    """It names the C library and its version. Hatch's own, `linux_x86_64`, is also taken where musl or an older glibc
    is, which could not load the modules."""
    tags = list(sys_tags())
    return str(next((each for each in tags if each.platform.startswith(("manylinux", "musllinux"))), tags[0]))


def lacking_to_compile() -> str:
    """Why nothing can be compiled here, or nothing."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    header = Path(sysconfig.get_path("include"), "Python.h")
    absent = [] if shutil.which(compiler) else [f"a C compiler ({compiler})"]
    absent += [] if header.exists() else [f"the headers of Python ({header})"]
    if not absent:
        return ""
    return (
        f"Compiling modules needs {' and '.join(absent)}; on Debian: apt-get install gcc python3-dev. Without"
        " MESHD_COMPILED=1, a wheel of plain Python is built, which needs neither."
    )


def listed() -> list[str]:
    """The files to compile, relative to the project."""
    modules = tomllib.loads((HERE / "pyproject.toml").read_text())["tool"]["meshd"]["compiled"]
    return [f"{module.replace('.', '/')}.py" for module in modules]


def compile_copy(tree: Path) -> list[Path]:
    """Copy the project to `tree`, and compile there. Returns the extension modules, absolute, sorted."""
    if lacking := lacking_to_compile():
        raise SystemExit(lacking)
    left_out = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.so")
    shutil.copytree(HERE, tree, ignore=left_out, dirs_exist_ok=True)
    with contextlib.chdir(tree):
        files = listed()
        problems = [f"{file}:{line}: {why}" for file in files for line, why in not_compilable(Path(file).read_text())]
        if problems:
            raise SystemExit("mypyc cannot compile\n" + "\n".join(problems))
        _compile(files)
        return sorted(path.absolute() for path in Path().rglob("*.so") if path.parts[0] != "build")


def not_compilable(source: str) -> Iterator[tuple[int, str]]:
    """(line, why): what mypyc refuses, or compiles into something else without a word."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ClassDef() if node.keywords or "msgspec.Struct" in map(ast.unparse, node.bases):
                yield node.lineno, "a class with keywords or of msgspec"
            case ast.AsyncFunctionDef() if any(isinstance(each, ast.Yield) for each in ast.walk(node)):
                yield node.lineno, "an async generator"
            case ast.ClassDef() if _is_exception(node) and any(_is_default(each) for each in node.body):
                yield node.lineno, "an exception with a default that is not a ClassVar: no object has it"
            case ast.Call(func=ast.Attribute(value=ast.Call(func=ast.Name("super")))) if _has_stars(node):
                yield node.lineno, "a method of super() with * or **, which it gets as one argument"
            case ast.BinOp() if _is_keys(node.right):
                yield node.lineno, "a frozenset and a dict's keys, which make a set: mypyc expects a frozenset"
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from _one_type_each(node)
            case ast.Delete() if any(isinstance(target, ast.Attribute) for target in node.targets):
                yield node.lineno, "an attribute is deleted"


def _one_type_each(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[int, str]]:
    """What mypy lets a name be in two places of a function; mypyc gives it the first one's type."""
    inside = list(ast.walk(function))
    loops = {
        each.id
        for node in inside
        if isinstance(node, ast.For)
        for each in ast.walk(node.target)
        if isinstance(each, ast.Name)
    }
    caught: dict[str, str] = {}
    for node in inside:
        match node:
            case ast.NamedExpr(target=ast.Name(name)) if name in loops:
                yield node.lineno, f"{name} is also a loop's variable"
            case ast.ExceptHandler(type=ast.expr(), name=str(name)):
                kind = ast.unparse(node.type)
                if caught.setdefault(name, kind) != kind:
                    yield node.lineno, f"{name} is another exception before"


def _has_stars(node: ast.Call) -> bool:
    starred = any(isinstance(each, ast.Starred) for each in node.args)
    return starred or any(keyword.arg is None for keyword in node.keywords)


def _is_keys(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("keys", "items")


def _is_exception(node: ast.ClassDef) -> bool:
    return any(ast.unparse(base).endswith(("Error", "Exception")) for base in node.bases)


def _is_default(node: ast.stmt) -> bool:
    if isinstance(node, ast.AnnAssign):
        return node.value is not None and not ast.unparse(node.annotation).startswith("ClassVar")
    return isinstance(node, ast.Assign)


def _compile(files: list[str]) -> None:
    from mypyc.build import mypycify
    from setuptools import Distribution
    from setuptools.command.build_ext import build_ext

    class InParallel(build_ext):
        """As many sources at a time as there are processors. The folder in which this Python was installed is not where
        its libraries are looked for elsewhere."""

        def build_extensions(self) -> None:
            linker = self.compiler.linker_so
            self.compiler.linker_so = [word for word in linker if not word.startswith(("-L", "-Wl,-rpath"))]
            super().build_extensions()

        def build_extension(self, ext: Any) -> None:
            compile_some = self.compiler.compile

            def compile_all(sources: list[str], *args: Any, **options: Any) -> list[str]:
                with ThreadPoolExecutor(os.cpu_count()) as pool:
                    made = list(pool.map(lambda source: compile_some([source], *args, **options), sources))
                return [each for some in made for each in some]

            self.compiler.compile = compile_all
            super().build_extension(ext)
            self.compiler.compile = compile_some

    extensions = mypycify(
        ["--config-file", "pyproject.toml", *ONLY_LISTED, *files],
        opt_level="2",  # for size, the compiler would leave the code of errors where it is
        debug_level="0",
        multi_file=True,  # a third of the time of one file
        group_name="meshd",
        target_dir="build/c",
    )
    cold = Path("build/c/cold.h")
    cold.write_text(COLD_PATHS)
    compiled = [*extensions[0].extra_compile_args, *FOR_SIZE, "-include", str(cold)]  # mypyc's own are the same for all
    linked = [*LINK_FOR_SIZE, *([PACKED] if _reads_packed() else [])]
    for extension in extensions:
        extension.extra_compile_args = compiled
        extension.extra_link_args = linked if extension.name.endswith("__mypyc") else [*linked, TINY]
    command = InParallel(Distribution({"name": "meshd", "ext_modules": extensions}))
    command.inplace, command.build_temp, command.build_lib = True, "build/objects", "build/lib"
    command.ensure_finalized()
    command.run()


def _reads_packed() -> bool:
    """Whether this system's C library is new enough."""
    name, version = platform.libc_ver()
    return name == "glibc" and tuple(map(int, version.split(".")[:2])) >= (2, 36)


if __name__ == "__main__":
    compile_copy(Path(sys.argv[1]).absolute())
