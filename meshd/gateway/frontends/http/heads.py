"""The heads of answers.

Owns: their status lines and headers. Must never: let a value end its line.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from meshd.formats.headers import LIMITS
from modelmesh.errors import MeshError

_STATUS: Final = {each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n" for each in HTTPStatus}
_PLAIN: Final = dict.fromkeys((*range(32), 127), " ")
_LONGEST_NAME: Final = 200  # characters of a provider's header
_MADE_HERE: Final = frozenset({"content-length", "transfer-encoding", "connection"})
_OF_PROVIDER: Final = dict.fromkeys(("x-request-id", "request-id"), "x-mesh-provider-request-id")
MESH_NAMES = (
    "x-mesh-pool", "x-mesh-model", "x-mesh-provider", "x-mesh-attempts", "x-mesh-cost", "x-mesh-provider-request-id",
)  # fmt: skip


def head(status: int, headers: list[tuple[str, str]]) -> bytes:
    """The head as bytes. Only this package puts headers that frame the body into `headers`."""
    pieces = [_STATUS.get(status) or f"HTTP/1.1 {status} Other\r\n"]
    for name, value in headers:
        pieces += (name, ": ", value, "\r\n")
    pieces.append("\r\n")
    return "".join(pieces).encode("latin-1", "replace")


def plain(value: str) -> str:
    """A value from outside, on one line and in ASCII."""
    if value.isascii() and value.isprintable():  # as nearly all are
        return value.strip()
    return value.translate(_PLAIN).encode("ascii", "backslashreplace").decode("ascii").strip()


def of_answer(headers: Mapping[str, str] | None) -> list[tuple[str, str]]:
    """A provider's headers, without those that frame a body, and without its limits, as the app's own limits have the
    same names. Its request id gets another name than ours."""
    found: dict[str, tuple[str, str]] = {}
    for given, value in (headers or {}).items():
        small, name = _name_of(given) if len(given) <= _LONGEST_NAME else ("", "")
        if small and small not in found:
            found[small] = name, plain(value)
    return list(found.values())


@functools.lru_cache(maxsize=1024)  # the names of nearly all answers are the same few
def _name_of(given: str) -> tuple[str, str]:
    """The name of a provider's header in lower case, and as it is sent; both "" if it is not sent."""
    name = plain(given).replace(":", "").replace(" ", "")
    small = _OF_PROVIDER.get(name.lower(), name.lower())
    if small in _MADE_HERE or small.startswith(LIMITS):
        return "", ""
    return small, _OF_PROVIDER.get(name.lower(), name)


def of_mesh(mesh: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the mesh did for this answer."""
    found = [*_of_names(mesh.get("pool"), mesh.get("model"), mesh.get("provider"))]
    attempts = mesh.get("attempts")
    if attempts:
        found.append(("x-mesh-attempts", str(len(attempts) if isinstance(attempts, list) else attempts)))
    cost = mesh.get("cost")
    if cost is not None:
        found.append(("x-mesh-cost", f"{cost:.9f}".rstrip("0").rstrip(".")))
    return found


@functools.lru_cache(maxsize=1024)
def _of_names(pool: str | None, model: str | None, provider: str | None) -> tuple[tuple[str, str], ...]:
    given = (("x-mesh-pool", pool), ("x-mesh-model", model), ("x-mesh-provider", provider))
    return tuple((name, plain(value)) for name, value in given if value)


def of_error(error: MeshError) -> list[tuple[str, str]]:
    """x-should-retry: OpenAI's and Anthropic's SDKs follow it. So they repeat what the mesh says may be repeated, and
    nothing that may have been billed already."""
    found = [("content-type", "application/json"), ("x-should-retry", "true" if error.retryable else "false")]
    if error.retry_after is not None:
        found.append(("retry-after", str(math.ceil(max(error.retry_after, 0)))))
    if error.status_code == 401:
        found.append(("www-authenticate", "Bearer"))
    if error.status_code == 405:
        found.append(("allow", ", ".join(error.extra.get("methods") or ())))
    if error.status_code == 426:
        found += [("upgrade", "HTTP/1.1"), ("connection", "upgrade")]
    return found
