"""What is shown to anyone who asks: that this is a mesh, its health, and the files of the dashboard.

Must never: reveal what runs here. The dashboard asks for that like any program.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from modelmesh.version import VERSION

_TYPES = {"html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
_FILES = {
    "/": "index.html",
    **{
        f"/dashboard/{name}": name
        for name in (
            "style.css",
            "main.js",
            "api.js",
            "elements.js",
            "format.js",
            "charts.js",
            "overview.js",
            "usage.js",
            "requests.js",
            "events.js",
            "ask.js",
        )
    },
}
OPEN = frozenset({*_FILES, "/health", "/ready"})
MOST_BODY = 1024
_PLAIN_HOME = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>meshd</title>
<h1>meshd {VERSION}</h1>
<p>This is a gateway to the AI models of this machine. Programs use it as an OpenAI API whose base URL is this address
with <code>/v1</code>. <code>meshctl status</code> shows what it does.</p>
</html>
"""
_JSON = [("content-type", "application/json"), ("cache-control", "no-store")]
_GUARDED = [
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cache-control", "no-cache"),
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
]


def page(path: str, *, draining: bool, dashboard: bool) -> tuple[int, bytes, list[tuple[str, str]]]:
    """(status, body, headers)."""
    if path == "/ready" and draining:
        return 503, b'{"status":"draining"}', _JSON
    if path not in _FILES:
        return 200, b'{"status":"ok"}', _JSON
    if dashboard:
        return 200, _content(_FILES[path]), [("content-type", _TYPES[_FILES[path].rpartition(".")[2]]), *_GUARDED]
    if path == "/":
        return 200, _PLAIN_HOME.encode(), [("content-type", _TYPES["html"]), *_GUARDED]
    return 404, b"", [("content-type", "text/plain"), *_GUARDED]


@cache
def _content(name: str) -> bytes:
    return Path(__file__).parent.joinpath("dashboard", name).read_bytes()
