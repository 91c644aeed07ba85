"""Remarks on what is valid but probably not meant, for `config validate` and `doctor`.

Must never: refuse anything.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from meshd.catalogue.placeholder_keys import is_placeholder
from meshd.config.check.connectors import is_hosted
from meshd.config.check.references import strings
from meshd.config.mesh_config import MeshConfig
from meshd.config.schema import AppConfig
from meshd.connectors.registry import default_registry
from meshd.core.text.key_path import dotted
from meshd.host.process.processes import sees_other_programs
from meshd.host.process.program_names import is_interpreter
from meshd.host.real_path import real_path
from meshd.host.users import uid_of, user_name
from meshd.net.connections.proxies import is_loopback
from meshd.routing.table.access import DEFAULT_APP

_PATH_KEY = re.compile(r"path|cert|\w+_(file|dir)")
_BESIDE_THE_FILE = ("include", "profiles", "secrets", "connectors")
"""Sections whose relative paths start at the main file's folder, or which are not in use as they are written."""
_FIXED = ("/", "~", "${")
_SENT = ("oauth", "service_account", "entra", "passthrough")
"""Methods whose tokens, or keys of apps, are sent as they are."""


def remarks(config: MeshConfig, environ: Mapping[str, str] = os.environ) -> Iterator[str]:
    """All remarks on a configuration."""
    yield from on_access(config, environ)
    yield from of_placeholders(config, environ)
    yield from of_relative_paths(config)


def on_access(config: MeshConfig, environ: Mapping[str, str] = os.environ) -> Iterator[str]:
    """What gives other users of the machine or the network more rights than was probably intended."""
    yield from of_matches(config)
    yield from of_unknown_programs(config)
    yield from of_plain_keys(config, environ)
    yield from of_plain_tokens(config)


def of_placeholders(config: MeshConfig, environ: Mapping[str, str]) -> Iterator[str]:
    """Hosted providers whose key is a placeholder, in the file or in the environment."""
    registry = default_registry()
    variables = _key_variables(config)
    for name, provider in config.providers.items():
        spec = registry.find(provider.connector, "provider")
        if spec is None or not provider.enabled or not is_hosted({"base_url": provider.base_url}, spec):
            continue
        variable = variables.get(name)
        if is_placeholder(environ.get(variable, "") if variable else str(provider.api_key or "")):
            yield f"{variable or f'providers.{name}.api_key'} is a placeholder, which {name} will refuse"


def of_relative_paths(config: MeshConfig) -> Iterator[str]:
    """Files and folders that depend on where the daemon is started; systemd starts it in `/`."""
    for path, text in strings(config.raw):
        if path[0] not in _BESIDE_THE_FILE and _PATH_KEY.fullmatch(str(path[-1])) and not text.startswith(_FIXED):
            yield f"{dotted(path)} is relative to the folder in which meshd is started: give the whole path"


def of_matches(config: MeshConfig) -> Iterator[str]:
    """Each `exe` whose rights other users can get: with another script, by running it, or by writing to it."""
    for name, app in config.apps.items():
        match = app.match
        if not match.exe:
            continue
        at, real = f"apps.{name}.match.exe", real_path(match.exe)
        narrowed = any(each is not None for each in (match.uid, match.user, match.gid, match.group, match.unit))
        runnable = not narrowed and not is_interpreter(real) and _mode(real) & stat.S_IXOTH
        if is_interpreter(real):
            yield f"{at}: {match.exe} is an interpreter, so every script that it runs has these rights; match a unit"
        if writer := _writable_by_others(real):
            yield f"{at}: {writer} can be written by every user, who would then have these rights; chmod o-w {writer}"
        elif runnable and app.admin:
            yield (
                f"{at}: every user can run {match.exe}, and make it give the daemon any command (LD_PRELOAD, a "
                "debugger); name a user, group or unit with it"
            )
        elif runnable:
            yield f"{at}: {match.exe} can be run by every user; name a user, group or unit with it"
        if not narrowed and _limited(app) and not _limited(config.apps.get(DEFAULT_APP)):
            yield (
                f"{at}: a copy of {match.exe} at another path has no limits; give apps.default limits, which bound "
                "what no entry matches"
            )


def of_unknown_programs(config: MeshConfig) -> Iterator[str]:
    """Each `exe` that matches no process of other users, because this process may not see which program they run."""
    if sees_other_programs():
        return
    own = os.geteuid()
    for name, app in config.apps.items():
        match = app.match
        users = {match.uid, uid_of(match.user) if match.user else None} - {None}
        if match.exe and users != {own}:
            yield (
                f"apps.{name}.match.exe: matches processes of {user_name(own)} alone: without CAP_SYS_PTRACE, the "
                "program of another user's process is not known; match a unit or user, or see "
                "docs/operating.md#the-sandbox"
            )


def of_plain_keys(config: MeshConfig, environ: Mapping[str, str]) -> Iterator[str]:
    """Each key that can be read on the network between here and its provider."""
    variables = _key_variables(config)
    for name, provider in config.providers.items():
        url = urlsplit(str(provider.base_url or ""))
        written = environ.get(variables.get(name, ""), provider.api_key)
        keys = [written, *(key if isinstance(key, str) else key.key for key in provider.api_keys)]
        method = provider.auth.method
        keyed = method in _SENT or (method != "none" and any(key and not is_placeholder(key) for key in keys))
        if provider.enabled and keyed and url.scheme == "http" and url.hostname and not is_loopback(url.hostname):
            yield (
                f"providers.{name}.base_url: its key goes to {url.hostname} in plain text, so that anyone on the "
                "network path can read it; use https, or a tunnel that ends on this machine"
            )


def of_plain_tokens(config: MeshConfig) -> Iterator[str]:
    """Each token server to which secrets are sent in plain text."""
    for name, provider in config.providers.items():
        url = urlsplit(str(provider.auth.token_url or ""))
        if provider.enabled and url.scheme == "http" and url.hostname and not is_loopback(url.hostname):
            yield (
                f"providers.{name}.auth.token_url: its secrets go to {url.hostname} in plain text, so that anyone on "
                "the network path can read them; use https"
            )


def _key_variables(config: MeshConfig) -> dict[str, str]:
    """Provider → the secret that is its `api_key`."""
    wanted = [(path, name) for name, paths in config.secret_paths().items() for path in paths]
    keys = ("providers", "api_key")
    return {str(path[1]): name for path, name in wanted if len(path) == 3 and (path[0], path[2]) == keys}


def _limited(app: AppConfig | None) -> bool:
    if app is None:
        return False
    rate, budget = app.rate_limit, app.budget
    limits = (app.concurrency, rate.rpm, rate.tpm, rate.concurrency, budget.daily_limit, budget.monthly_limit)
    return any(limit is not None for limit in limits) or app.pools is not None or app.models is not None


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
