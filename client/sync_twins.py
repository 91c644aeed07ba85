"""Writes `modelmesh/_sync`, the blocking client, from `modelmesh/_async`.

    python client/sync_twins.py           write the files
    python client/sync_twins.py --check   exit with 1 and say which of them differ

unasync takes `async` and `await` away and renames what has a blocking counterpart; ruff formats the result. A name
that begins with `Async` or `async_` is the twin of the one without it. A line that ends with `# asyncio only` is left
out.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import unasync

CLIENT = Path(__file__).resolve().parent
SOURCE, TARGET = CLIENT / "modelmesh" / "_async", CLIENT / "modelmesh" / "_sync"
ASYNCIO_ONLY = "# asyncio only\n"
NAMES = {
    "_async": "_sync",
    "aclose": "close",
    "anext": "next",
    "aread": "read",
    "asyncio": "time",  # for `sleep`
    "handle_async_request": "handle_request",
    "AsyncByteStream": "SyncByteStream",
}
HEADER = "# Generated from modelmesh/_async/{} by client/sync_twins.py; edit that file.\n"


def generate(directory: Path) -> None:
    """Write every file of the blocking client into a directory."""
    sources = sorted(SOURCE.rglob("*.py"))
    names = {**_without_prefix("".join(path.read_text() for path in sources)), **NAMES}
    with tempfile.TemporaryDirectory() as scratch:
        rule = unasync.Rule(f"{scratch}/_async/", f"{directory}/", names)
        copies = [Path(scratch, "_async", path.relative_to(SOURCE)) for path in sources]
        for path, copy in zip(sources, copies, strict=True):
            copy.parent.mkdir(parents=True, exist_ok=True)
            lines = path.read_text().splitlines(keepends=True)
            copy.write_text("".join(line for line in lines if not line.endswith(ASYNCIO_ONLY)))
        unasync.unasync_files([str(copy) for copy in copies], [rule])
    for path in sources:
        name = path.relative_to(SOURCE)
        written = directory / name
        written.write_text(HEADER.format(name) + written.read_text())
    ruff = [sys.executable, "-m", "ruff"]
    config = ["--config", str(CLIENT.parent / "pyproject.toml"), "--config", f"src = [{str(CLIENT)!r}]"]
    options = ["--quiet", "--no-cache", *config, str(directory)]
    subprocess.run([*ruff, "check", "--select", "C416,F401,I,UP028", "--fix", "--unsafe-fixes", *options], check=True)
    subprocess.run([*ruff, "format", *options], check=True)


def _without_prefix(text: str) -> dict[str, str]:
    found = set(re.findall(r"\b(?:Async(?=[A-Z])|async_)\w+", text))
    return {name: name.removeprefix("Async").removeprefix("async_") for name in found}


def differences(wanted: Path, there: Path) -> list[str]:
    """What in one directory is not as in the other, by path."""
    files = {path.relative_to(base) for base in (wanted, there) for path in base.rglob("*.py")}
    return sorted(str(name) for name in files if _text(wanted / name) != _text(there / name))


def _text(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


def main() -> int:
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch, "_sync")
        generate(made)
        if "--check" not in sys.argv[1:]:
            shutil.rmtree(TARGET, ignore_errors=True)
            shutil.copytree(made, TARGET)
            return 0
        differing = differences(made, TARGET)
    for name in differing:
        print(f"modelmesh/_sync/{name} is not what _async makes it: run python client/sync_twins.py", file=sys.stderr)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
