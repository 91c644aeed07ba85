"""Where a token may be: in a header of any of the APIs, or in Google's query."""

from __future__ import annotations

import hashlib

import pytest

from meshd.core.caller import Peer, Token
from meshd.gateway.frontends.http.access import Access
from modelmesh import AuthenticationError

TOKEN = "mesh-ab/c+d"
DIGEST = hashlib.sha256(TOKEN.encode()).hexdigest()
ACCESS = Access(tokens={DIGEST: "editor"}, bearer=True)
STRANGER = Peer()


@pytest.mark.parametrize(
    ("headers", "target"),
    [
        ({"authorization": f"Bearer {TOKEN}"}, "/"),
        ({"x-api-key": TOKEN}, "/"),
        ({"x-goog-api-key": TOKEN}, "/"),
        ({}, "/v1beta/models?pageSize=5&key=mesh-ab%2Fc%2Bd"),
        ({"x-goog-api-key": "another"}, f"/v1beta/models?key={TOKEN}"),
    ],
)
def test_a_token_names_its_app(headers: dict[str, str], target: str) -> None:
    found = ACCESS.caller(STRANGER, headers, target, is_unix=False)
    assert found == Token(DIGEST, "editor")


def test_any_other_key_is_refused() -> None:
    for target in ("/?key=x", "/?key=", "/?key=%F0%9F%94%91", "/?monkey=mesh-ab%2Fc%2Bd"):
        with pytest.raises(AuthenticationError):
            ACCESS.caller(STRANGER, {}, target, is_unix=False)


def test_a_token_goes_no_further_and_a_key_of_google_does() -> None:
    assert ACCESS.without_key(f"/a?alt=sse&key={TOKEN}&x=1") == "/a?alt=sse&x=1"
    assert ACCESS.without_key(f"/a?key={TOKEN}") == "/a"
    assert ACCESS.without_key("/providers/gemini/models?key=AIza") == "/providers/gemini/models?key=AIza"
