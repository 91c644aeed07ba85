"""How to install, beside this program, what an optional part needs.

Must never: name our own distribution as if an index had it: none has, and anyone may register the name there.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from urllib.parse import unquote, urlsplit

DISTRIBUTION = "modelmesh"
_DEBIAN = "/usr/lib/meshd"  # the Debian package's environment, which sees no Python packages of Debian
_IN_DEBIAN = "daemon,secrets"  # the extras that it has, as in systemd/debian/rules


def how_to_install(extra: str) -> str:
    """The command that installs what an extra of ours needs."""
    if sys.prefix == _DEBIAN:
        if extra == "local":
            return "sudo apt-get install ./meshd-local_*.deb"
        return f"make deb MESHD_EXTRAS={_IN_DEBIAN},{extra} in the checkout, then install that package"
    # The daemon needs some thirty packages.
    needed = [] if extra == "daemon" else [*_requirements(extra)]
    if needed:
        return command_for(*needed)
    source = _source()
    command = f"{_pip()} {shlex.quote(f'{source}[{extra}]')}"
    return command if source != "." else f"{command} in the checkout"


def command_for(*requirements: str) -> str:
    """The command that installs other packages."""
    what = shlex.join(requirements)
    if os.path.exists(os.path.join(sys.prefix, "pipx_metadata.json")):
        return f"pipx inject {shlex.quote(os.path.basename(sys.prefix))} {what}"
    return f"{_pip()} {what}"


def _pip() -> str:
    python = shlex.quote(sys.executable)
    sudo = "" if os.access(sys.prefix, os.W_OK) else "sudo "
    return f"{sudo}{python} -m pip install" if find_spec("pip") else f"{sudo}uv pip install --python {python}"


def _requirements(extra: str) -> Iterator[str]:
    """As our own package states them; none if Python does not know it, as in a checkout on PYTHONPATH."""
    from importlib.metadata import PackageNotFoundError, requires

    try:
        rows = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return
    for row in rows:
        requirement, _, marker = row.partition(";")
        if f"extra == '{extra}'" in marker.replace('"', "'"):
            yield requirement.strip()


def _source() -> str:
    """The file or folder that this program was installed from, if it is still there."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        noted = distribution(DISTRIBUTION).read_text("direct_url.json") or "{}"
        path = unquote(urlsplit(json.loads(noted).get("url", "")).path)
    except (PackageNotFoundError, ValueError):
        return "."
    return path if path.startswith("/") and os.path.exists(path) else "."
