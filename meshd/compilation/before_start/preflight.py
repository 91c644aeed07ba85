"""Finds what would prevent a start, without starting: `meshd --check`, `meshctl config validate`, `meshctl doctor`.

Must never: change anything (create a directory, keep a lock, remove a socket), or show a secret's value.
"""

from __future__ import annotations

import os
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from meshd.compilation.before_start.curve_key import key_in_use
from meshd.compilation.before_start.posture import (
    untrusted_config,
    untrusted_files,
    untrusted_packages,
    untrusted_socket,
)
from meshd.compilation.before_start.server_certificate import tls_of
from meshd.compilation.before_start.sinks import objections_to
from meshd.compilation.before_start.storage import AwaitedSecrets, objections_to_storage
from meshd.compilation.built_in_strategies import built_in_strategies
from meshd.compilation.compile import Directories, provider_settings
from meshd.compilation.made_connectors import discovery_of, hooks_of, strategies_of
from meshd.compilation.missing_secrets import MissingSecret, secrets_missing
from meshd.compilation.secret_sources import secret_sources
from meshd.config import MeshConfig, Problem
from meshd.connectors.providers.addresses import lacking, lacking_at_hosts
from meshd.core.objection import raised
from meshd.host.socket_path import default_socket, path_of_socket
from meshd.host.trust.paths import untrusted
from meshd.host.users import user_name
from meshd.state import form
from meshd.state.directory import state_dir_of
from meshd.state.lock import StateLocked

_PATIENCE = 1.0  # s that a listener may take to answer
_MOST_TOLD = 10  # entries of NO_PROXY that are reported
_ADVICE = {"curve": "`meshctl curve daemon FILE` makes one"}


class Obstacle(msgspec.Struct, frozen=True):
    """subject: posture, secret, curve, tls, connector, provider, proxy, state or socket. fatal: a start fails;
    otherwise a warning. advice: what to do. refused: the actors refuse the configuration, at a start and a reload."""

    subject: str
    message: str
    fatal: bool = True
    advice: str = ""
    problem: Problem | None = None
    refused: bool = False


def obstacles(
    config: MeshConfig, socket_path: str | None = None, *, strict: bool = False, running: bool = False
) -> Iterator[Obstacle]:
    """strict: a missing secret is fatal, unless the configuration says otherwise. running: the daemon may be running
    and hold its socket."""
    yield from posture(config, _socket(config, socket_path))
    secrets = Secrets(config)
    yield from secrets.missing(strict)
    yield from refusals(secrets)
    yield from addresses(config)
    yield from proxies(config)
    yield from state_directory(config)
    yield from socket_place(config, socket_path, running)


def posture(config: MeshConfig, socket_path: Path) -> Iterator[Obstacle]:
    """What other users could change. This includes the state directory and the socket's, once they exist."""
    from meshd.connectors.registry import default_registry

    found = untrusted_config(config)
    found += [*untrusted_files(config, None), *untrusted_packages(), *untrusted_packages(default_registry())]
    fault = untrusted(state_dir_of(config, None, None))
    if fault is not None:
        why = f"others can change the state: {fault}"
        found.append(config.problem_at(("daemon", "state_dir"), why))
    place = untrusted_socket(socket_path)
    found += [place] if place is not None else []
    advice = "" if config.daemon.strict else "daemon.strict is false"
    for problem in found:
        yield Obstacle("posture", str(problem), config.daemon.strict, advice, problem)


class Secrets:
    """The secrets of a configuration, as its stores give them now."""

    def __init__(self, config: MeshConfig) -> None:
        from meshd.connectors.secrets.resolver import SecretResolver

        self.config = config
        wanted = config.secret_paths()
        sources = secret_sources(config)
        resolver = SecretResolver(now=time.monotonic)
        try:
            self._found = resolver.resolve(wanted, sources)
            self.objections = resolver.prepare(sources)
        finally:
            resolver.close()

    @property
    def resolved(self) -> MeshConfig | None:
        """The configuration with its secrets; None if it cannot be used without one that is missing."""
        lacks = any(each.fatal for each in self._lacks(all_needed=False))
        return None if lacks else self.config.with_secrets(self._found.values)

    def missing(self, strict: bool = False) -> Iterator[Obstacle]:
        section = self.config.secrets
        all_needed = section.fail_on_missing or (strict and "fail_on_missing" not in section.model_fields_set)
        for each in self._lacks(all_needed=all_needed):
            yield Obstacle("secret", str(each.problem), each.fatal, f"set {each.name}", each.problem)

    def _lacks(self, *, all_needed: bool) -> Iterator[MissingSecret]:
        found = self._found
        return secrets_missing(self.config, found.missing, found.unreachable, all_needed=all_needed)


def refusals(secrets: Secrets) -> Iterator[Obstacle]:
    """What the actors of a daemon would refuse, in their words."""
    written, config = secrets.config, secrets.resolved
    found = {"connector": [*secrets.objections]}
    if config is not None:  # otherwise the daemon does not get so far either
        found["curve"] = raised(key_in_use, config.daemon)
        found["tls"] = raised(tls_of, config.proxy)
        found["connector"] += [
            *objections_to_storage(config.storage, AwaitedSecrets.of(config), state_dir_of(config, None, None)),
            *objections_to(config.observability),
            *hooks_of(config)[1],
            *discovery_of(config)[1],
            *strategies_of(config.pools, built_in_strategies())[1],
        ]
    for subject, objections in found.items():
        for objection in objections:
            problem = written.problem_at(objection.path, objection.why)
            yield Obstacle(subject, str(problem), True, _ADVICE.get(subject, ""), problem, refused=True)


def addresses(config: MeshConfig) -> Iterator[Obstacle]:
    """Providers whose address in the catalogue has a part that is not set, so that they are left out."""
    from meshd.connectors.registry import default_registry

    registry = default_registry()
    for name, provider in config.providers.items():
        if not provider.enabled:
            continue
        settings = provider_settings(name, provider, registry, Directories())
        what = lacking(settings)
        found = [(f"is left out: {what}", what)] if what else []
        for advice, hosts in lacking_at_hosts(settings).items():
            found.append((f"cannot be asked for {', '.join(hosts)}: {advice}", advice))
        for said, advice in found:
            problem = config.problem_at(("providers", name), f"provider {name} {said}")
            yield Obstacle("provider", str(problem), False, advice, problem)


def proxies(config: MeshConfig) -> Iterator[Obstacle]:
    """Providers whose proxy cannot be used, so that the daemon starts but their models cannot answer; and entries of
    NO_PROXY without effect."""
    from meshd.connectors.registry import default_registry
    from meshd.net.connections.proxies import ProxyRefused, find_proxy, no_proxy_faults

    registry = default_registry()
    for name, provider in config.providers.items():
        spec = registry.find(provider.connector, "provider")
        url = urlsplit(str(provider.base_url or (spec.row.get("base_url") if spec is not None else "") or ""))
        try:
            if url.hostname and provider.enabled:
                find_proxy(url.scheme == "https", url.hostname, url.port)
        except ProxyRefused as why:
            yield Obstacle(
                "proxy", f"provider {name} cannot be reached: {why}", False, "correct or unset that variable"
            )
        except ValueError:  # an invalid port, which the configuration's own check reports
            continue
    for fault in no_proxy_faults()[:_MOST_TOLD]:
        yield Obstacle("proxy", fault, False, "correct or remove that entry")


def state_directory(config: MeshConfig) -> Iterator[Obstacle]:
    """A state directory that cannot be written: a daemon without one forgets at a restart what it learnt and spent."""
    directory = state_dir_of(config, None, None)
    place = next((each for each in (directory, *directory.parents) if each.exists()), Path("/"))
    advice = f"make {directory} writable for {_user()}, or set daemon.state_dir or XDG_STATE_HOME"
    try:
        form.check(directory)
    except StateLocked as error:
        yield Obstacle("state", str(error), True)
    if not place.is_dir():
        yield Obstacle("state", f"the state directory {directory} cannot be made: {place} is a file", True, advice)
    elif not os.access(place, os.W_OK | os.X_OK, effective_ids=True):
        what = "is not writable" if place == directory else f"cannot be made: {place} is not writable"
        yield Obstacle("state", f"the state directory {directory} {what} for {_user()}", True, advice)


def socket_place(config: MeshConfig, given: str | None = None, running: bool = False) -> Iterator[Obstacle]:
    path = _socket(config, given)
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        place = next((each for each in path.parents if each.exists()), Path("/"))
        if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK, effective_ids=True):
            yield Obstacle("socket", f"the socket {path} cannot be made: {place} is not writable for {_user()}", True,
                           "give another path with --socket or daemon.socket")  # fmt: skip
        return
    except OSError as error:
        yield Obstacle("socket", f"{path}: {error.strerror}", True, "give another path with --socket")
        return
    if not stat.S_ISSOCK(mode):
        yield Obstacle("socket", f"{path} exists and is not a socket", True, "move it away, or give another --socket")
        return
    if running:
        return
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    probe.settimeout(_PATIENCE)
    try:
        probe.connect(str(path))
    except ConnectionRefusedError:
        return  # stale: a start removes it
    except OSError as error:
        yield Obstacle("socket", f"{path}: {error.strerror}", True, "give another path with --socket")
    else:
        yield Obstacle("socket", f"the socket {path} is taken: another process serves it", True,
                       "stop that one, or give another path with --socket")  # fmt: skip
    finally:
        probe.close()


def _socket(config: MeshConfig, given: str | None) -> Path:
    return path_of_socket(given or config.daemon.socket or str(default_socket()))


def _user() -> str:
    return user_name(os.getuid())
