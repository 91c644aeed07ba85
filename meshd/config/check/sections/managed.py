"""The rules of `providers.NAME.managed` that concern other keys.

Must never: start anything, or look for the program; whether it exists shows when it is needed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from meshd.config.schema_walk import Report
from meshd.core.text.key_path import Path
from meshd.host.trust.local_servers import is_here


def check_managed(
    name: str, entry: Mapping[str, Any], row: Mapping[str, Any], with_models: Collection[str], report: Report
) -> None:
    """row: the connector's. with_models: the providers that `models` names."""
    server = entry.get("managed")
    if not isinstance(server, dict):
        return
    at: Path = ("providers", name)
    if not server.get("command"):
        report((*at, "managed", "command"), "is missing", None)
    ready = server.get("ready")
    if isinstance(ready, str) and (not ready.startswith("/") or any(sign <= " " for sign in ready)):
        report((*at, "managed", "ready"), "expected a path, such as /health", None)
    url = entry.get("base_url") or row.get("base_url")
    if not isinstance(url, str) or not url.startswith(("http://", "unix:")) or not ("${" in url or is_here(url)):
        report((*at, "base_url"), "expected http://127.0.0.1:… or unix:/…, at which the managed server listens", None)
    if entry.get("passthrough") is True:
        report((*at, "passthrough"), "is not available for a managed server", None)
    if name not in with_models:
        report((*at, "managed"), "needs its models to be listed in `models`, as it is started only for a request", None)
