"""What is shown to anyone who asks: that this is a mesh, and how it is.

Must never: say anything of what runs here.
"""

from __future__ import annotations

from modelmesh.version import VERSION

OPEN = frozenset({"/", "/health", "/ready"})
MOST_BODY = 1024
_HOME = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>meshd</title>
<h1>meshd {VERSION}</h1>
<p>This is a gateway to the AI models of this machine. Programs use it as an OpenAI API whose base URL is this address
with <code>/v1</code>. <code>meshctl status</code> shows what it does.</p>
</html>
"""
_JSON = [("content-type", "application/json"), ("cache-control", "no-store")]
_HTML = [
    ("content-type", "text/html; charset=utf-8"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("x-content-type-options", "nosniff"),
]


def page(path: str, *, draining: bool) -> tuple[int, bytes, list[tuple[str, str]]]:
    """(status, body, headers)."""
    if path == "/":
        return 200, _HOME.encode(), _HTML
    if path == "/ready" and draining:
        return 503, b'{"status":"draining"}', _JSON
    return 200, b'{"status":"ok"}', _JSON
