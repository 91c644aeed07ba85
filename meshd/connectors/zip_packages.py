"""Connectors in zip packages that the configuration names, each with the SHA-256 of its content.

Owns: fetching, checking and keeping them, and which of them Python imports from.
Must never: import from a file whose content was not checked, or let a package replace a module that exists.

A package is what pip installs as a wheel: modules, and a `NAME.dist-info` folder with entry points. It is not unpacked:
Python imports from the zip file. What is imported is the copy in the data directory, so that the given file may change.
"""

from __future__ import annotations

import hashlib
import sys
import zipfile
from importlib.metadata import Distribution
from importlib.util import find_spec
from pathlib import Path

from meshd.host.replaced_file import replace_file
from meshd.host.trust.paths import untrusted
from meshd.pull.errors import PullError
from meshd.pull.sources import is_safe
from meshd.pull.store import data_dir, lock
from meshd.sdk.connector import ENTRY_POINTS

MOST_BYTES = 64 * 1024 * 1024
MOST_FILES = 20_000
_COMPILED = (".so", ".pyd", ".dylib")


class PackageRefused(Exception):
    """Why a package cannot be used, for the configuration's author."""


def use_package(sha256: str, path: str | None, url: str | None, folder: Path | None = None) -> None:
    """Make Python import from a package, from now until the process ends. path: absolute. Raises PackageRefused."""
    folder = folder or data_dir() / "packages"
    stored = folder / f"{sha256.lower()}.zip"
    if str(stored) in sys.path:
        return
    _keep(stored, sha256.lower(), path, url)
    _check(stored)
    sys.path.append(str(stored))  # at the end, so that installed packages come first


def _keep(stored: Path, sha256: str, path: str | None, url: str | None) -> None:
    """Put the package into the data directory, and check its content."""
    try:
        stored.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fault = untrusted(stored.parent)
        if fault is not None:
            raise PackageRefused(f"others can change packages: {fault}")
        if stored.exists() and _sha256(_read(stored)) == sha256:
            return
        if path is not None:
            content = _read(Path(path))
            found = _sha256(content)
            if found != sha256:
                raise PackageRefused(f"{path} has the sha256 {found}")
            replace_file(stored, content)
        elif url is not None:
            _download(url, stored, sha256)
    except OSError as error:
        raise PackageRefused(f"{error.filename or path} cannot be read: {error.strerror or error}") from error
    except PullError as error:
        raise PackageRefused(str(error)) from error


def _download(url: str, stored: Path, sha256: str) -> None:
    if not is_safe(url) or url.startswith("file:"):
        raise PackageRefused("expected an address that begins with https://")
    from meshd.pull.fetch import download

    with lock(stored.parent, sha256):
        download(url, stored, sha256=sha256, limit=MOST_BYTES)


def _read(path: Path) -> bytes:
    if path.exists() and not path.is_file():  # a pipe would never end
        raise PackageRefused(f"{path} is not a file")
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise PackageRefused(f"{path} is larger than {MOST_BYTES // 1024**2} MiB")
    return content


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _check(stored: Path) -> None:
    try:
        with zipfile.ZipFile(stored) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise PackageRefused("is not a zip file") from error
    if len(names) > MOST_FILES:
        raise PackageRefused(f"contains more than {MOST_FILES} files")
    if any(name.endswith(_COMPILED) for name in names):
        raise PackageRefused("has compiled modules, which cannot be imported from a zip file: install it with pip")
    if not any(each.entry_points.select(group=ENTRY_POINTS) for each in Distribution.discover(path=[str(stored)])):
        raise PackageRefused(
            f"offers no connectors: it needs a folder NAME.dist-info with an entry point of {ENTRY_POINTS}, as a wheel"
        )
    for module in sorted(_modules(names)):
        _must_be_new(module, stored)


def _modules(names: list[str]) -> set[str]:
    """What can be imported from it at the top level."""
    tops = {name.partition("/")[0] for name in names if name.endswith(".py")}
    return {top.removesuffix(".py") for top in tops}


def _must_be_new(module: str, stored: Path) -> None:
    try:
        there = find_spec(module)
    except (ImportError, ValueError):
        there = None
    if there is None:
        return
    if there.origin and Path(there.origin).is_relative_to(stored.parent):
        raise PackageRefused(f"the module {module} of another package is in use: restart the daemon to replace it")
    raise PackageRefused(f"has the module {module}, which is already installed")
