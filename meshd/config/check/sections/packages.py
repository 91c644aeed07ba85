"""Makes the zip packages of `connectors.packages` importable, before connectors are looked for.

Must never: use a package whose entry has another problem, or that others could have written into the configuration: its
code runs in the daemon, and would run before the files are checked.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from meshd.config.check.problems import Places, Problem, place_of
from meshd.config.check.values import as_map
from meshd.config.schema_walk import Report
from meshd.core.text.key_path import Path
from meshd.host.trust.paths import untrusted


def use_packages(
    flat: dict[str, Any], places: Places, file: str | None, found: Sequence[Problem], report: Report
) -> None:
    """found: the problems so far. Reports those of packages that cannot be used."""
    packages = as_map(flat.get("connectors")).get("packages")
    if not isinstance(packages, list | tuple) or any(problem.path.startswith("connectors") for problem in found):
        return
    from meshd.connectors.zip_packages import PackageRefused, use_package

    folder = os.path.dirname(os.path.abspath(file)) if file else os.getcwd()
    for index, package in enumerate(packages):
        at: Path = ("connectors", "packages", index)
        written = place_of(places, at, file).file
        fault = untrusted(written) if written is not None else None
        if fault is not None:
            report(at, f"is not used, because others can change the file: {fault}", None)
            continue
        path = package.get("path")
        if path is not None:
            path = os.path.join(folder, os.path.expanduser(path))
        try:
            use_package(package["sha256"], path, package.get("url"))
        except PackageRefused as refused:
            report(at, str(refused), None)
