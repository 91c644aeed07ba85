"""What a request's headers say about its body.

Must never: read the body.
"""

from __future__ import annotations

from meshd.gateway.frontends.exchange import Request
from modelmesh.errors import InvalidRequestError
from modelmesh.wording import short

_NAMED = 100  # characters of an app's text that an error repeats


def require_json(request: Request) -> None:
    """Raises InvalidRequestError if the body is declared as another type and is not JSON. JSON is accepted with any
    declared type, since some programs send none, or that of a form."""
    body = request.body
    if not body or body[:64].lstrip()[:1] == b"{":
        return
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    require_plain(request, "a JSON body", "send it as JSON")
    if media and not media.endswith(("/json", "+json")) and media != "text/plain":
        raise unsupported(request, media[:_NAMED], "a JSON body", "send it as JSON")


def require_plain(request: Request, takes: str, instead: str) -> None:
    """Raises InvalidRequestError for a compressed body."""
    coded = request.headers.get("content-encoding", "").strip().lower()
    if coded not in ("", "identity"):
        raise unsupported(request, f"a body compressed with {coded[:_NAMED]}", takes, instead)


def unsupported(request: Request, what: str, takes: str, instead: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{short(request.path)} takes {takes}, not {short(what)}; {instead}.",
        status_code=415,
        code="unsupported_media_type",
    )
