"""Checks of the section `proxy` beyond types: what would admit strangers, or no caller at all.

Owns: the rules of `proxy` only.
Must never: open an address or a file.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Any

from meshd.config.check.values import as_map
from meshd.config.schema_walk import Report

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#\s*]+", re.IGNORECASE)


def check_proxy(flat: dict[str, Any], report: Report) -> None:
    proxy = as_map(flat.get("proxy"))
    auth, tls, cors = as_map(proxy.get("auth")), as_map(proxy.get("tls")), as_map(proxy.get("cors"))
    tokens = bool(auth.get("tokens")) or any(
        as_map(as_map(app).get("match")).get("token") for app in as_map(flat.get("apps")).values()
    )
    bearer, host = auth.get("method") == "bearer", proxy.get("host")
    if tls.get("key") and not tls.get("cert"):
        report(("proxy", "tls", "key"), "has no `cert`, the certificate that it belongs to", None)
    if isinstance(host, str) and not _is_loopback(host, report):
        lacks = [
            *(() if bearer else ("`auth.method: bearer`",)),
            *(() if tokens else ("a token in `auth.tokens` (`meshctl token create`)",)),
            *(() if tls.get("cert") else ("`tls.cert` and `tls.key`",)),
        ]
        if lacks:
            report(("proxy", "host"), f"other machines can reach {host}: add {', '.join(lacks)}", None)
    elif bearer and not tokens:
        report(("proxy", "auth", "method"), "admits no request without a token; `meshctl token create` makes one", None)
    origins = cors.get("origins")
    for index, origin in enumerate(origins if isinstance(origins, list | tuple) else ()):
        if isinstance(origin, str) and not _ORIGIN.fullmatch(origin):
            report(
                ("proxy", "cors", "origins", index),
                f"expected an origin like http://localhost:3000, without a path, got {origin!r}",
                None,
            )


def _is_loopback(host: str, report: Report) -> bool:
    """True also for anything that is not an address, which is reported."""
    if host == "localhost" or "${" in host:
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        report(("proxy", "host"), f"expected an IP address of this machine, or localhost, got {host!r}", None)
        return True
