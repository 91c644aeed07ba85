"""Who calls over HTTP, and from which page.

Owns: tokens, and the checks of `Host` and `Origin`. Must never: keep or show a token.

A browser sends what any page tells it to, with the user's own identity. `Origin` gives such a page away, and `Host` a
page whose name has been made to point at this machine (DNS rebinding).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final
from urllib.parse import unquote

from meshd.core.caller import Caller, Peer, Token, is_owner
from meshd.gateway.frontends.exchange import OWN_PREFIX
from meshd.gateway.frontends.http.dashboard_keys import KEY_HEADER, DashboardKeys
from meshd.sdk.calls import credential
from modelmesh.errors import AccessDeniedError, AuthenticationError, MeshError

_NEVER: Final = frozenset({"proxy-authorization", "cookie", KEY_HEADER})
"""Headers that are dropped at once."""
_OTHER_SITES: Final = frozenset({"cross-site", "same-site"})


@dataclass(frozen=True, slots=True)
class Access:
    """host: the configured one. bearer: over TCP, only tokens count. tokens: digest → app. origins: of pages that may
    ask, in lower case. keys: of the dashboard."""

    host: str = "127.0.0.1"
    bearer: bool = False
    tokens: Mapping[str, str] | None = None
    origins: frozenset[str] = frozenset()
    keys: DashboardKeys = field(default_factory=DashboardKeys)

    def check_page(self, peer: Peer, headers: Mapping[str, str], path: str, *, is_unix: bool, navigates: bool) -> None:
        """navigates: a page may link here. Raises AccessDeniedError."""
        host = headers.get("host", "")
        if not is_unix and host and not self._is_own(host):
            raise AccessDeniedError(
                f"This listener is not {host[:100]}; use http://{self.host}, or set proxy.host to that name.",
                code="wrong_host",
            )
        origin = headers.get("origin", "").lower()
        site = headers.get("sec-fetch-site", "").lower()
        if site == "same-origin" or (origin and host and origin.partition("://")[2] == host.lower()):
            if not navigates and not self._is_dashboard(peer, headers):
                raise AccessDeniedError(
                    "This page may not use the mesh; open the dashboard with `meshctl dashboard`, or enter a token.",
                    code="dashboard_key_needed",
                )
            return
        if origin and origin not in self.origins:
            raise AccessDeniedError(
                f"Pages of {origin[:100]} may not use this mesh; to allow it, set proxy.cors.enabled and name it in "
                "proxy.cors.origins.",
                code="wrong_origin",
            )
        if origin and path.startswith(OWN_PREFIX):
            raise AccessDeniedError(
                f"Pages of {origin[:100]} may ask models; the mesh's own operations are for the dashboard.",
                code="wrong_origin",
            )
        if not origin and not navigates and site in _OTHER_SITES:
            raise AccessDeniedError("Another page may not use this mesh.", code="wrong_origin")

    def caller(self, peer: Peer, headers: Mapping[str, str], target: str = "", *, is_unix: bool) -> Caller:
        """target: with its query, which may hold a key. Raises MeshError if it has no access."""
        given = [*_tokens_in(headers), *(each for each in (_key_in(target),) if each)]
        for token in given:
            found = self._known(token)
            if found is not None:
                return found
        if is_unix or (not self.bearer and is_owner(peer)):
            return peer  # an SDK sends some key in any case
        if given or self.bearer:
            raise AuthenticationError(
                "This token is not known here; " + _GET_A_TOKEN if given else "A token is needed; " + _GET_A_TOKEN
            )
        who = "another machine" if peer.uid < 0 else f"user {peer.user}"
        raise _no_token(who)

    def without_tokens(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers, without cookies and the mesh's own tokens. What is left in those of credentials is the app's."""
        left = dict(headers)
        for name in _NEVER:
            left.pop(name, None)
        for name in credential.HEADERS:
            if name in left and self._known(credential.bare(left[name].strip())) is not None:
                del left[name]
        return left

    def without_key(self, target: str) -> str:
        """The path and its query, without a key that is known here: nothing else has to see it."""
        key = _key_in(target)
        if not key or self._known(key) is None:
            return target
        path, _, query = target.partition("?")
        left = "&".join(field for field in query.split("&") if not field.startswith(_KEY))
        return f"{path}?{left}" if left else path

    def _is_dashboard(self, peer: Peer, headers: Mapping[str, str]) -> bool:
        """The page came from this address. That does not make it the dashboard: another user may have listened there
        before."""
        if self.keys.fits(peer.uid, headers.get(KEY_HEADER, "")):
            return True
        return any(self._known(token) is not None for token in _tokens_in(headers))

    def _known(self, token: str) -> Token | None:
        """Each is compared, and each in constant time, so that the time taken reveals nothing."""
        digest = hashlib.sha256(token.encode("latin-1")).hexdigest()
        found = None
        for known, app in (self.tokens or {}).items():
            if hmac.compare_digest(known, digest):
                found = Token(known, app)
        return found

    def _is_own(self, host: str) -> bool:
        """Requests to addresses other than loopback need a token, which no page has."""
        if self.bearer and not is_loopback(self.host):
            return True
        name = host.lower()
        name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
        return name == self.host.lower() or is_loopback(name.rstrip("."))


_GET_A_TOKEN: Final = "make one with `meshctl token create`, and send it as `Authorization: Bearer` or `x-api-key`."


def _no_token(who: str) -> MeshError:
    return AccessDeniedError(
        f"Over TCP, {who} needs a token: {_GET_A_TOKEN} Or use the mesh socket.", code="token_needed"
    )


_KEY: Final = "key="
"""Google's clients send it in the query, or as `x-goog-api-key`."""


def _key_in(target: str) -> str:
    """The key in a query; "" if there is none that could be a token."""
    query = target.partition("?")[2]
    if _KEY not in query:
        return ""
    key = next((unquote(field.removeprefix(_KEY)) for field in query.split("&") if field.startswith(_KEY)), "")
    return key if key.isascii() else ""


def _tokens_in(headers: Mapping[str, str]) -> list[str]:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    found = [token.strip()] if scheme.lower() == "bearer" else []
    found += [headers.get(name, "").strip() for name in ("x-api-key", "x-goog-api-key")]
    return [each for each in found if each]


def is_loopback(host: str) -> bool:
    """By name or address."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
