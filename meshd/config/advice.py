"""Remarks on what is valid but probably not meant, for `config validate` and `doctor`.

Must never: refuse anything.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping

from meshd.catalogue.placeholder_keys import is_placeholder
from meshd.config.check.connectors import is_hosted
from meshd.config.mesh_config import MeshConfig
from meshd.connectors.registry import default_registry
from meshd.host.program_names import is_interpreter


def remarks(config: MeshConfig, environ: Mapping[str, str] = os.environ) -> Iterator[str]:
    """All remarks on a configuration."""
    yield from of_matches(config)
    yield from of_placeholders(config, environ)


def of_placeholders(config: MeshConfig, environ: Mapping[str, str]) -> Iterator[str]:
    """Hosted providers whose key is a placeholder, in the file or in the environment."""
    registry = default_registry()
    keys = ("providers", "api_key")
    wanted = [(path, name) for name, paths in config.secret_paths().items() for path in paths]
    variables = {path[1]: name for path, name in wanted if len(path) == 3 and (path[0], path[2]) == keys}
    for name, provider in config.providers.items():
        spec = registry.find(provider.connector, "provider")
        if spec is None or not provider.enabled or not is_hosted({"base_url": provider.base_url}, spec):
            continue
        variable = variables.get(name)
        if is_placeholder(environ.get(variable, "") if variable else str(provider.api_key or "")):
            yield f"{variable or f'providers.{name}.api_key'} is a placeholder, which {name} will refuse"


def of_matches(config: MeshConfig) -> Iterator[str]:
    """Each `exe` whose rights other users can get: with another script, by running it, or by writing to it."""
    for name, app in config.apps.items():
        match = app.match
        if not match.exe:
            continue
        at, real = f"apps.{name}.match.exe", os.path.realpath(match.exe)
        narrowed = any(each is not None for each in (match.uid, match.user, match.gid, match.group, match.unit))
        if is_interpreter(real):
            yield f"{at}: {match.exe} is an interpreter: every script that it runs has these rights; match a unit"
        if writer := _writable_by_others(real):
            yield f"{at}: {writer} can be written by every user, who would then have these rights; chmod o-w {writer}"
        elif not narrowed and not is_interpreter(real) and _mode(real) & stat.S_IXOTH:
            yield f"{at}: {match.exe} can be run by every user; name a user, group or unit with it"


def _writable_by_others(path: str) -> str:
    """The program, or a folder above it, that every user may write to; "" if none."""
    while True:
        mode = _mode(path)
        if mode & stat.S_IWOTH and not (stat.S_ISDIR(mode) and mode & stat.S_ISVTX):
            return path
        above = os.path.dirname(path)
        if above == path:
            return ""
        path = above


def _mode(path: str) -> int:
    try:
        return os.stat(path).st_mode
    except OSError:
        return 0
