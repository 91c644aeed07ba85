"""Checks of `daemon.listen` and `daemon.curve` beyond types: what would admit strangers, or no client at all.

Owns: these rules, and those of `apps.NAME.match.curve_key`.
Must never: open an address or a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from meshd.config.check.values import as_map
from meshd.config.schema_walk import Report
from meshd.core.listen_address import parse
from meshd.core.text.key_path import Path
from meshd.routing.table.access import DEFAULT_APP
from modelmesh.wording import likeliest

_MAKE = "`meshctl curve daemon FILE` makes one"


def check_listening(flat: dict[str, Any], report: Report) -> None:
    daemon, apps = as_map(flat.get("daemon")), as_map(flat.get("apps"))
    curve = as_map(daemon.get("curve"))
    secret = [key for key in ("secret_key", "secret_key_file") if curve.get(key)]
    clients = list(_clients(curve, apps))
    if len(secret) > 1:
        report(("daemon", "curve", "secret_key_file"), "and `secret_key` are both given: leave one of them out", None)
    _check_clients(clients, apps, report)
    listened = daemon.get("listen")
    given = [listened] if isinstance(listened, str) else listened
    for index, text in enumerate(given if isinstance(given, list | tuple) else ()):
        if not isinstance(text, str) or "${" in text:
            continue
        at = ("daemon", "listen", index)
        try:
            address = parse(text)
        except ValueError as error:
            report(at, str(error), None)
            continue
        if not secret and not address.is_loopback:
            report(at, f"other machines can reach {text}: add `daemon.curve.secret_key_file` ({_MAKE})", None)
        elif secret and address.host and not clients:
            report(
                at, "admits no client without `daemon.curve.allowed_clients`; `meshctl curve create` makes keys", None
            )
    if clients and not secret:
        path, _, _ = clients[0]
        report(path, f"needs `daemon.curve.secret_key_file`, the daemon's own key ({_MAKE})", None)


def client_keys(flat: dict[str, Any]) -> set[str]:
    """The apps that have a key in `daemon.curve`."""
    curve = as_map(as_map(flat.get("daemon")).get("curve"))
    return {app for _, app, _ in _clients(curve, {})}


def _clients(curve: dict[str, Any], apps: dict[str, Any]) -> Iterator[tuple[Path, str, str]]:
    """(where it is, app, key) for each client's key."""
    allowed = curve.get("allowed_clients")
    for index, entry in enumerate(allowed if isinstance(allowed, list | tuple) else ()):
        found, at = as_map(entry), ("daemon", "curve", "allowed_clients", index)
        if isinstance(found.get("app"), str) and isinstance(found.get("key"), str):
            yield at, found["app"], found["key"].strip()
    for name, app in apps.items():
        keys = as_map(as_map(app).get("match")).get("curve_key")
        for key in [keys] if isinstance(keys, str) else keys if isinstance(keys, list | tuple) else ():
            if isinstance(key, str):
                yield ("apps", name, "match", "curve_key"), name, key.strip()


def _check_clients(clients: list[tuple[Path, str, str]], apps: dict[str, Any], report: Report) -> None:
    """A key belongs to one app, which says what its holder may do."""
    holders: dict[str, str] = {}
    for at, app, key in clients:
        if app not in apps or app == DEFAULT_APP:
            report(at, f"there is no app {app!r} in `apps`, which says what it may do", likeliest(app, list(apps)))
        elif holders.setdefault(key, app) != app:
            report(at, f"this key is also that of {holders[key]}: each app needs a key of its own", None)
