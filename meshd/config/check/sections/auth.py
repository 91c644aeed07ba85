"""Checks of a provider's `auth`: the keys of its method, and the packages that the method needs.

Owns: which keys a method needs, and which it must not have. Must never: read a key file's content, or ask a server.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from meshd.config.check.values import as_map
from meshd.config.schema.routing.auth import KEYED, KEYS
from meshd.config.schema_walk import Report
from meshd.core.text.key_path import Path
from meshd.host.installing import how_to_install


class _Package(NamedTuple):
    module: str
    name: str
    extra: str


_PACKAGES = {
    "service_account": _Package("google.auth", "google-auth", "google"),
    "entra": _Package("azure.identity", "azure-identity", "azure"),
    "aws": _Package("botocore", "botocore", "aws"),
}


def method_of(entry: Mapping[str, Any], row: Mapping[str, Any]) -> str | None:
    """The method of a provider's section. row: its connector's. None: an API key, or nothing if there is none."""
    given = as_map(entry.get("auth")).get("method")
    if given is not None:
        return str(given)
    keyed = entry.get("api_key") or entry.get("api_keys")
    return None if keyed else row.get("auth")


def sends_no_key(method: str | None) -> bool:
    """Whether this method does not use `api_key`."""
    return method is not None and method not in KEYED


def check_auth(at: Path, entry: dict[str, Any], row: Mapping[str, Any], report: Report) -> None:
    """entry: a provider's section; its types are checked elsewhere."""
    auth, method, here = as_map(entry.get("auth")), method_of(entry, row), (*at, "auth")
    for key in [key for key in auth if any(key in keys for keys in KEYS.values())]:
        if auth[key] is not None and key not in KEYS.get(method or "", ()):
            owners = " or ".join(f"`{name}`" for name, keys in KEYS.items() if key in keys)
            report((*here, key), f"belongs to `auth.method` {owners}, and the method is {method or 'an API key'}", None)
    for key in ("api_key", "api_keys"):
        if entry.get(key) and sends_no_key(method) and method != "none":
            report((*at, key), f"is not sent with `auth.method: {method}`: give only one of them", None)
    if method == "oauth":
        _check_oauth(here, auth, report)
    elif method == "service_account":
        _check_service_account(here, auth, report)
    elif method == "entra":
        _check_entra(here, auth, report)
    elif method == "passthrough" and as_map(row.get("quirks")).get("service"):
        report((*here, "method"), "passthrough is for providers with a wire format, not for services", None)
    package = _PACKAGES.get(method or "")
    if package is not None and entry.get("enabled") is not False and not _installed(package.module):
        hint = how_to_install(package.extra)
        report((*here, "method"), f"{method} needs the package {package.name}; install it with {hint}", None)


def _check_oauth(here: Path, auth: dict[str, Any], report: Report) -> None:
    url = auth.get("token_url")
    if not url:
        report((*here, "token_url"), "is missing: the address that gives the tokens", None)
    elif isinstance(url, str) and not url.startswith("${") and not _is_address(url):
        report((*here, "token_url"), "expected http://… or https://…", None)
    if auth.get("client_secret") and not auth.get("client_id"):
        report((*here, "client_id"), "is missing: the client that `client_secret` belongs to", None)
    if not auth.get("refresh_token") and not auth.get("client_secret"):
        report((*here, "client_secret"), "is missing: give it with `client_id`, or give a `refresh_token`", None)


def _check_service_account(here: Path, auth: dict[str, Any], report: Report) -> None:
    path = auth.get("credentials_file")
    if path and auth.get("credentials"):
        report((*here, "credentials"), "and `credentials_file` are both given: leave one of them out", None)
    elif isinstance(path, str) and "${" not in path and not os.access(os.path.expanduser(path), os.R_OK):
        report((*here, "credentials_file"), f"{path} cannot be read", None)


def _check_entra(here: Path, auth: dict[str, Any], report: Report) -> None:
    if auth.get("client_secret"):
        for key in ("tenant_id", "client_id"):
            if not auth.get(key):
                report((*here, key), "is missing: `client_secret` needs `tenant_id` and `client_id`", None)
    elif auth.get("tenant_id"):
        report((*here, "client_secret"), "is missing: `tenant_id` belongs to an application with a secret", None)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False
