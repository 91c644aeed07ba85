"""Where a token may be: in a header of any of the APIs, or in Google's query."""

from __future__ import annotations

import hashlib

import pytest

from meshd.core.caller import Peer, Token
from meshd.gateway.frontends.http.access import Access
from modelmesh import AuthenticationError, MeshError

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


HOW = "make one with `meshctl token create`, and send it as `Authorization: Bearer` or `x-api-key`."


@pytest.mark.parametrize(
    ("bearer", "headers", "target", "told"),
    [
        (True, {"authorization": "Bearer mesh-wrong"}, "/", f"This token is not known here; {HOW}"),
        (False, {"x-api-key": "mesh-wrong"}, "/", f"This token is not known here; {HOW}"),
        (True, {}, "/?key=mesh-wrong", f"This token is not known here; {HOW}"),
        (True, {"authorization": "Bearer mesh-wröng"}, "/", f"This token is not known here; {HOW}"),
        (True, {}, "/", f"A token is needed; {HOW}"),
        (False, {}, "/", f"Over TCP, another machine needs a token: {HOW} Or use the mesh socket."),
    ],
)
def test_a_refusal_says_what_to_do_and_never_the_token(
    bearer: bool, headers: dict[str, str], target: str, told: str
) -> None:
    access = Access(tokens={DIGEST: "editor"}, bearer=bearer)
    with pytest.raises(MeshError) as refused:
        access.caller(STRANGER, headers, target, is_unix=False)
    assert refused.value.message == told


def test_a_token_goes_no_further_and_a_key_of_google_does() -> None:
    assert ACCESS.without_key(f"/a?alt=sse&key={TOKEN}&x=1") == "/a?alt=sse&x=1"
    assert ACCESS.without_key(f"/a?key={TOKEN}") == "/a"
    assert ACCESS.without_key("/providers/gemini/models?key=AIza") == "/providers/gemini/models?key=AIza"
